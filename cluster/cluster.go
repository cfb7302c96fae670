package cluster

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tickover.dev/rooms"
)

// Config says what a node tells of itself, and how patient it is with others. Members, Directory and Rooms are required.
type Config struct {
	Self      Member // Boot, Name, Kinds and addresses; Beat and the rest are filled in
	Members   Members
	Directory Directory
	Rooms     Rooms
	Log       *slog.Logger

	// Heartbeat is between two beats, default 200 ms. Each costs the store one write and one read of all members.
	Heartbeat time.Duration
	// Lease is how long a member whose beats stay away is still taken to live, default 800 ms: three missed beats, and slack. It is
	// the pause that players see when a node freezes; shorter leases take pauses of a garbage collector or a network for deaths,
	// which bounces rooms and costs nothing else.
	Lease time.Duration
	Sweep SweepConfig
}

// Rooms is what runs this node's rooms. Its methods may be called from any goroutine.
type Rooms interface {
	Own
	// Top reads the top of a room's journal.
	Top(ctx context.Context, room rooms.ID) (rooms.Top, error)
	// Claim claims a room whose newest epoch is r.Epoch, and runs it. It gives the new epoch; rooms.ErrGone, rooms.ErrClaimLost, or
	// an error that is ErrCannotRun.
	Claim(ctx context.Context, r Record) (rooms.Epoch, error)
	// Forestall sees to it that a room which has no journal gets none: a creation of r.Epoch, or before, that is still under way is
	// refused by it. rooms.ErrBorn: it has got one.
	Forestall(ctx context.Context, r Record) error
	// Prove has a room write to its journal.
	Prove(room rooms.ID)
	// Load tells how many rooms and connections this node has.
	Load() (rooms, connections int)
}

// Cluster is the shell around Watch and Sweep: heartbeats, orders and answers on goroutines. Run runs it; everything else may be
// called from any goroutine.
type Cluster struct {
	// Set by New, then read-only.
	config Config
	log    *slog.Logger
	began  time.Time
	events chan func() // for the goroutine of Run
	done   chan struct{}

	renewing chan struct{} // holds one for each call under way

	leaving atomic.Bool
	seen    atomic.Pointer[Sight]
	stats   Stats

	// Owned by Run.
	watch  *Watch
	sweep  *Sweep
	orders sync.WaitGroup
}

// Sight is what a node sees of the cluster.
type Sight struct {
	Living  []Member
	Dead    []Boot
	Sighted bool // the newest heartbeat was answered; else the rest is what was seen before

	// Since is when this node was last back from an absence so long that others may have taken it for dead, or when it began, by its
	// own clock.
	Since time.Duration
}

// IsDead reports whether a boot is judged dead.
func (s *Sight) IsDead(b Boot) bool {
	return slices.Contains(s.Dead, b)
}

// IsGone reports whether a boot is judged dead, or is no member at all while the members are in sight.
func (s *Sight) IsGone(b Boot) bool {
	_, lives := s.Member(b)
	return s.Sighted && !lives
}

// Member finds a living member.
func (s *Sight) Member(b Boot) (Member, bool) {
	for _, m := range s.Living {
		if m.Boot == b {
			return m, true
		}
	}
	return Member{}, false
}

// Stats counts. All fields may be read at any time.
type Stats struct {
	Beats, BeatsFailed     atomic.Uint64
	Deaths                 atomic.Uint64 // members judged dead
	Claims, ClaimsLost     atomic.Uint64 // rooms taken over; claims that somebody else was ahead of
	ClaimsFailed           atomic.Uint64 // claims of rooms that this node could not run
	ClaimsNewer            atomic.Uint64 // those of them whose rooms are of a newer version than this node
	Repairs, Proofs        atomic.Uint64 // records raised; rooms asked to prove themselves
	OrdersFailed           atomic.Uint64 // not answered by the store; they are given again
	LastDeathMs, LastRunMs atomic.Int64  // Unix ms
}

// New makes the shell. It does nothing before Run.
func New(c Config) *Cluster {
	c.Heartbeat = cmp.Or(c.Heartbeat, 200*time.Millisecond)
	c.Lease = cmp.Or(c.Lease, 800*time.Millisecond)
	c.Sweep.Rank = cmp.Or(c.Sweep.Rank, c.Lease/2)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	cl := &Cluster{
		config: c, log: c.Log, began: time.Now(), events: make(chan func(), 64), done: make(chan struct{}), renewing: make(chan struct{}, renewAtOnce),
		watch: NewWatch(c.Self.Boot, c.Lease), sweep: NewSweep(c.Self.Boot, c.Sweep),
	}
	cl.seen.Store(&Sight{})
	return cl
}

// Sight gives what the node sees now. The result must not be changed.
func (c *Cluster) Sight() *Sight { return c.seen.Load() }

// Stats gives the counters.
func (c *Cluster) Stats() *Stats { return &c.stats }

// Member is what this node tells of itself, as it was configured.
func (c *Cluster) Member() Member { return c.config.Self }

// Beats reports whether a member was seen to beat since this node looks, rather than only to have beaten before.
func (c *Cluster) Beats(b Boot) bool {
	beats := make(chan bool, 1)
	c.do(func() { beats <- c.watch.Beats(b) })
	select {
	case yes := <-beats:
		return yes
	case <-c.done:
		return false
	}
}

// Self is the boot of this node.
func (c *Cluster) Self() Boot { return c.config.Self.Boot }

// Leave has the other nodes told, with the next heartbeat, that this one takes nothing new.
func (c *Cluster) Leave() { c.leaving.Store(true) }

// Farewell has the other nodes told that this one has stopped in order, and that its rooms are free. Run must have ended.
func (c *Cluster) Farewell(ctx context.Context) error {
	self := c.config.Self
	self.Beat, self.Leaving, self.Left = 1<<62, true, true // no beat that is still under way comes later
	_, _, err := c.config.Members.Beat(ctx, self)
	return err
}

// Bury tells of an obituary: a member's process is known to have ended.
func (c *Cluster) Bury(b Boot) {
	c.do(func() {
		if c.watch.IsDead(b) {
			return
		}
		c.watch.Bury(b, c.now())
		c.look()
	})
}

// Suspect has the rooms of a boot looked at that the directory names and that is no member. It does not wait.
func (c *Cluster) Suspect(b Boot) {
	select {
	case c.events <- func() { c.sweep.Suspect(b, c.now(), c.watch) }:
	default: // Run is busy; whoever asks will ask again
	}
}

// Offer takes the hint that a room was released for this node.
func (c *Cluster) Offer(r Record) { c.do(func() { c.sweep.Offer(r, c.now()) }) }

// Heir gives the living member that a room of a kind is to be handed to by this node.
func (c *Cluster) Heir(kind string, room rooms.ID) (Boot, bool) {
	for _, b := range Heirs(c.Sight().Living, kind, room) {
		if b != c.config.Self.Boot {
			return b, true
		}
	}
	return 0, false
}

// do has Run do something, unless it has ended.
func (c *Cluster) do(what func()) {
	select {
	case c.events <- what:
	case <-c.done:
	}
}

func (c *Cluster) now() time.Duration { return time.Since(c.began) }

// Run beats, watches and sweeps until ctx ends, then waits for the orders under way. It returns the cause.
func (c *Cluster) Run(ctx context.Context) error {
	var beating sync.WaitGroup
	beating.Go(func() { c.beat(ctx) })
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		orders, wake := c.sweep.Advance(c.now(), c.watch, c.config.Rooms)
		for _, o := range orders {
			c.orders.Go(func() { c.carryOut(ctx, o) })
		}
		timer.Reset(max(wake-c.now(), 0))
		select {
		case what := <-c.events:
			what()
		case <-timer.C:
		case <-ctx.Done():
			close(c.done)
			beating.Wait()
			c.orders.Wait()
			return context.Cause(ctx)
		}
	}
}

// beat sends heartbeats, one after the other, at their times.
func (c *Cluster) beat(ctx context.Context) {
	tick := time.NewTicker(c.config.Heartbeat)
	defer tick.Stop()
	self := c.config.Self
	for {
		self.Beat++
		self.Rooms, self.Connections = c.config.Rooms.Load()
		self.Leaving = c.leaving.Load()
		sent := c.now()
		beat, cancel := context.WithTimeout(ctx, c.config.Lease/2) // what takes longer proves nothing
		members, knew, err := c.config.Members.Beat(beat, self)
		cancel()
		answered := c.now()
		c.stats.Beats.Add(1)
		if err != nil && ctx.Err() == nil {
			c.stats.BeatsFailed.Add(1)
		}
		forgotten := !knew && self.Beat > 1
		c.do(func() { c.beaten(members, forgotten, err, sent, answered) })
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// beaten takes what a heartbeat brought.
func (c *Cluster) beaten(members []Member, forgotten bool, err error, sent, answered time.Duration) {
	before := c.seen.Load()
	if err != nil {
		if before.Sighted {
			c.log.Warn("heartbeat not answered", "error", err)
		}
		c.watch.Failed()
		c.seen.Store(&Sight{Living: before.Living, Dead: before.Dead, Since: before.Since})
		return
	}
	if forgotten {
		c.watch.Forgotten(sent)
	}
	c.watch.Take(members, sent, answered)
	c.look()
}

// look takes note of who lives, by what is known now.
func (c *Cluster) look() {
	before := c.seen.Load()
	now := &Sight{Living: c.watch.Living(), Dead: c.watch.Dead(), Sighted: c.watch.Sighted(), Since: c.watch.Since()}
	for _, b := range now.Dead {
		if !before.IsDead(b) {
			m, _ := c.watch.Member(b)
			c.stats.Deaths.Add(1)
			c.stats.LastDeathMs.Store(time.Now().UnixMilli())
			c.log.Warn("node is dead", "boot", b, "name", m.Name, "rooms", m.Rooms)
		}
	}
	c.seen.Store(now)
}

// What bounds an order: one about a room is a few round trips; a list of ten thousand rooms is some forty, of a store that may be slow. A
// claim goes on until it is answered, as it may have been made (FAILOVER.md R4).
const (
	orderWithin = 2 * time.Second
	listWithin  = 30 * time.Second
)

// carryOut does what the sweep wants, and tells it what became of it.
func (c *Cluster) carryOut(ctx context.Context, o Order) {
	a := Answer{Order: o}
	if o.Type != OrderClaim {
		within := orderWithin
		if o.Type == OrderOwned {
			within = listWithin
		}
		bounded, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		ctx = bounded
	}
	switch o.Type {
	case OrderOwned:
		a.Records, a.Err = c.config.Directory.Owned(ctx, o.Boot)
	case OrderTop:
		a.Top, a.Err = c.config.Rooms.Top(ctx, o.Record.Room)
	case OrderClaim:
		a.Epoch, a.Err = c.config.Rooms.Claim(ctx, o.Record)
	case OrderRaise:
		a.Record, a.Err = c.config.Directory.Raise(ctx, o.Record)
	case OrderProve:
		c.config.Rooms.Prove(o.Record.Room)
	case OrderForestall:
		a.Err = c.config.Rooms.Forestall(ctx, o.Record)
	case OrderRemove:
		a.Err = c.config.Directory.Remove(ctx, o.Record)
	case OrderForget:
		a.Err = c.config.Members.Leave(ctx, o.Boot)
	}
	c.count(a)
	c.do(func() { c.sweep.Take(a, c.now(), c.watch, c.config.Rooms) })
}

// count keeps the counters, and logs what an operator would want to know.
func (c *Cluster) count(a Answer) {
	t, room := a.Order.Type, a.Order.Record.Room
	switch {
	case errors.Is(a.Err, rooms.ErrGone), errors.Is(a.Err, rooms.ErrBorn):
	case t == OrderClaim && a.Err == nil:
		c.stats.Claims.Add(1)
		c.stats.LastRunMs.Store(time.Now().UnixMilli())
		c.log.Info("room taken over", "room", room, "epoch", a.Epoch)
	case errors.Is(a.Err, rooms.ErrClaimLost):
		c.stats.ClaimsLost.Add(1)
	case errors.Is(a.Err, rooms.ErrNewer):
		c.stats.ClaimsFailed.Add(1)
		c.stats.ClaimsNewer.Add(1)
		c.log.Error("room waits for a newer node: start one of the version that wrote it", "room", room, "error", a.Err)
	case errors.Is(a.Err, ErrCannotRun):
		c.stats.ClaimsFailed.Add(1)
		c.log.Error("room cannot be taken over", "room", room, "error", a.Err)
	case a.Err != nil:
		c.stats.OrdersFailed.Add(1)
		c.log.Debug("order not answered", "type", t, "room", room, "error", a.Err)
	case t == OrderRaise:
		c.stats.Repairs.Add(1)
	case t == OrderProve:
		c.stats.Proofs.Add(1)
	}
}
