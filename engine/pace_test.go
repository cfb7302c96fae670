package engine

import (
	"errors"
	"strings"
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

func TestOneBusyClientMakesNobodyRest(t *testing.T) {
	// Without it, whoever plays ping-pong as fast as it goes waits a millisecond for each answer.
	s := start(t, echoing(), nil)
	c := dial(t, s)
	for range 300 {
		c.send(clientFrame(true, ws.OpBinary, []byte("x")))
		c.wantFrame(ws.OpBinary, "x")
	}
	if rests := s.Stats().Rests; rests != 0 {
		t.Errorf("%d rests", rests)
	}
}

func TestFloodsOfControlFramesAreClosed(t *testing.T) {
	// Without it, pongs and fragments that no handler ever sees keep a loop busy for everybody.
	for _, frame := range [][]byte{clientFrame(true, ws.OpPong, nil), clientFrame(true, ws.OpPing, nil)} {
		s := start(t, echoing(), func(c *Config) { c.MaxExtraFrames = 50 })
		c := dial(t, s)
		go func() {
			for range 200 {
				if _, err := c.Write(frame); err != nil {
					return
				}
			}
		}()
		eventually(t, "closed for the flood", func() bool { return s.Stats().Closed[CodePolicy] == 1 })
	}
}

func TestForeignOriginsAreAnswered403(t *testing.T) {
	// Without it, any website may play, in the name of whoever visits it, on a server that only they can reach.
	s := start(t, echoing(), func(c *Config) {
		c.Allow = func(o Opening) error {
			if o.Origin != "" && o.Origin != "https://game.example" || o.Host == "" {
				return errors.New("origin not allowed")
			}
			return nil
		}
	})
	for origin, want := range map[string]string{"https://evil.example": "HTTP/1.1 403 ", "https://game.example": "HTTP/1.1 101 ", "": "HTTP/1.1 101 "} {
		c := connect(t, s)
		request := goodRequest
		if origin != "" {
			request = strings.Replace(request, "\r\n", "\r\nOrigin: "+origin+"\r\n", 1)
		}
		if _, err := c.Write([]byte(request)); err != nil {
			t.Fatal(err)
		}
		if got := c.status(); !strings.HasPrefix(got, want) {
			t.Errorf("origin %q answered %q, want %q", origin, got, want)
		}
	}
}
