// Package storetest is what every store of a cluster must pass: the same claims, tried on memory and on a real server.
package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"tickover.dev/cluster"
	"tickover.dev/rooms"
)

// Store is what is tried.
type Store interface {
	cluster.Members
	cluster.Directory
}

// Run tries a store. open gives one that is empty.
func Run(t *testing.T, open func(testing.TB) Store) {
	for _, c := range []struct {
		name string
		try  func(*suite)
	}{
		{"BeatsAreSeenByAll", beats},
		{"OneOfManyGetsAKey", keyRace},
		{"ARecordOnlyRises", rises},
		{"RaiseMovesARoomBetweenOwners", moves},
		{"RaiseEntersWhatIsMissing", enters},
		{"RemoveSparesANewerOwnership", removes},
		{"AKeyOutlivesItsRoomForNobody", freesKey},
		{"TheNewestOwnerEntersALostRoom", entersLost},
		{"ARoomThatIsKnownIsNotEntered", entersUnknownOnly},
		{"WhatARaiseEnteredMayBeEnteredAgain", entersRaised},
		{"ALostKeyGoesToWhoComesFirst", entersWithoutKey},
		{"AllOfManyRoomsAreListed", lists},
		{"OnlyTheOwnerTellsOfARoom", tells},
	} {
		t.Run(c.name, func(t *testing.T) { c.try(&suite{T: t, s: open(t)}) })
	}
}

type suite struct {
	*testing.T
	s Store
}

func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *suite) look(room rooms.ID) cluster.Record {
	s.Helper()
	r, err := s.s.Look(s.Context(), room)
	s.must(err)
	return r
}

func (s *suite) owns(b cluster.Boot, want ...rooms.ID) {
	s.Helper()
	owned, err := s.s.Owned(s.Context(), b)
	s.must(err)
	var got []rooms.ID
	for _, r := range owned {
		got = append(got, r.Room)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		s.Fatalf("%s owns %v, want %v", b, got, want)
	}
}

// A node that does not see the others' beats declares them dead.
func beats(s *suite) {
	a := cluster.Member{Boot: 1, Name: "a", Beat: 1, Kinds: []string{"arena"}, Peer: "127.0.0.1:1", Rooms: 3, Version: "v"}
	b := cluster.Member{Boot: 2, Name: "b", Beat: 9, Leaving: true}
	_, knew, err := s.s.Beat(s.Context(), a)
	s.must(err)
	if knew {
		s.Error("the store knew a node that it had never heard of")
	}
	all, _, err := s.s.Beat(s.Context(), b)
	s.must(err)
	if len(all) != 2 || all[0].Boot != 1 || all[0].Name != "a" || !all[0].Runs("arena") || all[0].Peer != a.Peer || all[0].Rooms != 3 || !all[1].Leaving {
		s.Fatalf("members %+v", all)
	}
	s.must(s.s.Leave(s.Context(), 1))
	b.Beat++
	all, knew, err = s.s.Beat(s.Context(), b)
	s.must(err)
	if !knew {
		s.Error("the store did not know a member")
	}
	if len(all) != 1 || all[0].Beat != 10 {
		s.Fatalf("after one left: %+v", all)
	}
}

// Two rooms for one key are two games for players who meant one.
func keyRace(s *suite) {
	for round := range 20 {
		key := fmt.Sprint("lobby-", round)
		var winners atomic.Int32
		rooms8 := make([]rooms.ID, 8)
		var all sync.WaitGroup
		for i := range rooms8 {
			all.Go(func() {
				r := cluster.Record{Room: rooms.ID(fmt.Sprintf("r-%d-%d", round, i)), Kind: "arena", Key: key, Owner: cluster.Boot(i + 1), Epoch: 5}
				got, err := s.s.Register(s.Context(), r)
				switch {
				case err == nil:
					winners.Add(1)
				case !errors.Is(err, cluster.ErrKeyTaken):
					s.Error(err)
				}
				rooms8[i] = got.Room
			})
		}
		all.Wait()
		found, err := s.s.Find(s.Context(), "arena", key)
		s.must(err)
		for _, got := range rooms8 {
			if got != found.Room {
				s.Fatalf("asked for %s: %v; the directory finds %s", key, rooms8, found.Room)
			}
		}
		if winners.Load() != 1 {
			s.Fatalf("%d winners", winners.Load())
		}
	}
}

// A directory that goes back names an owner who is none: its players are sent to a room that nobody ticks.
func rises(s *suite) {
	r := cluster.Record{Room: "r", Kind: "arena", Key: "k", Owner: 1, Epoch: 5}
	_, err := s.s.Register(s.Context(), r)
	s.must(err)
	_, err = s.s.Raise(s.Context(), cluster.Record{Room: "r", Kind: "arena", Key: "k", Owner: 2, Epoch: 7})
	s.must(err)
	now, err := s.s.Raise(s.Context(), cluster.Record{Room: "r", Kind: "arena", Key: "k", Owner: 3, Epoch: 6})
	s.must(err)
	if now.Owner != 2 || now.Epoch != 7 || s.look("r") != now || now.Key != "k" || now.Kind != "arena" {
		s.Fatalf("after a late raise: %+v, %+v", now, s.look("r"))
	}
	_, err = s.s.Register(s.Context(), r) // its answer was lost, and it is sent again
	s.must(err)
	if got := s.look("r"); got.Epoch != 7 {
		s.Fatalf("registered again: %+v", got)
	}
}

func moves(s *suite) {
	for _, id := range []rooms.ID{"r1", "r2"} {
		_, err := s.s.Register(s.Context(), cluster.Record{Room: id, Kind: "arena", Owner: 1, Epoch: 5})
		s.must(err)
	}
	s.owns(1, "r1", "r2")
	_, err := s.s.Raise(s.Context(), cluster.Record{Room: "r1", Kind: "arena", Owner: 2, Epoch: 6})
	s.must(err)
	s.owns(1, "r2")
	s.owns(2, "r1")
	_, err = s.s.Raise(s.Context(), cluster.Record{Room: "r1", Kind: "arena", Owner: 1, Epoch: 4}) // late
	s.must(err)
	s.owns(1, "r2")
	s.owns(2, "r1")
}

// The directory may have lost a room that lives: its owner puts it back.
func enters(s *suite) {
	_, err := s.s.Raise(s.Context(), cluster.Record{Room: "r", Kind: "arena", Key: "k", Owner: 2, Epoch: 6})
	s.must(err)
	s.owns(2, "r")
	found, err := s.s.Find(s.Context(), "arena", "k")
	s.must(err)
	if found.Room != "r" || found.Owner != 2 {
		s.Fatalf("found %+v", found)
	}
}

func removes(s *suite) {
	r := cluster.Record{Room: "r", Kind: "arena", Key: "k", Owner: 1, Epoch: 5}
	_, err := s.s.Register(s.Context(), r)
	s.must(err)
	newer := r
	newer.Owner, newer.Epoch = 2, 6
	_, err = s.s.Raise(s.Context(), newer)
	s.must(err)
	s.must(s.s.Remove(s.Context(), r))
	if got := s.look("r"); got.Owner != 2 {
		s.Fatalf("removed by an older epoch: %+v", got)
	}
	s.must(s.s.Remove(s.Context(), newer))
	s.must(s.s.Remove(s.Context(), newer))
	if _, err := s.s.Look(s.Context(), "r"); !errors.Is(err, cluster.ErrNoRecord) {
		s.Fatalf("removed: %v", err)
	}
	s.owns(2)
}

// A key that stays behind its room keeps everybody out for ever.
func freesKey(s *suite) {
	r := cluster.Record{Room: "r", Kind: "arena", Key: "k", Owner: 1, Epoch: 5}
	_, err := s.s.Register(s.Context(), r)
	s.must(err)
	s.must(s.s.Remove(s.Context(), r))
	next := r
	next.Room = "r2"
	_, err = s.s.Register(s.Context(), next)
	s.must(err)
	s.must(s.s.Remove(s.Context(), r)) // late: the key is another room's now
	found, err := s.s.Find(s.Context(), "arena", "k")
	s.must(err)
	if found.Room != "r2" {
		s.Fatalf("found %+v", found)
	}
}

// A room that is left out of its dead owner's list is nobody's for ever. A store may make such a list in parts, while rooms come and go.
func lists(s *suite) {
	var want []rooms.ID
	for i := range 2000 {
		id := rooms.ID(fmt.Sprintf("room-%04d", i))
		_, err := s.s.Raise(s.Context(), cluster.Record{Room: id, Kind: "arena", Owner: 1, Epoch: 1})
		s.must(err)
		if i%4 > 0 {
			want = append(want, id)
		}
	}
	moved := make(chan error, 1)
	go func() {
		for i := 0; i < 2000; i += 4 {
			r := cluster.Record{Room: rooms.ID(fmt.Sprintf("room-%04d", i)), Kind: "arena", Owner: 2, Epoch: 2}
			if _, err := s.s.Raise(s.Context(), r); err != nil {
				moved <- err
				return
			}
		}
		moved <- nil
	}()
	for over := false; !over; {
		owned, err := s.s.Owned(s.Context(), 1)
		s.must(err)
		has := map[rooms.ID]int{}
		for _, r := range owned {
			has[r.Room]++
		}
		for _, id := range want {
			if has[id] != 1 {
				s.Fatalf("room %s is listed %d times", id, has[id])
			}
		}
		select {
		case err := <-moved:
			s.must(err)
			over = true
		default:
		}
	}
	s.owns(1, want...)
}

// What a former owner tells of a room is old; and a room that is no more must not come back as half a record.
func tells(s *suite) {
	r := cluster.Record{Room: "r", Kind: "arena", Key: "k", Owner: 1, Epoch: 1}
	_, err := s.s.Register(s.Context(), r)
	s.must(err)
	by := func(b cluster.Boot, notice string) {
		s.must(s.s.Tell(s.Context(), []cluster.Record{{Room: "none", Owner: b, Notice: notice}, {Room: "r", Owner: b, Notice: notice}}))
	}
	shows := func(want string) {
		s.Helper()
		found, err := s.s.Find(s.Context(), "arena", "k")
		s.must(err)
		owned, err := s.s.Owned(s.Context(), found.Owner)
		s.must(err)
		if now := s.look("r"); now.Notice != want || found.Notice != want || len(owned) != 1 || owned[0].Notice != want || now.Key != "k" {
			s.Fatalf("%+v, %+v, %+v, want %q", now, found, owned, want)
		}
	}
	shows("")
	by(1, "one")
	by(2, "two")
	shows("one")
	_, err = s.s.Raise(s.Context(), cluster.Record{Room: "r", Kind: "arena", Owner: 2, Epoch: 2})
	s.must(err)
	shows("one")
	by(1, "late")
	shows("one")
	by(2, "two")
	shows("two")
	if _, err := s.s.Look(s.Context(), "none"); !errors.Is(err, cluster.ErrNoRecord) {
		s.Fatal(err)
	}
}
