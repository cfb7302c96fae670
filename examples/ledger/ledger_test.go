package ledger

import (
	"testing"
	"time"

	"tickover.dev/rooms/roomtest"
)

func TestInputsAreCountedOnce(t *testing.T) {
	r := roomtest.New(t, Kind, nil)
	ann := r.Join("ann")
	for n := uint64(1); n <= 10; n++ {
		ann.Send(Entry{n})
	}
	r.Wait(time.Second)
	v := roomtest.Public[View](r)
	if a := v.Seats.Get(ann.Seat); a.Applied != 10 || a.Last != 10 || v.Step < 20 || v.Hash == 0 {
		t.Fatalf("%+v of %+v", a, v)
	}
}

// A checker that cannot see these faults proves nothing.
func TestFaultsBreakIt(t *testing.T) {
	for fault, want := range map[string]uint64{"lose": 99, "dup": 101, "fork": 100} {
		r := roomtest.New(t, Kind, Options{Fault: fault})
		ann, bob := r.Join("ann"), r.Join("bob")
		for n := uint64(1); n <= 100; n++ {
			ann.Send(Entry{n})
		}
		r.Wait(time.Second)
		v := roomtest.Public[View](r)
		if got := v.Seats.Get(ann.Seat).Applied; got != want {
			t.Errorf("%s: %d applied, want %d", fault, got, want)
		}
		if fault == "fork" && roomtest.Private[uint64](bob) == 0 {
			t.Error("fork: bob was told nothing of his own")
		}
	}
}

func TestUnknownFaultIsRefused(t *testing.T) {
	r := roomtest.New(t, Kind, Options{Fault: "none of these"})
	if code := r.Join("ann").Refused(); code != "bad_options" && !r.Ended() {
		t.Fatalf("refusal %q", code)
	}
}
