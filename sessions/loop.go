package sessions

import (
	"errors"
	"io"
	"sync/atomic"
	"time"

	"tickover.dev/engine"
	"tickover.dev/netcode"
	"tickover.dev/rooms"
)

// Loop is the handler of one event loop: its connections and the replicas of the rooms they see. Only the loop's goroutine
// touches it, but for what accept uses.
type Loop struct {
	// Set by newLoop, then read-only.
	hub   *Hub
	index int
	post  func(engine.Task) error

	overrun atomic.Bool // a delivery was lost: the loop's views have a hole

	// Owned by the loop.
	replicas map[rooms.ID]*replica
	waiting  []*conn // for hello, oldest first
	conns    map[*conn]struct{}
	parser   netcode.Parser
	scratch  []byte
	hello    netcode.Hello
	join     netcode.Join
	leave    netcode.Leave
	input    netcode.Input
	ack      netcode.Ack
	ping     netcode.Ping
	mail     rooms.Mail
	nowMs    int64 // at the start of the call that is being handled
}

// accept posts a task, from any goroutine. If the loop's mailbox is full, its views have missed something that cannot be skipped:
// then all its connections are closed, to resume.
func (l *Loop) accept(t engine.Task) {
	if l.post(t) == nil {
		return
	}
	if !l.overrun.Swap(true) {
		l.hub.stats.Overruns.Add(1)
		l.hub.config.Log.Error("loop too far behind: its connections are closed", "loop", l.index)
	}
	if d, ok := t.(*delivery); ok {
		d.drop()
	}
}

// Open implements engine.Handler.
func (l *Loop) Open(c *engine.Conn) {
	k := l.open(c)
	c.Data = k
}

func (l *Loop) open(s socket) *conn {
	if l.conns == nil {
		l.conns = map[*conn]struct{}{}
	}
	now := l.hub.now()
	k := &conn{loop: l, socket: s, tokens: float32(l.hub.config.MessageBurst), helloBy: now.Add(l.hub.config.HelloTimeout)}
	k.refilledMs = now.UnixMilli()
	l.conns[k] = struct{}{}
	l.waiting = append(l.waiting, k)
	return k
}

// Message implements engine.Handler.
func (l *Loop) Message(c *engine.Conn, _ bool, payload []byte) {
	if k, ok := c.Data.(*conn); ok {
		l.message(k, payload)
	}
}

// Closed implements engine.Handler.
func (l *Loop) Closed(c *engine.Conn, _ error) {
	if k, ok := c.Data.(*conn); ok {
		c.Data = nil
		l.closed(k)
	}
}

// Tick implements engine.Handler.
func (l *Loop) Tick(now time.Time) {
	n := 0
	for n < len(l.waiting) && (l.waiting[n].state != stateNew || !now.Before(l.waiting[n].helloBy)) {
		if k := l.waiting[n]; k.state == stateNew {
			k.socket.Close(netcode.CloseNoHello, "no hello")
		}
		n++
	}
	clear(l.waiting[:n])
	l.waiting = l.waiting[n:]
	if len(l.waiting) == 0 {
		l.waiting = nil // let go of the array
	}
	if l.overrun.Swap(false) {
		for k := range l.conns {
			k.socket.Close(netcode.CloseOverloaded, "the node is overloaded")
		}
	}
}

// message handles one frame of a client.
func (l *Loop) message(k *conn, payload []byte) {
	if k.state == stateClosed {
		return
	}
	l.nowMs = l.hub.now().UnixMilli()
	if !k.allow(l.nowMs) {
		return
	}
	if err := netcode.Check(payload); err != nil {
		k.violation(err)
		return
	}
	l.parser.Reset(payload)
	for k.state != stateClosed {
		t, err := l.parser.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			k.violation(err)
			return
		}
		l.dispatch(k, t)
	}
}

// dispatch handles one message. The connection has said hello, or this is it.
func (l *Loop) dispatch(k *conn, t netcode.Type) {
	if (t == netcode.TypeHello) != (k.state == stateNew) {
		if k.state == stateGreeting {
			k.violationText("nothing may follow hello before welcome")
			return
		}
		k.violationText("hello comes first, and once")
		return
	}
	var m netcode.Message
	var handle func(*Loop, *conn)
	switch t {
	case netcode.TypeHello:
		m, handle = &l.hello, (*Loop).takeHello
	case netcode.TypeJoin:
		m, handle = &l.join, (*Loop).takeJoin
	case netcode.TypeLeave:
		m, handle = &l.leave, (*Loop).takeLeave
	case netcode.TypeInput:
		m, handle = &l.input, (*Loop).takeInput
	case netcode.TypeAck:
		m, handle = &l.ack, (*Loop).takeAck
	case netcode.TypePing:
		m, handle = &l.ping, (*Loop).takePing
	default:
		k.violationText("unknown message type")
		return
	}
	if err := l.parser.Read(m); err != nil {
		if t == netcode.TypeHello {
			k.violation(err)
			return
		}
		k.refuse(0, netcode.CodeBadMessage, err.Error(), 0)
		return
	}
	handle(l, k)
}

func (l *Loop) takePing(k *conn) {
	pong := netcode.Pong{Time: l.ping.Time, Now: uint64(l.nowMs)}
	k.send(&pong)
}
