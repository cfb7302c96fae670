package placement

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"tickover.dev/cluster"
	"tickover.dev/netcode"
	"tickover.dev/rooms"
	"tickover.dev/rooms/host"
	"tickover.dev/sessions"
)

// Config is what Rooms needs. All of it is required.
type Config struct {
	Hub       Hub
	Directory cluster.Directory
	Tombs     Tombs
	Log       *slog.Logger
}

// Hub is this node's players. *sessions.Hub is one.
type Hub interface {
	host.Sink
	// Watches reports whether anybody here has, or asks for, a seat in a room.
	Watches(room rooms.ID) bool
	// Muster has all who are here in a room counted, and asks again for all that the room has not answered. take is called once.
	Muster(room rooms.ID, take func([]rooms.RosterEntry))
	// Superseded closes older connections of a session than the given one.
	Superseded(session string, gen uint64)
	// Resave has the sessions of those who are here saved, as the store may have lost them. It is called often then.
	Resave()
}

// Tombs reads what was left of rooms that have ended, whichever node they were on, and ends those that never began.
type Tombs interface {
	rooms.Forestaller
	// Tomb gives what Bury or Forestall was given; rooms.ErrGone: there is none (any more).
	Tomb(ctx context.Context, room rooms.ID) ([]byte, error)
}

// Rooms is the rooms of the whole cluster as sessions see them. It implements sessions.Rooms.
type Rooms struct {
	Config

	// Set by Serve, before the first room.
	Host    *host.Host
	Local   *Local
	Cluster *cluster.Cluster
	Link    Link

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	desks  chan struct{} // holds one for each request under way
	stats  Stats
	census *census

	rosters *rosters

	Signals Signals // of this node, that wait for their answers

	mu sync.Mutex
	// Guarded by mu.
	closed bool
	work   sync.WaitGroup
	ways   map[rooms.ID]*way
	sought map[*way]*search

	audienceMu sync.Mutex
	// Guarded by audienceMu.
	audience map[rooms.ID][]rooms.Node // of this node's rooms: who was sent their newest frames
	askers   map[rooms.ID][]rooms.Node // of this node's rooms: who has asked them for something; see noteAsker
}

var (
	_ sessions.Rooms = (*Rooms)(nil)
	_ host.Sink      = (*Rooms)(nil)
)

// Stats counts requests. All fields may be read at any time.
type Stats struct {
	Lookups     atomic.Uint64 // that asked the directory
	Waits       atomic.Uint64 // that waited for a room to be taken over
	Unavailable atomic.Uint64 // that were answered so
	Lost        atomic.Uint64 // times that messages of another node were missing
	Unreadable  atomic.Uint64 // messages of other nodes
	Moves       atomic.Uint64 // times that a room that is watched here had another owner
}

const (
	// maxDesks bounds the requests under way at once: each is a goroutine that waits for the store.
	maxDesks = 1024
	// findWithin bounds one request. Within it a room whose owner has just died finds a new one: a lease, and a second to spare.
	findWithin = 3 * time.Second
	findAgain  = 50 * time.Millisecond
)

// New makes Rooms. Serve must follow, before the first room; Close ends it.
func New(c Config) *Rooms {
	r := &Rooms{
		Config: c, desks: make(chan struct{}, maxDesks), ways: map[rooms.ID]*way{}, sought: map[*way]*search{},
		audience: map[rooms.ID][]rooms.Node{}, askers: map[rooms.ID][]rooms.Node{}, census: newCensus(), rosters: newRosters(),
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// Serve gives the rooms of this node, its cluster, and the way to other nodes.
func (r *Rooms) Serve(h *host.Host, l *Local, c *cluster.Cluster, link Link) {
	r.Host, r.Local, r.Cluster, r.Link = h, l, c, link
	r.mu.Lock()
	defer r.mu.Unlock()
	r.work.Go(func() { r.lookOut(r.ctx) })
	r.work.Go(func() { r.scout(r.ctx) })
	r.work.Go(func() { r.tellRooms(r.ctx) })
	r.work.Go(func() { r.callMusters(r.ctx) })
}

// Close ends the requests under way and waits for them.
func (r *Rooms) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	r.work.Wait()
}

// Stats gives the counters.
func (r *Rooms) Stats() *Stats { return &r.stats }

// HasKind implements sessions.Rooms.
func (r *Rooms) HasKind(name string) bool {
	_, ok := r.Host.Kind(name)
	return ok
}

// Room implements sessions.Rooms.
func (r *Rooms) Room(id rooms.ID, done func(sessions.Room, error)) {
	if h, ok := r.Host.Room(id); ok {
		done(r.local(h), nil)
		return
	}
	r.begin(done, func(ctx context.Context) (sessions.Room, error) { return r.byID(ctx, id) })
}

// Enter implements sessions.Rooms.
func (r *Rooms) Enter(e sessions.Entry, done func(sessions.Room, error)) {
	switch {
	case e.Mode == netcode.JoinID:
		r.Room(rooms.ID(e.Target), done)
		return
	case !r.HasKind(e.Kind):
		done(sessions.Room{}, host.ErrUnknownKind)
		return
	case e.Target != "" && !rooms.ValidName(e.Target):
		done(sessions.Room{}, host.ErrBadKey)
		return
	case e.Mode != netcode.JoinCreate:
		if h, ok := r.Host.Find(e.Kind, e.Target); ok && e.Target != "" {
			done(r.local(h), nil)
			return
		}
	}
	r.begin(done, func(ctx context.Context) (sessions.Room, error) {
		if e.Mode == netcode.JoinKey {
			return r.byKey(ctx, e.Kind, e.Target)
		}
		return r.create(ctx, e)
	})
}

// begin answers a request on a goroutine of its own, if there is a desk for it.
func (r *Rooms) begin(done func(sessions.Room, error), find func(context.Context) (sessions.Room, error)) {
	select {
	case r.desks <- struct{}{}:
	default:
		r.unavailable(done)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		<-r.desks
		done(sessions.Room{}, host.ErrStopping)
		return
	}
	r.work.Go(func() {
		defer func() { <-r.desks }()
		ctx, cancel := context.WithTimeout(r.ctx, findWithin)
		defer cancel()
		r.stats.Lookups.Add(1)
		room, err := find(ctx)
		if err != nil && ctx.Err() != nil {
			r.unavailable(done)
			return
		}
		done(room, err)
	})
}

func (r *Rooms) unavailable(done func(sessions.Room, error)) {
	r.stats.Unavailable.Add(1)
	done(sessions.Room{}, sessions.ErrUnavailable)
}

// byID finds a room by its id. A room that is being taken over is waited for.
func (r *Rooms) byID(ctx context.Context, id rooms.ID) (sessions.Room, error) {
	return r.await(ctx, func() (sessions.Room, error) {
		at, err := r.Directory.Look(ctx, id)
		if errors.Is(err, cluster.ErrNoRecord) {
			return sessions.Room{}, r.tomb(ctx, id)
		}
		if err != nil {
			return sessions.Room{}, unreached(err)
		}
		return r.reach(at)
	})
}

// byKey finds a room by its key.
func (r *Rooms) byKey(ctx context.Context, kind, key string) (sessions.Room, error) {
	return r.await(ctx, func() (sessions.Room, error) {
		at, err := r.Directory.Find(ctx, kind, key)
		if errors.Is(err, cluster.ErrNoRecord) {
			return sessions.Room{}, sessions.ErrUnknownKey
		}
		if err != nil {
			return sessions.Room{}, unreached(err)
		}
		return r.reach(at)
	})
}

// errNotYet is an answer that may be another one soon.
var errNotYet = errors.New("the room has no owner at present")

// unreached is an error of the store: it may answer if asked again.
func unreached(err error) error { return fmt.Errorf("%w: %w", errNotYet, err) }

// await asks until the answer is final, or time is up.
func (r *Rooms) await(ctx context.Context, ask func() (sessions.Room, error)) (sessions.Room, error) {
	for first := true; ; first = false {
		room, err := ask()
		if !errors.Is(err, errNotYet) {
			return room, err
		}
		if first {
			r.stats.Waits.Add(1)
		}
		select {
		case <-ctx.Done():
			return room, err
		case <-time.After(findAgain):
		}
	}
}

// tomb tells why the directory does not know a room. One that has a journal lives: its owner enters it again.
func (r *Rooms) tomb(ctx context.Context, id rooms.ID) error {
	end, err := r.Tombs.Tomb(ctx, id)
	if errors.Is(err, rooms.ErrGone) {
		if _, err = r.Local.Top(ctx, id); errors.Is(err, rooms.ErrGone) {
			return sessions.ErrUnknownRoom
		}
		return unreached(cmp.Or(err, cluster.ErrNoRecord))
	}
	if err != nil {
		return unreached(err)
	}
	t, err := host.ReadTomb(end)
	if err != nil {
		r.Log.Warn("tombstone cannot be read", "room", id, "error", err)
		return sessions.ErrUnknownRoom
	}
	if t.Why == host.WhyUnborn { // it was never seen to begin, but may be renewed, as if there were no tombstone
		return sessions.ErrUnknownRoom
	}
	return &sessions.EndedError{Tomb: t}
}

// create makes a room on this node, unless its key is taken and the request takes that.
func (r *Rooms) create(ctx context.Context, e sessions.Entry) (sessions.Room, error) {
	id, epoch := host.NewID(), host.NewEpoch()
	at := cluster.Record{Room: id, Kind: e.Kind, Key: e.Target, Owner: r.Cluster.Self(), Epoch: epoch}
	opened := r.Local.open(id, epoch)
	defer opened()
	entered := false
	defer func() {
		if !entered { // its key may have been taken
			r.forget(at)
		}
	}()
	return r.await(ctx, func() (sessions.Room, error) {
		held, err := r.Directory.Register(ctx, at)
		switch {
		case errors.Is(err, cluster.ErrKeyTaken):
			return r.taken(ctx, e, held)
		case err != nil:
			return sessions.Room{}, unreached(err)
		}
		h, err := r.Host.CreateAs(id, epoch, e.Kind, e.Target, e.Options)
		if errors.Is(err, host.ErrKeyTaken) { // the directory has just forgotten the room that has it here
			err = errNotYet
		}
		if err != nil {
			return sessions.Room{}, err
		}
		entered = true
		return r.local(h), nil
	})
}

// taken is a creation that found another room with its key.
func (r *Rooms) taken(ctx context.Context, e sessions.Entry, held cluster.Record) (sessions.Room, error) {
	_, entering := r.Local.Epoch(held.Room)
	if held.Epoch == 0 && (r.Cluster.Sight().IsGone(held.Owner) || held.Owner == r.Cluster.Self() && !entering) { // its creator died between taking the key and making the room
		if err := r.Directory.Remove(ctx, held); err != nil {
			return sessions.Room{}, unreached(err)
		}
		return sessions.Room{}, errNotYet
	}
	if e.Mode == netcode.JoinCreate {
		return sessions.Room{}, host.ErrKeyTaken
	}
	return r.reach(held)
}

// forget takes a room off the directory that was entered and not made. If that is not answered, a sweep does it.
func (r *Rooms) forget(at cluster.Record) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := r.Directory.Remove(ctx, at); err != nil {
		r.Log.Warn("take room off the directory", "room", at.Room, "error", err)
	}
}

// Ended is for host.Config: it takes a room that is no more off the directory, and offers one that was released to its heir.
func (r *Rooms) Ended(ctx context.Context, h *host.Handle, e rooms.Ended) {
	switch {
	case e.Why == "released":
		r.offer(h, e)
		return
	case e.Kept:
		return // it has another owner
	}
	at := r.Local.record(h)
	at.Epoch = max(at.Epoch, e.Epoch)
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := r.Directory.Remove(ctx, at); err != nil && ctx.Err() == nil {
		r.Log.Warn("take room off the directory", "room", h.ID, "error", err) // a sweep will
	}
}
