package cluster

import (
	"testing"
	"time"

	"tickover.dev/rooms"
)

// noRooms is a node that runs nothing.
type noRooms struct{}

func (noRooms) Epoch(rooms.ID) (rooms.Epoch, bool) { return 0, false }
func (noRooms) All() []Record                      { return nil }

// Asking each journal first would cost players of a dead node a round trip that tells nothing: the claim itself is lost if the room has
// moved on. But then the journal has to be asked, or a room whose directory record is behind would wait for ever.
func TestRoomsOfADeadNodeAreClaimedByWhatTheDirectorySays(t *testing.T) {
	s := newSky(t, 1, 2)
	s.pass(2, 0)
	sweep := NewSweep(1, SweepConfig{})
	s.w.Bury(2, s.now)
	take := func(a Answer) { sweep.Take(a, s.now, s.w, noRooms{}) }
	next := func(want OrderType) Order {
		t.Helper()
		for range 100 {
			orders, wake := sweep.Advance(s.now, s.w, noRooms{})
			for _, o := range orders {
				switch {
				case o.Type == want:
					return o
				case o.Type != OrderOwned || o.Boot != 1: // it looks after its own, too
					t.Fatalf("order %d about %v, want %d", o.Type, o.Record, want)
				}
			}
			s.now = max(wake, s.now+time.Millisecond)
		}
		t.Fatalf("no order %d", want)
		return Order{}
	}
	behind := Record{Room: "r", Kind: "sim", Owner: 2, Epoch: 7}
	take(Answer{Order: next(OrderOwned), Records: []Record{behind}})
	claim := next(OrderClaim)
	if claim.Record != behind {
		t.Errorf("claims %+v, want %+v", claim.Record, behind)
	}
	take(Answer{Order: claim, Err: rooms.ErrClaimLost})
	ask := next(OrderTop)
	take(Answer{Order: ask, Top: rooms.Top{ID: rooms.EntryID{Epoch: 9, Tick: 3}, Nonce: Boot(2).Nonce(5), Kind: rooms.EntryDelta}})
	if again := next(OrderClaim); again.Record.Epoch != 9 {
		t.Errorf("claims epoch %d, want 9, which the journal tells", again.Record.Epoch)
	}
}
