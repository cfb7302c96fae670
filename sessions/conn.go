package sessions

import (
	"context"
	"slices"
	"time"

	"tickover.dev/netcode"
	"tickover.dev/rooms"
)

// conn is one connection. Only its loop touches it.
//
//	      hello             authenticated           hung up, or the socket is gone
//	new ────────► greeting ───────────────► ready ─────────────────────────────────► closed
//	  │                                       ▲
//	  └── hello with a session's secret ──────┘
type conn struct {
	loop   *Loop
	socket Socket
	state  connState

	id     string // the session's
	player rooms.Player
	gen    uint64
	run    uint32

	views      []*view        // by their number on the wire, 1 for views[0]; nil: given up
	lastNumber int            // given to a view
	asked      []*joinRequest // joins and returns that are not answered yet
	held       []netcode.Held // what the client said it has seen, until the rooms are asked

	helloBy    time.Time
	cancelAuth context.CancelFunc // nil: not greeting
	allowance  allowance
}

type connState uint8

const (
	stateNew connState = iota
	stateGreeting
	stateReady
	stateClosed
)

func (k *conn) violation(err error) { k.violationText(err.Error()) }

// violationText closes a connection that does not speak the protocol.
func (k *conn) violationText(why string) {
	k.loop.hub.stats.Violations.Add(1)
	k.hangUp(netcode.CloseViolation, why)
}

// hangUp closes a connection and lets go of it: nothing it has sent meanwhile is handled any more.
func (k *conn) hangUp(code uint16, why string) {
	k.socket.Close(code, why)
	k.loop.closed(k)
}

// send queues one message.
func (k *conn) send(m netcode.Message) {
	l := k.loop
	l.scratch = m.Append(l.scratch[:0])
	k.socket.Append(l.scratch)
}

// refuse answers a request, or what came last, with an error.
func (k *conn) refuse(request uint64, code, why string, retryMs uint64) {
	k.loop.hub.stats.refused(code)
	k.send(&netcode.Error{Request: request, Code: code, Message: clip(why, 512), RetryMs: retryMs})
}

// view finds the view of a room by its number on the wire.
func (k *conn) view(room uint64) *view {
	if room == 0 || room > uint64(len(k.views)) {
		return nil
	}
	return k.views[room-1]
}

// addView gives a new view a number on the wire. Numbers of views given up are used again only when there are many, so that a
// late message for an old one is not taken for the new.
func (k *conn) addView(v *view) {
	const manyViews = 64
	if len(k.views) >= manyViews {
		for i := range k.views {
			at := (k.lastNumber + i) % len(k.views)
			if k.views[at] == nil {
				k.views[at], v.number, k.lastNumber = v, uint64(at+1), at+1
				return
			}
		}
	}
	k.views = append(k.views, v)
	v.number, k.lastNumber = uint64(len(k.views)), len(k.views)
}

// dropView lets go of a view.
func (k *conn) dropView(v *view) { k.views[v.number-1] = nil }

// forget takes an answered request off the list.
func (k *conn) forget(j *joinRequest) {
	k.asked = slices.DeleteFunc(k.asked, func(other *joinRequest) bool { return other == j })
}

// closed lets go of a connection: its seats are dropped, its session may be resumed.
func (l *Loop) closed(k *conn) {
	if k.state == stateClosed {
		return
	}
	ready := k.state == stateReady
	k.state = stateClosed
	delete(l.conns, k)
	if k.cancelAuth != nil {
		k.cancelAuth()
	}
	for _, v := range k.views {
		if v != nil {
			l.drop(k, v.replica, v.seat)
			l.removeView(v)
		}
	}
	for _, j := range k.asked {
		if j.isReturn() && j.replica != nil { // the drop follows the return into the room, whose answer need not be waited for
			l.drop(k, j.replica, j.seat)
			j.replica.forget(j)
			l.trim(j.replica)
		} // a join's seat is not known yet: it is dropped when it is answered, see seated. A room that is found now is not asked
	}
	k.views, k.asked = nil, nil
	if ready {
		l.hub.stats.Connections.Add(-1)
		l.hub.config.Registry.detach(k.id, k.gen, l.hub.now())
	}
}

// drop tells a room that a seat's connection is gone. If the room's shard is full just now, the loop tries again: a seat that is
// never dropped is never given up.
func (l *Loop) drop(k *conn, r *replica, seat rooms.Seat) {
	l.vacate(rooms.MailDrop, k, r, seat)
}

// vacate tells a room that a seat is given up (MailLeave), or has lost its connection (MailDrop), now or as soon as the room takes it.
func (l *Loop) vacate(how rooms.MailType, k *conn, r *replica, seat rooms.Seat) {
	d := pendingDrop{r.room, rooms.Mail{Type: how, Seat: seat, Session: k.id, Gen: k.gen}}
	if !d.post() {
		l.drops = append(l.drops, d)
	}
}

// pendingDrop is a drop, or a leave, that a room has not taken yet. There are at most as many as seats.
type pendingDrop struct {
	room Room
	mail rooms.Mail
}

// clip cuts a text to so many bytes, at a rune's border.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && s[limit]&0xc0 == 0x80 {
		limit--
	}
	return s[:limit]
}
