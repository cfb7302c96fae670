package roomtest

import (
	"testing"

	"tickover.dev/rooms"
)

type picky struct{ N int }

type pick struct{}

func (p *picky) Step(t *rooms.Tick[pick]) {
	for e := range t.Events() {
		switch e.Type {
		case rooms.Created:
			var o struct{ No bool }
			if e.Decode(&o); o.No {
				t.Reject(e, "no", "as asked")
			}
		case rooms.Input:
			p.N++
			t.Reply(e, p.N)
		}
	}
}

// A game that refuses its creation must be testable, though nothing of the room is left to prove anything with.
func TestRefusedRoomNeedsNoProof(t *testing.T) {
	r := New(t, rooms.Define(&picky{}, rooms.Config{Name: "picky", RateHz: 20}), struct{ No bool }{true})
	r.Step()
	if !r.Ended() {
		t.Fatal("the room was made")
	}
}

// What a game replies must reach the test under the input's number, across a drop and a return.
func TestRepliesAreFoundByInput(t *testing.T) {
	r := New(t, rooms.Define(&picky{}, rooms.Config{Name: "picky", RateHz: 20}), nil)
	ann := r.Join("ann")
	first := ann.Send(pick{})
	r.Step()
	ann.Drop()
	ann.Return()
	second := ann.Send(pick{})
	r.Step()
	var a, b int
	if !ann.Reply(first, &a) || !ann.Reply(second, &b) || a != 1 || b != 2 {
		t.Errorf("replied %d and %d", a, b)
	}
}
