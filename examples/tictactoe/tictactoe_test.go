package tictactoe

import (
	"testing"
	"time"

	"tickover.dev/rooms/roomtest"
)

func TestRowWins(t *testing.T) {
	r := roomtest.New(t, Kind, nil)
	ann, bob := r.Join("ann"), r.Join("bob")
	if roomtest.Public[Game](r).Turn == bob.Seat {
		ann, bob = bob, ann
	}
	if code := bob.Play(Move{0}); code != "not_your_turn" {
		t.Fatalf("refusal %q", code)
	}
	for _, c := range []int{0, 3, 1, 4} {
		if code := ann.Play(Move{c}); code != "" {
			t.Fatalf("cell %d: %s", c, code)
		}
		ann, bob = bob, ann
	}
	if code := ann.Play(Move{0}); code != "bad_cell" {
		t.Fatalf("refusal %q", code)
	}
	ann.Play(Move{2})
	if g := roomtest.Public[Game](r); g.Winner != ann.Seat || !r.Ended() || len(g.Line) != 3 {
		t.Fatalf("%+v", g)
	}
}

func TestSlowMoverLoses(t *testing.T) {
	r := roomtest.New(t, Kind, nil)
	r.Join("ann")
	r.Join("bob")
	slow := roomtest.Public[Game](r).Turn
	r.Wait(time.Minute)
	if g := roomtest.Public[Game](r); g.Winner == slow || g.Winner == 0 || !r.Ended() {
		t.Fatalf("%+v", g)
	}
}

func TestLeaverLoses(t *testing.T) {
	r := roomtest.New(t, Kind, nil)
	ann, bob := r.Join("ann"), r.Join("bob")
	ann.Drop()
	r.Wait(31 * time.Second) // longer than the grace, and the move clock may be faster
	if g := roomtest.Public[Game](r); !g.Over || g.Winner == 0 {
		t.Fatalf("%+v", g)
	}
	_ = bob
}

func TestThirdPlayerIsTurnedAway(t *testing.T) {
	r := roomtest.New(t, Kind, nil)
	r.Join("ann")
	r.Join("bob")
	if code := r.Join("eve").Refused(); code != "room_locked" {
		t.Fatalf("refusal %q", code)
	}
}
