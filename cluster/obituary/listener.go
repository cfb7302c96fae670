package obituary

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"tickover.dev/cluster"
)

const (
	magic      = "tko1"
	helloBytes = len(magic) + 4
	// helloWithin bounds the exchange of boots.
	helloWithin = 2 * time.Second
	// maxConns bounds the connections of a listener. Three peers watch a node; the rest is for those that come back, and for strangers.
	maxConns = 64
)

var errHello = errors.New("obituary: whoever answers is no node")

// Listener is where other nodes watch this one.
type Listener struct {
	// Set by Listen, then read-only.
	self  cluster.Boot
	net   net.Listener
	sight func() bool

	work sync.WaitGroup

	mu sync.Mutex
	// Guarded by mu.
	conns  map[net.Conn]struct{}
	closed bool
}

// Listen opens the address, HOST:PORT, where this node is watched. sight reports whether it reaches the store.
func Listen(addr string, self cluster.Boot, sight func() bool) (*Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	w := &Listener{self: self, net: l, sight: sight, conns: map[net.Conn]struct{}{}}
	w.work.Go(w.serve)
	return w, nil
}

// Addr is the address listened on, with its real port.
func (l *Listener) Addr() *net.TCPAddr { return l.net.Addr().(*net.TCPAddr) }

// Close ends all connections. Whoever watched takes that for the death that it announces.
func (l *Listener) Close() error {
	err := l.net.Close()
	l.mu.Lock()
	l.closed = true
	for c := range l.conns {
		c.Close()
	}
	l.mu.Unlock()
	l.work.Wait()
	return err
}

func (l *Listener) serve() {
	for {
		c, err := l.net.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors
			time.Sleep(100 * time.Millisecond)
			continue
		}
		if !l.add(c) {
			c.Close()
			continue
		}
		l.work.Go(func() {
			defer l.drop(c)
			if _, err := greet(c, l.self); err == nil {
				l.tell(c)
			}
		})
	}
}

// What is said behind the greeting, and how often.
const (
	sees      = 's'
	blind     = 'b'
	tellEvery = 500 * time.Millisecond
)

// tell says whether this node reaches the store, until the connection ends. Whoever answers is no node.
func (l *Listener) tell(c net.Conn) {
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	ended := make(chan struct{})
	l.work.Go(func() {
		defer close(ended)
		io.Copy(io.Discard, io.LimitReader(c, 1))
	})
	defer func() {
		c.Close()
		<-ended
	}()
	for {
		said := byte(blind)
		if l.sight() {
			said = sees
		}
		c.SetWriteDeadline(time.Now().Add(helloWithin))
		if _, err := c.Write([]byte{said}); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-ended:
			return
		}
	}
}

func (l *Listener) add(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.conns) >= maxConns {
		return false
	}
	l.conns[c] = struct{}{}
	return true
}

func (l *Listener) drop(c net.Conn) {
	c.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}

// greet exchanges boots.
func greet(c net.Conn, self cluster.Boot) (cluster.Boot, error) {
	c.SetDeadline(time.Now().Add(helloWithin))
	defer c.SetDeadline(time.Time{})
	if _, err := c.Write(binary.BigEndian.AppendUint32([]byte(magic), uint32(self))); err != nil {
		return 0, err
	}
	var hello [helloBytes]byte
	if _, err := io.ReadFull(c, hello[:]); err != nil {
		return 0, err
	}
	if string(hello[:len(magic)]) != magic {
		return 0, errHello
	}
	return cluster.Boot(binary.BigEndian.Uint32(hello[len(magic):])), nil
}
