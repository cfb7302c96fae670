package client

import (
	"testing"
	"time"

	"tickover.dev/client/clienttest"
	"tickover.dev/netcode"
)

// TestAttemptsGrow: without it a server could not tell a hello that was given up from the one that counts.
func TestAttemptsGrow(t *testing.T) {
	var a attempts
	at := time.UnixMilli(1_795_000_000_000)
	for i, c := range []struct {
		now  time.Time
		want uint64
	}{
		{at, 1_795_000_000_000},
		{at, 1_795_000_000_001},
		{at.Add(-time.Hour), 1_795_000_000_002},
		{at.Add(time.Second), 1_795_000_001_000},
		{time.Time{}, 1_795_000_001_001},
	} {
		if got := a.next(c.now); got != c.want {
			t.Errorf("attempt %d has the number %d, want %d", i, got, c.want)
		}
	}
	var early attempts
	if got := early.next(time.Time{}); got != 1 {
		t.Errorf("before 1970 the first number is %d", got)
	}
}

// TestEachHelloHasAHigherNumber: whether a connection was welcomed, refused, or lost without a word, and in whichever process.
func TestEachHelloHasAHigherNumber(t *testing.T) {
	numbers := make(chan uint64, 10)
	url := clienttest.Listen(t, func(p *clienttest.Peer) {
		hello, ok := want[*netcode.Hello](p)
		if !ok {
			return
		}
		numbers <- hello.Attempt
		switch p.Number {
		case 0:
			p.Cut()
		case 1:
			p.Close(netcode.CloseOverloaded, "away")
		case 2:
			p.Send(&netcode.Welcome{Version: 1, Session: "s", Secret: "x", Player: "p"})
			p.Cut()
		default:
			p.Send(&netcode.Welcome{Version: 1, Session: "s", Secret: "x", Player: "p", Resumed: true})
			rest(p)
		}
	})
	first := dialed(t, quick(url))
	eventually(t, "the first process is back", func() bool { return first.Reconnects() == 1 })
	saved := first.Saved()
	first.Close()
	last := uint64(time.Now().Add(-time.Minute).UnixMilli())
	higher := func() {
		number := <-numbers
		if number <= last {
			t.Errorf("number %d behind %d", number, last)
		}
		last = number
	}
	for range 4 {
		higher()
	}
	eventually(t, "a process takes longer to start than a millisecond", func() bool { return uint64(time.Now().UnixMilli()) > last })
	cfg := quick(url)
	cfg.Resume = &saved
	dialed(t, cfg).Close()
	higher()
}

// TestAClientWhoseClockWentBackGetsIn: the process before may have had a higher number and no welcome. Then no number of this one would
// do until the clock has caught up.
func TestAClientWhoseClockWentBackGetsIn(t *testing.T) {
	numbers := make(chan uint64, 3)
	url := clienttest.Listen(t, func(p *clienttest.Peer) {
		hello, ok := want[*netcode.Hello](p)
		if !ok {
			return
		}
		numbers <- hello.Attempt
		if p.Number == 0 {
			p.Close(netcode.CloseStale, "a later hello of this session was answered")
			return
		}
		p.Send(&netcode.Welcome{Version: 1, Session: "s", Secret: "x", Player: "p", Resumed: true})
		if p.Number == 1 {
			p.Cut()
			return
		}
		rest(p)
	})
	cfg := quick(url)
	cfg.Resume = &Saved{Session: "s", Secret: "w"}
	c := dialed(t, cfg)
	eventually(t, "it is back", func() bool { return c.Reconnects() == 1 })
	if a, b, c := <-numbers, <-numbers, <-numbers; a == 0 || b != 0 || c <= a {
		t.Errorf("the numbers are %d, %d, %d", a, b, c)
	}
}
