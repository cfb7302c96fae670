package clienttest

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"testing"
	"time"

	"tickover.dev/codec"
	"tickover.dev/netcode"
)

// Ledger is a server whose rooms count what reaches them. Every tenth input of a seat is answered by a reply, every tenth step by
// an event. The fields are set before the first connection.
type Ledger struct {
	// Fate decides what happens to an input; nil: all is well.
	Fate func(seat, number uint64) Fate
	// Forked seats see another state than the others.
	Forked func(seat uint64) bool
	// BadSecret makes a resume of a forgotten session end in close code 4504; else a new session begins.
	BadSecret bool

	stop  chan struct{}
	steps sync.WaitGroup

	mu sync.Mutex
	// Guarded by mu.
	next     uint64 // for names
	sessions map[string]*session
	rooms    []*room
}

// Fate is what a faulty ledger does with an input.
type Fate int

const (
	Applied Fate = iota
	Lost         // acknowledged and never counted
	Twice        // counted two times
	Refused
)

type session struct {
	id, secret string
	peer       *Peer
	out        chan []byte
	seats      []*seat
	answers    map[uint64]netcode.Message
}

type room struct {
	id, kind, key string
	epoch, tick   uint64
	seats         []*seat
	hash          uint64
}

type seat struct {
	room     *room
	number   uint64
	session  *session
	run      uint32
	applied  uint64 // inputs counted
	last     uint64 // input number
	reliable uint64
	unacked  []unacked
}

type unacked struct {
	number uint64
	m      netcode.Message
}

// Start listens until the test ends and steps every room in that rhythm. It gives the URL.
func (l *Ledger) Start(tb testing.TB, step time.Duration) (url string) {
	l.sessions, l.stop = map[string]*session{}, make(chan struct{})
	url = Listen(tb, l.serve)
	l.steps.Go(func() {
		beat := time.NewTicker(step)
		defer beat.Stop()
		for {
			select {
			case <-beat.C:
				l.step()
			case <-l.stop:
				return
			}
		}
	})
	tb.Cleanup(func() { close(l.stop); l.steps.Wait() })
	return url
}

// CutAll ends every connection as a killed node does.
func (l *Ledger) CutAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.sessions {
		if s.peer != nil {
			s.peer.Cut()
		}
	}
}

// ForgetAll forgets all sessions and their seats, and ends their connections.
func (l *Ledger) ForgetAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.sessions {
		for _, t := range s.seats {
			t.session = nil
		}
		if s.peer != nil {
			s.peer.Cut()
		}
	}
	clear(l.sessions)
}

// EvictAll takes all seats away while their players are not connected: they find them gone.
func (l *Ledger) EvictAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.sessions {
		for _, t := range s.seats {
			t.session = nil
		}
		s.seats = nil
		if s.peer != nil {
			s.peer.Cut()
		}
	}
}

// Inputs gives how many inputs were counted over all seats.
func (l *Ledger) Inputs() (sum uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.rooms {
		for _, t := range r.seats {
			sum += t.applied
		}
	}
	return sum
}

func (l *Ledger) name(kind string) string {
	l.next++
	return fmt.Sprintf("%s-%d", kind, l.next)
}

func (l *Ledger) serve(p *Peer) {
	first, err := p.Next()
	hello, ok := first.(*netcode.Hello)
	if err != nil || !ok {
		return
	}
	s := l.enter(p, hello)
	if s == nil {
		return
	}
	out := s.out
	var writing sync.WaitGroup
	writing.Go(func() {
		for b := range out {
			if p.SendBytes(b) != nil {
				p.Cut()
			}
		}
	})
	for {
		m, err := p.Next()
		if err != nil {
			break
		}
		l.take(s, m, hello.Run)
	}
	l.mu.Lock()
	if s.peer == p {
		s.peer, s.out = nil, nil
	}
	close(out)
	l.mu.Unlock()
	writing.Wait()
}

// enter makes or resumes a session. The newest connection wins.
func (l *Ledger) enter(p *Peer, h *netcode.Hello) *session {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, resumed := l.sessions[h.Session], false
	switch {
	case s != nil && h.Secret == s.secret:
		resumed = true
		if s.peer != nil {
			s.peer.Cut()
		}
	case h.Session != "" && l.BadSecret:
		p.Close(netcode.CloseBadSecret, "")
		return nil
	default:
		s = &session{id: l.name("session"), answers: map[uint64]netcode.Message{}}
		l.sessions[s.id] = s
	}
	s.secret, s.peer, s.out = l.name("secret"), p, make(chan []byte, 1024)
	l.post(s, &netcode.Welcome{Version: 1, Session: s.id, Secret: s.secret, Player: h.Token, Resumed: resumed})
	for _, t := range s.seats {
		if t.run != h.Run { // a reloaded page numbers from 1
			t.run, t.last = h.Run, 0
		}
		t.unacked = slices.DeleteFunc(t.unacked, func(u unacked) bool {
			return slices.ContainsFunc(h.Rooms, func(held netcode.Held) bool { return held.Room == t.room.id && u.number <= held.Reliable })
		})
		l.post(s, t.joined(0, netcode.OutcomeResumed))
		ms := []netcode.Message{&netcode.Tick{Room: t.number, Epoch: t.room.epoch, Tick: t.room.tick, Applied: t.last}}
		for _, u := range t.unacked {
			ms = append(ms, u.m)
		}
		l.post(s, ms...)
	}
	for _, held := range h.Rooms {
		if resumed && !slices.ContainsFunc(s.seats, func(t *seat) bool { return t.room.id == held.Room }) {
			l.post(s, &netcode.Gone{ID: held.Room, Why: "grace"})
		}
	}
	return s
}

// post queues one message; a client that does not read is cut. The caller holds mu.
func (l *Ledger) post(s *session, ms ...netcode.Message) {
	if s.out == nil {
		return
	}
	var data []byte
	for _, m := range ms {
		data = m.Append(data)
	}
	head := []byte{0x82, 126}
	if len(data) < 126 {
		head[1] = byte(len(data))
	} else {
		head = binary.BigEndian.AppendUint16(head, uint16(len(data)))
	}
	select {
	case s.out <- append(head, data...):
	default:
		s.peer.Cut()
	}
}

func (t *seat) joined(request uint64, outcome netcode.JoinOutcome) *netcode.Joined {
	acked := t.reliable - uint64(len(t.unacked))
	return &netcode.Joined{
		Request: request, Room: t.number, ID: t.room.id, Kind: t.room.kind, Key: t.room.key, Seat: t.number, RateHz: 20,
		Epoch: t.room.epoch, Tick: t.room.tick, Outcome: outcome, Reliable: acked, Applied: t.last,
	}
}

// take works on a client's message.
func (l *Ledger) take(s *session, m netcode.Message, run uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch m := m.(type) {
	case *netcode.Join:
		if s.answers[m.Request] == nil {
			t := l.sit(s, m, run)
			s.answers[m.Request] = t.joined(m.Request, netcode.OutcomeJoined)
		}
		l.post(s, s.answers[m.Request])
	case *netcode.Leave:
		if t := s.seat(m.Room); t != nil {
			t.session = nil
			s.seats = slices.DeleteFunc(s.seats, func(o *seat) bool { return o == t })
			s.answers[m.Request] = &netcode.Left{Request: m.Request, Room: m.Room, Why: "left"}
		}
		l.post(s, s.answers[m.Request])
	case *netcode.Input:
		if t := s.seat(m.Room); t != nil {
			t.acknowledged(m.Reliable)
			l.input(s, t, m)
		}
	case *netcode.Ack:
		if t := s.seat(m.Room); t != nil {
			t.acknowledged(m.Reliable)
		}
	case *netcode.Ping:
		l.post(s, &netcode.Pong{Time: m.Time})
	}
}

func (s *session) seat(number uint64) *seat {
	i := slices.IndexFunc(s.seats, func(t *seat) bool { return t.number == number })
	if i < 0 {
		return nil
	}
	return s.seats[i]
}

func (l *Ledger) sit(s *session, m *netcode.Join, run uint32) *seat {
	i := slices.IndexFunc(l.rooms, func(r *room) bool { return r.kind == m.Kind && r.key == m.Target })
	if i < 0 {
		i = len(l.rooms)
		l.rooms = append(l.rooms, &room{id: l.name("room"), kind: m.Kind, key: m.Target, epoch: 1, tick: 1})
	}
	r := l.rooms[i]
	l.next++
	t := &seat{room: r, number: l.next, session: s, run: run}
	r.seats, s.seats = append(r.seats, t), append(s.seats, t)
	return t
}

func (l *Ledger) input(s *session, t *seat, m *netcode.Input) {
	if m.Number > t.last+1 {
		l.post(s, &netcode.Resend{Room: t.number, Number: t.last + 1})
	}
	if m.Number != t.last+1 {
		return
	}
	t.last = m.Number
	fate := Applied
	if l.Fate != nil {
		fate = l.Fate(t.number, m.Number)
	}
	switch fate {
	case Applied:
		t.applied++
	case Twice:
		t.applied += 2
	case Refused:
		t.keep(func(n uint64) netcode.Message {
			return &netcode.Refusal{Number: n, Run: t.run, Input: m.Number, Code: "no"}
		})
	}
	h := fnv.New64a()
	fmt.Fprint(h, t.room.hash, t.room.tick, t.number, m.Number)
	t.room.hash = h.Sum64()
	if fate == Applied && m.Number%10 == 0 {
		t.keep(func(n uint64) netcode.Message {
			return &netcode.Reply{Number: n, Run: t.run, Input: m.Number, Value: slices.Clone(m.Value)}
		})
	}
}

// keep makes a reliable message, which goes out with the next step and again after every resume until it is acknowledged.
func (t *seat) keep(m func(number uint64) netcode.Message) {
	t.reliable++
	t.unacked = append(t.unacked, unacked{t.reliable, m(t.reliable)})
}

func (t *seat) acknowledged(reliable uint64) {
	t.unacked = slices.DeleteFunc(t.unacked, func(u unacked) bool { return u.number <= reliable })
}

// step shows every room's state to its players.
func (l *Ledger) step() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.rooms {
		r.tick++
		state := r.state(0)
		for _, t := range r.seats {
			if t.session == nil || t.session.out == nil {
				continue
			}
			if r.tick%10 == 0 && len(t.unacked) < 100 {
				t.keep(func(n uint64) netcode.Message {
					return &netcode.Event{Number: n, Name: "step", Value: codec.AppendUint(nil, n)}
				})
			}
			mine := state
			if l.Forked != nil && l.Forked(t.number) {
				mine = r.state(1)
			}
			ms := []netcode.Message{&netcode.Tick{Room: t.number, Epoch: r.epoch, Tick: r.tick, Applied: t.last}, &netcode.State{Value: mine}}
			for _, u := range t.unacked {
				ms = append(ms, u.m)
			}
			l.post(t.session, ms...)
		}
	}
}

// state is the public state: {"step": uint, "seats": {seat: {"applied", "last", "run"}}, "hash": uint}.
func (r *room) state(lie uint64) []byte {
	b := codec.AppendMapLen(nil, 3)
	b = codec.AppendUint(codec.AppendString(b, "step"), r.tick)
	b = codec.AppendMapLen(codec.AppendString(b, "seats"), len(r.seats))
	for _, t := range r.seats {
		b = codec.AppendMapLen(codec.AppendUint(b, t.number), 3)
		b = codec.AppendUint(codec.AppendString(b, "applied"), t.applied)
		b = codec.AppendUint(codec.AppendString(b, "last"), t.last)
		b = codec.AppendUint(codec.AppendString(b, "run"), uint64(t.run))
	}
	return codec.AppendUint(codec.AppendString(b, "hash"), r.hash+lie)
}
