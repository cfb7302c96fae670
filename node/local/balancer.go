package local

import (
	"errors"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of the balancer.
const (
	dialWithin     = 250 * time.Millisecond // a node of this machine that takes longer is no use to a player
	mostSockets    = 4096
	filesPerSocket = 6   // both ends, and a pipe for each direction while the kernel moves the bytes
	filesInReserve = 128 // of everybody else in this process
)

// backend is a node as the balancer sees it.
type backend struct{ name, addr string }

// balancer passes TCP connections on to backends in turn, as the simplest of load balancers does: it knows nothing of what is in
// them, remembers nobody, and adds nothing to a byte's way but a wake-up. It passes over backends that refuse, or do not answer the
// dial. A connection beyond its bound is closed at once.
type balancer struct {
	// Set by newBalancer, then read-only.
	listener *net.TCPListener
	places   chan struct{} // one for each connection
	work     sync.WaitGroup

	mu sync.Mutex
	// Guarded by mu.
	backends []backend
	next     int
	held     map[string]int            // connections by backend
	open     map[*net.TCPConn]struct{} // both ends of all
	closed   bool
}

// newBalancer takes an address and serves it. Without backends it closes what connects.
func newBalancer(addr string, backends []backend) (*balancer, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	b := &balancer{
		listener: l.(*net.TCPListener), places: make(chan struct{}, socketBound()), backends: backends,
		held: map[string]int{}, open: map[*net.TCPConn]struct{}{},
	}
	b.work.Go(b.serve)
	return b, nil
}

// socketBound is how many connections there may be: as many as descriptors allow, and not more than a demonstration needs.
func socketBound() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > filesInReserve+mostSockets*filesPerSocket {
		return mostSockets
	}
	return max(1, (int(limit.Cur)-filesInReserve)/filesPerSocket)
}

// use replaces the backends. Connections that there are stay where they are.
func (b *balancer) use(backends []backend) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.backends = slices.Clone(backends)
}

// sockets is how many connections each backend holds.
func (b *balancer) sockets() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.held)
}

func (b *balancer) port() int { return b.listener.Addr().(*net.TCPAddr).Port }

func (b *balancer) serve() {
	for {
		client, err := b.listener.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors, most likely: those there are will end
			time.Sleep(10 * time.Millisecond)
			continue
		}
		select {
		case b.places <- struct{}{}:
		default:
			client.Close()
			continue
		}
		b.work.Go(func() {
			b.pass(client)
			<-b.places
		})
	}
}

// pass finds a backend for a client, and keeps them together until both have said all.
func (b *balancer) pass(client *net.TCPConn) {
	defer client.Close()
	node, name := b.dial()
	if node == nil {
		return
	}
	defer node.Close()
	if !b.enter(name, client, node) {
		return
	}
	var back sync.WaitGroup
	back.Go(func() { carry(client, node) })
	carry(node, client)
	back.Wait()
	b.leave(name, client, node)
}

// dial tries the backends, each once, beginning with the one whose turn it is.
func (b *balancer) dial() (*net.TCPConn, string) {
	b.mu.Lock()
	backends, first := b.backends, b.next
	b.next++
	b.mu.Unlock()
	for i := range backends {
		to := backends[(first+i)%len(backends)]
		if c, err := net.DialTimeout("tcp", to.addr, dialWithin); err == nil {
			return c.(*net.TCPConn), to.name
		}
	}
	return nil, ""
}

// carry moves bytes one way until they end, without taking them into this process where the kernel can splice. An end is passed on
// as an end, and the other way stays open; a reset takes both ways with it.
func carry(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil {
		for _, c := range []*net.TCPConn{to, from} {
			c.SetLinger(0)
			c.Close()
		}
		return
	}
	to.CloseWrite()
}

func (b *balancer) enter(name string, ends ...*net.TCPConn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.held[name]++
	for _, c := range ends {
		b.open[c] = struct{}{}
	}
	return true
}

func (b *balancer) leave(name string, ends ...*net.TCPConn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held[name]--
	for _, c := range ends {
		delete(b.open, c)
	}
}

// stop takes nobody new, closes all connections and waits for that.
func (b *balancer) stop() {
	b.listener.Close()
	b.mu.Lock()
	b.closed = true
	for c := range b.open {
		c.Close()
	}
	b.mu.Unlock()
	b.work.Wait()
}
