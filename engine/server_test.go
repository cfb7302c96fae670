package engine

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

func TestStopSaysGoodbyeAndLeavesNothingBehind(t *testing.T) {
	// Without it, a node's end looks like a crash to its players, and its goroutines run on (TestMain looks).
	var closed atomic.Int64
	h := echoing()
	h.closed = func(_ *Conn, err error) {
		wantCause(t, err, 1001, false)
		closed.Add(1)
	}
	s := start(t, h, func(c *Config) { c.Loops = 2 })
	var clients sync.WaitGroup
	for range 10 {
		c := dial(t, s)
		clients.Go(func() {
			c.wantClose(1001)
			c.send(closeFrame(1001, ""))
			c.wantEnd()
		})
	}
	half := connect(t, s) // in its handshake
	half.send([]byte("GET"))
	eventually(t, "all known", func() bool { return s.Stats().Conns == 11 })
	clients.Go(func() {
		if got := half.status(); !strings.HasPrefix(got, "HTTP/1.1 503 ") {
			t.Errorf("answered %q", got)
		}
		half.Close()
	})
	began := time.Now()
	if err := s.Stop(t.Context(), 1001, "stopping"); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 900*time.Millisecond {
		t.Errorf("took %v though every client answered", took)
	}
	clients.Wait()
	if closed.Load() != 10 {
		t.Errorf("Closed came %d times", closed.Load())
	}
	if err := s.Loops()[0].Post(task(func(*Loop) {})); !errors.Is(err, ErrStopped) {
		t.Errorf("Post after Stop: %v", err)
	}
	if _, err := s.gnet.Dial("tcp", s.Addr().String()); err == nil {
		t.Error("still listening")
	}
}

func TestStopDoesNotWaitForClientsThatDoNotAnswer(t *testing.T) {
	// Without it, one dead client holds up a deploy.
	causes := make(chan error, 1)
	s := start(t, &hooks{closed: func(_ *Conn, err error) { causes <- err }}, func(c *Config) { c.CloseTimeout = 50 * time.Millisecond })
	dial(t, s)
	if err := s.Stop(t.Context(), 4000, ""); err != nil {
		t.Error(err)
	}
	wantCause(t, await(t, "Closed", causes), 4000, false)
}

func TestStopDoesNotWaitForClientsThatSaidGoodbyeBefore(t *testing.T) {
	// Without it, a client that has closed and does not hang up holds up a deploy.
	s := start(t, &hooks{}, func(c *Config) { c.CloseTimeout = time.Minute })
	c := dial(t, s)
	c.send(closeFrame(1000, ""))
	c.wantClose(1000)
	c.wantEnd()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.Stop(ctx, 1001, ""); err != nil {
		t.Error(err)
	}
}

func TestStopObeysItsContext(t *testing.T) {
	// Without it, a deadline on draining means nothing.
	causes := make(chan error, 1)
	s := start(t, &hooks{closed: func(_ *Conn, err error) { causes <- err }}, func(c *Config) { c.CloseTimeout = time.Minute })
	dial(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.stopForTest(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's error", err)
	}
	wantCause(t, await(t, "Closed", causes), 4000, false)
}

func TestPostsRacingStopAreHarmless(t *testing.T) {
	// Without it, a wake-up can be written into a descriptor that is somebody else's by then.
	for range 10 {
		s := start(t, &hooks{}, func(c *Config) { c.Loops = 2 })
		var posters sync.WaitGroup
		for _, l := range s.Loops() {
			posters.Go(func() {
				for !errors.Is(l.Post(task(func(*Loop) {})), ErrStopped) {
				}
			})
		}
		if err := s.Stop(t.Context(), 1001, ""); err != nil {
			t.Error(err)
		}
		posters.Wait()
	}
}

func TestConnectionsRacingStopAreNotLost(t *testing.T) {
	// Without it, Stop hangs on, or leaks, a connection that was just being accepted.
	for range 10 {
		s := start(t, echoing(), func(c *Config) { c.Loops, c.CloseTimeout = 2, 20*time.Millisecond })
		var clients sync.WaitGroup
		var enough atomic.Bool
		for range 4 {
			clients.Go(func() {
				for !enough.Load() {
					nc, err := roundTrip(s, nil)
					if err != nil {
						return
					}
					nc.Close()
				}
			})
		}
		eventually(t, "traffic", func() bool { return s.Stats().Accepted > 8 })
		if err := s.Stop(t.Context(), 1001, ""); err != nil {
			t.Error(err)
		}
		enough.Store(true)
		clients.Wait()
		if got := s.Stats().Conns; got != 0 {
			t.Errorf("%d connections left", got)
		}
	}
}

func TestABlockedLoopIsReported(t *testing.T) {
	// Without it, a node whose handler hangs looks healthy for ever.
	s := start(t, echoing(), func(c *Config) {
		c.Loops, c.stuckAfter, c.CloseTimeout = 2, 200*time.Millisecond, 20*time.Millisecond // sweeps every 5 ms
	})
	l := s.Loops()[1]
	release := make(chan struct{})
	if err := l.Post(task(func(*Loop) { <-release })); err != nil {
		t.Fatal(err)
	}
	err := await(t, "Failed", s.Failed())
	if !errors.Is(err, ErrLoopStuck) || !strings.Contains(err.Error(), "loop 1") {
		t.Errorf("got %v", err)
	}
	close(release)
	onLoop(t, l, func() {})
	eventually(t, "sweep done", func() bool { return l.mailbox.pulse(pulse{sweep: true}) == 0 })
}

func TestStartListsEveryComplaint(t *testing.T) {
	// Without it, a configuration is repaired one restart at a time.
	_, err := Start(Config{
		Addr: "nowhere", Loops: -1, Path: "play", Subprotocol: "a b", MaxMessageBytes: -1, MaxConns: 1 << 30,
		BacklogCode: 1005, TickEvery: -1,
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, word := range []string{"Addr", "Loops", "Path", "Subprotocol", "MaxMessageBytes", "MaxConns", "BacklogCode", "TickEvery", "New"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("no complaint about %s in %v", word, err)
		}
	}
}

func TestATakenPortIsAnError(t *testing.T) {
	// Without it, two servers share a port, or Start returns one that nobody can reach.
	s := start(t, echoing(), nil)
	_, err := Start(Config{Addr: s.Addr().String(), New: func(*Loop) Handler { return echoing() }})
	if err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("got %v", err)
	}
}

func TestSeveralServersLiveSideBySide(t *testing.T) {
	// Without it, a cluster cannot run in one process.
	a, b := start(t, echoing(), nil), start(t, echoing(), nil)
	for _, s := range []*Server{a, b, a} {
		c := dial(t, s)
		c.send(clientFrame(true, ws.OpText, []byte("x")))
		c.wantFrame(ws.OpText, "x")
	}
}
