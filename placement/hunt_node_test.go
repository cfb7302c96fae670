package placement_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"tickover.dev/cluster"
	"tickover.dev/cluster/bus"
	"tickover.dev/netcode"
	"tickover.dev/placement"
	"tickover.dev/rooms"
	"tickover.dev/rooms/host"
	"tickover.dev/sessions"
)

const (
	huntLease = 800 * time.Millisecond
	huntLoops = 2
)

// node is one run of one process: everything that package node wires, but sockets.
type node struct {
	// Set by boot, then read-only.
	w       *world
	slot    int
	boot    cluster.Boot
	born    time.Time
	rooms   *placement.Rooms
	host    *host.Host
	hub     *sessions.Hub
	cluster *cluster.Cluster
	link    *bus.Link
	loops   []*loop
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
	ended   chan struct{} // closed when nothing of it runs any more

	mu sync.Mutex
	// Guarded by mu.
	open     bool          // clients get in
	dead     bool          // it reaches nobody, nobody reaches it
	stopping bool          // in order, or because it is dead
	thawed   chan struct{} // not nil: it is frozen until this is closed
	troubled time.Time     // when it was last frozen or cut
	isCut    bool          // from the store
	lines    map[*line]bool
	lined    int // so many there have been
	fates    map[string]*rand.Rand
}

// boot starts a process in a slot.
func (w *world) boot(slot int) {
	w.mu.Lock()
	w.boots++
	n := &node{
		w: w, slot: slot, boot: w.boots, born: time.Now(), lines: map[*line]bool{}, fates: map[string]*rand.Rand{}, ended: make(chan struct{}),
	}
	w.mu.Unlock()
	n.ctx, n.cancel = context.WithCancel(context.Background())
	log := slog.New(slog.DiscardHandler)
	n.hub = sessions.New(sessions.Config{
		Authenticate: func(_ context.Context, token string) (rooms.Player, error) {
			return rooms.Player{ID: token, Name: token}, nil
		},
		Store: sessionStore{n}, Node: n.boot.String(), Name: n.boot.String(), Log: log,
		OnResume: func(session string, gen uint64, before string) {
			w.note("session resumed at another node", n.boot, before)
			n.rooms.Replaced(session, gen, before)
		},
	})
	n.rooms = placement.New(placement.Config{Hub: hub{n.hub, n}, Directory: directory{n}, Tombs: journal{n}, Log: log})
	var nonces atomic.Uint32
	h, err := host.New(host.Config{
		Kinds: w.kinds, Journal: journal{n}, Sink: n.rooms, Ended: n.rooms.Ended, Renew: n.rooms.Renew, Shards: 1, Log: log,
		Nonce: func() uint64 { return n.boot.Nonce(nonces.Add(1)) },
	})
	if err != nil {
		w.tb.Fatal(err)
	}
	n.host = h
	local := placement.NewLocal(n.boot, h, journal{n}, func() int { return 0 }, n.rooms)
	self := cluster.Member{Boot: n.boot}
	for _, k := range w.kinds {
		self.Kinds = append(self.Kinds, k.Name)
	}
	n.cluster = cluster.New(cluster.Config{Self: self, Members: members{n}, Directory: directory{n}, Rooms: local, Log: log, Lease: huntLease})
	n.link = bus.New(bus.Config{Self: n.boot, Bus: wires{n}, Handler: ear{n.rooms, n}, Log: log})
	w.apart()
	n.rooms.Serve(h, local, n.cluster, n.link)
	w.apart()
	n.hub.Serve(n.rooms)
	for range huntLoops {
		w.apart()
		n.loops = append(n.loops, newLoop(n))
	}
	w.apart()
	w.mu.Lock()
	w.nodes[slot] = n
	w.mu.Unlock()
	w.note("boot", n.boot)
	n.running.Go(func() { n.link.Run(n.ctx) })
	n.running.Go(n.join)
}

// apart lets a moment pass between two things that begin to tick: of timers that end at one time any may be the first, which is not the
// seed's to settle.
func (w *world) apart() { w.wait(131 * time.Microsecond) }

// join makes the node a member, and lets clients in when it sees the others.
func (n *node) join() {
	select {
	case <-n.link.Ready():
	case <-n.ctx.Done():
		return
	}
	n.w.apart()
	n.running.Go(func() { n.cluster.Run(n.ctx) })
	for !n.cluster.Sight().Sighted && n.ctx.Err() == nil {
		n.w.wait(20 * time.Millisecond)
	}
	n.mu.Lock()
	n.open = !n.dead && !n.stopping
	n.mu.Unlock()
}

func (n *node) isOpen() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.open
}

// isWell reports whether the node has had no trouble for a while.
func (n *node) isWell(since time.Duration) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.open && !n.stopping && n.thawed == nil && !n.isCut && time.Since(n.troubled) > since && time.Since(n.born) > since
}

// awake waits while the node is frozen: nothing gets out of it, nor in. It is an error if the node is dead.
func (n *node) awake() error {
	for {
		n.mu.Lock()
		thawed, dead := n.thawed, n.dead
		n.mu.Unlock()
		switch {
		case dead:
			return errDead
		case thawed == nil:
			return nil
		}
		<-thawed
	}
}

// freeze stops whatever goes in and out. (What is inside goes on: a process that is stopped altogether is in the simulation of package
// cluster.)
func (n *node) freeze(d time.Duration) {
	n.mu.Lock()
	if n.thawed != nil || n.dead || n.stopping {
		n.mu.Unlock()
		return
	}
	thawed := make(chan struct{})
	n.thawed, n.troubled = thawed, time.Now().Add(d)
	n.mu.Unlock()
	n.w.note("freeze", n.boot, d)
	n.w.running.Go(func() {
		n.w.wait(d)
		n.thaw(thawed)
	})
}

func (n *node) thaw(which chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.thawed != nil && (which == nil || n.thawed == which) {
		close(n.thawed)
		n.thawed = nil
	}
}

// cutOff keeps the node from the store. If that lasts, it sends its players away, as package node has it.
func (n *node) cutOff(d time.Duration) {
	n.mu.Lock()
	n.isCut, n.troubled = true, time.Now().Add(d)
	n.mu.Unlock()
	n.w.note("cut", n.boot, d)
	const patience = 1500 * time.Millisecond
	if d > patience {
		n.w.in(patience, func() {
			if n.awake() == nil {
				n.hub.SendAway("this node is cut off: reconnect")
			}
		})
	}
	n.w.in(d, func() {
		n.mu.Lock()
		n.isCut = false
		n.mu.Unlock()
	})
}

// heal ends what is wrong with the node; if it is dead, another takes its slot.
func (n *node) heal() {
	n.thaw(nil)
	n.mu.Lock()
	n.isCut = false
	n.mu.Unlock()
}

// told takes the news of another node's death.
func (n *node) told(dead cluster.Boot) {
	n.mu.Lock()
	hears := n.open && n.thawed == nil
	n.mu.Unlock()
	if hears {
		n.rooms.Obituary(dead)
	}
}

// crash ends the node without a word: from this moment nothing gets out of it.
func (n *node) crash() {
	n.mu.Lock()
	if n.dead {
		n.mu.Unlock()
		return
	}
	if n.stopping {
		n.w.note("killed in mid-drain", n.boot)
	}
	n.open, n.dead = false, true
	n.mu.Unlock()
	n.w.note("crash", n.boot)
	n.thaw(nil)
	n.hangUpAll(0)
	n.cancel()
	n.w.obituary(n.boot, 60)
	n.end(nil)
}

// drain stops the node in order.
func (n *node) drain() {
	n.mu.Lock()
	n.open = false
	n.mu.Unlock()
	n.end(func(ctx context.Context) {
		n.hub.Refuse()
		n.host.Refuse()
		n.cluster.Leave()
		if err := n.host.Stop(ctx); err != nil {
			n.w.note("drain in vain", n.boot)
		}
		n.hangUpAll(netcode.CloseStopping)
	})
}

// stop stops the node in order and waits for the end of all that it has begun.
func (n *node) stop() {
	n.drain()
	<-n.ended
}

func (n *node) hasEnded() bool {
	select {
	case <-n.ended:
		return true
	default:
		return false
	}
}

const huntDrain = 5 * time.Second

// end ends all goroutines of the node, after it has said farewell if it does, and has another run begin in its slot.
func (n *node) end(farewell func(context.Context)) {
	n.mu.Lock()
	again := n.stopping
	n.stopping = true
	n.mu.Unlock()
	if again {
		return
	}
	n.w.running.Go(func() {
		ctx, cancel := context.WithTimeout(n.ctx, huntDrain)
		defer cancel()
		if farewell != nil {
			farewell(ctx)
		}
		n.mu.Lock()
		n.open = false
		n.mu.Unlock()
		n.host.Stop(ctx)
		n.hub.Close(ctx)
		n.rooms.Close()
		died := n.awake() != nil
		n.cancel()
		n.running.Wait()
		if !died {
			n.cluster.Farewell(context.Background())
		}
		close(n.ended)
		n.again()
	})
}

// again boots the node's slot again.
func (n *node) again() {
	w := n.w
	w.mu.Lock()
	calm := w.calm
	w.mu.Unlock()
	pause := 100 * time.Millisecond
	if !calm {
		pause = between(w.dice(fmt.Sprint("again ", n.boot)), 0, 3*time.Second)
	}
	w.wait(pause)
	w.mu.Lock()
	ended := w.ending || w.failed != ""
	w.mu.Unlock()
	if !ended {
		w.boot(n.slot)
	}
}

// hub is the node's players as its rooms see them.
type hub struct {
	*sessions.Hub
	n *node
}

func (h hub) Superseded(session string, gen uint64) {
	if !h.n.w.wreck.noSuperseded {
		h.Hub.Superseded(session, gen)
	}
}

// ear hears what other nodes say.
type ear struct {
	*placement.Rooms
	n *node
}

func (e ear) Receive(from cluster.Boot, message []byte) {
	wreck := &e.n.w.wreck
	if e.n.w.verbose && message[0] != placement.CarryFrame {
		what := fmt.Sprintf("%q", message[1:])
		if message[0] == placement.CarryMail {
			m, _ := rooms.DecodeMail(message[1:])
			what = fmt.Sprintf("mail %d of seat %d gen %d %s to %s", m.Type, m.Seat, m.Gen, m.Session, m.Room)
		}
		fmt.Println(e.n.w.now(), "hears", e.n.boot, from, message[0], what)
	}
	switch message[0] {
	case placement.CarryMail:
		if m, err := rooms.DecodeMail(message[1:]); err == nil && m.Type == rooms.MailRoster && wreck.noRoster {
			return
		}
	case placement.CarryElsewhere:
		if wreck.noElsewhere {
			return
		}
	case placement.CarryLost:
		if wreck.noLost {
			return
		}
	}
	e.Rooms.Receive(from, message)
}

func (e ear) Lost(from cluster.Boot) {
	e.n.w.note("gap healed", e.n.boot, from)
	if !e.n.w.wreck.noLost {
		e.Rooms.Lost(from)
	}
}
