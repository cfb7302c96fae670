package engine

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
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
	if got := s.Stats().Rejected; got != 3 {
		t.Errorf("%d rejections counted", got)
	}
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

// starveEnv makes the test binary run starve instead of its tests, in a process of its own.
const starveEnv = "ENGINE_TEST_STARVE"

func runAsChild() {
	if os.Getenv(starveEnv) == "" {
		return
	}
	if err := starve(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func TestRunningOutOfDescriptorsIsSurvived(t *testing.T) {
	// Without it, one moment without descriptors, whoever took them, ends the server for everybody.
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), starveEnv+"=1")
	if out, err := child.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// starve takes every descriptor away from a running server, lets clients knock, gives them back, and expects those
// clients and everybody else to be served.
func starve() error {
	limit := unix.Rlimit{Cur: 200, Max: 200}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	s, err := Start(Config{Addr: "127.0.0.1:0", Loops: 2, Log: slog.New(slog.DiscardHandler), New: func(*Loop) Handler { return echoing() }})
	if err != nil {
		return err
	}
	if want := 200 - 64 - 10; s.cfg.MaxConns != want {
		return fmt.Errorf("MaxConns %d, want %d", s.cfg.MaxConns, want)
	}
	before, err := roundTrip(s, nil)
	if err != nil {
		return fmt.Errorf("before: %w", err)
	}
	// Sockets that will connect while nothing else can be opened.
	var knocking []int
	for range 5 {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		knocking = append(knocking, fd)
	}
	var hoard []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if errors.Is(err, unix.EMFILE) {
			break
		}
		if err != nil {
			return err
		}
		hoard = append(hoard, f)
	}
	for _, fd := range knocking {
		if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(s.Addr().Port()), Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			return err
		}
	}
	if !within(patience, func() bool { return s.Stats().AcceptErrors > 0 }) {
		return errors.New("the server never ran out of descriptors")
	}
	if _, err := roundTrip(s, before); err != nil {
		return fmt.Errorf("meanwhile: %w", err)
	}
	for _, f := range hoard {
		f.Close()
	}
	for _, fd := range knocking {
		f := os.NewFile(uintptr(fd), "knocking")
		nc, err := net.FileConn(f)
		f.Close()
		if err != nil {
			return err
		}
		if _, err := nc.Write([]byte(goodRequest)); err != nil {
			return err
		}
		_ = nc.SetDeadline(time.Now().Add(patience))
		if _, err := nc.Read(make([]byte, 1)); err != nil {
			return fmt.Errorf("a client that came meanwhile: %w", err)
		}
		nc.Close()
	}
	if _, err := roundTrip(s, nil); err != nil {
		return fmt.Errorf("afterwards: %w", err)
	}
	select {
	case err := <-s.Failed():
		return err
	default:
		return nil
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
