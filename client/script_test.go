package client

import (
	"context"
	"errors"
	"sync/atomic"
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
	end := time.Now().Add(10 * time.Second)
	for !holds() {
		if time.Now().After(end) {
			t.Fatalf("not within 10 s: %s", what)
		}
		time.Sleep(time.Millisecond)
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
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, errDial) {
		t.Fatal(err)
	}
	if _, err := Dial(ctx, Config{URL: "http://x", BackoffMax: -1}); err == nil {
		t.Fatal("a bad configuration was taken")
	}
}

// TestLostJoinAnswerGivesOneSeat: the answer is lost with its connection; the seat comes back as a kept one and the join is
// answered again. Two Room values for one seat would each miss half of what happens.
func TestLostJoinAnswerGivesOneSeat(t *testing.T) {
	url := clienttest.Listen(t, func(p *clienttest.Peer) {
		if p.Number == 0 {
			welcome(p, false)
			want[*netcode.Join](p)
			p.Cut()
			return
		}
		welcome(p, true)
		p.Send(seat(0, 3), &netcode.Tick{Room: 3, Epoch: 1, Tick: 11}, &netcode.State{Value: one}, &netcode.Event{Number: 1, Name: "early"})
		if join, ok := want[*netcode.Join](p); ok && join.Request == 1 {
			p.Send(seat(1, 3), &netcode.Tick{Room: 3, Epoch: 1, Tick: 12}, &netcode.Event{Number: 2, Name: "late"})
		}
		rest(p)
	})
	c := dialed(t, quick(url))
	said := make(chan string, 10)
	room, err := c.JoinOrCreate(soon(t), "k", "", nil, Handler{
		OnEvent: func(_ uint64, name string, _ []byte) { said <- name },
		OnFrame: func(f Frame) {
			if f.State != nil {
				said <- "state"
			}
		},
	})
	if err != nil || room.Seat != 4 {
		t.Fatal(room, err)
	}
	for _, w := range []string{"early", "state", "late"} {
		if got := <-said; got != w {
			t.Fatalf("got %s, want %s", got, w)
		}
	}
	if kept := c.Kept(); len(kept) != 0 {
		t.Fatal("the seat is listed as kept, too")
	}
}

// TestLeaveSurvivesALostConnection: without it the seat would stay taken until the grace ends.
func TestLeaveSurvivesALostConnection(t *testing.T) {
	for _, again := range []string{"left", "gone"} {
		t.Run(again, func(t *testing.T) {
			url := clienttest.Listen(t, func(p *clienttest.Peer) {
				if p.Number == 0 {
					welcome(p, false)
					if join, ok := want[*netcode.Join](p); ok {
						p.Send(seat(join.Request, 1))
					}
					want[*netcode.Leave](p)
					return
				}
				welcome(p, true)
				if again == "gone" {
					p.Send(&netcode.Gone{ID: "r1", Why: "closed"})
				} else {
					p.Send(seat(0, 9))
					if leave, ok := want[*netcode.Leave](p); ok && leave.Room == 9 && leave.Request == 2 {
						p.Send(&netcode.Left{Request: 2, Room: 9, Why: "left", Result: one})
					}
				}
				rest(p)
			})
			c := dialed(t, quick(url))
			why := make(chan string, 10)
			room, err := c.Create(soon(t), "k", "", nil, Handler{OnLeft: func(w string, _ []byte) { why <- w }})
			if err != nil {
				t.Fatal(err)
			}
			if err := room.Leave(soon(t)); err != nil {
				t.Fatal(err)
			}
			<-why
			if _, err := room.Send(1); !errors.Is(err, ErrLeft) {
				t.Fatal(err)
			}
			if err := room.Leave(soon(t)); !errors.Is(err, ErrLeft) {
				t.Fatal(err)
			}
		})
	}
}

// TestAbandonedJoinIsLeft: a seat that comes after the caller has gone would never be played, and never be free.
func TestAbandonedJoinIsLeft(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan uint64, 1)
	url := clienttest.Listen(t, func(p *clienttest.Peer) {
		welcome(p, false)
		join, _ := want[*netcode.Join](p)
		cancel()
		if ping, ok := want[*netcode.Join](p); ok { // the second join proves that the first was given up
			p.Send(seat(join.Request, 1), &netcode.Error{Request: ping.Request, Code: netcode.CodeRoomFull, RetryMs: 1500})
		}
		leave, _ := want[*netcode.Leave](p)
		p.Send(&netcode.Left{Request: leave.Request, Room: leave.Room, Why: "left"})
		left <- leave.Room
		rest(p)
	})
	c := dialed(t, quick(url))
	if _, err := c.JoinID(ctx, "r1", nil, Handler{}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	_, err := c.JoinKey(soon(t), "k", "key", map[string]any{"a": 1}, Handler{})
	if refused, ok := errors.AsType[*Refused](err); !ok || refused.Code != netcode.CodeRoomFull || refused.Retry != 1500*time.Millisecond {
		t.Fatal(err)
	}
	if <-left != 1 {
		t.Fatal("another room was left")
	}
	eventually(t, "no seat remains", func() bool { return len(c.Kept()) == 0 })
}

// TestForgottenSessionBeginsAnew: a client that insists on a lost session would never come back.
func TestForgottenSessionBeginsAnew(t *testing.T) {
	for name, refuse := range map[string]bool{"bad secret": true, "new session": false} {
		t.Run(name, func(t *testing.T) {
			hellos := make(chan *netcode.Hello, 10)
			url := clienttest.Listen(t, func(p *clienttest.Peer) {
				if refuse && p.Number == 1 {
					h, _ := want[*netcode.Hello](p)
					hellos <- h
					p.Close(netcode.CloseBadSecret, "")
					return
				}
				hellos <- welcome(p, false)
				if join, ok := want[*netcode.Join](p); ok {
					p.Send(seat(join.Request, 1))
				}
				if p.Number > 0 {
					rest(p)
				}
			})
			c := dialed(t, quick(url))
			left := make(chan string, 10)
			h := Handler{OnLeft: func(why string, _ []byte) { left <- why }}
			if _, err := c.Create(soon(t), "k", "", nil, h); err != nil {
				t.Fatal(err)
			}
			if why := <-left; why != LeftSession {
				t.Fatal(why)
			}
			room, err := c.Create(soon(t), "k", "", nil, h)
			if err != nil || c.Stats().Sessions != 1 {
				t.Fatal(err, c.Stats())
			}
			if n, err := room.Send(1); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			<-hellos
			if second := <-hellos; second.Session != "s" {
				t.Fatal("did not try to resume")
			}
			if refuse {
				if third := <-hellos; third.Session != "" || len(third.Rooms) != 0 {
					t.Fatalf("%+v", third)
				}
			}
		})
	}
}

// TestStaleFramesAreNotShown: an owner that has been replaced may still speak; its frames must not take the game back.
func TestStaleFramesAreNotShown(t *testing.T) {
	url := clienttest.Listen(t, func(p *clienttest.Peer) {
		welcome(p, false)
		join, _ := want[*netcode.Join](p)
		p.Send(seat(join.Request, 1))
		p.Send(&netcode.Status{Room: 1, Status: netcode.StatusResumed, Epoch: 2, Tick: 20})
		p.Send(&netcode.Tick{Room: 1, Epoch: 1, Tick: 30}, &netcode.State{Value: one}, &netcode.Event{Number: 1, Name: "counts"})
		p.Send(&netcode.Tick{Room: 1, Epoch: 2, Tick: 21}, &netcode.State{Value: one}, &netcode.Event{Number: 1, Name: "again"})
		p.Send(&netcode.Tick{Room: 1, Epoch: 2, Tick: 20}, &netcode.State{Value: one})
		p.Send(&netcode.Tick{Room: 1, Epoch: 2, Tick: 21}, &netcode.Private{Value: one}, &netcode.Event{Number: 2, Name: "end"})
		rest(p)
	})
	c := dialed(t, quick(url))
	said := make(chan any, 20)
	_, err := c.Create(soon(t), "k", "", nil, Handler{
		OnFrame:  func(f Frame) { said <- [2]uint64{f.Epoch, f.Tick} },
		OnEvent:  func(_ uint64, name string, _ []byte) { said <- name },
		OnStatus: func(s netcode.RoomStatus) { said <- s },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []any{netcode.StatusResumed, "counts", [2]uint64{2, 21}, "end", [2]uint64{2, 21}} {
		if got := <-said; got != w {
			t.Fatalf("got %v, want %v", got, w)
		}
	}
	if s := c.Stats(); s.Stale != 2 {
		t.Fatalf("%+v", s)
	}
}
