package placement

import (
	"testing"
	"time"

	"tickover.dev/rooms"
)

// What a node is for: whoever comes plays in the room that is meant, wherever it is.
func TestPlayersOfAllNodesPlayInOneRoom(t *testing.T) {
	inTown(t, 3, func(w *town) {
		ann := w.nodes[0].enter("ann", lobby)
		bob := w.nodes[1].enter("bob", lobby)
		cyd := w.nodes[2].enter("cyd", lobby)
		if ann.room.ID != bob.room.ID || bob.room.ID != cyd.room.ID {
			t.Fatalf("they are in %s, %s and %s", ann.room.ID, bob.room.ID, cyd.room.ID)
		}
		playFor(3*time.Second, ann, bob, cyd)
		w.settle(ann, bob, cyd)
		for _, o := range []*player{ann, bob, cyd} {
			if gap := o.longest(); gap > 120*time.Millisecond {
				t.Errorf("%s was shown nothing for %s", o.session, gap)
			}
		}
	})
}

// The heart of it: the room goes on under its players when its node dies, and who was connected there is dropped.
func TestARoomGoesOnWhenItsNodeDies(t *testing.T) {
	inTown(t, 3, func(w *town) {
		ann := w.nodes[0].enter("ann", lobby)
		bob := w.nodes[1].enter("bob", lobby)
		cyd := w.nodes[2].enter("cyd", lobby)
		playFor(2*time.Second, ann, bob, cyd)
		w.settle(ann, bob, cyd)
		forget(bob, cyd)
		w.nodes[0].kill()
		playFor(4*time.Second, bob, cyd)
		w.settle(bob, cyd)
		for _, o := range []*player{bob, cyd} {
			if gap := o.longest(); gap > 1200*time.Millisecond || gap < 200*time.Millisecond {
				t.Errorf("%s was shown nothing for %s, want about a lease", o.session, gap)
			}
		}
		if h, ok := w.owner(bob.room.ID); !ok || h == w.nodes[0] {
			t.Errorf("the room is at %v", h)
		}
	})
}

// owner finds the node that reaches others and has a room.
func (w *town) owner(id rooms.ID) (*node, bool) {
	for _, n := range w.nodes {
		if _, ok := n.Host.Room(id); ok && !n.dark.Load() {
			return n, true
		}
	}
	return nil, false
}

// A deploy must not be felt: two ticks and a little more.
func TestADrainedRoomMovesWithinTwoTicks(t *testing.T) {
	inTown(t, 3, func(w *town) {
		ann := w.nodes[0].enter("ann", lobby)
		bob := w.nodes[1].enter("bob", lobby)
		playFor(2*time.Second, ann, bob)
		forget(ann, bob)
		go w.nodes[0].drain()
		playFor(2*time.Second, ann, bob)
		w.settle(ann, bob) // ann stays where she is: her room is reached from there
		for _, o := range []*player{ann, bob} {
			if gap := o.longest(); gap > 150*time.Millisecond {
				t.Errorf("%s was shown nothing for %s", o.session, gap)
			}
		}
	})
}

// Suspected wrongly, a node loses its rooms and lives on: its players must follow.
func TestPlayersOfANodeThatWasCutOffFollowTheirRoom(t *testing.T) {
	inTown(t, 3, func(w *town) {
		ann := w.nodes[0].enter("ann", lobby)
		bob := w.nodes[1].enter("bob", lobby)
		playFor(2*time.Second, ann, bob)
		w.nodes[0].dark.Store(true)
		playFor(2*time.Second, ann, bob)
		w.nodes[0].dark.Store(false)
		playFor(4*time.Second, ann, bob)
		w.settle(ann, bob)
		if n, ok := w.owner(ann.room.ID); !ok || n == w.nodes[0] {
			t.Error("the room was not taken over: nothing was tried")
		}
	})
}

// Redis may lose what it was given: what was in an inbox is said again.
func TestWhatAnInboxLosesIsHealed(t *testing.T) {
	inTown(t, 2, func(w *town) {
		ann := w.nodes[0].enter("ann", lobby)
		bob := w.nodes[1].enter("bob", lobby)
		for range 5 {
			playFor(time.Second, ann, bob)
			w.bus.Lose(w.nodes[0].Cluster.Self())
			w.bus.Lose(w.nodes[1].Cluster.Self())
		}
		playFor(3*time.Second, ann, bob)
		w.settle(ann, bob)
		if w.nodes[0].Stats().Lost.Load()+w.nodes[1].Stats().Lost.Load() == 0 {
			t.Error("nothing was lost: nothing was tried")
		}
	})
}
