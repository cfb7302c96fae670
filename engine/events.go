package engine

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"

	"github.com/panjf2000/gnet/v2"
)

// events receives gnet's callbacks and hands them to the loop they belong to. Each one is a turn of its own, or part
// of the turn that caused it. What gnet keeps for us is the *Conn, or the *Loop for the socket that finds a loop.
type events struct {
	gnet.BuiltinEventEngine
	server *Server
}

// OnOpen runs when an accepted connection reaches its loop.
func (e *events) OnOpen(socket gnet.Conn) ([]byte, gnet.Action) {
	switch of := socket.Context().(type) {
	case *Loop:
		of.events = socket.EventLoop()
	case *Conn:
		l := e.server.loopOf(socket.EventLoop())
		defer l.contain(of)
		l.begin()
		of.loop, of.socket = l, socket
		of.frames.rules = &l.rules
		of.due = l.now + int64(e.server.cfg.HandshakeTimeout)
		of.enrolled = true
		l.passing.add(of)
		l.end()
	}
	return nil, gnet.None
}

// OnTraffic runs when bytes have come. All of them are taken, save for a request that is not whole yet, so gnet
// never holds more than that.
func (e *events) OnTraffic(socket gnet.Conn) gnet.Action {
	c, ok := socket.Context().(*Conn)
	// Peeking and discarding nothing would mean everything.
	if !ok || socket.InboundBuffered() == 0 {
		return gnet.None
	}
	defer c.loop.contain(c)
	c.loop.begin()
	b, err := socket.Peek(-1)
	if err == nil {
		if used := c.take(b); used > 0 && c.state != stateGone {
			c.loop.tally.bytesIn += uint64(used)
			_, _ = socket.Discard(used)
		}
	}
	c.loop.turned(c)
	c.loop.end()
	return gnet.None
}

// OnClose runs when the socket is about to be closed, whoever wanted it.
func (e *events) OnClose(socket gnet.Conn, err error) gnet.Action {
	c, ok := socket.Context().(*Conn)
	if !ok {
		return gnet.None
	}
	defer c.loop.contain(c)
	c.loop.begin()
	c.gone(err)
	c.loop.end()
	return gnet.None
}

// take uses the bytes received and returns how many of them are done with.
func (c *Conn) take(b []byte) int {
	used := len(b)
	if c.state == stateHandshake {
		header, ok := c.proxied(b)
		if !ok || len(b) == header {
			return header
		}
		b = b[header:]
		size, answer, refused := c.loop.handshake.answer(b)
		switch {
		case refused != nil:
			c.refuse(refused)
			return used
		case size == 0:
			return header
		}
		c.upgrade(answer)
		b = b[size:]
	}
	c.receive(b)
	return used
}

// upgrade makes a connection of the socket.
func (c *Conn) upgrade(answer []byte) {
	l := c.loop
	c.writeNow(answer)
	if c.state == stateGone {
		return
	}
	l.moveTo(c, stateOpen)
	c.due = l.now + l.silence
	l.upgraded.Add(1)
	l.open.Add(1)
	c.announced = true
	l.opened(c)
}

// gone forgets the connection.
func (c *Conn) gone(err error) {
	l := c.loop
	if c.state == stateGone {
		return
	}
	l.moveTo(c, stateGone)
	if c.out != nil {
		l.outputs.put(c.out)
		c.out = nil
	}
	c.frames.release()
	l.server.leave(c)
	c.report(err)
}

// report tells the handler that the connection is closed, if it ever was announced and that was not told before.
func (c *Conn) report(err error) {
	if !c.announced {
		return
	}
	c.announced = false
	l := c.loop
	l.open.Add(-1)
	code := CodeAbnormal
	switch {
	case c.cause != nil:
		code, err = c.cause.Code, c.cause
	case err == nil && l.server.stopping.Load():
		err = ErrStopped
	case err == nil:
		err = io.EOF
	}
	l.server.closeCounts.add(code)
	l.closed(c, err)
}

// contain keeps a fault of the engine itself to the connections it came by, those that this turn had yet to write
// included: gnet would let it end the process.
func (l *Loop) contain(c *Conn) {
	fault := recover()
	if fault == nil {
		return
	}
	l.panics.Add(1)
	l.log.Error("engine fault", "fault", fault, "stack", string(debug.Stack()))
	suspects := append(append([]*Conn{c}, l.dirty...), l.ending...)
	l.dirty, l.ending, l.depth = nil, nil, 0
	for _, c := range suspects {
		if c != nil && c.state != stateGone {
			c.out = nil
			_ = c.socket.Close() // in a later turn: this one may be anywhere
		}
	}
	l.mailbox.again.Reset(drainPause) // should the fault have ended a drain
}

// gnetLog passes gnet's log on. Its warnings are about events of connections that the same turn has just closed,
// which is normal here.
type gnetLog struct{ log *slog.Logger }

func (g gnetLog) Debugf(format string, args ...any) { g.logf(slog.LevelDebug, format, args) }
func (g gnetLog) Infof(format string, args ...any)  { g.logf(slog.LevelDebug, format, args) }
func (g gnetLog) Warnf(format string, args ...any)  { g.logf(slog.LevelDebug, format, args) }
func (g gnetLog) Errorf(format string, args ...any) { g.logf(slog.LevelError, format, args) }
func (g gnetLog) Fatalf(format string, args ...any) { g.logf(slog.LevelError, format, args) }

func (g gnetLog) logf(level slog.Level, format string, args []any) {
	if g.log.Enabled(context.Background(), level) {
		g.log.Log(context.Background(), level, "gnet", "text", fmt.Sprintf(format, args...))
	}
}
