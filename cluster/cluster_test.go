package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tickover.dev/cluster"
	"tickover.dev/cluster/memstore"
	"tickover.dev/rooms"
	"tickover.dev/rooms/memjournal"
)

// estate is a node's rooms without the rooms: it claims and owns.
type estate struct {
	boot    cluster.Boot
	journal *memjournal.Journal

	mu     sync.Mutex
	own    map[rooms.ID]cluster.Record
	nonces uint32
	proved []rooms.ID
	cannot error // claims, and then cannot run what it has claimed
}

func (e *estate) Epoch(id rooms.ID) (rooms.Epoch, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r, ok := e.own[id]
	return r.Epoch, ok
}

func (e *estate) All() []cluster.Record {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Collect(maps.Values(e.own))
}

func (e *estate) Top(ctx context.Context, id rooms.ID) (rooms.Top, error) {
	return e.journal.Top(ctx, id)
}

func (e *estate) Claim(ctx context.Context, r cluster.Record) (rooms.Epoch, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.nonces++
	epoch, err := e.journal.Claim(ctx, r.Room, r.Epoch, e.boot.Nonce(e.nonces))
	switch {
	case err == nil && e.cannot != nil:
		return 0, fmt.Errorf("%w: %w", cluster.ErrCannotRun, e.cannot)
	case err == nil:
		r.Owner, r.Epoch = e.boot, epoch
		e.own[r.Room] = r
	}
	return epoch, err
}

func (e *estate) Forestall(ctx context.Context, r cluster.Record) error {
	return e.journal.Forestall(ctx, r.Room, r.Epoch, nil, time.Minute)
}

func (e *estate) Prove(id rooms.ID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.proved = append(e.proved, id)
	delete(e.own, id)
}

func (e *estate) Load() (rooms, connections int) { return len(e.All()), 0 }

// ground is where nodes are tried: one store, one journal.
type ground struct {
	*testing.T
	store   *memstore.Store
	journal *memjournal.Journal

	members   cluster.Members
	directory cluster.Directory
}

func (g *ground) node(boot cluster.Boot) (*cluster.Cluster, *estate, func()) {
	e := &estate{boot: boot, journal: g.journal, own: map[rooms.ID]cluster.Record{}}
	c := cluster.New(cluster.Config{
		Self: cluster.Member{Boot: boot, Kinds: []string{"k"}}, Members: g.members, Directory: g.directory, Rooms: e,
	})
	ctx, cancel := context.WithCancel(g.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	return c, e, func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			g.Errorf("run: %v", err)
		}
	}
}

// open makes a room of a node.
func (g *ground) open(e *estate, id rooms.ID) {
	r := cluster.Record{Room: id, Kind: "k", Owner: e.boot, Epoch: 1}
	e.mu.Lock()
	e.own[id] = r
	e.mu.Unlock()
	if _, err := g.store.Register(g.Context(), r); err != nil {
		g.Fatal(err)
	}
	g.journal.Append([]rooms.Entry{{Room: id, ID: rooms.EntryID{Epoch: 1, Tick: 1}, Nonce: e.boot.Nonce(1 << 20), Kind: rooms.EntryCreate}}, func([]rooms.Result) {})
}

func onGround(t *testing.T, try func(g *ground)) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		try(&ground{t, store, memjournal.New(), store, store})
	})
}

// The whole point: the rooms of a dead node are somebody's within about a lease.
func TestRoomsOfADeadNodeAreTakenOver(t *testing.T) {
	onGround(t, func(g *ground) {
		_, a, kill := g.node(1)
		b, eb, stop := g.node(2)
		defer stop()
		for i := range 300 {
			g.open(a, rooms.ID(fmt.Sprint("room-", i)))
		}
		time.Sleep(3 * time.Second)
		kill()
		died := time.Now()
		for len(eb.All()) < 300 {
			time.Sleep(10 * time.Millisecond)
			if time.Since(died) > 1200*time.Millisecond {
				g.Fatalf("%d rooms taken over after %s", len(eb.All()), time.Since(died))
			}
		}
		time.Sleep(3 * time.Second)
		left, err := g.store.Owned(g.Context(), 1)
		if err != nil || len(left) > 0 || len(b.Sight().Living) != 1 {
			g.Errorf("the dead node still owns %v, %v; members %+v", left, err, b.Sight())
		}
		if n := b.Stats().Claims.Load(); n != 300 {
			g.Errorf("%d claims", n)
		}
	})
}

// A deploy must not cost a lease.
func TestRoomsOfANodeThatSaidFarewellAreTakenAtOnce(t *testing.T) {
	onGround(t, func(g *ground) {
		a, ea, stopA := g.node(1)
		_, eb, stop := g.node(2)
		defer stop()
		g.open(ea, "room")
		time.Sleep(3 * time.Second)
		stopA()
		if err := a.Farewell(g.Context()); err != nil {
			g.Fatal(err)
		}
		time.Sleep(250 * time.Millisecond) // one heartbeat
		if _, ok := eb.Epoch("room"); !ok {
			g.Error("the room is nobody's")
		}
	})
}

// A room that no journal knows any more would be asked for for ever.
func TestRecordsOfRoomsThatAreNoMoreAreRemoved(t *testing.T) {
	onGround(t, func(g *ground) {
		_, ea, kill := g.node(1)
		_, _, stop := g.node(2)
		defer stop()
		time.Sleep(time.Second)
		g.open(ea, "room")
		if err := g.journal.Bury(g.Context(), "room", 1, nil, time.Minute); err != nil {
			g.Fatal(err)
		}
		kill()
		time.Sleep(3 * time.Second)
		if r, err := g.store.Look(g.Context(), "room"); !errors.Is(err, cluster.ErrNoRecord) {
			g.Errorf("%+v, %v", r, err)
		}
	})
}

// One room that cannot be run must not keep the others waiting, nor be tried without a pause.
func TestARoomThatCannotBeRunIsTriedNowAndThen(t *testing.T) {
	onGround(t, func(g *ground) {
		_, ea, kill := g.node(1)
		b, eb, stop := g.node(2)
		defer stop()
		eb.cannot = errors.New("it does not resume")
		time.Sleep(time.Second)
		g.open(ea, "room")
		kill()
		time.Sleep(41 * time.Second)
		if n := b.Stats().ClaimsFailed.Load(); n < 3 || n > 5 {
			g.Errorf("tried %d times in 40 s", n)
		}
	})
}

// While the nodes of a cluster are being replaced by newer ones, some cannot run what others have written. One that claims such a room
// again and again would keep it for ever from those that can.
func TestARoomThatSomeCannotRunFindsANodeThatCan(t *testing.T) {
	onGround(t, func(g *ground) {
		_, ea, kill := g.node(1)
		older := map[cluster.Boot]*cluster.Cluster{}
		for boot := range cluster.Boot(2) {
			c, e, stop := g.node(2 + boot)
			defer stop()
			e.cannot = rooms.ErrNewer
			older[2+boot] = c
		}
		_, newer, stop := g.node(4)
		defer stop()
		time.Sleep(time.Second)
		for i := range 16 { // each node is the first heir of some of them
			g.open(ea, rooms.ID(fmt.Sprintf("room-%d", i)))
		}
		kill()
		time.Sleep(30 * time.Second)
		if n := len(newer.All()); n != 16 {
			g.Errorf("%d of 16 rooms are run", n)
		}
		for boot, c := range older {
			if n := c.Stats().ClaimsNewer.Load(); n == 0 {
				g.Errorf("node %v has claimed nothing: this proves nothing", boot)
			}
		}
	})
}

// A node may die between entering a room and its first heartbeat: nobody would ever list what it owned, and the room's key would
// stay taken.
func TestRoomsOfABootThatNeverBeatAreFoundBySuspicion(t *testing.T) {
	onGround(t, func(g *ground) {
		b, eb, stop := g.node(2)
		defer stop()
		g.open(&estate{boot: 1, own: map[rooms.ID]cluster.Record{}}, "room")
		time.Sleep(3 * time.Second)
		if _, ok := eb.Epoch("room"); ok {
			g.Fatal("taken over without a reason")
		}
		b.Suspect(1)
		time.Sleep(time.Second)
		if _, ok := eb.Epoch("room"); !ok {
			g.Error("not taken over")
		}
	})
}

// slowLists is a directory that takes its time for lists.
type slowLists struct {
	cluster.Directory
	by time.Duration

	mu    sync.Mutex
	lists map[cluster.Boot][]time.Time
}

func (d *slowLists) Owned(ctx context.Context, b cluster.Boot) ([]cluster.Record, error) {
	d.mu.Lock()
	d.lists[b] = append(d.lists[b], time.Now())
	d.mu.Unlock()
	select {
	case <-time.After(d.by):
		return d.Directory.Owned(ctx, b)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (d *slowLists) of(b cluster.Boot) []time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.lists[b])
}

// A dead node may have had ten thousand rooms, and the store be slow: a list that is given up each time is never made.
func TestAListThatTakesLongIsWaitedFor(t *testing.T) {
	onGround(t, func(g *ground) {
		lists := &slowLists{Directory: g.store, by: 8 * time.Second, lists: map[cluster.Boot][]time.Time{}}
		g.directory = lists
		_, ea, kill := g.node(1)
		_, eb, stop := g.node(2)
		defer stop()
		time.Sleep(time.Second)
		g.open(ea, "room")
		kill()
		time.Sleep(15 * time.Second)
		if _, ok := eb.Epoch("room"); !ok {
			g.Errorf("not taken over; the lists began at %v", lists.of(1))
		}
	})
}

// A node's own ten thousand rooms are a load on the store, and nothing is wrong with them nearly always. When something may be, it must
// find out at once all the same.
func TestANodeListsItsOwnRoomsNowAndThen(t *testing.T) {
	onGround(t, func(g *ground) {
		lists := &slowLists{Directory: g.store, lists: map[cluster.Boot][]time.Time{}}
		g.directory = lists
		var away atomic.Bool
		g.members = dimMembers{g.store, &away}
		_, ea, stop := g.node(1)
		defer stop()
		time.Sleep(5 * time.Second)
		before := len(lists.of(1))
		time.Sleep(time.Minute)
		if n := len(lists.of(1)) - before; n < 5 || n > 7 {
			g.Errorf("%d lists in a minute", n)
		}
		g.open(&estate{boot: 1, journal: g.journal, own: map[rooms.ID]cluster.Record{}}, "room") // its own, as the directory says
		away.Store(true)
		time.Sleep(3 * time.Second)
		away.Store(false)
		time.Sleep(time.Second)
		if _, ok := ea.Epoch("room"); !ok {
			g.Errorf("not found after an outage; lists at %v, now %v", lists.of(1), time.Now())
		}
	})
}

// dimMembers are out of sight at times.
type dimMembers struct {
	cluster.Members
	away *atomic.Bool
}

func (m dimMembers) Beat(ctx context.Context, self cluster.Member) (all []cluster.Member, knew bool, err error) {
	if m.away.Load() {
		return nil, false, errors.New("no answer")
	}
	return m.Members.Beat(ctx, self)
}
