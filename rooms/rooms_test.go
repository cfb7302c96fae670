package rooms_test

import (
	"testing"
	"time"

	"tickover.dev/rooms"
	"tickover.dev/rooms/roomtest"
)

// clicker is the smallest game: it counts clicks.
type clicker struct{ Clicks rooms.Seats[int] }

type click struct{ Times int }

func (c *clicker) Public() any { return c }

func (c *clicker) Step(t *rooms.Tick[click]) {
	for e := range t.Events() {
		switch e.Type {
		case rooms.Joined:
			c.Clicks.Put(e.Seat, 0)
			t.Broadcast("hello", e.Player.Name)
		case rooms.Input:
			if e.Input.Times > 10 {
				t.Reject(e, "too_many", "at most ten")
				continue
			}
			*c.Clicks.Get(e.Seat) += max(1, e.Input.Times)
		case rooms.Left:
			c.Clicks.Delete(e.Seat)
		}
	}
}

func clickerKind(rate int) rooms.Kind {
	return rooms.Define(&clicker{}, rooms.Config{Name: "clicker", RateHz: rate, Seats: 3})
}

func TestInputsAreApplied(t *testing.T) {
	for _, rate := range []int{0, 20} {
		r := roomtest.New(t, clickerKind(rate), nil)
		ann, bob := r.Join("ann"), r.Join("bob")
		ann.Play(click{})
		ann.Play(click{Times: 4})
		if code := bob.Play(click{Times: 11}); code != "too_many" {
			t.Fatalf("rate %d: refusal %q", rate, code)
		}
		got := roomtest.Public[clicker](r)
		if *got.Clicks.Get(ann.Seat) != 5 || *got.Clicks.Get(bob.Seat) != 0 {
			t.Fatalf("rate %d: %v", rate, got)
		}
		if n := len(ann.Events("hello")); n != 2 {
			t.Fatalf("rate %d: ann heard %d hellos, want 2", rate, n)
		}
	}
}

func TestSeatIsKeptForTheGrace(t *testing.T) {
	for _, rate := range []int{0, 20} {
		r := roomtest.New(t, clickerKind(rate), nil)
		ann := r.Join("ann")
		ann.Drop()
		r.Wait(29 * time.Second)
		ann.Return()
		if ann.Left() != "" {
			t.Fatalf("rate %d: lost the seat within the grace: %s", rate, ann.Left())
		}
		ann.Play(click{})
		ann.Drop()
		r.Wait(31 * time.Second)
		if got := roomtest.Public[clicker](r); got.Clicks.Len() != 0 {
			t.Fatalf("rate %d: the seat outlived the grace: %v", rate, got)
		}
		r.Wait(61 * time.Second)
		if !r.Ended() {
			t.Fatalf("rate %d: the empty room still lives", rate)
		}
	}
}

// signpost remembers where it was told to be.
type signpost struct{ Room, Key string }

func (s *signpost) Public() any { return s }

func (s *signpost) Step(t *rooms.Tick[click]) { s.Room, s.Key = string(t.Room()), t.Key() }

// TestStepKnowsItsRoomAndKey, in a resumed room too: roomtest resumes it from every entry and wants the same state. Without them a
// game could not say in a log, a job or a link which of its rooms it means.
func TestStepKnowsItsRoomAndKey(t *testing.T) {
	r := roomtest.New(t, rooms.Define(&signpost{}, rooms.Config{Name: "signpost", RateHz: 20}), nil)
	r.Join("ann")
	r.Wait(time.Second)
	if got := roomtest.Public[signpost](r); got.Room == "" || got.Key != "key" {
		t.Fatalf("%+v", got)
	}
}

func TestFullRoomRefuses(t *testing.T) {
	r := roomtest.New(t, clickerKind(20), nil)
	for _, name := range []string{"a", "b", "c"} {
		if p := r.Join(name); p.Seat == 0 {
			t.Fatalf("%s was refused: %s", name, p.Refused())
		}
	}
	if p := r.Join("d"); p.Refused() != "room_full" {
		t.Fatalf("refused with %q", p.Refused())
	}
}
