package local

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// greeter is a backend that says its name, and then all that it is told.
func greeter(t *testing.T, name string) backend {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.WriteString(c, name+"\n")
				io.Copy(c, c)
				io.WriteString(c, "goodbye\n") // after the other side has ended
			}()
		}
	}()
	return backend{name, l.Addr().String()}
}

func balance(t *testing.T, to ...backend) *balancer {
	t.Helper()
	b, err := newBalancer("127.0.0.1:0", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.stop)
	return b
}

func dial(t *testing.T, b *balancer) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", b.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	return c.(*net.TCPConn)
}

func firstLine(t *testing.T, c net.Conn) string {
	t.Helper()
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// A balancer that remembers people would hide what the whole demonstration is about: any node will do.
func TestConnectionsGoToTheNextNodeInTurn(t *testing.T) {
	b := balance(t, greeter(t, "a"), greeter(t, "b"), greeter(t, "c"))
	var got strings.Builder
	for range 6 {
		got.WriteString(firstLine(t, dial(t, b)))
	}
	if got.String() != "abcabc" {
		t.Errorf("went to %q", got.String())
	}
	if held := b.sockets(); held["a"] != 2 || held["b"] != 2 || held["c"] != 2 {
		t.Errorf("it thinks that they hold %v", held)
	}
}

// A player who reloads while a node is dead must not meet it.
func TestNodesThatRefuseArePassedOver(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	b := balance(t, backend{"gone", gone.Addr().String()}, greeter(t, "b"), greeter(t, "c"))
	for range 6 {
		if name := firstLine(t, dial(t, b)); name == "gone" {
			t.Error("reached a node that is gone")
		}
	}
	b.use(nil)
	if _, err := dial(t, b).Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("without any node: %v, want an end", err)
	}
}

// A node whose queue is full does not even refuse: whoever waits for it waits for minutes.
func TestNodesThatDoNotAnswerTheDialArePassedOver(t *testing.T) {
	mute, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(mute)
	if err := errors.Join(unix.Bind(mute, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(mute, 0)); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(mute)
	if err != nil {
		t.Fatal(err)
	}
	to := net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: at.(*unix.SockaddrInet4).Port}
	full := false
	for range 8 { // fill the queue of connections that nobody accepts
		c, err := net.DialTimeout("tcp", to.String(), 100*time.Millisecond)
		if err != nil {
			full = true
			break
		}
		defer c.Close()
	}
	if !full {
		t.Skip("SKIPPED: this system answers for a program that does not")
	}
	b := balance(t, backend{"mute", to.String()}, greeter(t, "b"))
	start := time.Now()
	if name := firstLine(t, dial(t, b)); name != "b" {
		t.Errorf("reached %q", name)
	}
	if took := time.Since(start); took < dialWithin || took > 8*dialWithin {
		t.Errorf("it took %s to go on, want about %s", took, dialWithin)
	}
}

// Who has said all may still be told something.
func TestOneWayEndsAndTheOtherStays(t *testing.T) {
	b := balance(t, greeter(t, "a"))
	c := dial(t, b)
	io.WriteString(c, "hello\n")
	c.CloseWrite()
	all, err := io.ReadAll(c)
	if err != nil || string(all) != "a\nhello\ngoodbye\n" {
		t.Errorf("read %q, %v", all, err)
	}
	eventually(t, "the connection is forgotten", func() bool { return b.sockets()["a"] == 0 && len(b.places) == 0 })
}

// A reset that comes as an end would tell a client that all was said.
func TestAResetIsPassedOn(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		io.ReadFull(c, make([]byte, 1))
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}()
	c := dial(t, balance(t, backend{"a", l.Addr().String()}))
	c.Write([]byte("x"))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read: %v, want a reset", err)
	}
}

// Descriptors that connections take are not there for the page, and for starting nodes again.
func TestConnectionsBeyondTheBoundAreClosed(t *testing.T) {
	b := &balancer{places: make(chan struct{}, 1), held: map[string]int{}, open: map[*net.TCPConn]struct{}{}, backends: []backend{greeter(t, "a")}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.listener = l.(*net.TCPListener)
	b.work.Go(b.serve)
	t.Cleanup(b.stop)
	first := dial(t, b)
	firstLine(t, first)
	if _, err := dial(t, b).Read(make([]byte, 1)); err == nil {
		t.Error("a second connection was served")
	}
	first.Close()
	eventually(t, "there is room again", func() bool { return len(b.places) == 0 })
	firstLine(t, dial(t, b))
}

// What a balancer adds to the way of a byte, players feel on the way to every node.
func BenchmarkRoundTrip(b *testing.B) {
	for _, way := range []string{"direct", "balanced"} {
		b.Run(way, func(b *testing.B) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			var ended atomic.Bool
			go func() {
				for !ended.Load() {
					c, err := l.Accept()
					if err != nil {
						return
					}
					go func() { io.Copy(c, c); c.Close() }()
				}
			}()
			at := l.Addr().String()
			if way == "balanced" {
				lb, err := newBalancer("127.0.0.1:0", []backend{{"a", at}})
				if err != nil {
					b.Fatal(err)
				}
				defer lb.stop()
				at = lb.listener.Addr().String()
			}
			c, err := net.Dial("tcp", at)
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			defer ended.Store(true)
			buf := make([]byte, 128)
			b.ReportAllocs()
			for b.Loop() {
				c.Write(buf)
				if _, err := io.ReadFull(c, buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
