package engine

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"
)

func TestConnectionsBeyondTheLimitAreAnswered503(t *testing.T) {
	// Without it, the server runs out of descriptors, or clients wait for an answer that never comes.
	s := start(t, echoing(), func(c *Config) { c.MaxConns = 3 })
	clients := []*client{dial(t, s), dial(t, s), dial(t, s)}
	for range 5 {
		c := connect(t, s)
		c.send([]byte(goodRequest))
		if got := c.status(); !strings.HasPrefix(got, "HTTP/1.1 503 ") {
			t.Fatalf("answered %q", got)
		}
		if body, err := io.ReadAll(c.r); err != nil || len(body) == 0 {
			t.Errorf("body %q, %v", body, err)
		}
	}
	clients[0].Close()
	eventually(t, "a place", func() bool { return s.Stats().Conns == 2 })
	c := dial(t, s)
	c.send(clientFrame(true, ws.OpText, []byte("x")))
	c.wantFrame(ws.OpText, "x")
	if st := s.Stats(); st.Refused != 5 || st.Accepted != 9 {
		t.Errorf("stats: %+v", st)
	}
}

func TestASlowHandshakeIsAnswered408(t *testing.T) {
	// Without it, a client that sends a byte now and then, or none, holds a place for ever.
	s := start(t, echoing(), func(c *Config) { c.HandshakeTimeout = 200 * time.Millisecond })
	silent, slow := connect(t, s), connect(t, s)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		if got := slow.status(); !strings.HasPrefix(got, "HTTP/1.1 408 ") {
			t.Errorf("answered %q", got)
		}
	}()
	trickle := time.NewTicker(10 * time.Millisecond)
	defer trickle.Stop()
	for i, waiting := 0, true; waiting; i++ {
		select {
		case <-answered:
			waiting = false
		case <-trickle.C:
			_, _ = slow.Write([]byte(goodRequest[i : i+1]))
		}
	}
	if got := silent.status(); !strings.HasPrefix(got, "HTTP/1.1 408 ") {
		t.Errorf("answered %q", got)
	}
	silent.Close()
	slow.Close()
	eventually(t, "places free", func() bool { return s.Stats().Conns == 0 })
}

func TestRefusedHandshakesAreReadable(t *testing.T) {
	// Without it, the answer is lost when the socket is closed over bytes still coming.
	s := start(t, echoing(), func(c *Config) { c.Path = "/play" })
	for request, want := range map[string]string{
		strings.Replace(goodRequest, "/play", "/", 1): "HTTP/1.1 404 ",
		"nonsense\r\n\r\n": "HTTP/1.1 400 ",
		"GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 200<<10) + "\r\n": "HTTP/1.1 431 ",
	} {
		c := connect(t, s)
		go c.Write([]byte(request)) // may fail half-way
		if got := c.status(); !strings.HasPrefix(got, want) {
			t.Errorf("%.20q answered %q, want %q", request, got, want)
		}
		if _, err := io.ReadAll(c.r); err != nil {
			t.Errorf("%.20q: %v", request, err)
		}
	}
	// A turn is counted when it ends, which is after its answer was written.
	eventually(t, "three rejections counted", func() bool { return s.Stats().Rejected == 3 })
}

func TestAcceptedSocketsHaveTheirOptions(t *testing.T) {
	// Without it, the kernel holds megabytes for a client that does not read, or delays small writes.
	opened := make(chan *Conn, 1)
	s := start(t, &hooks{open: func(c *Conn) { opened <- c }}, func(c *Config) { c.SendBufferBytes = 32 << 10 })
	dial(t, s)
	conn := await(t, "Open", opened)
	onLoop(t, s.Loops()[0], func() {
		size, err := unix.GetsockoptInt(conn.socket.Fd(), unix.SOL_SOCKET, unix.SO_SNDBUF)
		if err != nil || size != 2*32<<10 {
			t.Errorf("SO_SNDBUF %d, %v; want twice %d", size, err, 32<<10)
		}
		delay, err := unix.GetsockoptInt(conn.socket.Fd(), unix.IPPROTO_TCP, unix.TCP_NODELAY)
		if err != nil || delay == 0 {
			t.Errorf("TCP_NODELAY %d, %v", delay, err)
		}
	})
}
