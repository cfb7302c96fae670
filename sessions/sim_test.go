package sessions

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"tickover.dev/netcode"
)

// Many clients come, go, resume, join, leave and play at once, while rooms wait for their journal, admissions hang and loops fall
// behind. Whatever the order: no stream has a hole, no tick goes back, and in the end nothing is left over: no view without a
// connection, no interest without a view, no seat that nobody drops, no frame that is never released.
func TestNothingIsLeftOverWhateverTheOrder(t *testing.T) {
	simulate(t, func(s *sim) {
		s.rig = newRig(t, 3, func(c *Config) { c.MessagesPerSec, c.MessageBurst = 1e6, 1e6 })
	})
}

// The same over two nodes and a store that is away at times, whose answers get lost, and nodes that do not always tell each other.
func TestNothingIsLeftOverOnTwoNodes(t *testing.T) {
	simulate(t, func(s *sim) {
		s.pair = newPair(t)
		s.rig = s.pair.rig
		for _, h := range s.rig.hubs {
			h.config.MessagesPerSec, h.config.MessageBurst = 1e6, 1e6
		}
	}, "arrived", "departed", "store errors", "saved")
}

func simulate(t *testing.T, begin func(*sim), also ...string) {
	total := map[string]int{}
	for seed := range uint64(300) {
		s := &sim{T: t, rng: rand.New(rand.NewPCG(seed, 0)), did: total}
		begin(s)
		s.run()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	for _, what := range append(also,
		"resumed", "snapshot", "gone", "superseded", "overrun", "bad secret", "joined", "left", "reliable", "admit refused", "answered late") {
		if total[what] == 0 {
			t.Errorf("the simulation never saw: %s", what)
		}
	}
	t.Log(total)
}

type sim struct {
	*testing.T
	rng     *rand.Rand
	rig     *rig
	pair    *pair // nil: one node, in memory
	players []*player
	did     map[string]int
}

// player is a client with its session across connections.
type player struct {
	*peer
	stay    map[string]*stay // by room
	rooms   map[uint64]string
	secrets []*netcode.Welcome // newest last
	request uint64
	log     string // what was sent on this connection about seats
}

// stay is what a client knows of a seat.
type stay struct {
	number, seat, seen, tick, input uint64
}

func (s *sim) run() {
	for range 8 {
		s.players = append(s.players, &player{stay: map[string]*stay{}})
	}
	for range 400 {
		s.step()
		if s.Failed() {
			return
		}
	}
	s.answerAll()
	s.rig.checkConsistent()
	s.finish()
}

// answerAll has questions to Rooms answered until there are none.
func (s *sim) answerAll() {
	s.rig.rooms.slow = false
	for _, l := range s.rig.loops {
		l.limit = 1 << 20
		l.Tick(s.rig.now)
	}
	s.rig.settle()
	for len(s.rig.rooms.asking) > 0 {
		s.rig.rooms.answerAll()
		s.rig.settle()
	}
}

func (s *sim) step() {
	p := s.players[s.rng.IntN(len(s.players))]
	switch n := s.rng.IntN(100); {
	case n < 30:
		s.rig.step()
	case n < 50:
		s.rig.settle()
	case n < 52:
		s.rig.rooms.hold = !s.rig.rooms.hold
	case n < 54:
		s.rig.rooms.admit = !s.rig.rooms.admit
	case n < 56:
		s.admitAll()
	case n < 58: // a loop falls behind, or comes round again
		l := s.rig.loops[s.rng.IntN(len(s.rig.loops))]
		l.limit = []int{2, 1 << 20, 1 << 20}[s.rng.IntN(3)]
		l.Tick(s.rig.now)
	case n < 59:
		s.rig.rooms.full = s.rng.IntN(5) == 0
	case n < 60:
		s.did["answered late"] += len(s.rig.rooms.asking)
		s.rig.rooms.answerAll()
		s.rig.rooms.slow = s.rng.IntN(2) == 0
	case n < 61 && s.pair != nil:
		s.trouble()
	case n < 61:
		s.rig.now = s.rig.now.Add(time.Duration(s.rng.IntN(5000)) * time.Millisecond)
	case p.peer == nil || n < 66:
		s.connect(p)
	default:
		s.act(p, n)
	}
	for _, p := range s.players {
		if p.peer != nil {
			s.listen(p)
		}
	}
}

// trouble is what may happen between nodes and their store.
func (s *sim) trouble() {
	p := s.pair
	switch s.rng.IntN(5) {
	case 0:
		p.store.away, p.store.lost = s.rng.IntN(8) == 0, s.rng.IntN(8) == 0
	case 1:
		p.deaf = s.rng.IntN(2) == 0
	case 2:
		h := p.hubs[s.rng.IntN(2)]
		h.config.Registry.refresh(p.now.Add(refreshEvery))
		h.saveAll()
	default:
		p.hubs[s.rng.IntN(2)].saveAll()
	}
}

func (s *sim) admitAll() {
	for _, a := range s.rig.rooms.admitting {
		code := ""
		if s.rng.IntN(3) == 0 {
			code = netcode.CodeNotAdmitted
			s.did["admit refused"]++
		}
		a(code, "")
	}
	s.rig.rooms.admitting = nil
}

// connect opens another connection of p's session, or a new session.
func (s *sim) connect(p *player) {
	hello := &netcode.Hello{Version: 1, Run: 7, Token: "x"}
	forgetful := s.rng.IntN(5) == 0 // a page that was reloaded
	if forgetful {
		p.stay = map[string]*stay{}
	}
	for id, st := range p.stay {
		hello.Rooms = append(hello.Rooms, netcode.Held{Room: id, Seat: st.seat, Reliable: st.seen})
	}
	if n := len(p.secrets); n > 0 && s.rng.IntN(10) > 0 {
		w := p.secrets[n-1]
		if n > 1 && s.rng.IntN(5) == 0 {
			w = p.secrets[n-2]
		}
		hello.Session, hello.Secret = w.Session, w.Secret
	} else {
		p.secrets, p.stay = nil, map[string]*stay{}
		hello.Rooms = nil
	}
	if p.peer != nil && s.rng.IntN(2) == 0 {
		p.cut()
	}
	p.peer = s.rig.dial(s.rng.IntN(len(s.rig.loops)))
	p.rooms, p.log = map[uint64]string{}, ""
	p.say(hello)
	if hello.Session == "" || s.pair != nil {
		p.loop.hub.work.Wait()
	}
}

func (s *sim) act(p *player, n int) {
	if p.conn.state != stateReady {
		return
	}
	var st *stay
	for _, st = range p.stay {
		break
	}
	switch {
	case n < 72:
		p.cut()
	case n < 82 || st == nil:
		p.request++
		kind := []string{"play", "duel"}[s.rng.IntN(2)]
		p.say(join(p.request, netcode.JoinMode(1+s.rng.IntN(3)), kind, fmt.Sprint(s.rng.IntN(3))))
	case n < 84:
		p.request++
		p.say(&netcode.Leave{Request: p.request, Room: st.number})
	case n < 88:
		p.say(&netcode.Ack{Room: st.number, Reliable: st.seen, State: st.tick})
	default:
		st.input++
		what := []string{"hit", "say", "ask", "ask", "deal", "shout", "end", "kick"}[s.rng.IntN(8)]
		if what == "end" && s.rng.IntN(4) > 0 {
			what = "shout"
		}
		p.do(st.number, st.input, what, 1+s.rng.IntN(60))
	}
}

// listen checks what p has been sent.
func (s *sim) listen(p *player) {
	var at *stay
	for _, m := range p.hear() {
		switch m.(type) {
		case *netcode.Welcome, *netcode.Joined, *netcode.Left, *netcode.Gone:
			p.log += fmt.Sprintf("\n%T %+v", m, m)
		}
		switch m := m.(type) {
		case *netcode.Welcome:
			p.secrets = append(p.secrets, m)
		case *netcode.Joined:
			at = s.joined(p, m)
		case *netcode.Tick:
			if at = p.stay[p.rooms[m.Room]]; at == nil {
				s.Fatalf("a tick of room %d (%q), which was not joined; sent so far: %s", m.Room, p.rooms[m.Room], p.log)
			}
			if m.Tick < at.tick {
				s.Fatalf("tick %d after %d", m.Tick, at.tick)
			}
			at.tick = m.Tick
		case *netcode.Event:
			s.reliable(at, m.Number)
		case *netcode.Reply:
			s.reliable(at, m.Number)
		case *netcode.Refusal:
			s.reliable(at, m.Number)
		case *netcode.Left:
			s.did["left"]++
			delete(p.stay, p.rooms[m.Room])
			delete(p.rooms, m.Room)
		case *netcode.Gone:
			s.did["gone"]++
			delete(p.stay, m.ID)
		}
	}
	switch p.sock.code {
	case netcode.CloseOverloaded:
		s.did["overrun"]++
	case netcode.CloseBadSecret:
		s.did["bad secret"]++
		p.secrets, p.stay = nil, map[string]*stay{}
	case netcode.CloseViolation:
		s.Fatalf("closed: %s", p.sock.reason)
	case 0:
		return
	}
	if p.sock.code != 0 {
		p.cut()
		p.peer = nil
	}
}

func (s *sim) joined(p *player, m *netcode.Joined) *stay {
	at := p.stay[m.ID]
	again := p.rooms[m.Room] == m.ID
	if at == nil || at.seat != m.Seat {
		at = &stay{seat: m.Seat, seen: m.Reliable}
		p.stay[m.ID] = at
	}
	switch {
	case again:
		if m.Reliable != at.seen {
			s.Fatalf("joined twice: the stream is at %d, said to be at %d", at.seen, m.Reliable)
		}
	case m.Outcome == netcode.OutcomeResumed:
		s.did["resumed"]++
	case m.Outcome == netcode.OutcomeSnapshot:
		s.did["snapshot"]++
	default:
		s.did["joined"]++
	}
	if m.Outcome == netcode.OutcomeResumed && m.Reliable > at.seen {
		s.Fatalf("resumed from %d, but only %d were seen", m.Reliable, at.seen)
	}
	at.number, at.seen, at.input, at.tick = m.Room, m.Reliable, m.Applied, m.Tick
	p.rooms[m.Room] = m.ID
	return at
}

func (s *sim) reliable(at *stay, number uint64) {
	if at == nil {
		s.Fatal("a reliable message of no room")
	}
	if number != at.seen+1 {
		s.Fatalf("message %d after %d", number, at.seen)
	}
	at.seen = number
	s.did["reliable"]++
}

// finish hangs everybody up and looks at what remains.
func (s *sim) finish() {
	r := s.rig
	r.rooms.hold, r.rooms.full, r.rooms.admit = false, false, false
	s.answerAll()
	s.admitAll()
	for _, l := range r.loops {
		l.limit = 1 << 20
		l.Tick(r.now)
	}
	r.tick(3)
	for _, p := range s.players {
		if p.peer != nil {
			p.cut()
		}
	}
	for _, l := range r.loops {
		for k := range l.conns { // whom a newer connection has left behind
			l.closed(k)
		}
	}
	r.tick(int((play.Grace+duel.Grace+play.Empty)/period) + 20)
	r.now = r.now.Add(2 * duel.Empty)
	r.tick(5)
	r.checkConsistent()
	r.checkReleased()
	if n := r.rooms.shard.Len(); n != 0 {
		s.Errorf("%d rooms are kept alive by ghosts", n)
	}
	for _, l := range r.loops {
		if len(l.replicas)+len(l.conns)+len(l.drops)+len(l.missed) != 0 {
			s.Errorf("loop %d: %d replicas, %d connections, %d drops, %d missed", l.index, len(l.replicas), len(l.conns), len(l.drops), len(l.missed))
		}
	}
	for _, l := range r.loops {
		for id, rep := range l.replicas {
			for _, j := range rep.asked {
				s.Errorf("%s never answered request %d (seat %d) of %s, connection %d", id, j.number, j.seat, j.conn.id, j.conn.gen)
			}
		}
	}
	if s.pair != nil {
		s.finishStore()
	}
	for _, h := range r.hubs {
		g := h.config.Registry
		s.did["superseded"] += int(g.Counts()["superseded"])
		if n := h.stats.Views.Load() + h.stats.Connections.Load(); n != 0 || g.idle.Len()+g.kept.Len()+g.away.Len() != len(g.sessions) {
			s.Errorf("%d views and connections, %d of %d sessions detached", n, g.idle.Len()+g.kept.Len()+g.away.Len(), len(g.sessions))
		}
		g.expire(r.now.Add(time.Hour))
		if len(g.sessions) != 0 {
			s.Error("sessions remain")
		}
	}
}

// finishStore looks at what the nodes have saved.
func (s *sim) finishStore() {
	p := s.pair
	p.store.away, p.store.lost = false, false
	if err := p.save(); err != nil {
		s.Error(err)
	}
	for _, h := range p.hubs {
		s.did["arrived"] += int(h.stats.Arrivals.Load())
		s.did["departed"] += int(h.stats.Departures.Load())
		s.did["store errors"] += int(h.stats.StoreErrors.Load())
		s.did["saved"] += int(h.stats.Saves.Load())
		if g := h.config.Registry; g.away.Len() != len(g.sessions) || g.Unsaved() != 0 {
			s.Errorf("%d of %d sessions are away, %d are not saved", g.away.Len(), len(g.sessions), g.Unsaved())
		}
	}
}
