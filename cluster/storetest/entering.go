package storetest

import (
	"errors"

	"tickover.dev/cluster"
	"tickover.dev/rooms"
)

func (s *suite) enter(b cluster.Boot, epoch, was rooms.Epoch) cluster.Record {
	s.Helper()
	r, err := s.s.Enter(s.Context(), cluster.Record{Room: "r", Kind: "arena", Key: "k", Owner: b, Epoch: epoch}, was)
	s.must(err)
	return r
}

func (s *suite) refused(want error, b cluster.Boot, epoch, was rooms.Epoch) {
	s.Helper()
	if _, err := s.s.Enter(s.Context(), cluster.Record{Room: "r", Kind: "arena", Key: "k", Owner: b, Epoch: epoch}, was); !errors.Is(err, want) {
		s.Fatalf("boot %s enters the room it had in epoch %d: %v, want %v", b, was, err, want)
	}
}

// An owner that slept through the loss of its room, and through the loss of the store, must not get it back before the one who has it:
// what the players have seen since would be gone.
func entersLost(s *suite) {
	stale := s.enter(1, 100, 5)
	if again := s.enter(1, 100, 5); again.Epoch <= stale.Epoch || again.Owner != 1 {
		s.Fatalf("entered again: %+v", again) // its answer was lost
	}
	newest := s.enter(2, 90, 6)
	if newest.Owner != 2 || newest.Epoch <= stale.Epoch || newest.Key != "k" || s.look("r") != newest {
		s.Fatalf("overruled by %+v", newest)
	}
	s.refused(rooms.ErrClaimLost, 1, 200, 5)
	if _, err := s.s.Settle(s.Context(), stale); !errors.Is(err, rooms.ErrClaimLost) {
		s.Fatalf("the stale owner settles: %v", err)
	}
	for range 2 {
		settled, err := s.s.Settle(s.Context(), newest)
		s.must(err)
		if settled != newest {
			s.Fatalf("settled as %+v", settled)
		}
	}
	s.refused(rooms.ErrClaimLost, 3, 300, 7) // too late
	s.owns(1)
	s.owns(2, "r")
	if _, err := s.s.Settle(s.Context(), cluster.Record{Room: "other", Owner: 2}); !errors.Is(err, cluster.ErrNoRecord) {
		s.Fatalf("settle what is not there: %v", err)
	}
}

// If the directory knows a room, only its journal is lost, and that may have been somebody's wish.
func entersUnknownOnly(s *suite) {
	r := cluster.Record{Room: "r", Kind: "arena", Key: "k", Owner: 1, Epoch: 5}
	_, err := s.s.Register(s.Context(), r)
	s.must(err)
	s.refused(rooms.ErrGone, 1, 100, 5)
	r.Owner, r.Epoch = 2, 6
	_, err = s.s.Raise(s.Context(), r)
	s.must(err)
	s.refused(rooms.ErrClaimLost, 1, 100, 5)
	s.refused(rooms.ErrGone, 2, 100, 6)
	if got := s.look("r"); got != r {
		s.Fatalf("the record is %+v now", got)
	}
}

// A repair that was under way when the store lost everything enters a room that has no journal: its owner must be able to make one.
func entersRaised(s *suite) {
	r := cluster.Record{Room: "r", Kind: "arena", Key: "k", Owner: 2, Epoch: 6}
	_, err := s.s.Raise(s.Context(), r)
	s.must(err)
	s.refused(rooms.ErrClaimLost, 1, 100, 5)
	if got := s.enter(2, 100, 6); got.Epoch != 100 || got.Owner != 2 {
		s.Fatalf("entered as %+v", got)
	}
	r.Owner, r.Epoch = 3, 101
	_, err = s.s.Raise(s.Context(), r)
	s.must(err)
	s.refused(rooms.ErrGone, 3, 200, 101) // it was raised from a record: that one knows the room
}

// Two rooms of one key are two games for players who meant one, so an old one goes on without it if a new one has it.
func entersWithoutKey(s *suite) {
	_, err := s.s.Register(s.Context(), cluster.Record{Room: "new", Kind: "arena", Key: "k", Owner: 3, Epoch: 50})
	s.must(err)
	r := s.enter(1, 100, 5)
	settled, err := s.s.Settle(s.Context(), r)
	s.must(err)
	if r.Key != "" || settled.Key != "" || s.look("r").Key != "" {
		s.Fatalf("entered as %+v, settled as %+v", r, settled)
	}
	s.must(s.s.Remove(s.Context(), settled))
	found, err := s.s.Find(s.Context(), "arena", "k")
	s.must(err)
	if found.Room != "new" {
		s.Fatalf("found %+v", found)
	}
}
