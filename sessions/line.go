package sessions

import "tickover.dev/engine"

// This file is for connections that are not an engine's: whoever runs whole nodes without sockets has loops and lines of his own.

// Socket is what a connection is written to. *engine.Conn is one.
type Socket interface {
	Append(p []byte) // part of the one message that leaves at the end of the loop's turn
	Close(code uint16, reason string)
	Backlog() int // bytes
}

// NewLoopOn is NewLoop for a loop that is not an engine's. post hands it a task, which is then run with nil; it may be called from any
// goroutine, must not block, and refuses with engine.ErrMailboxFull or engine.ErrStopped.
func (h *Hub) NewLoopOn(post func(engine.Task) error) *Loop { return h.newLoop(post) }

// Line is a connection over a Socket. Its methods are for its loop's goroutine.
type Line struct{ conn *conn }

// Plug opens a connection over a socket, as Open does for one of the engine.
func (l *Loop) Plug(s Socket) *Line { return &Line{l.open(s)} }

// Message takes one message of the client.
func (k *Line) Message(payload []byte) { k.conn.loop.message(k.conn, payload) }

// Closed notes that the socket is gone.
func (k *Line) Closed() { k.conn.loop.closed(k.conn) }
