package engine

import (
	"testing"
	"time"

	"github.com/gobwas/ws"
)

func TestABusyLoopRestsAndLosesNothing(t *testing.T) {
	// Without it, a loop with thousands of clients pays for a wake-up with nearly every message.
	for _, c := range []struct {
		pace  time.Duration
		rests bool
	}{{0, true}, {-1, false}} {
		s := start(t, echoing(), func(cfg *Config) { cfg.Loops, cfg.Pace = 1, c.pace })
		const clients, rounds = 20, 50
		var all []*client
		for range clients {
			all = append(all, dial(t, s))
		}
		if quiet := s.Stats().Rests; quiet != 0 && !c.rests {
			t.Errorf("pace %v: %d rests", c.pace, quiet)
		}
		for range rounds {
			for _, k := range all {
				k.send(clientFrame(true, ws.OpBinary, []byte("x")))
			}
			for _, k := range all {
				k.wantFrame(ws.OpBinary, "x")
			}
		}
		if rests := s.Stats().Rests; (rests > 0) != c.rests {
			t.Errorf("pace %v: %d rests", c.pace, rests)
		}
	}
}

func TestALoopWithLittleToDoNeverRests(t *testing.T) {
	// Without it, a single player's input waits for nobody's sake.
	s := start(t, echoing(), nil)
	c := dial(t, s)
	for range 5 {
		c.send(clientFrame(true, ws.OpBinary, []byte("x")))
		c.wantFrame(ws.OpBinary, "x")
		time.Sleep(5 * time.Millisecond) // time itself is meant: messages that come apart
	}
	if rests := s.Stats().Rests; rests != 0 {
		t.Errorf("%d rests", rests)
	}
}
