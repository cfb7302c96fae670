package engine

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"
)

func TestMessagesCostNoAllocations(t *testing.T) {
	// Without it, every message leaves garbage, and collecting it makes ticks late.
	opened := make(chan *Conn, 1)
	h := &hooks{
		open:    func(c *Conn) { opened <- c },
		message: func(c *Conn, _ bool, p []byte) { c.Append(p); c.Append(p) },
	}
	s := start(t, h, func(c *Config) { c.MaxExtraFrames = -1 })
	c := dial(t, s)
	await(t, "Open", opened)
	payload := make([]byte, 100)
	answer := make([]byte, 4+2*len(payload))
	for name, in := range map[string][]byte{
		"whole": clientFrame(true, ws.OpBinary, payload),
		"fragmented": joined(clientFrame(false, ws.OpBinary, payload[:50]), clientFrame(true, ws.OpPong, nil),
			clientFrame(true, ws.OpContinuation, payload[50:])),
	} {
		t.Run(name, func(t *testing.T) {
			allocs := testing.AllocsPerRun(2000, func() {
				if _, err := c.Write(in); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(c.r, answer); err != nil {
					t.Fatal(err)
				}
			})
			if allocs > 0 {
				t.Errorf("%v allocations per message in and out", allocs)
			}
		})
	}
}

// fanOut is a task that says the same to everybody.
type fanOut struct {
	conns []*Conn
	p     []byte
	done  chan struct{}
}

func (f *fanOut) Run(*Loop) {
	for _, c := range f.conns {
		c.Append(f.p)
	}
	f.done <- struct{}{}
}

func TestPostingCostsNoAllocationPerTask(t *testing.T) {
	// Without it, every frame of a room leaves garbage on every loop. Only the wake-up itself allocates, in gnet.
	s := start(t, &hooks{}, nil)
	const tasks = 100
	f := &fanOut{done: make(chan struct{}, tasks)}
	allocs := testing.AllocsPerRun(200, func() {
		for range tasks {
			if err := s.Loops()[0].Post(f); err != nil {
				t.Fatal(err)
			}
		}
		for range tasks {
			<-f.done
		}
	})
	if allocs > tasks/10 {
		t.Errorf("%v allocations for %d posts", allocs, tasks)
	}
}

// idleConns opens n connections from bare descriptors, so that the client side costs no Go memory.
func idleConns(t testing.TB, s *Server, n int) (closeAll func()) {
	t.Helper()
	fds, err := sockets(n)
	if err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 512)
	for _, fd := range fds {
		if err := unix.Connect(fd, addressOf(s)); err != nil {
			t.Fatal(err)
		}
		if _, err := unix.Write(fd, []byte(goodRequest)); err != nil {
			t.Fatal(err)
		}
		// A message after the handshake: an idle connection is one that has been used.
		if got, err := unix.Read(fd, answer); err != nil || !bytes.HasPrefix(answer[:got], []byte("HTTP/1.1 101")) {
			t.Fatalf("handshake: %v", err)
		}
		if _, err := unix.Write(fd, clientFrame(true, ws.OpText, []byte("hello"))); err != nil {
			t.Fatal(err)
		}
		if _, err := unix.Read(fd, answer); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}
}

// memory is the heap in use and the process's resident memory, after collecting garbage.
func memory() (heap, resident int64) {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	var total, pages int64
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		_, _ = fmt.Sscan(string(b), &total, &pages)
	}
	return int64(m.HeapAlloc), pages * int64(os.Getpagesize())
}

func TestIdleConnectionsAreSmall(t *testing.T) {
	// Without it, connections that once spoke keep buffers, and 10,000 of them fill a small machine.
	const n = 1000
	s := start(t, echoing(), nil)
	idleConns(t, s, 1)() // what is made once
	before, _ := memory()
	closeAll := idleConns(t, s, n)
	after, _ := memory()
	closeAll()
	if each := (after - before) / n; each > 1200 {
		t.Errorf("%d bytes of heap per idle connection, want at most 1200", each)
	}
	eventually(t, "all gone", func() bool { return s.Stats().Conns == 0 })
}

func BenchmarkIdleConnections(b *testing.B) {
	const n = 5000
	s := start(b, echoing(), func(c *Config) { c.SilenceTimeout = -1 })
	heap, resident := memory()
	for b.Loop() {
		closeAll := idleConns(b, s, n)
		b.StopTimer()
		heapAfter, residentAfter := memory()
		b.ReportMetric(float64(heapAfter-heap)/n, "heap-B/conn")
		b.ReportMetric(float64(residentAfter-resident)/n, "rss-B/conn")
		closeAll()
		eventually(b, "all gone", func() bool { return s.Stats().Conns == 0 })
		b.StartTimer()
	}
}

// BenchmarkFrames is what the engine itself adds to a message in and out: parse, unmask, frame.
func BenchmarkFrames(b *testing.B) {
	for _, size := range []int{32, 256, 4096} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			in := clientFrame(true, ws.OpBinary, make([]byte, size))
			rules := &frameRules{maxMessage: 16 << 10}
			p := frameParser{rules: rules}
			o := &output{open: noOpenFrame}
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				e, _, err := p.next(in)
				if err != nil {
					b.Fatal(err)
				}
				o.append(e.payload)
				o.seal()
				o.reset()
			}
		})
	}
}

// BenchmarkEcho is a round trip over a socket, bound by two system calls and a wake-up on each side.
func BenchmarkEcho(b *testing.B) {
	s := start(b, echoing(), nil)
	c := dial(b, s)
	in := clientFrame(true, ws.OpBinary, make([]byte, 32))
	answer := make([]byte, 34)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(in); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c.r, answer); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPipelined is the cost of a message where system calls are shared by many.
func BenchmarkPipelined(b *testing.B) {
	const batch = 1000
	s := start(b, echoing(), nil)
	c := dial(b, s)
	in := bytes.Repeat(clientFrame(true, ws.OpBinary, make([]byte, 32)), batch)
	answer := make([]byte, batch*34)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(in); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c.r, answer); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batch, "ns/message")
}

// BenchmarkFanOut is one room's tick on one loop: the same 256 bytes to everybody. Nobody reads in between, so the
// clients' kernel buffers must hold a few ticks.
func BenchmarkFanOut(b *testing.B) {
	const n = 500
	var conns []*Conn
	h := &hooks{open: func(c *Conn) { conns = append(conns, c) }}
	s := start(b, h, func(c *Config) { c.SilenceTimeout = -1 })
	clients := make([]*client, n)
	for i := range clients {
		clients[i] = dial(b, s)
		if err := clients[i].SetDeadline(time.Time{}); err != nil {
			b.Fatal(err)
		}
	}
	f := &fanOut{p: binary.LittleEndian.AppendUint64(make([]byte, 248), 1), done: make(chan struct{}, 1)}
	onLoop(b, s.Loops()[0], func() { f.conns = conns })
	room := make([]byte, 4+256)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Loops()[0].Post(f); err != nil {
			b.Fatal(err)
		}
		<-f.done
		b.StopTimer()
		for _, c := range clients {
			if _, err := io.ReadFull(c.r, room); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
	}
	st := s.Stats()
	b.ReportMetric(float64(st.Busy.Nanoseconds())/float64(max(st.MessagesOut, 1)), "loop-ns/message")
}

// BenchmarkConnect is a connection's whole life: accept, handshake, a ping, the end.
func BenchmarkConnect(b *testing.B) {
	s := start(b, echoing(), nil)
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			nc, err := roundTrip(s, nil)
			if err != nil {
				b.Error(err)
				return
			}
			nc.Close()
		}
	})
}
