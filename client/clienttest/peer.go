// Package clienttest holds servers for tests of clients and bots, as net/http/httptest does for HTTP: a scripted one ([Listen]),
// whose every message the test decides, and a [Ledger], a small honest server of one process that can be told to misbehave. They
// speak the real protocol over real sockets on a free port, or over pipes for tests under testing/synctest.
//
// It is not a server to play on: it checks nothing, bounds little, and keeps everything in memory. A Peer's methods may be called
// from any goroutine, Next from one at a time.
package clienttest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"tickover.dev/netcode"
)

// Peer is the server's end of one connection.
type Peer struct {
	Number int // of this connection, from 0 in the order of arrival

	conn net.Conn

	// Owned by the goroutine that calls Next.
	queue []netcode.Message

	mu sync.Mutex // one message is written at a time
}

// Listen serves every connection on a free port with serve, until the test ends, and gives the URL. The connection is cut when
// serve returns.
func Listen(tb testing.TB, serve func(*Peer)) (url string) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := &door{serve: serve, open: map[net.Conn]bool{}}
	s.all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.enter(conn)
		}
	})
	tb.Cleanup(func() { l.Close(); s.close() })
	return "ws://" + l.Addr().String() + "/"
}

// Pipe is Listen without a network: it gives what client.Config.Dial wants.
func Pipe(tb testing.TB, serve func(*Peer)) (dial func(ctx context.Context, network, addr string) (net.Conn, error)) {
	s := &door{serve: serve, open: map[net.Conn]bool{}}
	tb.Cleanup(s.close)
	return func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		s.enter(here)
		return there, nil
	}
}

// door lets connections in and cuts them all at the end.
type door struct {
	serve func(*Peer)
	all   sync.WaitGroup

	mu sync.Mutex
	// Guarded by mu.
	open   map[net.Conn]bool
	count  int
	closed bool
}

func (d *door) enter(conn net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		conn.Close()
		return
	}
	p := &Peer{conn: conn, Number: d.count}
	d.count++
	d.open[conn] = true
	d.all.Go(func() {
		defer func() {
			conn.Close()
			d.mu.Lock()
			delete(d.open, conn)
			d.mu.Unlock()
		}()
		u := ws.Upgrader{Protocol: func(p []byte) bool { return string(p) == netcode.Subprotocol }}
		if _, err := u.Upgrade(conn); err == nil {
			d.serve(p)
		}
	})
}

func (d *door) close() {
	d.mu.Lock()
	d.closed = true
	for conn := range d.open {
		conn.Close()
	}
	d.mu.Unlock()
	d.all.Wait()
}

// Next gives the client's next message. Pings of the WebSocket are answered; a close frame is io.EOF.
func (p *Peer) Next() (netcode.Message, error) {
	for len(p.queue) == 0 {
		data, op, err := wsutil.ReadClientData(p.conn)
		if closed := (wsutil.ClosedError{}); errors.As(err, &closed) {
			return nil, io.EOF
		}
		if err != nil {
			return nil, err
		}
		if op != ws.OpBinary {
			return nil, fmt.Errorf("a message of kind %d", op)
		}
		if len(data) > 16<<10 {
			return nil, fmt.Errorf("a message of %d bytes", len(data))
		}
		if p.queue, err = Parse(data); err != nil {
			return nil, err
		}
	}
	m := p.queue[0]
	p.queue = p.queue[1:]
	return m, nil
}

// Send writes one WebSocket message that holds ms.
func (p *Peer) Send(ms ...netcode.Message) error {
	var data []byte
	for _, m := range ms {
		data = m.Append(data)
	}
	return p.SendFrame(ws.NewBinaryFrame(data))
}

// SendFrame writes any frame, well formed or not.
func (p *Peer) SendFrame(f ws.Frame) error {
	b, err := ws.CompileFrame(f)
	if err != nil {
		return err
	}
	return p.SendBytes(b)
}

// SendBytes writes bytes that need not be a frame.
func (p *Peer) SendBytes(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
	_, err := p.conn.Write(b)
	return err
}

// Close sends a close frame and cuts the connection.
func (p *Peer) Close(code uint16, reason string) {
	p.SendFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusCode(code), reason)))
	p.Cut()
}

// Cut ends the connection without a word, as a killed process does.
func (p *Peer) Cut() { p.conn.Close() }

// Parse reads the messages of a client's frame.
func Parse(frame []byte) (ms []netcode.Message, err error) {
	if err := netcode.Check(frame); err != nil {
		return nil, err
	}
	var p netcode.Parser
	p.Reset(frame)
	for {
		t, err := p.Next()
		if err == io.EOF {
			return ms, nil
		}
		if err != nil {
			return nil, err
		}
		kinds := map[netcode.Type]func() netcode.Message{
			netcode.TypeHello: func() netcode.Message { return new(netcode.Hello) },
			netcode.TypeJoin:  func() netcode.Message { return new(netcode.Join) },
			netcode.TypeLeave: func() netcode.Message { return new(netcode.Leave) },
			netcode.TypeInput: func() netcode.Message { return new(netcode.Input) },
			netcode.TypeAck:   func() netcode.Message { return new(netcode.Ack) },
			netcode.TypePing:  func() netcode.Message { return new(netcode.Ping) },
		}
		make, ok := kinds[t]
		if !ok {
			return nil, fmt.Errorf("a client sent message %d", t)
		}
		m := make()
		if err := p.Read(m); err != nil {
			return nil, err
		}
		ms = append(ms, m)
	}
}
