package client

import (
	"context"
	"errors"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"go.uber.org/goleak"

	"tickover.dev/client/clienttest"
	"tickover.dev/netcode"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// one is the msgpack value 1.
var one = []byte{1}

// quick is a configuration whose attempts to connect follow each other closely.
func quick(url string) Config {
	return Config{URL: url, Name: "bot", BackoffFirst: time.Millisecond, BackoffMax: 20 * time.Millisecond}
}

func dialed(t *testing.T, cfg Config) *Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := Dial(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits, for at most 10 s, until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	beat, end := time.NewTicker(time.Millisecond), time.After(10*time.Second)
	defer beat.Stop()
	for !holds() {
		select {
		case <-beat.C:
		case <-end:
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

// want gives the client's next message of type M, skipping acknowledgements and pings; ok is false when the connection has ended.
func want[M netcode.Message](p *clienttest.Peer) (M, bool) {
	for {
		m, err := p.Next()
		if err != nil {
			var none M
			return none, false
		}
		if m, ok := m.(M); ok {
			return m, true
		}
	}
}

// rest reads until the client is gone, so that its writes never block.
func rest(p *clienttest.Peer) {
	for {
		if _, err := p.Next(); err != nil {
			return
		}
	}
}

func welcome(p *clienttest.Peer, resumed bool) *netcode.Hello {
	hello, ok := want[*netcode.Hello](p)
	if ok {
		p.Send(&netcode.Welcome{Version: 1, Session: "s", Secret: "x", Player: "p", Resumed: resumed})
	}
	return hello
}

func seat(request, number uint64) *netcode.Joined {
	return &netcode.Joined{Request: request, Room: number, ID: "r1", Kind: "k", Seat: 4, RateHz: 20, Epoch: 1, Tick: 10}
}

// TestServerThatBreaksTheProtocolIsLeftAndResumed: without the checks a faulty server or proxy would crash the client, fill its
// memory or show the game nonsense.
func TestServerThatBreaksTheProtocolIsLeftAndResumed(t *testing.T) {
	faults := map[string]func(p *clienttest.Peer){
		"garbage":           func(p *clienttest.Peer) { p.SendBytes([]byte{0xff, 0xff, 0xff, 0xff}) },
		"masked":            func(p *clienttest.Peer) { p.SendBytes([]byte{0x82, 0x81, 0, 0, 0, 0, 0x90}) },
		"text":              func(p *clienttest.Peer) { p.SendFrame(ws.NewTextFrame([]byte("hi"))) },
		"huge claim":        func(p *clienttest.Peer) { p.SendBytes([]byte{0x82, 127, 0, 0, 0xff, 0, 0, 0, 0, 0}) },
		"huge in parts":     func(p *clienttest.Peer) { hugeInParts(p) },
		"lone continuation": func(p *clienttest.Peer) { p.SendFrame(ws.NewFrame(ws.OpContinuation, true, []byte{0x90})) },
		"long control":      func(p *clienttest.Peer) { p.SendBytes(append([]byte{0x89, 126, 0, 200}, make([]byte, 200)...)) },
		"bad msgpack":       func(p *clienttest.Peer) { p.SendFrame(ws.NewBinaryFrame([]byte{0xc1})) },
		"empty message":     func(p *clienttest.Peer) { p.SendFrame(ws.NewBinaryFrame(nil)) },
		"unknown type":      func(p *clienttest.Peer) { p.SendFrame(ws.NewBinaryFrame([]byte{0x91, 63})) },
		"wrong field":       func(p *clienttest.Peer) { p.SendFrame(ws.NewBinaryFrame([]byte{0x92, 19, 0xc3})) },
		"second welcome":    func(p *clienttest.Peer) { p.Send(&netcode.Welcome{Version: 1}) },
		"state without tick": func(p *clienttest.Peer) {
			p.Send(&netcode.State{Value: one})
		},
		"reliable gap": func(p *clienttest.Peer) {
			p.Send(&netcode.Tick{Room: 1, Epoch: 1, Tick: 11}, &netcode.Event{Number: 3, Name: "e"})
		},
		"unsent input acknowledged": func(p *clienttest.Peer) { p.Send(&netcode.Tick{Room: 1, Epoch: 1, Tick: 11, Applied: 99}) },
		"cut inside a frame":        func(p *clienttest.Peer) { p.SendBytes([]byte{0x82, 100, 0x90}); p.Cut() },
		"cut":                       func(p *clienttest.Peer) { p.Cut() },
		"node stopping":             func(p *clienttest.Peer) { p.Close(netcode.CloseStopping, "bye") },
		"empty close":               func(p *clienttest.Peer) { p.SendFrame(ws.NewCloseFrame(nil)) },
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			hello := make(chan *netcode.Hello, 1)
			url := clienttest.Listen(t, func(p *clienttest.Peer) {
				if p.Number == 0 {
					welcome(p, false)
					if join, ok := want[*netcode.Join](p); ok {
						p.Send(seat(join.Request, 1), &netcode.Tick{Room: 1, Epoch: 1, Tick: 10}, &netcode.Event{Number: 1, Name: "hi"})
					}
					if _, ok := want[*netcode.Input](p); ok {
						fault(p)
					}
					rest(p)
					return
				}
				hello <- welcome(p, true)
				kept := seat(0, 7)
				kept.Outcome = netcode.OutcomeResumed
				p.Send(kept)
				in, ok := want[*netcode.Input](p)
				if ok && in.Room == 7 && in.Number == 1 {
					p.Send(&netcode.Tick{Room: 7, Epoch: 1, Tick: 12, Applied: 1})
				}
				rest(p)
			})
			c := dialed(t, quick(url))
			resumed := make(chan netcode.JoinOutcome, 10)
			room, err := c.JoinOrCreate(soon(t), "k", "", nil, Handler{OnResumed: func(o netcode.JoinOutcome) { resumed <- o }})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := room.SendRaw(one); err != nil {
				t.Fatal(err)
			}
			h := <-hello
			if h.Session != "s" || h.Secret != "x" || len(h.Rooms) != 1 || h.Rooms[0] != (netcode.Held{Room: "r1", Seat: 4, Reliable: 1}) {
				t.Fatalf("hello %+v", h)
			}
			if o := <-resumed; o != netcode.OutcomeResumed {
				t.Fatal(o)
			}
			eventually(t, "the input arrives after all", func() bool { return room.Unacknowledged() == 0 })
			if c.Reconnects() != 1 {
				t.Fatal(c.Reconnects())
			}
		})
	}
}

func hugeInParts(p *clienttest.Peer) {
	part := make([]byte, 1<<20)
	p.SendFrame(ws.NewFrame(ws.OpBinary, false, part))
	for range 5 {
		if p.SendFrame(ws.NewFrame(ws.OpContinuation, false, part)) != nil {
			return
		}
	}
}

// TestRefusedAuthenticationEndsDialAtOnce: trying again would only load the server.
func TestRefusedAuthenticationEndsDialAtOnce(t *testing.T) {
	var count atomic.Int32
	url := clienttest.Listen(t, func(p *clienttest.Peer) {
		count.Add(1)
		want[*netcode.Hello](p)
		p.Close(netcode.CloseUnauthorized, "no")
	})
	_, err := Dial(soon(t), quick(url))
	if closed, ok := errors.AsType[*Closed](err); !ok || closed.Code != netcode.CloseUnauthorized || closed.Reason != "no" {
		t.Fatal(err)
	}
	if count.Load() != 1 {
		t.Fatal("tried again")
	}
}

// TestDialGivesUpWithTheLastReason: a wrong address must not look like a slow server.
func TestDialGivesUpWithTheLastReason(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := Dial(ctx, quick("ws://127.0.0.1:1/"))
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, errDial) || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatal(err)
	}
	if _, err := Dial(ctx, Config{URL: "http://x", BackoffMax: -1}); err == nil {
		t.Fatal("a bad configuration was taken")
	}
}
