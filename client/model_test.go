package client

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"tickover.dev/netcode"
)

// modelServer is one seat as the protocol wants it: it takes exactly the next input, keeps reliable messages until they are
// acknowledged, and forgets nothing when a connection is lost.
type modelServer struct {
	history  []uint64 // the inputs' values in the order of being applied
	reliable uint64   // last number given out
	acked    uint64
}

func (s *modelServer) input(number, value, reliable uint64) (resend uint64) {
	s.acked = max(s.acked, reliable)
	if last := uint64(len(s.history)); number != last+1 {
		if number > last+1 {
			return last + 1
		}
		return 0
	}
	s.history = append(s.history, value)
	return 0
}

// TestAnyWeatherAppliesEveryInputOnceAndInOrder: without rewinds, the window and deduplication, a lost or doubled message would
// lose an input, apply it twice, or show the game a reliable message twice.
func TestAnyWeatherAppliesEveryInputOnceAndInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(0, 0)
		out, in, ack, server := newOutbox(0), inbox{}, acks{}, modelServer{}
		var sent, seen []uint64

		// up and down carry messages; each may be delivered, lost, or delivered twice.
		up := func(fate int, number, value uint64) {
			for range fate {
				if from := server.input(number, value, in.seen); from != 0 {
					out.gap(now, from)
				}
			}
		}
		pump := func(fate func() int) {
			out.tick(now)
			for {
				number, value, ok := out.next()
				if !ok {
					return
				}
				v := uint64(value[0])<<8 | uint64(value[1])
				out.sentNext()
				ack.tell(in.seen)
				up(fate(), number, v)
			}
		}
		down := func() {
			for n := server.acked + 1; n <= server.reliable; n++ {
				fresh, err := in.accept(n)
				if err != nil {
					t.Fatal(err)
				}
				if fresh {
					seen = append(seen, n)
				}
			}
			ack.saw(now, in.seen)
			if err := out.consumed(now, uint64(len(server.history))); err != nil {
				t.Fatal(err)
			}
		}
		weather := func() int { return rapid.IntRange(0, 2).Draw(t, "copies") }

		t.Repeat(map[string]func(*rapid.T){
			"send": func(t *rapid.T) {
				v := uint64(len(sent))
				switch number, err := out.push(now, []byte{byte(v >> 8), byte(v)}); {
				case err == nil && number != v+1:
					t.Fatalf("input %d got number %d", v, number)
				case err == nil:
					sent = append(sent, v)
				case out.waiting() < Window:
					t.Fatal(err)
				}
			},
			"pump":        func(*rapid.T) { pump(weather) },
			"speak":       func(*rapid.T) { server.reliable++ },
			"frame":       func(*rapid.T) { down() },
			"time passes": func(*rapid.T) { now = now.Add(3 * time.Second) },
			"reconnect": func(*rapid.T) {
				in.resume(server.acked, netcode.OutcomeResumed)
				ack.restart(in.seen)
				if err := out.consumed(now, uint64(len(server.history))); err != nil {
					t.Fatal(err)
				}
				out.rewind(now, 0)
			},
			"": func(t *rapid.T) {
				if out.applied > out.sent || out.sent > out.last || out.last > out.applied+Window {
					t.Fatalf("invariant broken: %+v", out)
				}
				for i, v := range server.history {
					if v != sent[i] {
						t.Fatalf("history %v of %v", server.history, sent)
					}
				}
			},
		})

		now = now.Add(3 * time.Second)
		pump(func() int { return 1 })
		down()
		if len(server.history) != len(sent) || out.waiting() != 0 {
			t.Fatalf("%d of %d inputs applied, %d wait", len(server.history), len(sent), out.waiting())
		}
		for i, n := range seen {
			if n != uint64(i+1) {
				t.Fatalf("reliable messages %v", seen)
			}
		}
		if uint64(len(seen)) != server.reliable {
			t.Fatalf("%d of %d reliable messages", len(seen), server.reliable)
		}
	})
}

// TestWindowRefusesInput257: without the bound a room that never answers would fill the memory.
func TestWindowRefusesInput257(t *testing.T) {
	now, out := time.Unix(0, 0), newOutbox(7)
	for i := range Window {
		if n, err := out.push(now, []byte{1}); err != nil || n != uint64(i+8) {
			t.Fatal(n, err)
		}
	}
	if _, err := out.push(now, []byte{1}); err != ErrWindow {
		t.Fatal(err)
	}
	if err := out.consumed(now, 8); err != nil {
		t.Fatal(err)
	}
	if n, err := out.push(now, []byte{1}); err != nil || n != 264 {
		t.Fatal(n, err)
	}
	if err := out.consumed(now, 265); err == nil {
		t.Fatal("a number that was never given out was acknowledged")
	}
}

// TestBurstOfGapsRewindsOnce: every input behind a gap makes the server ask; obeying each time would square the traffic.
func TestBurstOfGapsRewindsOnce(t *testing.T) {
	now, out := time.Unix(0, 0), newOutbox(0)
	count := 0
	drain := func() {
		for _, _, ok := out.next(); ok; _, _, ok = out.next() {
			out.sentNext()
			count++
		}
	}
	for range 10 {
		out.push(now, []byte{1})
	}
	drain()
	for range 9 {
		out.gap(now, 1)
		drain()
	}
	if count != 20 {
		t.Fatalf("%d inputs went out, want 10 and once again", count)
	}
	out.gap(now.Add(askedAgain), 1)
	if drain(); count != 30 {
		t.Fatal("a later request was not obeyed")
	}
}

// TestStandstillResendsEveryTwoSeconds: a lost request to resend would otherwise stop a seat for ever.
func TestStandstillResendsEveryTwoSeconds(t *testing.T) {
	now, out := time.Unix(100, 0), newOutbox(0)
	out.push(now, []byte{1})
	if due := out.due(now); !due.Equal(now) {
		t.Fatal(due)
	}
	out.sentNext()
	if due := out.due(now); !due.Equal(now.Add(resendAfter)) {
		t.Fatal(due)
	}
	out.tick(now.Add(resendAfter - 1))
	if _, _, ok := out.next(); ok {
		t.Fatal("too early")
	}
	out.tick(now.Add(resendAfter))
	if _, _, ok := out.next(); !ok {
		t.Fatal("never")
	}
	out.consumed(now, 1)
	if due := out.due(now); !due.IsZero() {
		t.Fatal("nothing waits, yet it is due", due)
	}
}

// TestAcknowledgementRidesOnInputs: 100 ms after news at the latest, and never alone when an input went in between.
func TestAcknowledgementRidesOnInputs(t *testing.T) {
	now, a := time.Unix(100, 0), acks{}
	if !a.due().IsZero() {
		t.Fatal("nothing was seen")
	}
	a.sawState(now, 5, 0)
	a.sawState(now.Add(50*time.Millisecond), 6, 1)
	if due := a.due(); !due.Equal(now.Add(ackAfter)) {
		t.Fatal(due)
	}
	a.tell(1)
	a.saw(now, 1)
	if !a.due().IsZero() {
		t.Fatal("told twice")
	}
}

// TestBackoffIsJitteredDoubledAndBounded: without jitter a crowd comes back at once; without a bound never; and with one of 20 s a
// player who has a seat could sleep through most of its grace.
func TestBackoffIsJitteredDoubledAndBounded(t *testing.T) {
	for seated, bounds := range map[bool][]time.Duration{
		false: {500, 1000, 2000, 4000, 8000, 16000, 20000, 20000},
		true:  {500, 1000, 2000, 4000, 5000, 5000, 5000, 5000},
	} {
		b := backoff{first: backoffFirst, max: backoffMax}
		for _, want := range bounds {
			if got := b.wait(seated, 0.5); got != want*time.Millisecond/2 {
				t.Fatalf("seated %t: half of the bound is %v, want of %v ms", seated, got, want)
			}
		}
		b.reset()
		if got := b.wait(seated, 0); got != 0 {
			t.Fatal(got)
		}
		if got := b.wait(seated, 0.999); got > time.Second {
			t.Fatal(got)
		}
	}
}

// TestClientKnowsThatASeatWaits, from its rooms or from the session it was given, since its waits are shorter then.
func TestClientKnowsThatASeatWaits(t *testing.T) {
	c, room := loose(t)
	if !c.holdsSeats() {
		t.Error("not seated with a room")
	}
	c.turn.Lock()
	c.drop(room, "left", nil)
	c.turn.Unlock()
	if c.holdsSeats() {
		t.Error("seated without a room")
	}
	if fresh := (&Client{}); fresh.holdsSeats() {
		t.Error("seated without a session")
	}
	if kept := (&Client{session: "s"}); !kept.holdsSeats() {
		t.Error("the seats of an earlier process are forgotten")
	}
}

// TestPaceStaysUnderTheServersLimit: what the server drops for coming too fast must be sent again, which makes it come faster.
func TestPaceStaysUnderTheServersLimit(t *testing.T) {
	began := time.Unix(1000, 0)
	now, p, sent := began, pace{}, 0
	for now.Before(began.Add(10 * time.Second)) {
		if at := p.next(now); at.After(now) {
			now = at
			continue
		}
		p.spend(now)
		if sent++; float64(sent) > 120+60*now.Sub(began).Seconds() {
			t.Fatalf("message %d after %v", sent, now.Sub(began))
		}
	}
	if sent < messageBurst+10*messageHz-1 {
		t.Fatalf("only %d messages went out", sent)
	}
}
