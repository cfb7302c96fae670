package rig

import (
	"net"
	"sync"
	"time"
)

// Wire passes TCP on to one address, and can be cut, stalled and slowed down.
type Wire struct {
	// Set by newWire, then read-only.
	listener net.Listener
	target   string
	work     sync.WaitGroup

	mu sync.Mutex
	// Guarded by mu.
	state  state
	change chan struct{} // closed when the state changes
	conns  map[*net.TCPConn]struct{}
	closed bool
}

// state is what a wire does with what it is given.
type state struct {
	cut   bool          // connections break, new ones too
	stall bool          // nothing gets through, and nobody is told
	delay time.Duration // each way
}

// newWire makes a wire to an address, at any port.
func newWire(target string) (*Wire, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &Wire{listener: l, target: target, change: make(chan struct{}), conns: map[*net.TCPConn]struct{}{}}
	w.work.Go(w.accept)
	return w, nil
}

// Addr is where it listens.
func (w *Wire) Addr() string { return w.listener.Addr().String() }

// Cut breaks all connections with a reset, and every new one, until Mend.
func (w *Wire) Cut() {
	w.set(state{cut: true})
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		reset(c)
	}
}

// Stall lets nothing through until Mend. Connections are taken and stay.
func (w *Wire) Stall() { w.set(state{stall: true}) }

// Delay has everything take so much longer each way, until Mend.
func (w *Wire) Delay(d time.Duration) { w.set(state{delay: d}) }

// Mend ends Cut, Stall and Delay. What was stalled gets through.
func (w *Wire) Mend() { w.set(state{}) }

func (w *Wire) set(s state) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state = s
	close(w.change)
	w.change = make(chan struct{})
}

// Close ends the wire, and waits for its goroutines.
func (w *Wire) Close() {
	w.listener.Close()
	w.mu.Lock()
	w.closed = true
	for c := range w.conns {
		c.Close()
	}
	w.mu.Unlock()
	w.set(state{cut: true})
	w.work.Wait()
}

func (w *Wire) accept() {
	for {
		c, err := w.listener.Accept()
		if err != nil {
			return
		}
		w.work.Go(func() { w.carry(c.(*net.TCPConn)) })
	}
}

// carry lives through one connection.
func (w *Wire) carry(from *net.TCPConn) {
	if !w.keep(from) {
		reset(from)
		return
	}
	defer w.drop(from)
	up, err := net.DialTimeout("tcp", w.target, time.Second)
	if err != nil {
		reset(from)
		return
	}
	to := up.(*net.TCPConn)
	if !w.keep(to) {
		reset(from)
		reset(to)
		return
	}
	defer w.drop(to)
	var back sync.WaitGroup
	back.Go(func() { w.pass(from, to) })
	w.pass(to, from)
	back.Wait()
}

// chunk is something on its way.
type chunk struct {
	bytes []byte
	due   time.Time
}

// pass copies one direction until either side ends, and then breaks both. A delay holds up each chunk by itself: it is the way that
// is long, not narrow.
func (w *Wire) pass(to, from *net.TCPConn) {
	under := make(chan chunk, 1024)
	broken := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		defer close(broken)
		for c := range under {
			if !w.hold(c.due) {
				break
			}
			if _, err := to.Write(c.bytes); err != nil {
				break
			}
		}
		from.Close()
		to.Close()
	})
	for {
		buf := make([]byte, 32<<10)
		n, err := from.Read(buf)
		if n > 0 {
			select {
			case under <- chunk{buf[:n], time.Now().Add(w.lag())}:
			case <-broken:
			}
		}
		if err != nil {
			break
		}
	}
	close(under)
	writing.Wait()
}

func (w *Wire) lag() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state.delay
}

// hold waits until something may go on, and reports whether it may.
func (w *Wire) hold(due time.Time) bool {
	for {
		w.mu.Lock()
		s, change := w.state, w.change
		w.mu.Unlock()
		left := time.Until(due)
		switch {
		case s.cut:
			return false
		case s.stall:
			<-change
		case s.delay == 0, left <= 0:
			return true
		default:
			select {
			case <-change:
			case <-time.After(left):
			}
		}
	}
}

// keep reports whether a connection may live.
func (w *Wire) keep(c *net.TCPConn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state.cut || w.closed {
		return false
	}
	w.conns[c] = struct{}{}
	return true
}

func (w *Wire) drop(c *net.TCPConn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.conns, c)
	c.Close()
}

// reset closes a connection the hard way: the peer gets RST, not FIN.
func reset(c *net.TCPConn) {
	c.SetLinger(0)
	c.Close()
}
