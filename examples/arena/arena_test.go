package arena

import (
	"math"
	"testing"
	"time"

	"tickover.dev/rooms/roomtest"
)

func TestBotsFight(t *testing.T) {
	r := roomtest.New(t, Kind, Options{Bots: 4})
	r.Join("ann")
	r.Wait(30 * time.Second)
	v := roomtest.Public[View](r)
	score := int32(0)
	for _, s := range v.Ships.All() {
		score += s.Score
	}
	if v.Ships.Len() != 5 || score == 0 {
		t.Fatalf("%d ships scored %d", v.Ships.Len(), score)
	}
}

func TestPlayerMovesAndIsBounded(t *testing.T) {
	r := roomtest.New(t, Kind, Options{})
	ann := r.Join("ann")
	before := *ship(r, ann)
	ann.Send(Input{DX: 300, DY: 400})
	r.Wait(time.Second)
	after := *ship(r, ann)
	if moved := math.Hypot(float64(after.X-before.X), float64(after.Y-before.Y)); moved > speed*1.1 {
		t.Fatalf("moved %v units in a second, the limit is %v", moved, speed)
	}
	r.Wait(20 * time.Second)
	if s := ship(r, ann); s.X != width-reach || s.Y != height-reach {
		t.Fatalf("at %d, %d, want the corner", s.X, s.Y)
	}
}

func ship(r *roomtest.Room, p *roomtest.Player) *ShipView {
	v := roomtest.Public[View](r)
	return v.Ships.Get(p.Seat)
}

func TestBadInputNeverReachesTheState(t *testing.T) {
	r := roomtest.New(t, Kind, Options{})
	ann := r.Join("ann")
	if code := ann.Play(Input{DX: math.NaN()}); code != "bad_input" {
		t.Fatalf("NaN: refusal %q", code)
	}
	if code := ann.Play("nonsense"); code != "bad_input" {
		t.Fatalf("nonsense: refusal %q", code)
	}
}

func TestSignalEndsTheRoom(t *testing.T) {
	r := roomtest.New(t, Kind, Options{Bots: 2})
	r.Wait(time.Second)
	r.Signal("end", nil)
	if !r.Ended() {
		t.Fatal("the room goes on")
	}
}

// A page that asks for no number of bots gets a lively room, whether it sends no options or empty ones.
func TestEmptyOptionsKeepTheDefaultBots(t *testing.T) {
	for _, options := range []any{nil, struct{}{}} {
		r := roomtest.New(t, Kind, options)
		r.Join("ann")
		r.Wait(time.Second)
		v := roomtest.Public[View](r)
		if n := v.Ships.Len(); n != 13 {
			t.Errorf("options %v: %d ships, want 12 bots and ann", options, n)
		}
	}
}
