package redistest

import (
	"bytes"
	"net"
	"sync"
	"testing"
)

// Proxy stands between a client and a server, and can lose what the server answers.
type Proxy struct {
	listener net.Listener
	target   string
	work     sync.WaitGroup

	mu sync.Mutex
	// Guarded by mu.
	conns map[net.Conn]bool
	match []byte // what a request holds whose answer is lost
	drops int    // how many more answers are lost
	lost  int
	cut   bool // nobody gets through
}

// StartProxy starts a proxy before a server's host:port.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: l, target: target, conns: map[net.Conn]bool{}}
	p.work.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.Cut()
		p.work.Wait()
	})
	return p
}

// Addr is the proxy's host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// LoseAnswers has the answers to the next n requests that hold the text be lost: the request reaches the server, and when it has
// answered, the connection breaks.
func (p *Proxy) LoseAnswers(n int, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drops, p.match = n, []byte(text)
}

// Lost counts the answers lost so far.
func (p *Proxy) Lost() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

// Cut breaks all connections, and every new one, until Mend.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	for c := range p.conns {
		c.Close()
	}
}

// Mend ends a Cut.
func (p *Proxy) Mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = false
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil || !p.keep(client, server) {
			client.Close()
			if err == nil {
				server.Close()
			}
			continue
		}
		var lose sync.Mutex // a request is marked before it is sent, so before its answer can come
		marked := false
		mark := func(set bool) bool {
			lose.Lock()
			defer lose.Unlock()
			marked = marked || set
			return marked
		}
		p.work.Go(func() {
			p.pass(server, client, func(chunk []byte) bool { mark(p.matches(chunk)); return true })
		})
		p.work.Go(func() { p.pass(client, server, func([]byte) bool { return !mark(false) }) })
	}
}

// pass copies until one side is closed, or a chunk is not allowed through; then it closes both.
func (p *Proxy) pass(to, from net.Conn, allowed func([]byte) bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil || !allowed(buf[:n]) {
			break
		}
		if _, err := to.Write(buf[:n]); err != nil {
			break
		}
	}
	p.forget(to, from)
}

func (p *Proxy) matches(chunk []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.drops == 0 || !bytes.Contains(chunk, p.match) {
		return false
	}
	p.drops--
	p.lost++
	return true
}

func (p *Proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		if !p.cut {
			p.conns[c] = true
		}
	}
	return !p.cut
}

func (p *Proxy) forget(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		c.Close()
		delete(p.conns, c)
	}
}
