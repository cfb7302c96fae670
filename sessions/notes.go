package sessions

import (
	"tickover.dev/netcode"
	"tickover.dev/rooms"
)

// This file is what rooms answer to sessions' requests.

// note handles the notes that must come before the frame they are in: they open views.
func (l *Loop) note(r *replica, f *rooms.Frame, n rooms.Note) {
	switch n.Type {
	case rooms.NoteJoined, rooms.NoteReturned:
		l.seated(r, f, n)
	case rooms.NoteRefused:
		if j := r.answered(n, false); j != nil {
			r.forget(j)
			l.refuseJoin(j, n.Code, n.Why)
		}
	case rooms.NoteGone:
		if j := r.answered(n, true); j != nil {
			r.forget(j)
			l.gone(j, r.room.ID, n.Why, n.Result)
		}
	case rooms.NoteOverloaded:
		l.overloaded(r, n)
	case rooms.NoteSuperseded:
		l.hub.Superseded(n.Session, n.Request)
	}
}

// overloaded passes on that a room has dropped something as it takes nothing just now.
func (l *Loop) overloaded(r *replica, n rooms.Note) {
	if v := r.viewOf(n); v != nil {
		if n.Request != 0 && n.Request == v.leaving {
			v.leaving = 0
		}
		v.conn.refuse(n.Request, n.Code, n.Why, 1000)
		return
	}
	if j := r.answered(n, true); j != nil { // without its seat there is nothing on this connection to wait for
		j.conn.hangUp(netcode.CloseOverloaded, n.Why)
	}
}

// lastNote handles the notes that end a view.
func (l *Loop) lastNote(r *replica, n rooms.Note) {
	v := r.viewOf(n)
	if v == nil {
		return
	}
	switch n.Type {
	case rooms.NoteLeft:
		v.conn.send(&netcode.Left{Request: v.leaving, Room: v.number, Why: wireWhy(n.Why), Result: n.Result})
		l.giveUp(v)
	case rooms.NoteOverflow:
		l.hub.stats.ReliableFull.Add(1)
		v.conn.hangUp(netcode.CloseReliable, "too many unacknowledged messages")
	}
}

// viewOf finds the view a note is for: that of the session's connection it names. A note for an older connection must not touch the
// view of the one that took its place.
func (r *replica) viewOf(n rooms.Note) *view {
	for _, v := range r.views {
		if v.seat == n.Seat && v.conn.id == n.Session && v.conn.gen == n.Gen {
			return v
		}
	}
	return nil
}

// answered finds the request that a note answers: a return to its seat, or a join. nil: it was answered before.
func (r *replica) answered(n rooms.Note, isReturn bool) *joinRequest {
	for _, j := range r.asked {
		if j.conn.id != n.Session || j.conn.gen != n.Gen || j.isReturn() != isReturn {
			continue
		}
		if isReturn && j.seat == n.Seat || !isReturn && j.number == n.Request {
			return j
		}
	}
	return nil
}

// seated opens the view of a session that has its seat, now or again.
func (l *Loop) seated(r *replica, f *rooms.Frame, n rooms.Note) {
	j := r.answered(n, n.Type == rooms.NoteReturned)
	if j == nil {
		return
	}
	k := j.conn
	l.leaveBefore(k, r, f, n.Seat) // while the request still keeps the replica
	r.forget(j)
	k.forget(j)
	switch l.hub.config.Registry.seat(k.id, k.gen, Place{r.room.ID, n.Seat}, !j.isReturn(), l.hub.config.RoomsPerSession) {
	case seatOver:
		l.vacate(rooms.MailLeave, k, r, n.Seat) // nobody could return to it
		l.refuseSeat(k, j, r.room.ID)
		return
	case seatAway:
		l.drop(k, r, n.Seat)
		return
	}
	if k.state != stateReady { // it was closed while the room answered: the seat waits for its return
		l.drop(k, r, n.Seat)
		return
	}
	v := r.viewOf(n)
	if v == nil {
		v = l.addView(k, r, n.Seat)
		v.reliable, v.acked = n.Reliable, n.Reliable
	} // else it joined twice, and its stream goes on
	v.applied = n.Applied
	v.stale = r.last != nil
	outcome := netcode.OutcomeJoined
	if n.Type == rooms.NoteReturned {
		outcome = netcode.OutcomeSnapshot
		if n.Resumed {
			outcome = netcode.OutcomeResumed
		}
	}
	k.send(&netcode.Joined{
		Request: j.number, Room: v.number, ID: string(r.room.ID), Kind: r.room.Kind.Name, Key: r.room.Key, Seat: uint64(n.Seat),
		RateHz: uint64(r.room.Kind.RateHz), Epoch: uint64(f.Epoch), Tick: f.Tick, Outcome: outcome, Reliable: v.reliable, Applied: n.Applied,
	})
	v.tellClock()
}

// refuseSeat answers a request for a seat that its session cannot have.
func (l *Loop) refuseSeat(k *conn, j *joinRequest, room rooms.ID) {
	switch {
	case k.state != stateReady:
	case j.isReturn():
		k.sendGone(room, "unknown", nil)
	default:
		k.refuse(j.number, netcode.CodeTooManyRooms, "this session has as many seats as it may", 0)
	}
}

// leaveBefore ends the view that a connection has of another seat of the room: it was left and joined again within one frame, and a
// client must not hear of the new seat first.
func (l *Loop) leaveBefore(k *conn, r *replica, f *rooms.Frame, seat rooms.Seat) {
	for i := range f.Seats {
		for _, n := range f.Seats[i].Notes {
			if v := r.viewOf(n); n.Type == rooms.NoteLeft && v != nil && v.conn == k && v.seat != seat {
				l.lastNote(r, n)
			}
		}
	}
}
