package roomtest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tickover.dev/rooms"
)

// hasty is a game with the commonest bug: it uses a row of a table that is not there.
type hasty struct{ Scores rooms.Seats[int] }

type move struct{}

func (h *hasty) Step(t *rooms.Tick[move]) {
	for e := range t.Events() {
		if e.Type == rooms.Input {
			*h.Scores.Get(e.Seat)++
		}
	}
}

// recorder is a test that remembers what it failed of.
type recorder struct {
	testing.TB
	failures []string
	cleanups []func()
}

func (r *recorder) Helper()          {}
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Failed() bool     { return len(r.failures) > 0 }
func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

// Without it, a game that panics passes its tests: the framework restores the room, as it does in production.
func TestPanicOfTheGameFailsItsTest(t *testing.T) {
	rec := &recorder{TB: t}
	room := New(rec, rooms.Define(&hasty{}, rooms.Config{Name: "hasty", RateHz: 20}), nil)
	ann := room.Join("ann")
	ann.Play(move{})
	if len(rec.failures) == 0 || !strings.Contains(rec.failures[0], "nil pointer") || !strings.Contains(rec.failures[0], "roomtest_test.go") {
		t.Fatalf("failures: %q", rec.failures)
	}
}

func TestAllowedFaultsDoNotFailTheTest(t *testing.T) {
	rec := &recorder{TB: t}
	room := New(rec, rooms.Define(&hasty{}, rooms.Config{Name: "hasty", RateHz: 20}), nil)
	room.AllowFaults()
	ann := room.Join("ann")
	ann.Play(move{})
	if len(rec.failures) > 0 {
		t.Fatalf("failures: %q", rec.failures)
	}
}

// forgetful keeps something outside of its state.
type forgetful struct {
	Steps int
	Ships rooms.Seats[ship]
}

type ship struct{ X, Y float64 }

var wind float64

func (f *forgetful) Step(t *rooms.Tick[move]) {
	f.Steps++
	for e := range t.Events() {
		switch e.Type {
		case rooms.Joined:
			f.Ships.Put(e.Seat, ship{})
		case rooms.Input:
			wind += 0.5
			f.Ships.Get(e.Seat).Y = wind
		}
	}
}

// A game that is not deterministic loses its players' progress when a node dies: its author is to learn of it here, and where to look.
func TestGameThatIsNotDeterministicFailsWithTheFieldNamed(t *testing.T) {
	for _, d := range []rooms.Durability{rooms.EveryChange, rooms.Replay} {
		rec := &recorder{TB: t}
		room := New(rec, rooms.Define(&forgetful{}, rooms.Config{Name: "forgetful", RateHz: 20, Durability: d}), nil)
		ann := room.Join("ann")
		ann.Play(move{})
		ann.Play(move{})
		for _, f := range rec.cleanups {
			f()
		}
		if len(rec.failures) != 1 || !strings.Contains(rec.failures[0], "Ships[1].Y: ") || !strings.Contains(rec.failures[0], " != ") {
			t.Errorf("%s: failures: %q", d, rec.failures)
		}
	}
}

// steady changes at every tick, draws lots, sends, and takes bots in and turns them out.
type steady struct {
	Sum  uint64
	Rung int
	Last time.Duration
}

func (s *steady) Public() any { return s }

func (s *steady) Step(t *rooms.Tick[move]) {
	s.Sum = s.Sum*31 + t.Rand().Uint64() + uint64(t.Now())
	for e := range t.Events() {
		s.Sum = s.Sum*31 + uint64(e.Type)
		switch e.Type {
		case rooms.Input:
			t.Broadcast("moved", s.Sum)
			t.AddBot("bot")
			t.After(150*time.Millisecond, "bell")
			t.Do("job", s.Sum)
		case rooms.Joined:
			if e.Player.Bot {
				t.Kick(e.Seat, "no bots")
			}
		case rooms.Timer:
			s.Rung++
			s.Last = t.Now()
		}
	}
}

// The proof of a Replay room must not fail where the game is as it should be, at any rate, and must have something to prove.
func TestDeterministicReplayRoomsPass(t *testing.T) {
	for _, rate := range []int{0, 3, 20, 128} {
		room := New(t, rooms.Define(&steady{}, rooms.Config{Name: "steady", RateHz: rate, Durability: rooms.Replay}), nil)
		ann, bob := room.Join("ann"), room.Join("bob")
		for range 40 {
			ann.Play(move{})
			room.Wait(120 * time.Millisecond)
		}
		bob.Drop()
		bob.Return()
		bob.Send(move{})
		room.Wait(2 * time.Second)
		bob.Leave()
		room.Signal("hello", 1)
		if n := len(ann.Events("moved")); n != 41 {
			t.Errorf("rate %d: ann was told of %d moves", rate, n)
		}
		var s steady
		if room.State(&s); s.Rung == 0 {
			t.Errorf("rate %d: no timer went off", rate)
		}
	}
}
