package roomtest

import (
	"fmt"
	"strings"
	"testing"

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
