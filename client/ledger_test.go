package client

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tickover.dev/client/clienttest"
	"tickover.dev/netcode"
)

// TestCutConnectionsLoseNothing: the promise of the package, over real sockets: connections die again and again under load.
func TestCutConnectionsLoseNothing(t *testing.T) {
	ledger := &clienttest.Ledger{}
	url := ledger.Start(t, 5*time.Millisecond)
	stop := make(chan struct{})
	var cutting sync.WaitGroup
	cutting.Go(func() {
		beat := time.NewTicker(40 * time.Millisecond)
		defer beat.Stop()
		for {
			select {
			case <-beat.C:
				ledger.CutAll()
			case <-stop:
				return
			}
		}
	})
	var sent, resent atomic.Uint64
	t.Run("clients", func(t *testing.T) {
		for i := range 8 {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				n, s := play(t, url, fmt.Sprint("room", i%2))
				sent.Add(n)
				resent.Add(uint64(s.Resent))
			})
		}
	})
	close(stop)
	cutting.Wait()
	if n := ledger.Inputs(); n != sent.Load() {
		t.Errorf("%d inputs were counted, %d were sent", n, sent.Load())
	}
	if resent.Load() == 0 {
		t.Error("no connection was cut while an input was on its way: nothing was proven")
	}
}

// play sends inputs through five lost connections, waits until all are acknowledged, and watches the order of what comes back.
func play(t *testing.T, url, key string) (sent uint64, s Stats) {
	const lost = 5
	c := dialed(t, quick(url))
	var replies, events atomic.Uint64
	room, err := c.JoinOrCreate(soon(t), "ledger", key, nil, Handler{
		OnEvent: func(n uint64, _ string, value []byte) {
			if v, err := Decode[uint64](value); err != nil || v != n || n <= events.Swap(n) {
				t.Errorf("event %d holds %d (%v)", n, v, err)
			}
		},
		OnReply: func(input uint64, _ []byte) {
			if want := replies.Add(1) * 10; want != input {
				t.Errorf("reply to input %d, want %d", input, want)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "every input is acknowledged", func() bool {
		for c.Reconnects() < lost {
			switch _, err := room.SendRaw(one); {
			case errors.Is(err, ErrWindow):
				return false
			case err != nil:
				t.Fatal(err)
			}
			if sent++; sent%10 == 0 {
				return false
			}
		}
		return room.Unacknowledged() == 0
	})
	eventually(t, "every reply arrives", func() bool { return replies.Load() == sent/10 })
	if s = c.Stats(); s.Violations != 0 || s.Sessions != 0 || s.Reconnects < lost {
		t.Errorf("%+v", s)
	}
	return sent, s
}

// TestSavedSessionGivesSeatsBack: a tool that is started again finds its seats, and what happened in them before it looked.
func TestSavedSessionGivesSeatsBack(t *testing.T) {
	ledger := &clienttest.Ledger{}
	cfg := quick(ledger.Start(t, time.Millisecond))
	first := dialed(t, cfg)
	room, err := first.JoinOrCreate(soon(t), "ledger", "a", nil, Handler{})
	if err != nil {
		t.Fatal(err)
	}
	saved := first.Saved()
	first.Close()
	if _, err := room.Send(1); !errors.Is(err, ErrClosed) || !errors.Is(first.Err(), ErrClosed) {
		t.Fatal(err)
	}
	if _, err := first.JoinID(soon(t), "x", nil, Handler{}); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}

	cfg.Resume = &saved
	second := dialed(t, cfg)
	eventually(t, "the seat is there", func() bool { return len(second.Kept()) == 1 })
	kept := second.Kept()[0]
	if kept.ID != room.ID || kept.Seat != room.Seat {
		t.Fatal(kept)
	}
	var frames, events atomic.Uint64
	kept.Handle(Handler{OnFrame: func(Frame) { frames.Add(1) }, OnEvent: func(n uint64, _ string, _ []byte) { events.Store(n) }})
	if len(second.Kept()) != 0 {
		t.Fatal("still listed")
	}
	eventually(t, "it plays", func() bool { return frames.Load() > 3 && events.Load() > 0 && kept.Tick() > 0 && kept.Epoch() == 1 })
	for want := range 10 { // inputs are numbered from 1 by a new run
		if n, err := kept.Send(struct{ N int }{want}); n != uint64(want+1) || err != nil {
			t.Fatal(n, err)
		}
	}
	if second.Saved() == saved {
		t.Fatal("the secret did not change")
	}
}

// TestRequestGetsItsReplyOrRefusal also through the other ways that a wait can end.
func TestRequestGetsItsReplyOrRefusal(t *testing.T) {
	ledger := &clienttest.Ledger{Fate: func(_, number uint64) clienttest.Fate {
		if number == 11 {
			return clienttest.Refused
		}
		return clienttest.Applied
	}}
	c := dialed(t, quick(ledger.Start(t, time.Millisecond)))
	room, err := c.Create(soon(t), "ledger", "", nil, Handler{OnRefusal: func(uint64, *Refused) { t.Error("told twice") }})
	if err != nil {
		t.Fatal(err)
	}
	for range 9 {
		room.SendRaw(one)
	}
	reply, err := room.Request(soon(t), map[string]int{"a": 7})
	if v, bad := Decode[map[string]int](reply); err != nil || bad != nil || v["a"] != 7 {
		t.Fatal(reply, err, bad)
	}
	if _, err = room.Request(soon(t), 1); err == nil || err.Error() != "refused: no" {
		t.Fatal(err)
	}
	left := make(chan error, 1)
	waiting := make(chan struct{})
	go func() { close(waiting); _, err := room.Request(t.Context(), 1); left <- err }()
	<-waiting
	if err := room.Leave(soon(t)); err != nil {
		t.Fatal(err)
	}
	if err := <-left; !errors.Is(err, ErrLeft) {
		t.Fatal(err)
	}
}

// TestSilenceIsNoticed: a connection whose peer has vanished looks open for ever. A client that says nothing would be dropped.
func TestSilenceIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var second, pings, pongs atomic.Int64
		dial := clienttest.Pipe(t, func(p *clienttest.Peer) {
			if p.Number == 1 {
				second.Store(int64(time.Since(began)))
			}
			welcome(p, p.Number > 0)
			for {
				ping, ok := want[*netcode.Ping](p)
				if !ok {
					return
				}
				pings.Add(1)
				if p.Number > 0 {
					p.Send(&netcode.Pong{Time: ping.Time})
					pongs.Add(1)
				}
			}
		})
		c := dialed(t, Config{URL: "ws://pipe/", Dial: dial, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
		<-time.After(60 * time.Second) // of the bubble's time
		if at := time.Duration(second.Load()); at < silence || at > silence+time.Second {
			t.Errorf("the second connection came after %v, want 15 s and a little", at)
		}
		if c.Reconnects() != 1 || !c.Online() || pongs.Load() < 7 {
			t.Errorf("%+v after %d pings and %d pongs", c.Stats(), pings.Load(), pongs.Load())
		}
		c.Close()
	})
}

// TestPeerThatDoesNotReadIsLeft: it is not silent, so only a write that does not end tells. Close must not wait for it either.
func TestPeerThatDoesNotReadIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial := clienttest.Pipe(t, func(p *clienttest.Peer) {
			welcome(p, p.Number > 0)
			for p.Send(&netcode.Pong{}) == nil {
				<-time.After(time.Second)
			}
		})
		c := dialed(t, Config{URL: "ws://pipe/", Dial: dial})
		<-time.After(pingAfter + writeTimeout + backoffFirst + time.Second)
		if c.Reconnects() != 1 {
			t.Errorf("%+v", c.Stats())
		}
		<-time.After(pingAfter) // the ping on the second connection does not go out either
		began := time.Now()
		c.Close()
		if d := time.Since(began); d > 2*goodbyeTimeout {
			t.Errorf("closing took %v", d)
		}
	})
}

// TestOtherWebServersAreNoGameServers: a wrong address must give an error, not a hang.
func TestOtherWebServersAreNoGameServers(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	_, err := dialLink(t.Context(), &Config{URL: "ws" + strings.TrimPrefix(web.URL, "http"), Dial: nil})
	if !errors.Is(err, errDial) {
		t.Fatal(err)
	}
}

// TestValuesAreEncodedAsRoomsExpectThem: what the codec does not take goes through msgpack, and nothing is sent that no server takes.
func TestValuesAreEncodedAsRoomsExpectThem(t *testing.T) {
	type keys struct {
		Up bool
		DX float64 `msgpack:"dx"`
	}
	type anything struct{ A any }
	for _, v := range []any{nil, (*keys)(nil), keys{Up: true}, &keys{DX: 1}, map[string]any{"a": 1}, anything{"x"}, 5, "five", Raw{0x90}} {
		b, err := Encode(nil, v)
		if err != nil || netcode.CheckValue(b) != nil {
			t.Errorf("%#v: %x %v", v, b, err)
		}
	}
	b, _ := Encode(nil, keys{Up: true, DX: 2})
	if v, err := Decode[keys](b); err != nil || v != (keys{true, 2}) {
		t.Error(v, err)
	}
	if _, err := Encode(nil, make([]byte, 16<<10)); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	deep := Raw{0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 1} // as deep as a value may be
	if _, err := Encode(nil, deep); err != nil {
		t.Error(err)
	}
	for _, v := range []any{Raw{}, Raw{1, 1}, append(Raw{0x91}, deep...), time.Now(), make(chan int)} {
		if b, err := Encode(nil, v); err == nil {
			t.Errorf("%#v was taken as %x", v, b)
		}
	}
	if _, err := Decode[map[string]any]([]byte{0xdf, 0xff, 0xff, 0xff, 0xff}); err == nil {
		t.Error("a claim of four billion pairs was taken")
	}
}

// TestSteadyBotAllocatesNothing: thousands of bots share a process with what they measure.
func TestSteadyBotAllocatesNothing(t *testing.T) {
	now := time.Unix(1000, 0)
	c, room := loose(t)
	var frame []byte
	frame = (&netcode.Tick{Room: 1, Epoch: 1, Tick: 50}).Append(frame)
	frame = (&netcode.State{Value: one}).Append(frame)
	buf := make([]byte, headBytes, 4096)
	cycle := func() {
		now = now.Add(50 * time.Millisecond)
		if _, err := room.SendRaw(one); err != nil {
			t.Fatal(err)
		}
		_, out, _, err := c.compose(now, buf)
		if err != nil || len(out) == len(buf) {
			t.Fatal(out, err)
		}
		seal(0, out)
		if err := c.receive(now, frame); err != nil {
			t.Fatal(err)
		}
		room.out.consumed(now, room.out.last)
	}
	for range 2 * Window {
		cycle()
	}
	if n := testing.AllocsPerRun(1000, cycle); n != 0 {
		t.Errorf("%v allocations per input and frame", n)
	}
}

// loose is a client with a room and without a connection.
func loose(tb testing.TB) (*Client, *Room) {
	tb.Helper()
	c := &Client{wake: make(chan struct{}, 1), done: make(chan struct{}), welcomed: true, heard: time.Unix(1000, 0), spoke: time.Unix(1000, 0)}
	c.in.welcomed, c.in.announced = true, true
	c.cfg.fill()
	j := seat(0, 1)
	if err := c.receive(time.Unix(1000, 0), j.Append(nil)); err != nil {
		tb.Fatal(err)
	}
	room := c.rooms[0]
	shown := 0
	room.Handle(Handler{OnFrame: func(Frame) { shown++ }})
	return c, room
}

func BenchmarkInputAndFrame(b *testing.B) {
	now := time.Unix(1000, 0)
	c, room := loose(b)
	var frame []byte
	frame = (&netcode.Tick{Room: 1, Epoch: 1, Tick: 50}).Append(frame)
	frame = (&netcode.State{Value: Raw{0xc4, 3, 1, 2, 3}}).Append(frame)
	buf := make([]byte, headBytes, 4096)
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(50 * time.Millisecond)
		room.SendRaw(one)
		_, out, _, _ := c.compose(now, buf)
		seal(0, out)
		c.receive(now, frame)
		room.out.consumed(now, room.out.last)
	}
}
