package engine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	runAsChild()
	goleak.VerifyTestMain(m,
		// gnet makes a worker pool when it is loaded, and never ends it.
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"))
}

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// hooks is a handler made of functions, each of which may be nil.
type hooks struct {
	open    func(*Conn)
	message func(*Conn, bool, []byte)
	closed  func(*Conn, error)
	tick    func(time.Time)
}

func (h *hooks) Open(c *Conn) {
	if h.open != nil {
		h.open(c)
	}
}

func (h *hooks) Message(c *Conn, text bool, payload []byte) {
	if h.message != nil {
		h.message(c, text, payload)
	}
}

func (h *hooks) Closed(c *Conn, err error) {
	if h.closed != nil {
		h.closed(c, err)
	}
}

func (h *hooks) Tick(now time.Time) {
	if h.tick != nil {
		h.tick(now)
	}
}

// echoing sends every message back in its kind.
func echoing() *hooks {
	return &hooks{message: func(c *Conn, text bool, p []byte) { c.Send(text, p) }}
}

// start runs a server for the length of the test, with the same handler on all loops.
func start(t testing.TB, h Handler, change func(*Config)) *Server {
	t.Helper()
	cfg := Config{
		Addr:  "127.0.0.1:0",
		Loops: 1,
		Log:   slog.New(slog.DiscardHandler),
		New:   func(*Loop) Handler { return h },
	}
	if change != nil {
		change(&cfg)
	}
	s, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Stop(ctx, CodeGoingAway, ""); err != nil {
			t.Errorf("stop: %v", err)
		}
		select {
		case err := <-s.Failed():
			t.Errorf("failed: %v", err)
		default:
		}
	})
	return s
}

// client is the other end, speaking in bytes.
type client struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

// connect opens a TCP connection and says nothing yet.
func connect(t testing.TB, s *Server) *client {
	t.Helper()
	nc, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &client{Conn: nc, t: t, r: bufio.NewReader(nc)}
}

// dial connects and shakes hands.
func dial(t testing.TB, s *Server) *client {
	t.Helper()
	c := connect(t, s)
	c.send([]byte(goodRequest))
	c.upgraded()
	return c
}

func (c *client) send(b ...[]byte) {
	c.t.Helper()
	if _, err := c.Write(joined(b...)); err != nil {
		c.t.Fatal(err)
	}
}

// status reads an HTTP answer's head and returns its first line.
func (c *client) status() string {
	c.t.Helper()
	first := ""
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("answer: %v after %q", err, first)
		}
		if line = strings.TrimSpace(line); line == "" {
			return first
		}
		if first == "" {
			first = line
		}
	}
}

func (c *client) upgraded() {
	c.t.Helper()
	if got := c.status(); !strings.HasPrefix(got, "HTTP/1.1 101 ") {
		c.t.Fatalf("handshake answered %q", got)
	}
}

func (c *client) frame() (ws.OpCode, string) {
	c.t.Helper()
	h, err := ws.ReadHeader(c.r)
	if err != nil {
		c.t.Fatalf("frame: %v", err)
	}
	if h.Masked || !h.Fin || h.Rsv != 0 {
		c.t.Fatalf("frame: %+v", h)
	}
	payload := make([]byte, h.Length)
	if _, err := io.ReadFull(c.r, payload); err != nil {
		c.t.Fatalf("payload: %v", err)
	}
	return h.OpCode, string(payload)
}

func (c *client) wantFrame(opcode ws.OpCode, payload string) {
	c.t.Helper()
	if op, p := c.frame(); op != opcode || p != payload {
		c.t.Fatalf("got frame %v %.100q, want %v %.100q", op, p, opcode, payload)
	}
}

// wantClose reads up to the close frame, which must have the code, and then to the end of the stream.
func (c *client) wantClose(code uint16) {
	c.t.Helper()
	for {
		op, p := c.frame()
		if op != ws.OpClose {
			continue
		}
		got, _ := ws.ParseCloseFrameDataUnsafe([]byte(p))
		if uint16(got) != code {
			c.t.Fatalf("closed with %q, want code %d", p, code)
		}
		return
	}
}

func (c *client) wantEnd() {
	c.t.Helper()
	if b, err := io.ReadAll(c.r); err != nil || len(b) > 0 {
		c.t.Fatalf("end of stream: %d more bytes, %v", len(b), err)
	}
}

// await receives from a channel.
func await[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("%s: nothing came", what)
		panic("unreachable")
	}
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	if !within(patience, ok) {
		t.Fatalf("%s: not within %v", what, patience)
	}
}

// within reports whether ok comes true in time.
func within(d time.Duration, ok func() bool) bool {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(d); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// onLoop runs f on the loop and waits for it.
func onLoop(t testing.TB, l *Loop, f func()) {
	t.Helper()
	done := make(chan struct{})
	if err := l.Post(task(func(*Loop) { f(); close(done) })); err != nil {
		t.Fatal(err)
	}
	await(t, "task", done)
}

type task func(*Loop)

func (f task) Run(l *Loop) { f(l) }

// wantCause checks why a connection ended.
func wantCause(t testing.TB, err error, code uint16, remote bool) {
	t.Helper()
	closed, ok := errors.AsType[*CloseError](err)
	if !ok || closed.Code != code || closed.Remote != remote {
		t.Errorf("closed because of %v, want code %d, remote %v", err, code, remote)
	}
}

// roundTrip sends a ping and waits for its pong, over a new connection if nc is nil.
func roundTrip(s *Server, nc net.Conn) (net.Conn, error) {
	want := "\x8a\x00"
	if nc == nil {
		var err error
		if nc, err = net.Dial("tcp", s.Addr().String()); err != nil {
			return nil, err
		}
		if _, err := nc.Write([]byte(goodRequest)); err != nil {
			return nil, err
		}
		want = "\r\n\r\n" + want
	}
	_ = nc.SetDeadline(time.Now().Add(patience))
	if _, err := nc.Write(clientFrame(true, ws.OpPing, nil)); err != nil {
		return nil, err
	}
	got, b := "", make([]byte, 512)
	for !strings.HasSuffix(got, want) {
		n, err := nc.Read(b)
		if err != nil {
			return nil, fmt.Errorf("%w after %q", err, got)
		}
		got += string(b[:n])
	}
	return nc, nil
}
