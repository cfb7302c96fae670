package engine

import (
	"math"
	"net/netip"
	"time"

	"github.com/gobwas/ws"
	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

// connState is where a connection stands.
//
//	           101 sent         Close, backlog, silence, panic
//	handshake ──────────► open ────────────────────────────────► closing
//	    │                  │                                        │
//	    │ refused          │ peer's close frame, answered           │ peer's close frame
//	    │                  │ protocol broken                        │ protocol broken
//	    ▼                  ▼                                        ▼
//	lingering ◄────────────┴────────────────────────────────────────┘
//	    └───────────────────────────────────────────► gone
//	                    peer's end of stream
//
// Every state but open and gone has a deadline. Lingering ends our half of the stream when all is written, tells the
// handler, and discards what comes until the peer ends its half, so that the peer reads our last words before it
// learns that nobody listens: closing a socket resets it if there are unread bytes, or if more come.
type connState uint8

const (
	stateHandshake connState = iota
	stateOpen
	stateClosing
	stateLingering
	stateGone
)

// Conn is one WebSocket connection. All its methods belong to its loop's goroutine. After Closed, and between
// Close and Closed, the sending methods do nothing.
type Conn struct {
	// Data is the handler's; the engine never looks at it.
	Data any

	// Set before the first event, then read-only; remote until a proxy has said whom it speaks for.
	loop   *Loop
	socket gnet.Conn
	remote netip.AddrPort

	// Owned by the loop.
	frames frameParser
	out    *output     // what this turn has to say; nil: nothing. If set, the connection is in loop.dirty.
	cause  *CloseError // why it is closing, once it is
	due    int64       // loop time at which patience ends, see Loop.now
	slot   int32       // its place in the roster of its state
	state  connState
	shut   bool // lingering: our half is shut down
	heard  bool // the peer's close frame has come

	second int32  // of the loop's time, in which
	extras uint32 // so many frames came that were no whole message

	announced  bool // to the handler
	introduced bool // by its proxy, or it has none

	// Written once by the loop, read afterwards by the acceptor that waits for it.
	enrolled bool
}

// Loop is the loop that the connection lives on.
func (c *Conn) Loop() *Loop { return c.loop }

// Open reports whether messages can still be sent: the handshake is done and neither side has closed.
func (c *Conn) Open() bool { return c.state == stateOpen }

// RemoteAddr is the peer's address: that of the client, if a trusted proxy tells it, or else of the proxy. It stays valid after Closed.
func (c *Conn) RemoteAddr() netip.AddrPort { return c.remote }

// Append adds p to the one binary message that leaves at the end of this turn. It copies p. All Appends of a turn
// make one message, unless a Send comes between them. Appending nothing does nothing.
func (c *Conn) Append(p []byte) {
	if c.state != stateOpen || len(p) == 0 || !c.hasRoom(len(p)) {
		return
	}
	o := c.output()
	if o.open == noOpenFrame {
		c.loop.tally.messagesOut++
	}
	o.append(p)
}

// Send queues p as a message of its own, in order with Append, for the same single write. It copies p.
func (c *Conn) Send(text bool, p []byte) {
	if c.state != stateOpen || !c.hasRoom(len(p)) {
		return
	}
	opcode := ws.OpBinary
	if text {
		opcode = ws.OpText
	}
	c.loop.tally.messagesOut++
	c.output().appendFrame(opcode, p)
}

// Backlog is the number of bytes that wait in this process for the connection to take them, frames included.
func (c *Conn) Backlog() int {
	if c.state == stateGone {
		return 0
	}
	if c.out != nil {
		return c.out.ahead + c.out.size()
	}
	return c.socket.OutboundBuffered()
}

// Close sends a close frame behind what is queued, waits up to Config.CloseTimeout for the peer's, and closes.
// Only the first call counts. A reason is cut to 123 bytes; a code that must not be sent (see RFC 6455, section
// 7.4) becomes CodeNoStatus, a close frame without code and reason. Closed follows, never from within Close.
func (c *Conn) Close(code uint16, reason string) {
	if c.state != stateOpen {
		return
	}
	if !validCloseCode(code) {
		code = CodeNoStatus
	}
	c.sayClose(&CloseError{Code: code, Reason: cutReason(reason)})
	c.enter(stateClosing)
}

// hasRoom reports whether n more bytes fit the backlog, and closes the connection if they do not. What this turn
// had to say is dropped then: the peer has yet to read a whole backlog, and the close frame must get behind it.
func (c *Conn) hasRoom(n int) bool {
	if c.Backlog()+n+headRoom <= c.loop.maxBacklog {
		return true
	}
	if c.out != nil {
		c.out.reset()
	}
	c.Close(c.loop.backlogCode, "backlog full")
	return false
}

// output is what this turn sends; it makes the connection dirty.
func (c *Conn) output() *output {
	if c.out == nil {
		c.out = c.loop.outputs.get()
		c.out.ahead = c.socket.OutboundBuffered()
		c.loop.dirty = append(c.loop.dirty, c)
	}
	return c.out
}

// sayClose queues a close frame and remembers why, unless something was said before.
func (c *Conn) sayClose(why *CloseError) {
	c.cause = why
	var room [maxControlBytes]byte
	c.output().appendFrame(ws.OpClose, closePayload(&room, why.Code, why.Reason))
}

// enter moves the connection to a state that has a deadline.
func (c *Conn) enter(s connState) {
	c.loop.moveTo(c, s)
	c.due = c.loop.now + c.loop.closeTimeout
	c.loop.ending = append(c.loop.ending, c)
}

// receive handles bytes that came after the handshake.
func (c *Conn) receive(b []byte) {
	for c.state == stateOpen || c.state == stateClosing {
		e, rest, err := c.frames.next(b)
		if err == nil && c.frames.extra > 0 && c.overdoes() {
			err = errTooManyFrames
		}
		if err != nil {
			c.broken(err)
			return
		}
		if e.kind == eventNone {
			return
		}
		b = rest
		c.handle(e)
	}
}

// overdoes reports whether the peer has sent more pings, pongs and fragments within this second than it may.
func (c *Conn) overdoes() bool {
	n := c.frames.extra
	c.frames.extra = 0
	if c.loop.maxExtra < 0 {
		return false
	}
	if second := int32(c.loop.now / int64(time.Second)); second != c.second {
		c.second, c.extras = second, 0
	}
	c.extras = min(c.extras+uint32(n), math.MaxUint16)
	return int(c.extras) > c.loop.maxExtra
}

// handle acts on one event. Once we have said close, only the peer's close matters.
func (c *Conn) handle(e event) {
	if e.kind == eventClose {
		c.peerClosed(e)
		return
	}
	if c.state != stateOpen {
		return
	}
	c.due = c.loop.now + c.loop.silence
	switch e.kind {
	case eventText, eventBinary:
		c.loop.tally.messagesIn++
		c.loop.deliver(c, e.kind == eventText, e.payload)
	case eventPing: // every ping is answered, in order
		if c.hasRoom(len(e.payload)) {
			c.output().insertControl(ws.OpPong, e.payload)
		}
	}
}

// peerClosed answers the peer's close frame, if it is not itself the answer to ours, and lets go.
func (c *Conn) peerClosed(e event) {
	if c.state == stateOpen {
		c.sayClose(&CloseError{Code: e.code, Reason: string(e.payload), Remote: true})
	}
	c.heard = true
	c.frames.release()
	c.enter(stateLingering)
}

// broken tells the peer what it did wrong and stops listening: frames cannot be told apart any more.
func (c *Conn) broken(why *CloseError) {
	if c.state == stateOpen {
		c.sayClose(why)
	}
	c.frames.release()
	c.enter(stateLingering)
}

// refuse answers the handshake with something else than 101.
func (c *Conn) refuse(r *refusal) {
	c.loop.tally.rejected++
	c.writeNow(r.response())
	if c.state != stateGone { // a failing write has closed it
		c.enter(stateLingering)
	}
}

// writeNow writes outside of any frame. On an error the connection is gone when it returns.
func (c *Conn) writeNow(p []byte) {
	c.loop.tally.bytesOut += uint64(len(p))
	_, _ = c.socket.Write(p) // an error has already come back as OnClose
}

// wind moves a connection with a deadline on, as far as its peer allows: at the end of the turn that put it into
// its state, and with every sweep after that.
func (c *Conn) wind() {
	now := c.loop.now
	switch {
	case c.state == stateOpen, c.state == stateGone:
	case c.state == stateHandshake:
		if now >= c.due {
			c.refuse(refuseSlow)
		}
	case now >= c.due:
		c.cut()
	case c.state == stateLingering && c.socket.OutboundBuffered() == 0:
		if !c.shut {
			c.shut = true
			_ = unix.Shutdown(c.socket.Fd(), unix.SHUT_WR) // fails only if the peer is gone, which is read next
			c.report(nil)
		}
		if c.heard && c.loop.server.stopping.Load() {
			c.cut() // both have said goodbye: no peer holds up a stop that way
		}
	}
}

// cut closes the socket; OnClose runs before it returns.
func (c *Conn) cut() {
	if c.state != stateGone {
		_ = c.loop.events.Close(c.socket)
	}
}
