package placement

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tickover.dev/cluster"
	"tickover.dev/cluster/bus"
	"tickover.dev/cluster/bus/membus"
	"tickover.dev/cluster/memstore"
	"tickover.dev/codec"
	"tickover.dev/netcode"
	"tickover.dev/rooms"
	"tickover.dev/rooms/host"
	"tickover.dev/rooms/memjournal"
	"tickover.dev/sessions"
)

// ledger counts inputs, and signals.
type ledger struct {
	Seats   rooms.Seats[row]
	Signals uint64
}

type row struct{ Count, Sum uint64 }

type entry struct{ N uint64 }

func (g *ledger) Public() any { return g }
func (g *ledger) Step(t *rooms.Tick[entry]) {
	for e := range t.Events() {
		switch e.Type {
		case rooms.Joined:
			g.Seats.Put(e.Seat, row{})
		case rooms.Left:
			g.Seats.Delete(e.Seat)
		case rooms.Input:
			r := g.Seats.Get(e.Seat)
			*r = row{r.Count + 1, r.Sum + e.Input.N}
		case rooms.Signal:
			g.Signals++
			switch e.Name {
			case "count":
				t.Reply(e, g.Signals)
			case "refuse":
				t.Reject(e, "room_ended", "but it has not")
			case "end":
				t.Reply(e, g.Signals)
				t.End("over")
			}
		}
	}
}

// town is several nodes over one store, one journal and one bus, all in memory.
type town struct {
	*testing.T
	store   *memstore.Store
	journal *memjournal.Journal
	bus     *membus.Bus
	kind    rooms.Kind
	nodes   []*node
	seen    sync.Map // tick of a room: hash of its public value
}

// inTown tries something with n nodes, in virtual time.
func inTown(t *testing.T, n int, try func(*town)) {
	synctest.Test(t, func(t *testing.T) {
		w := &town{
			T: t, store: memstore.New(), journal: memjournal.New(), bus: membus.New(0),
			kind: rooms.Define(&ledger{}, rooms.Config{Name: "ledger", RateHz: 20, Seats: 64, Grace: time.Hour}),
		}
		for range n {
			w.start()
		}
		time.Sleep(2 * time.Second) // they have seen each other
		try(w)
		for _, n := range w.nodes {
			n.stop()
		}
	})
}

// node is one node without sockets.
type node struct {
	*Rooms
	w       *town
	players *players
	dark    atomic.Bool // it reaches neither store, journal nor bus
	ended   bool
	running sync.WaitGroup
	cancel  context.CancelFunc
}

var errDark = errors.New("no answer")

func (w *town) start() *node {
	n := &node{w: w, players: &players{w: w}}
	w.nodes = append(w.nodes, n)
	boot := cluster.Boot(100 + len(w.nodes))
	n.Rooms = New(Config{Hub: n.players, Directory: directory{w.store, n}, Tombs: w.journal, Log: slog.New(slog.DiscardHandler)})
	var nonces atomic.Uint32
	h, err := host.New(host.Config{
		Kinds: []rooms.Kind{w.kind}, Journal: journal{w.journal, n}, Sink: n.Rooms, Ended: n.Rooms.Ended, Renew: n.Rooms.Renew, Shards: 2,
		Nonce: func() uint64 { return boot.Nonce(nonces.Add(1)) },
	})
	if err != nil {
		w.Fatal(err)
	}
	local := NewLocal(boot, h, journal{w.journal, n}, func() int { return 0 }, n.Rooms)
	c := cluster.New(cluster.Config{
		Self: cluster.Member{Boot: boot, Kinds: []string{"ledger"}}, Members: members{w.store, n}, Directory: directory{w.store, n}, Rooms: local,
	})
	link := bus.New(bus.Config{Self: boot, Bus: wires{w.bus, n}, Handler: n.Rooms})
	n.Serve(h, local, c, link)
	ctx, cancel := context.WithCancel(w.Context())
	n.cancel = cancel
	n.running.Go(func() { link.Run(ctx) })
	<-link.Ready()
	n.running.Go(func() { c.Run(ctx) })
	return n
}

// drain stops a node in order.
func (n *node) drain() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	n.Cluster.Leave()
	if err := n.Host.Stop(ctx); err != nil {
		n.w.Errorf("stop: %v", err)
	}
}

// stop ends a node's goroutines.
func (n *node) stop() {
	if n.ended {
		return
	}
	n.ended = true
	n.dark.Store(false) // it finds out what it has lost
	n.drain()
	n.Rooms.Close()
	n.cancel()
	n.running.Wait()
	n.Cluster.Farewell(context.Background())
}

// kill has a node reach nobody any more, and its players gone: to everybody else it is dead.
func (n *node) kill() {
	n.dark.Store(true)
	n.players.mu.Lock()
	defer n.players.mu.Unlock()
	n.players.list = nil
}

// What a node in the dark reaches: nothing.
type (
	journal struct {
		*memjournal.Journal
		n *node
	}
	members struct {
		*memstore.Store
		n *node
	}
	directory struct {
		*memstore.Store
		n *node
	}
	wires struct {
		*membus.Bus
		n *node
	}
	box struct {
		bus.Inbox
		n *node
	}
)

func (j journal) Append(batch []rooms.Entry, done func([]rooms.Result)) {
	time.AfterFunc(time.Millisecond, func() { // a round trip
		if !j.n.dark.Load() {
			j.Journal.Append(batch, done)
			return
		}
		results := make([]rooms.Result, len(batch))
		for i := range results {
			results[i] = rooms.Result{Outcome: rooms.Unknown, Err: errDark}
		}
		done(results)
	})
}

func (j journal) Top(ctx context.Context, id rooms.ID) (rooms.Top, error) {
	if j.n.dark.Load() {
		return rooms.Top{}, errDark
	}
	return j.Journal.Top(ctx, id)
}

func (m members) Beat(ctx context.Context, self cluster.Member) (all []cluster.Member, knew bool, err error) {
	if m.n.dark.Load() {
		return nil, false, errDark
	}
	return m.Store.Beat(ctx, self)
}

func (d directory) Look(ctx context.Context, id rooms.ID) (cluster.Record, error) {
	if d.n.dark.Load() {
		return cluster.Record{}, errDark
	}
	return d.Store.Look(ctx, id)
}

func (b wires) Put(ctx context.Context, packets []bus.Packet, outcomes []bus.Outcome) error {
	if b.n.dark.Load() {
		return errDark
	}
	return b.Bus.Put(ctx, packets, outcomes)
}

func (b wires) Open(ctx context.Context, owner cluster.Boot) (bus.Inbox, error) {
	in, err := b.Bus.Open(ctx, owner)
	return box{in, b.n}, err
}

func (b box) Read(ctx context.Context) ([][]byte, error) {
	packets, err := b.Inbox.Read(ctx)
	if b.n.dark.Load() {
		return nil, err
	}
	return packets, err
}

// players is the hub of a node, without sockets: every player is its own connection.
type players struct {
	w *town

	mu   sync.Mutex
	list []*player
}

// player sends inputs until they are acknowledged.
type player struct {
	hub     *players
	session string
	room    sessions.Room

	// Guarded by the hub's mu.
	gen     uint64
	seat    rooms.Seat // 0: not seated yet
	joining bool
	gone    string
	next    uint64
	applied uint64
	resent  time.Time
	shown   time.Time // the newest frame of its room
	gap     time.Duration
	sum     uint64
}

func (p *players) Watches(room rooms.ID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.list, func(o *player) bool { return o.room.ID == room })
}

func (p *players) Muster(room rooms.ID, take func([]rooms.RosterEntry)) {
	p.mu.Lock()
	var here []rooms.RosterEntry
	var again []*player
	for _, o := range p.list {
		switch {
		case o.room.ID != room:
		case o.seat != 0:
			here = append(here, rooms.RosterEntry{Seat: o.seat, Session: o.session, Gen: o.gen, Run: 1})
		case o.joining:
			again = append(again, o)
		}
	}
	p.mu.Unlock()
	for _, o := range again {
		o.join()
	}
	take(here)
}

func (p *players) Superseded(string, uint64) {}
func (p *players) Resave()                   {}

func (p *players) RoomEnded(e rooms.Ended) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range p.list {
		if o.room.ID == e.Room {
			o.gone = e.Why
		}
	}
}

func (p *players) Deliver(frames []*rooms.Frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range frames {
		if f.Public != nil {
			if old, ok := p.w.seen.LoadOrStore(fmt.Sprint(f.Room, f.Tick), string(f.Public)); ok && old != string(f.Public) {
				p.w.Errorf("I4: two histories of tick %d of %s", f.Tick, f.Room)
			}
		}
		for _, o := range p.list {
			if o.room.ID == f.Room {
				o.take(f)
			}
		}
		f.Release()
	}
}

func (o *player) take(f *rooms.Frame) {
	if now := time.Now(); f.Tick > 0 && f.Status == rooms.StatusNone {
		if !o.shown.IsZero() {
			o.gap = max(o.gap, now.Sub(o.shown))
		}
		o.shown = now
	}
	for i := range f.Seats {
		p := &f.Seats[i]
		for _, n := range p.Notes {
			switch {
			case n.Session != o.session || n.Gen != o.gen:
			case n.Type == rooms.NoteJoined:
				o.seat, o.joining = n.Seat, false
			case n.Type == rooms.NoteLeft, n.Type == rooms.NoteRefused:
				o.gone = fmt.Sprint(n.Type, n.Code, n.Why)
			}
		}
		if p.Session == o.session && p.Run == 1 {
			o.applied = max(o.applied, p.Applied)
		}
	}
}

// enter brings a new player into a room of a node.
func (n *node) enter(session string, e sessions.Entry) *player {
	n.w.Helper()
	o := &player{hub: n.players, session: session, gen: 1, joining: true}
	found := make(chan error, 1)
	n.Enter(e, func(r sessions.Room, err error) {
		o.room = r
		found <- err
	})
	if err := <-found; err != nil {
		n.w.Fatalf("%s enters: %v", session, err)
	}
	n.players.mu.Lock()
	n.players.list = append(n.players.list, o)
	n.players.mu.Unlock()
	o.join()
	n.w.eventually(session+" is seated", func() bool { return o.seat != 0 })
	return o
}

func (o *player) join() {
	o.room.Join(rooms.Mail{Session: o.session, Gen: o.gen, Run: 1, Number: 1, Player: rooms.Player{ID: o.session}}, nil, func(code, why string) {
		o.hub.w.Errorf("%s was refused: %s %s", o.session, code, why)
	})
}

// forget begins a new measurement of the longest silence, and longest gives it.
func forget(all ...*player) {
	for _, o := range all {
		o.hub.mu.Lock()
		o.gap = 0
		o.hub.mu.Unlock()
	}
}

func (o *player) longest() time.Duration {
	o.hub.mu.Lock()
	defer o.hub.mu.Unlock()
	return o.gap
}

// play sends one more input, and again what was not acknowledged for a second.
func (o *player) play() {
	o.hub.mu.Lock()
	o.next++
	o.sum += o.next
	from := o.next
	if now := time.Now(); o.applied+1 < o.next && now.Sub(o.resent) > time.Second {
		from, o.resent = o.applied+1, now
	}
	to := o.next
	o.hub.mu.Unlock()
	o.send(from, to)
}

func (o *player) send(from, to uint64) {
	for n := from; n <= to; n++ {
		body, err := codec.Append(nil, &entry{n})
		if err != nil {
			o.hub.w.Fatal(err)
		}
		o.room.Post(&rooms.Mail{Type: rooms.MailInput, Seat: o.seat, Session: o.session, Gen: o.gen, Run: 1, Number: n, Body: body})
	}
}

// settle sends until everything is acknowledged, and compares what was sent with what the room counts.
func (w *town) settle(all ...*player) {
	w.Helper()
	w.eventually("everything is acknowledged", func() bool {
		for _, o := range all {
			if o.applied < o.next {
				o.hub.mu.Unlock()
				o.send(o.applied+1, o.next)
				o.hub.mu.Lock()
			}
		}
		return !slices.ContainsFunc(all, func(o *player) bool { return o.applied < o.next })
	})
	for _, o := range all {
		if got := w.row(o); got.Count != o.next || got.Sum != o.sum {
			w.Errorf("%s sent %d inputs, sum %d; the room counts %+v", o.session, o.next, o.sum, got)
		}
		if o.gone != "" {
			w.Errorf("%s was told that it is over: %s", o.session, o.gone)
		}
	}
}

// row reads what a room has counted of a player from the newest public value anybody was shown.
func (w *town) row(o *player) row {
	var newest uint64
	var g ledger
	w.seen.Range(func(k, v any) bool {
		var tick uint64
		var room string
		if n, _ := fmt.Sscanf(k.(string)[len(o.room.ID):], "%d", &tick); n == 1 && k.(string)[:len(o.room.ID)] == string(o.room.ID) && tick > newest {
			newest = tick
			room = v.(string)
			if err := codec.Decode([]byte(room), &g); err != nil {
				w.Error(err)
			}
		}
		return true
	})
	if r := g.Seats.Get(o.seat); r != nil {
		return *r
	}
	return row{}
}

// eventually waits, holding every hub's lock while ok looks.
func (w *town) eventually(what string, ok func() bool) {
	w.Helper()
	for range 1000 {
		for _, n := range w.nodes {
			n.players.mu.Lock()
		}
		yes := ok()
		for _, n := range w.nodes {
			n.players.mu.Unlock()
		}
		if yes {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	w.Fatalf("never: %s", what)
}

var lobby = sessions.Entry{Mode: netcode.JoinOrCreate, Kind: "ledger", Target: "lobby"}

// playFor has everybody play for a while, ten inputs a second each.
func playFor(d time.Duration, all ...*player) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		for _, o := range all {
			o.play()
		}
	}
}
