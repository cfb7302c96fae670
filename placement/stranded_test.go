package placement

// Time is virtual here: see inTown, which uses testing/synctest.

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"tickover.dev/cluster"
	"tickover.dev/cluster/bus"
	"tickover.dev/netcode"
	"tickover.dev/rooms"
	"tickover.dev/rooms/host"
	"tickover.dev/sessions"
)

// odd is what is odd about a node.
type odd struct {
	kinds   []rooms.Kind
	members func(cluster.Members) cluster.Members
	journal func(rooms.Journal) rooms.Journal
	hub     func(Hub) Hub

	directory func(cluster.Directory) cluster.Directory
}

// startOdd is start, for a node that is not like the others.
func (w *town) startOdd(o odd) *node {
	n := &node{w: w, players: &players{w: w}}
	w.nodes = append(w.nodes, n)
	boot := cluster.Boot(100 + len(w.nodes))
	var hub Hub = n.players
	if o.hub != nil {
		hub = o.hub(hub)
	}
	if o.kinds == nil {
		o.kinds = []rooms.Kind{w.kind}
	}
	var j rooms.Journal = journal{w.journal, n}
	if o.journal != nil {
		j = o.journal(j)
	}
	var ms cluster.Members = members{w.store, n}
	if o.members != nil {
		ms = o.members(ms)
	}
	var d cluster.Directory = directory{w.store, n}
	if o.directory != nil {
		d = o.directory(d)
	}
	n.Rooms = New(Config{Hub: hub, Directory: d, Tombs: w.journal, Log: slog.New(slog.DiscardHandler)})
	var nonces atomic.Uint32
	h, err := host.New(host.Config{
		Kinds: o.kinds, Journal: j, Sink: n.Rooms, Ended: n.Rooms.Ended, Renew: n.Rooms.Renew, Shards: 2,
		Nonce: func() uint64 { return boot.Nonce(nonces.Add(1)) },
	})
	if err != nil {
		w.Fatal(err)
	}
	self := cluster.Member{Boot: boot}
	for _, k := range o.kinds {
		self.Kinds = append(self.Kinds, k.Name)
	}
	local := NewLocal(boot, h, j, func() int { return 0 }, n.Rooms)
	c := cluster.New(cluster.Config{Self: self, Members: ms, Directory: directory{w.store, n}, Rooms: local})
	link := bus.New(bus.Config{Self: boot, Bus: wires{w.bus, n}, Handler: n.Rooms})
	n.Serve(h, local, c, link)
	ctx, cancel := context.WithCancel(w.Context())
	n.cancel = cancel
	n.running.Go(func() { link.Run(ctx) })
	<-link.Ready()
	n.running.Go(func() { c.Run(ctx) })
	return n
}

// A node that does not run a kind must leave its rooms to those that do: if it claims them, nobody else will as long as it lives.
func TestANodeLeavesRoomsItCannotRunToOthers(t *testing.T) {
	inTown(t, 1, func(w *town) {
		other := rooms.Define(&ledger{}, rooms.Config{Name: "other", RateHz: 20, Seats: 4})
		stranger := w.startOdd(odd{kinds: []rooms.Kind{other}})
		time.Sleep(2 * time.Second)
		ann := w.nodes[0].enter("ann", lobby)
		playFor(time.Second, ann)
		w.settle(ann)
		w.nodes[0].kill()
		time.Sleep(3 * time.Second) // nobody runs the kind meanwhile
		again := w.start()
		time.Sleep(30 * time.Second)
		if _, ok := again.Host.Room(ann.room.ID); !ok {
			top, _ := w.journal.Top(t.Context(), ann.room.ID)
			at, _ := w.store.Look(t.Context(), ann.room.ID)
			t.Errorf("nobody runs the room; its newest entry is of %v (kind %d), the directory names %v, the stranger is %v",
				cluster.BootOf(top.Nonce), top.Kind, at.Owner, stranger.Cluster.Self())
		}
	})
}

type slowMembers struct {
	cluster.Members
	by atomic.Int64
}

func (m *slowMembers) Beat(ctx context.Context, self cluster.Member) (all []cluster.Member, knew bool, err error) {
	time.Sleep(time.Duration(m.by.Load()))
	return m.Members.Beat(ctx, self)
}

type countingHub struct {
	Hub
	musters atomic.Int64
}

func (h *countingHub) Muster(room rooms.ID, take func([]rooms.RosterEntry)) {
	h.musters.Add(1)
	h.Hub.Muster(room, take)
}

// A store that answers slowly must not be given more to do: rosters bring whole states to all players.
func TestASlowStoreIsNotFloodedWithRosters(t *testing.T) {
	inTown(t, 1, func(w *town) {
		var slow *slowMembers
		var hub *countingHub
		n := w.startOdd(odd{
			members: func(m cluster.Members) cluster.Members { slow = &slowMembers{Members: m}; return slow },
			hub:     func(h Hub) Hub { hub = &countingHub{Hub: h}; return hub },
		})
		time.Sleep(2 * time.Second)
		ann := w.nodes[0].enter("ann", lobby)
		bob := n.enter("bob", lobby)
		playFor(time.Second, ann, bob)
		before := hub.musters.Load()
		slow.by.Store(int64(250 * time.Millisecond))
		playFor(20*time.Second, ann, bob)
		if got := hub.musters.Load() - before; got > 2 {
			t.Errorf("%d rosters of one room in 20 s", got)
		}
	})
}

// onRelease calls f just before a room's release is confirmed.
type onRelease struct {
	rooms.Journal
	f func(rooms.ID)
}

func (j onRelease) Append(batch []rooms.Entry, done func([]rooms.Result)) {
	var released []rooms.ID
	for _, e := range batch {
		if e.Kind == rooms.EntryRelease {
			released = append(released, e.Room)
		}
	}
	j.Journal.Append(batch, func(rs []rooms.Result) {
		for _, id := range released {
			j.f(id)
		}
		done(rs)
	})
}

type goneHub struct {
	Hub
	t    *testing.T
	gone atomic.Int64
}

func (h *goneHub) Deliver(frames []*rooms.Frame) {
	for _, f := range frames {
		for i := range f.Seats {
			for _, n := range f.Seats[i].Notes {
				if n.Type == rooms.NoteGone {
					h.gone.Add(1)
					h.t.Logf("gone: epoch %d tick %d %+v", f.Epoch, f.Tick, n)
				}
			}
		}
	}
	h.Hub.Deliver(frames)
}

// Whoever comes back while his room moves has not lost his seat.
func TestAReturnThatMeetsAReleaseIsNotTurnedAway(t *testing.T) {
	inTown(t, 1, func(w *town) {
		var hub *goneHub
		var ann *player
		n := w.startOdd(odd{
			hub: func(h Hub) Hub { hub = &goneHub{Hub: h, t: t}; return hub },
			journal: func(j rooms.Journal) rooms.Journal {
				return onRelease{j, func(id rooms.ID) {
					// as sessions do for a client that reconnects
					ann.room.Post(&rooms.Mail{Type: rooms.MailReturn, Seat: ann.seat, Session: "ann", Gen: 2, Run: 1})
				}}
			},
		})
		time.Sleep(2 * time.Second)
		ann = n.enter("ann", lobby)
		playFor(time.Second, ann)
		go n.drain()
		time.Sleep(3 * time.Second)
		if h, ok := w.nodes[0].Host.Room(ann.room.ID); !ok {
			t.Errorf("the room did not move: %v", h)
		}
		if hub.gone.Load() > 0 {
			t.Error("ann was told that her seat is gone, and her room lives")
		}
	})
}

// slowClaims is a journal whose claims take a while.
type slowClaims struct {
	rooms.Journal
	by time.Duration
}

func (j slowClaims) Top(ctx context.Context, id rooms.ID) (rooms.Top, error) {
	time.Sleep(j.by)
	return j.Journal.Top(ctx, id)
}

func (j slowClaims) Claim(ctx context.Context, id rooms.ID, seen rooms.Epoch, nonce uint64) (rooms.Epoch, error) {
	time.Sleep(j.by)
	return j.Journal.Claim(ctx, id, seen, nonce)
}

// A node that is being stopped must not claim back what it has released.
func TestADrainingNodeDoesNotClaimWhatItReleased(t *testing.T) {
	inTown(t, 0, func(w *town) {
		slowly := odd{journal: func(j rooms.Journal) rooms.Journal { return slowClaims{j, 20 * time.Millisecond} }}
		first, heir := w.start(), w.startOdd(slowly) // as one of several whose store is nearer
		time.Sleep(2 * time.Second)
		const all = 4000
		for range all {
			first.Enter(sessions.Entry{Mode: netcode.JoinCreate, Kind: "ledger"}, func(sessions.Room, error) {})
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		began := time.Now()
		go first.drain()
		for heir.Host.Len() < all && time.Since(began) < 20*time.Second {
			time.Sleep(100 * time.Millisecond)
		}
		t.Logf("the heir has %d of %d after %s", heir.Host.Len(), all, time.Since(began))
		if lost := heir.Cluster.Stats().ClaimsLost.Load(); lost > 0 || heir.Host.Len() < all {
			t.Errorf("the heir lost %d claims to the node that is being stopped", lost)
		}
	})
}

// holding is a journal that cannot be claimed for a while.
type holding struct {
	rooms.Journal
	until *atomic.Bool
}

func (j holding) Claim(ctx context.Context, id rooms.ID, seen rooms.Epoch, nonce uint64) (rooms.Epoch, error) {
	if j.until.Load() {
		return 0, errDark
	}
	return j.Journal.Claim(ctx, id, seen, nonce)
}

// A seat whose player goes while its room has no owner must be dropped by the next one, however long that takes.
func TestAPlayerWhoGoesWhileHisRoomHasNoOwnerIsDropped(t *testing.T) {
	inTown(t, 1, func(w *town) {
		var held atomic.Bool
		hold := odd{journal: func(j rooms.Journal) rooms.Journal { return holding{j, &held} }}
		second, third := w.startOdd(hold), w.startOdd(hold)
		time.Sleep(2 * time.Second)
		ann := w.nodes[0].enter("ann", lobby)
		bob := second.enter("bob", lobby)
		cyd := third.enter("cyd", lobby)
		playFor(time.Second, ann, bob, cyd)
		w.settle(ann, bob, cyd)
		held.Store(true) // the store takes 12 s to let anybody claim
		w.nodes[0].kill()
		time.Sleep(1500 * time.Millisecond)
		for _, o := range []*player{bob, cyd} { // their connections end: their nodes tell a room that nobody has
			o.hub.mu.Lock()
			o.hub.list = nil
			o.hub.mu.Unlock()
			o.room.Post(&rooms.Mail{Type: rooms.MailDrop, Seat: o.seat, Session: o.session, Gen: 1})
		}
		time.Sleep(12 * time.Second)
		held.Store(false)
		time.Sleep(10 * time.Second)
		owner, ok := w.owner(bob.room.ID)
		if !ok {
			t.Fatal("nobody has the room")
		}
		owner.audienceMu.Lock()
		defer owner.audienceMu.Unlock()
		if to := owner.audience[bob.room.ID]; len(to) > 0 {
			t.Errorf("nobody is here, and the room plays for %v", to)
		}
	})
}

// slowDirectory takes its time to find rooms.
type slowDirectory struct {
	cluster.Directory
	by atomic.Int64
}

func (d *slowDirectory) Look(ctx context.Context, room rooms.ID) (cluster.Record, error) {
	select {
	case <-time.After(time.Duration(d.by.Load())):
		return d.Directory.Look(ctx, room)
	case <-ctx.Done():
		return cluster.Record{}, ctx.Err()
	}
}

// While a slow store is asked for many rooms, players of a dead node must be dropped all the same: their seats are others'.
func TestADeathIsSeenWhileRoomsAreLookedFor(t *testing.T) {
	inTown(t, 1, func(w *town) {
		var slow *slowDirectory
		n := w.startOdd(odd{directory: func(d cluster.Directory) cluster.Directory { slow = &slowDirectory{Directory: d}; return slow }})
		time.Sleep(2 * time.Second)
		ann := n.enter("ann", lobby)
		bob := w.nodes[0].enter("bob", lobby)
		playFor(time.Second, ann, bob)
		slow.by.Store(int64(time.Minute))
		for i := range 400 {
			n.seek(n.way(cluster.Record{Room: rooms.ID(fmt.Sprintf("lost-%d", i))}, &w.kind))
		}
		playFor(time.Second, ann, bob)
		w.nodes[0].kill()
		playFor(3*time.Second, ann)
		slow.by.Store(0)
		n.audienceMu.Lock()
		defer n.audienceMu.Unlock()
		if to := n.audience[ann.room.ID]; slices.Contains(to, w.nodes[0].node()) {
			t.Errorf("the room plays for %v, which are dead", to)
		}
	})
}
