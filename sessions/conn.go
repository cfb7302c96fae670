package sessions

import (
	"time"

	"tickover.dev/netcode"
	"tickover.dev/rooms"
)

// socket is what a connection is written to. *engine.Conn is one.
type socket interface {
	Append(p []byte) // part of the one message that leaves at the end of the loop's turn
	Close(code uint16, reason string)
	Backlog() int // bytes
}

// conn is one connection. Only its loop touches it.
//
//	      hello             authenticated           closed
//	new ────────► greeting ───────────────► ready ────────► closed
type conn struct {
	loop   *Loop
	socket socket
	state  connState

	id     string // the session's
	player rooms.Player
	gen    uint64
	run    uint32

	views      []*view        // by their number on the wire, 1 for views[0]; nil: given up
	lastNumber int            // given to a view
	joining    []*joinRequest // not answered yet
	held       []netcode.Held // what the client said it has seen, until the rooms answer

	helloBy    time.Time
	tokens     float32 // messages it may still send, see allow
	refilledMs int64
	dropped    uint32 // messages over the limit, lately
}

type connState uint8

const (
	stateNew connState = iota
	stateGreeting
	stateReady
	stateClosed
)

// floodMessages is how many messages beyond the rate limit, without a pause to make up for them, close the connection.
const floodMessages = 1000

// allow takes one message off the allowance, or drops it with an error. The first of a series is answered, the rest is not.
func (k *conn) allow(nowMs int64) bool {
	c := &k.loop.hub.config
	k.tokens += float32(float64(nowMs-k.refilledMs) * c.MessagesPerSec / 1000)
	k.refilledMs = nowMs
	if k.tokens >= float32(c.MessageBurst) {
		k.tokens = float32(c.MessageBurst)
		k.dropped = 0
	}
	if k.tokens >= 1 {
		k.tokens--
		return true
	}
	k.loop.hub.stats.RateLimited.Add(1)
	k.dropped++
	switch {
	case k.state != stateReady || k.dropped >= floodMessages:
		k.socket.Close(netcode.CloseFlood, "too many messages")
	case k.dropped%64 == 1:
		k.refuse(0, netcode.CodeRateLimited, "too many messages: this one was dropped", 1000)
	}
	return false
}

func (k *conn) violation(err error) { k.violationText(err.Error()) }

// violationText closes a connection that does not speak the protocol.
func (k *conn) violationText(why string) {
	k.loop.hub.stats.Violations.Add(1)
	k.socket.Close(netcode.CloseViolation, why)
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
	k.loop.hub.stats.Refused.Add(1)
	k.send(&netcode.Error{Request: request, Code: code, Message: clip(why, 512), RetryMs: retryMs})
}

// view finds the view of a room by its number on the wire.
func (k *conn) view(room uint64) *view {
	if room == 0 || room > uint64(len(k.views)) {
		return nil
	}
	return k.views[room-1]
}

// seats counts the rooms the connection is in.
func (k *conn) seats() (n int) {
	for _, v := range k.views {
		if v != nil {
			n++
		}
	}
	return n
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
func (k *conn) dropView(v *view) {
	k.views[v.number-1] = nil
}

// closed lets go of a connection: its seats are dropped, its session may be resumed.
func (l *Loop) closed(k *conn) {
	if k.state == stateClosed {
		return
	}
	ready := k.state == stateReady
	k.state = stateClosed
	delete(l.conns, k)
	for _, v := range k.views {
		if v != nil {
			v.post(&rooms.Mail{Type: rooms.MailDrop})
			l.removeView(v)
		}
	}
	k.views, k.joining = nil, nil // what is still asked for is dropped when it is answered, see answer
	if ready {
		l.hub.stats.Connections.Add(-1)
		l.hub.config.Registry.detach(k.id, k.gen, l.hub.now())
	}
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
