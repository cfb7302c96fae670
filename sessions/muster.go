package sessions

import (
	"sync"

	"tickover.dev/engine"
	"tickover.dev/netcode"
	"tickover.dev/rooms"
)

// This file is what sessions do when a room has another owner, or when messages to or from its owner were lost: they say who is here,
// and ask again for what was not answered (docs/failover/RULES.md, R15).

// SendAway closes all connections and asks their clients to reconnect, with their back-off. Until TakeAgain, whoever comes is sent away
// as well.
func (h *Hub) SendAway(why string) {
	h.leaving.Store(&why)
	h.mu.RLock()
	loops := h.loops
	h.mu.RUnlock()
	for _, l := range loops {
		l.accept(&sendAway{l, why})
	}
}

// TakeAgain ends what SendAway began.
func (h *Hub) TakeAgain() { h.leaving.Store(nil) }

type sendAway struct {
	loop *Loop
	why  string
}

// Run implements engine.Task.
func (s *sendAway) Run(*engine.Loop) {
	for k := range s.loop.conns {
		k.hangUp(netcode.CloseStopping, s.why)
	}
}

// Watches reports whether anybody here has, or asks for, a seat in a room.
func (h *Hub) Watches(room rooms.ID) bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.routes[room] != 0
}

// Muster has every loop count who is here in a room, and ask the room again for what it has not answered. take is called once, from
// any goroutine, with all of them. What a loop posts to the room before it counts belongs before the roster, or may as well come behind
// it; what it posts afterwards belongs behind it.
func (h *Hub) Muster(room rooms.ID, take func([]rooms.RosterEntry)) {
	h.mu.RLock()
	mask, loops := h.routes[room], h.loops
	h.mu.RUnlock()
	m := &muster{room: room, take: take}
	for i := range loops {
		if mask&(1<<i) != 0 {
			m.left++
		}
	}
	if m.left == 0 {
		take(nil)
		return
	}
	for i, l := range loops {
		if mask&(1<<i) != 0 {
			l.accept(&musterCall{m, l})
		}
	}
}

// muster collects what the loops count.
type muster struct {
	room rooms.ID
	take func([]rooms.RosterEntry)

	mu sync.Mutex
	// Guarded by mu.
	left    int // loops that have not counted
	entries []rooms.RosterEntry
}

// musterCall has one loop count.
type musterCall struct {
	muster *muster
	loop   *Loop
}

// Run implements engine.Task.
func (c *musterCall) Run(*engine.Loop) {
	m := c.muster
	r := c.loop.replicas[m.room]
	m.mu.Lock()
	if r != nil {
		m.entries = r.count(m.entries)
	}
	m.left--
	last := m.left == 0
	m.mu.Unlock()
	if r != nil {
		c.loop.askAgain(r)
	}
	if last {
		m.take(m.entries)
	}
}

// count appends who is here, and who asks to be.
func (r *replica) count(entries []rooms.RosterEntry) []rooms.RosterEntry {
	for _, j := range r.asked { // a seat may be theirs already, and the answer be on its way
		k := j.conn
		e := rooms.RosterEntry{Seat: j.seat, Session: k.id, Gen: k.gen, Run: k.run, Reliable: j.reliable}
		if k.state == stateReady && r.viewOf(rooms.Note{Seat: j.seat, Session: k.id, Gen: k.gen}) == nil {
			entries = append(entries, e)
		}
	}
	for _, v := range r.views {
		v.handed = 0 // what was on its way may be lost
		entries = append(entries, rooms.RosterEntry{Seat: v.seat, Session: v.conn.id, Gen: v.conn.gen, Run: v.conn.run, Reliable: v.reliable})
	}
	return entries
}

// askAgain asks a room for what it has not answered: seats, returns, leaves. It takes all of them twice without harm.
func (l *Loop) askAgain(r *replica) {
	for _, j := range append([]*joinRequest(nil), r.asked...) {
		switch k := j.conn; {
		case k.state != stateReady: // the roster gives up its seat, if it has got one
			r.forget(j)
			k.forget(j)
			if !j.isReturn() {
				l.release(k)
			}
		case j.isReturn():
			if r.room.Post(j.returnMail()) != nil {
				k.hangUp(netcode.CloseOverloaded, "the room takes nothing just now")
			}
		default: // as another request: a refusal of the first, from a former owner, must not be taken for an answer to this one
			again := *j
			r.forget(j)
			k.forget(j)
			if r.expect(&again) {
				k.asked = append(k.asked, &again)
				l.ask(&again, r.room)
			}
		}
	}
	for _, v := range append([]*view(nil), r.views...) {
		if v.leaving != 0 {
			v.post(&rooms.Mail{Type: rooms.MailLeave, Number: v.leaving})
		}
	}
	l.trim(r)
}

// ask asks a room for the seat that was reserved.
func (l *Loop) ask(j *joinRequest, room Room) {
	k := j.conn
	mail := rooms.Mail{Session: k.id, Gen: k.gen, Run: k.run, Number: j.number, Player: k.player}
	room.Join(mail, j.entry.Options, func(code, why string) { l.accept(&joinRefused{l, j, code, why}) })
}

// returnMail asks for a seat that the session has kept.
func (j *joinRequest) returnMail() *rooms.Mail {
	k := j.conn
	return &rooms.Mail{Type: rooms.MailReturn, Seat: j.seat, Session: k.id, Gen: k.gen, Run: k.run, Number: j.reliable}
}
