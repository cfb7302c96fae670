package sessions

import (
	"cmp"
	"slices"

	"tickover.dev/netcode"
	"tickover.dev/rooms"
	"tickover.dev/rooms/host"
)

// replica is the newest of a room on one loop: what its views there share.
type replica struct {
	room  *host.Handle
	views []*view        // by seat
	asked []*joinRequest // on their way
	last  *rooms.Frame   // the newest frame that has a public value; retained
	epoch rooms.Epoch
	tick  uint64
}

// view is what one connection gets of one room.
type view struct {
	conn    *conn
	replica *replica
	number  uint64 // the room's, on the wire
	seat    rooms.Seat
	leaving uint64 // request number of a leave under way

	applied  uint64 // last input of the run that is known to be applied or refused
	reliable uint64 // last reliable message sent
	acked    uint64 // last one acknowledged

	window  window
	stale   bool   // a public value was skipped
	private []byte // a private value that was skipped
}

// replica finds or makes the replica of a room.
func (l *Loop) replica(id rooms.ID, room *host.Handle) *replica {
	r := l.replicas[id]
	if r == nil {
		r = &replica{room: room}
		l.replicas[id] = r
		l.hub.interest(id, l.index, true)
	}
	return r
}

// trim lets go of a replica that nobody uses.
func (l *Loop) trim(r *replica) {
	if len(r.views)+len(r.asked) > 0 || l.replicas[r.room.ID] != r {
		return
	}
	delete(l.replicas, r.room.ID)
	l.hub.interest(r.room.ID, l.index, false)
	if r.last != nil {
		r.last.Release()
		r.last = nil
	}
}

func (r *replica) expect(_ *conn, j *joinRequest) { r.asked = append(r.asked, j) }

func (r *replica) forget(j *joinRequest) {
	r.asked = slices.DeleteFunc(r.asked, func(other *joinRequest) bool { return other == j })
}

// answered takes the request out that a connection has made for a seat: a return if seat is given and was asked for, else a join.
func (r *replica) answered(k *conn, seat rooms.Seat) *joinRequest {
	for i, j := range r.asked {
		if j.conn == k && (j.seat == seat || j.number != 0) {
			r.asked = slices.Delete(r.asked, i, i+1)
			return j
		}
	}
	return nil
}

// addView opens a view on a seat.
func (l *Loop) addView(k *conn, r *replica, seat rooms.Seat) *view {
	v := &view{conn: k, replica: r, seat: seat}
	i, _ := slices.BinarySearchFunc(r.views, seat, func(v *view, s rooms.Seat) int { return cmp.Compare(v.seat, s) })
	r.views = slices.Insert(r.views, i, v)
	k.addView(v)
	l.hub.stats.Views.Add(1)
	return v
}

// removeView closes a view. The caller takes it off its connection.
func (l *Loop) removeView(v *view) {
	r := v.replica
	r.views = slices.DeleteFunc(r.views, func(other *view) bool { return other == v })
	l.hub.stats.Views.Add(-1)
	l.trim(r)
}

// post sends mail from a view's seat to its room.
func (v *view) post(m *rooms.Mail) error {
	m.Seat, m.Session, m.Gen = v.seat, v.conn.id, v.conn.gen
	return v.replica.room.Post(m)
}

// show hands a confirmed frame to the views of its room.
func (l *Loop) show(f *rooms.Frame) {
	r := l.replicas[f.Room]
	if r == nil {
		return
	}
	nowMs := l.hub.now().UnixMilli()
	if f.Epoch > r.epoch || f.Epoch == r.epoch && f.Tick > r.tick { // a status may come with an older tick, an answer of the node with none
		r.epoch, r.tick = f.Epoch, f.Tick
	}
	if f.Public != nil {
		f.Retain()
		if r.last != nil {
			r.last.Release()
		}
		r.last = f
	}
	for i := range f.Seats {
		for _, n := range f.Seats[i].Notes {
			l.note(r, f, n)
		}
	}
	next := 0
	for _, v := range r.views {
		for next < len(f.Seats) && f.Seats[next].Seat < v.seat {
			next++
		}
		var part *rooms.SeatPart
		if next < len(f.Seats) && f.Seats[next].Seat == v.seat && f.Seats[next].Session == v.conn.id {
			part = &f.Seats[next]
		}
		v.show(f, part, nowMs)
	}
	for i := range f.Seats { // only now, as the last words must be shown first
		for _, n := range f.Seats[i].Notes {
			l.lastNote(r, n)
		}
	}
	l.trim(r)
}

// show writes what a frame holds for this view: the tick, the state if the client keeps up, and what is its alone.
func (v *view) show(f *rooms.Frame, part *rooms.SeatPart, nowMs int64) {
	if f.Status != rooms.StatusNone {
		v.conn.send(&netcode.Status{Room: v.number, Status: f.Status.Wire(), Epoch: uint64(f.Epoch), Tick: f.Tick})
	}
	if part != nil {
		if part.Run == v.conn.run {
			v.applied = part.Applied
		}
		if part.Private != nil {
			v.private = append(v.private[:0], part.Private...)
		}
		if part.Resend != 0 && part.Run == v.conn.run {
			v.conn.send(&netcode.Resend{Room: v.number, Number: part.Resend})
		}
	}
	v.stale = v.stale || f.Public != nil
	quiet := f.Public == nil && len(f.Seats) == 0 && f.Status == rooms.StatusNone
	if part == nil && !v.stale && !quiet {
		return
	}
	if f.Tick == 0 || f.Status != rooms.StatusNone && f.Public == nil && part == nil {
		return
	}
	v.head(f.Epoch, f.Tick)
	v.state(nowMs)
	if part != nil && len(part.Reliable) > 0 && part.Last > v.reliable {
		v.conn.socket.Append(part.Reliable)
		v.reliable = part.Last
	}
}

// head opens the room's part of a message.
func (v *view) head(epoch rooms.Epoch, tick uint64) {
	v.conn.send(&netcode.Tick{Room: v.number, Epoch: uint64(epoch), Tick: tick, Applied: v.applied})
}

// state writes the newest public and private value, if there is one that was not sent yet and the client keeps up.
func (v *view) state(nowMs int64) {
	if !v.stale && len(v.private) == 0 {
		return
	}
	stats := &v.conn.loop.hub.stats
	if !v.window.open(nowMs) || v.conn.socket.Backlog() > maxStateBacklog {
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
		v.acked = reliable
		v.post(&rooms.Mail{Type: rooms.MailAck, Number: reliable})
	}
	v.window.acknowledged(state, nowMs)
	if (v.stale || len(v.private) > 0) && v.window.open(nowMs) && v.replica.tick > 0 {
		v.head(v.replica.epoch, v.replica.tick)
		v.state(nowMs)
	}
	return true
}

// close tells the views of a room that is no more on this node and has not said farewell itself.
func (l *Loop) close(id rooms.ID, why string) {
	r := l.replicas[id]
	if r == nil {
		return
	}
	if why == "lost" || why == "released" {
		why = "closed"
	}
	for len(r.views) > 0 {
		v := r.views[0]
		v.conn.send(&netcode.Left{Room: v.number, Why: why})
		l.giveUp(v)
	}
	for len(r.asked) > 0 {
		j := r.asked[0]
		r.forget(j)
		if j.number != 0 {
			l.refuseJoin(j, netcode.CodeRoomEnded, "the room has ended")
		} else if j.conn.state == stateReady {
			l.gone(j.conn, place{j.room, j.seat}, why, nil)
		}
	}
	l.trim(r)
}

// giveUp takes a view off its connection and the seat off its session.
func (l *Loop) giveUp(v *view) {
	v.conn.dropView(v)
	l.hub.config.Registry.unseat(v.conn.id, place{v.replica.room.ID, v.seat})
	l.removeView(v)
}
