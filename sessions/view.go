package sessions

import (
	"tickover.dev/netcode"
	"tickover.dev/rooms"
)

// view is what one connection gets of one room.
type view struct {
	conn    *conn
	replica *replica
	number  uint64 // the room's, on the wire
	seat    rooms.Seat
	leaving uint64 // request number of a leave under way

	applied  uint64 // last input of the run that is known to be applied or refused
	handed   int    // inputs handed to the room since it last answered this seat
	again    uint64 // the message in which repeated inputs were last acknowledged, see Loop.serial
	reliable uint64 // last reliable message sent
	acked    uint64 // last one acknowledged

	window  window
	shownMs int64  // when it was last sent anything of the room
	clock   uint32 // change of the replica's clock that was last told
	stale   bool   // a public value was skipped
	private []byte // a private value that was skipped
}

// post sends mail from a view's seat to its room.
func (v *view) post(m *rooms.Mail) error {
	m.Seat, m.Session, m.Gen = v.seat, v.conn.id, v.conn.gen
	return v.replica.room.Post(m)
}

// show writes what a frame holds for this view: the tick, the state if the client keeps up, and what is its alone. part may be nil.
func (v *view) show(f *rooms.Frame, part *rooms.SeatPart, nowMs int64) {
	if f.Status != rooms.StatusNone {
		v.handed = 0 // a room that goes on in a new epoch has lost its mail
		v.conn.send(&netcode.Status{Room: v.number, Status: f.Status.Wire(), Epoch: uint64(f.Epoch), Tick: f.Tick})
	}
	if f.Status == rooms.StatusRolledBack { // what this view knows of its stream may never have been, nor its seat: returning tells
		v.conn.hangUp(netcode.CloseReliable, "the room goes on from an older state")
		return
	}
	if v.clock != v.replica.clock.changes {
		v.tellClock()
	}
	if part != nil {
		v.take(part)
	}
	v.stale = v.stale || f.Public != nil
	if !v.concerns(f, part) {
		return
	}
	if part != nil && part.First > v.reliable+1 {
		// What is missing was dropped with the room's ring, or was lost on the way here. Resuming tells which.
		v.conn.loop.hub.stats.ReliableFull.Add(1)
		v.conn.hangUp(netcode.CloseReliable, "reliable messages are missing")
		return
	}
	if v.holds(part, nowMs) {
		return
	}
	v.shownMs = nowMs
	v.head()
	v.state(nowMs)
	if part != nil && part.First != 0 && part.Last > v.reliable { // a room may show again what was not acknowledged
		v.conn.socket.Append(skip(part.Reliable, int(v.reliable+1-part.First)))
		v.reliable = part.Last
	}
}

// tellClock says when the room's ticks are due, if they are.
func (v *view) tellClock() {
	c := &v.replica.clock
	if v.clock = c.changes; c.changes > 0 {
		v.conn.send(&netcode.Clock{Room: v.number, Tick: c.tick, Time: uint64(c.due.Milliseconds())})
	}
}

// holds reports whether a message may wait because it would tell a client that does not keep up of nothing but acknowledged inputs:
// writing it would cost as much as the state that is being skipped.
func (v *view) holds(part *rooms.SeatPart, nowMs int64) bool {
	return v.behind() && !v.keepsUp(nowMs) && (part == nil || part.First == 0) && nowMs-v.shownMs < maxHoldMs
}

// maxHoldMs is far below the 2 s after which a client without progress sends its inputs again.
const maxHoldMs = 250

// take notes what a frame says of this seat.
func (v *view) take(part *rooms.SeatPart) {
	v.handed = 0
	if part.Private != nil {
		v.private = append(v.private[:0], part.Private...)
	}
	if part.Run != v.conn.run {
		return
	}
	v.applied = max(v.applied, part.Applied)
	if part.Resend != 0 {
		v.conn.send(&netcode.Resend{Room: v.number, Number: part.Resend})
	}
}

// concerns reports whether a frame is to open the room's part of a message for this view: it has something for it, or it has nothing
// for anybody, which shows that the room goes on. A frame that only tells of a status, or answers a request, opens none.
func (v *view) concerns(f *rooms.Frame, part *rooms.SeatPart) bool {
	switch {
	case f.Tick == 0 || f.Tick < v.replica.tick:
		return false
	case part != nil || f.Public != nil:
		return true
	case f.Status != rooms.StatusNone:
		return false
	}
	return v.stale || len(v.private) > 0 || len(f.Seats) == 0
}

// head opens the room's part of a message.
func (v *view) head() {
	l := v.conn.loop
	l.tick = netcode.Tick{Room: v.number, Epoch: uint64(v.replica.epoch), Tick: v.replica.tick, Applied: v.applied}
	v.conn.send(&l.tick)
}

// state writes the newest public and private value, if there is one that was not sent yet and the client keeps up.
func (v *view) state(nowMs int64) {
	if !v.behind() {
		return
	}
	stats := &v.conn.loop.hub.stats
	if !v.keepsUp(nowMs) {
		stats.StatesSkip.Add(1)
		return
	}
	r := v.replica
	if v.stale && r.last != nil {
		v.conn.socket.Append(stateHead)
		v.conn.socket.Append(r.last.Public)
	}
	if len(v.private) > 0 {
		v.conn.socket.Append(privateHead)
		v.conn.socket.Append(v.private)
		v.private = v.private[:0]
	}
	v.stale = false
	stats.StatesSent.Add(1)
	v.window.sent(r.tick, nowMs)
}

// keepsUp reports whether the client takes what it is sent.
func (v *view) keepsUp(nowMs int64) bool {
	return v.window.open(nowMs) && v.conn.socket.Backlog() <= maxStateBacklog
}

// behind reports whether there is a value that was not sent yet.
func (v *view) behind() bool { return v.stale || len(v.private) > 0 }

// maxStateBacklog is how much may wait in this process for a connection that is still sent states.
const maxStateBacklog = 64 << 10

// Heads of the messages whose bodies are shared: [20, value], [21, value].
var (
	stateHead   = []byte{0x92, byte(netcode.TypeState)}
	privateHead = []byte{0x92, byte(netcode.TypePrivate)}
)

// acknowledged takes an acknowledgement, and sends what was held back for it. It reports false for one of the future.
func (v *view) acknowledged(reliable, state uint64, nowMs int64) bool {
	if reliable > v.reliable || state > v.replica.tick {
		v.conn.refuse(0, netcode.CodeBadAck, "you acknowledge what was not sent", 0)
		return false
	}
	if reliable > v.acked {
		l := v.conn.loop
		l.mail = rooms.Mail{Type: rooms.MailAck, Number: reliable}
		if v.post(&l.mail) == nil {
			v.acked = reliable
		}
	}
	v.window.acknowledged(state, nowMs)
	if v.behind() && v.keepsUp(nowMs) && v.replica.tick > 0 {
		v.shownMs = nowMs
		v.head()
		v.state(nowMs)
	}
	return true
}
