package sessions

import (
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tickover.dev/codec"
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

	overrun atomic.Bool // something was not delivered: the loop's views have a hole

	mu sync.Mutex
	// Guarded by mu.
	missed []engine.Task // what was not delivered, see accept

	// Owned by the loop.
	replicas map[rooms.ID]*replica
	conns    map[*conn]struct{}
	waiting  []*conn       // for hello, oldest first
	drops    []pendingDrop // not taken by their rooms yet
	serial   uint64        // of the message that is being handled
	nowMs    int64         // when its handling began, see Hub.nowMs
	parser   netcode.Parser

	// Owned by the loop, and only kept so that they need not be allocated anew.
	scratch []byte
	hello   netcode.Hello
	join    netcode.Join
	leave   netcode.Leave
	input   netcode.Input
	ack     netcode.Ack
	ping    netcode.Ping
	pong    netcode.Pong
	tick    netcode.Tick
	mail    rooms.Mail
}

// Open implements engine.Handler.
func (l *Loop) Open(c *engine.Conn) { c.Data = l.open(c) }

func (l *Loop) open(s Socket) *conn {
	k := &conn{loop: l, socket: s, helloBy: l.hub.now().Add(l.hub.config.HelloTimeout)}
	k.allowance = allowance{messages: l.hub.config.MessageBurst, parts: partsBurst, refilledMs: l.hub.nowMs()}
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
	if l.overrun.Load() {
		l.recover()
	}
	l.drops = slices.DeleteFunc(l.drops, func(d pendingDrop) bool { return d.post() })
	n := 0
	for n < len(l.waiting) && (l.waiting[n].state != stateNew || !now.Before(l.waiting[n].helloBy)) {
		if k := l.waiting[n]; k.state == stateNew {
			k.hangUp(netcode.CloseNoHello, "no hello")
		}
		n++
	}
	clear(l.waiting[:n])
	l.waiting = l.waiting[n:]
	if len(l.waiting) == 0 {
		l.waiting = nil // let go of the array
	}
}

// post tries to hand a drop to its room, and reports whether that is done with.
func (d *pendingDrop) post() bool { return !errors.Is(d.room.Post(&d.mail), rooms.ErrMailboxFull) }

// message handles one message of the WebSocket.
func (l *Loop) message(k *conn, payload []byte) {
	if k.state == stateClosed {
		return
	}
	l.serial++
	l.nowMs = l.hub.nowMs()
	if !k.allow() {
		return
	}
	if err := netcode.Check(payload); err != nil {
		k.violation(err)
		return
	}
	l.parser.Reset(payload)
	for parts := 1; k.state != stateClosed; parts++ {
		t, err := l.parser.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			k.violation(err)
			return
		}
		if !k.allowPart() {
			return
		}
		if err := l.dispatch(k, t); err != nil { // what is behind it may make sense all the same
			k.refuse(0, netcode.CodeBadMessage, err.Error(), 0)
			payload = skip(payload, parts)
			l.parser.Reset(payload)
			parts = 0
		}
	}
}

// skip gives what follows the first n values of a message that passed Check.
func skip(payload []byte, n int) []byte {
	r := codec.NewReader(payload)
	for range n {
		if r.Skip() != nil {
			return nil // it has passed Check: it never does
		}
	}
	return r.Rest()
}

// dispatch handles one part of a message. An error means that its fields are not what they should be, and that it was left out.
func (l *Loop) dispatch(k *conn, t netcode.Type) error {
	if !k.expects(t) {
		return nil
	}
	m, handle := l.handler(t)
	if m == nil {
		k.violationText("unknown message type")
		return nil
	}
	if err := l.parser.Read(m); err != nil {
		if t == netcode.TypeHello {
			k.violation(err) // there is no connection without it
			return nil
		}
		return err
	}
	handle(l, k)
	return nil
}

// expects closes the connection if this is not the time for a message of type t: hello comes first and once, and until it is
// answered nothing but pings may follow.
func (k *conn) expects(t netcode.Type) bool {
	switch {
	case (t == netcode.TypeHello) != (k.state == stateNew) && !(t == netcode.TypePing && k.state == stateGreeting):
		k.violationText("hello comes first, and once")
		return false
	case k.state == stateGreeting && t != netcode.TypePing:
		k.violationText("nothing but ping may follow hello before welcome")
		return false
	}
	return true
}

// handler gives where a message of type t is read into, and what handles it.
func (l *Loop) handler(t netcode.Type) (netcode.Message, func(*Loop, *conn)) {
	switch t {
	case netcode.TypeHello:
		return &l.hello, (*Loop).takeHello
	case netcode.TypeJoin:
		return &l.join, (*Loop).takeJoin
	case netcode.TypeLeave:
		return &l.leave, (*Loop).takeLeave
	case netcode.TypeInput:
		return &l.input, (*Loop).takeInput
	case netcode.TypeAck:
		return &l.ack, (*Loop).takeAck
	case netcode.TypePing:
		return &l.ping, (*Loop).takePing
	}
	return nil, nil
}

func (l *Loop) takePing(k *conn) {
	l.pong = netcode.Pong{Time: l.ping.Time, Now: uint64(l.hub.now().UnixMilli())}
	k.send(&l.pong)
}
