package sessions

import (
	"errors"
	"fmt"
	"io"

	"tickover.dev/netcode"
)

// fakeSocket remembers what it is told.
type fakeSocket struct {
	out     []byte
	code    uint16
	reason  string
	backlog int
	deaf    bool // counts only
	bytes   int
}

func (s *fakeSocket) Append(p []byte) {
	switch {
	case s.code != 0:
	case s.deaf:
		s.bytes += len(p)
	default:
		s.out = append(s.out, p...)
	}
}

func (s *fakeSocket) Close(code uint16, reason string) {
	if s.code == 0 {
		s.code, s.reason = code, reason
	}
}

func (s *fakeSocket) Backlog() int { return s.backlog }

// peer is a client's end of one connection.
type peer struct {
	rig    *rig
	loop   *fakeLoop
	conn   *conn
	sock   *fakeSocket
	run    uint32
	secret netcode.Welcome
}

func (r *rig) dial(loop int) *peer {
	p := &peer{rig: r, loop: r.loops[loop], sock: &fakeSocket{}, run: 7}
	p.conn = p.loop.open(p.sock)
	return p
}

// enter dials and opens a session.
func (r *rig) enter(loop int, name string) *peer {
	r.tb.Helper()
	p := r.dial(loop)
	p.say(&netcode.Hello{Version: 1, Run: p.run, Token: name})
	r.settle()
	p.welcomed()
	return p
}

func (p *peer) welcomed() {
	p.rig.tb.Helper()
	p.secret = *heard[*netcode.Welcome](p)
}

// again opens another connection for the session of p.
func (p *peer) again(loop int, held ...netcode.Held) *peer {
	p.rig.tb.Helper()
	q := p.rig.dial(loop)
	q.run = p.run
	q.say(&netcode.Hello{Version: 1, Run: q.run, Session: p.secret.Session, Secret: p.secret.Secret, Rooms: held})
	if q.loop.hub.config.Store != nil {
		p.rig.settle()
	}
	q.welcomed()
	return q
}

// say sends one WebSocket message.
func (p *peer) say(ms ...netcode.Message) {
	var b []byte
	for _, m := range ms {
		b = m.Append(b)
	}
	p.loop.message(p.conn, b)
}

// cut breaks the connection.
func (p *peer) cut() { p.loop.closed(p.conn) }

// hear gives and forgets everything that was sent so far.
func (p *peer) hear() (all []netcode.Message) {
	p.rig.tb.Helper()
	b := p.sock.out
	p.sock.out = nil
	if len(b) == 0 {
		return nil
	}
	if err := netcode.Check(b); err != nil {
		p.rig.tb.Fatalf("the server sends %x: %v", b, err)
	}
	var parser netcode.Parser
	parser.Reset(b)
	for {
		t, err := parser.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		m := ofType(t)
		if err == nil && m != nil {
			err = parser.Read(m)
		}
		if err != nil || m == nil {
			p.rig.tb.Fatalf("the server sends type %d: %v", t, err)
		}
		all = append(all, m)
	}
}

func ofType(t netcode.Type) netcode.Message {
	for _, m := range []netcode.Message{
		&netcode.Welcome{}, &netcode.Joined{}, &netcode.Left{}, &netcode.Tick{}, &netcode.State{}, &netcode.Private{}, &netcode.Event{},
		&netcode.Reply{}, &netcode.Refusal{}, &netcode.Error{}, &netcode.Pong{}, &netcode.Resend{}, &netcode.Status{}, &netcode.Gone{},
		&netcode.Clock{},
	} {
		if m.Type() == t {
			return m
		}
	}
	return nil
}

// heard gives the first message of a type and drops everything before it; what is behind it can still be heard.
func heard[M netcode.Message](p *peer) M {
	p.rig.tb.Helper()
	all := p.hear()
	for i, m := range all {
		if found, ok := m.(M); ok {
			for _, rest := range all[i+1:] {
				p.sock.out = rest.Append(p.sock.out)
			}
			return found
		}
	}
	var none M
	p.rig.tb.Fatalf("no %T among %s (closed: %d %q)", none, names(all), p.sock.code, p.sock.reason)
	return none
}

// silent fails if a message of the type was sent. It hears everything.
func silent[M netcode.Message](p *peer, why string) {
	p.rig.tb.Helper()
	for _, m := range p.hear() {
		if found, ok := m.(M); ok {
			p.rig.tb.Fatalf("%s: heard %T %+v", why, found, found)
		}
	}
}

func names(ms []netcode.Message) (s []string) {
	for _, m := range ms {
		s = append(s, fmt.Sprintf("%T", m)[len("*netcode."):])
	}
	return s
}

// wantClosed fails unless the connection was closed with that code.
func (p *peer) wantClosed(code uint16) {
	p.rig.tb.Helper()
	if p.sock.code != code {
		p.rig.tb.Fatalf("closed with %d %q, want %d", p.sock.code, p.sock.reason, code)
	}
}

// wantError fails unless the next error is that one.
func (p *peer) wantError(request uint64, code string) {
	p.rig.tb.Helper()
	if e := heard[*netcode.Error](p); e.Code != code || e.Request != request {
		p.rig.tb.Fatalf("error %q for request %d (%s), want %q for %d", e.Code, e.Request, e.Message, code, request)
	}
}

// sit joins a room by key, creating it, and gives the seat.
func (p *peer) sit(kind, key string) *netcode.Joined {
	p.rig.tb.Helper()
	p.say(&netcode.Join{Request: 1, Mode: netcode.JoinOrCreate, Kind: kind, Target: key})
	p.rig.tick(2)
	return heard[*netcode.Joined](p)
}

// do sends an input.
func (p *peer) do(room, number uint64, what string, n int) {
	value := []byte{0x82, 0xa2, 'd', 'o', 0xa0 | byte(len(what))}
	value = append(append(value, what...), 0xa1, 'n', 0xcd, byte(n>>8), byte(n))
	p.say(&netcode.Input{Room: room, Number: number, Value: value})
}
