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
		for _, j := range r.asked {
			if j.conn.id == n.Session && j.conn.gen == n.Gen && j.number == n.Request && j.number != 0 {
				r.forget(j)
				l.refuseJoin(j, n.Code, n.Why)
				return
			}
		}
	case rooms.NoteGone:
		for _, j := range r.asked {
			if j.conn.id == n.Session && j.conn.gen == n.Gen && j.number == 0 && j.seat == n.Seat {
				r.forget(j)
				l.gone(j.conn, place{r.room.ID, n.Seat}, n.Why, n.Result)
				return
			}
		}
	case rooms.NoteOverloaded:
		if v := r.viewOf(n); v != nil {
			v.conn.refuse(0, n.Code, n.Why, 1000)
		}
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
		v.conn.send(&netcode.Left{Request: v.leaving, Room: v.number, Why: n.Why, Result: n.Result})
		l.giveUp(v)
	case rooms.NoteOverflow:
		l.hub.stats.ReliableFull.Add(1)
		v.conn.socket.Close(netcode.CloseReliable, "too many unacknowledged messages")
	}
}

func (r *replica) viewOf(n rooms.Note) *view {
	for _, v := range r.views {
		if v.seat == n.Seat && v.conn.id == n.Session {
			return v
		}
	}
	return nil
}

// seated opens the view of a session that has its seat, now or again.
func (l *Loop) seated(r *replica, f *rooms.Frame, n rooms.Note) {
	j := r.find(n)
	if j == nil {
		return
	}
	r.forget(j)
	k := j.conn
	for i, other := range k.joining {
		if other == j {
			k.joining = append(k.joining[:i], k.joining[i+1:]...)
			break
		}
	}
	at := place{r.room.ID, n.Seat}
	l.hub.config.Registry.seat(k.id, at)
	if k.state != stateReady { // it was closed while the room answered: the seat waits for its return
		r.room.Post(&rooms.Mail{Type: rooms.MailDrop, Seat: n.Seat, Session: n.Session, Gen: n.Gen})
		return
	}
	v := r.viewOf(n)
	if v == nil {
		v = l.addView(k, r, n.Seat)
	}
	v.applied, v.reliable, v.acked = n.Applied, n.Reliable, n.Reliable
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
		RateHz: uint64(r.room.Kind.RateHz), Epoch: uint64(f.Epoch), Tick: f.Tick, Outcome: outcome, Reliable: n.Reliable, Applied: n.Applied,
	})
}

// find gives the request that a note answers.
func (r *replica) find(n rooms.Note) *joinRequest {
	for _, j := range r.asked {
		if j.conn.id != n.Session || j.conn.gen != n.Gen {
			continue
		}
		if n.Type == rooms.NoteJoined && j.number == n.Request && j.number != 0 || n.Type == rooms.NoteReturned && j.number == 0 && j.seat == n.Seat {
			return j
		}
	}
	return nil
}
