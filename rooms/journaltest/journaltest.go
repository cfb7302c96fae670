// Package journaltest is what every rooms.Journal must pass: the same claims, tried on memory and on a real server.
package journaltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"tickover.dev/rooms"
)

// Run tries a journal. make gives one that is empty, or at least has none of the rooms used here: names are unique per subtest.
func Run(t *testing.T, make func(testing.TB) rooms.Journal) {
	for _, c := range []struct {
		name string
		try  func(*suite)
	}{
		{"OnlyCreationCreates", onlyCreationCreates},
		{"IDsOnlyGrow", idsOnlyGrow},
		{"ClaimFencesTheOldOwner", claimFences},
		{"ClaimIsRepeatable", claimRepeats},
		{"OneOfManyClaimantsWins", claimRace},
		{"LoadStopsAtTheClaim", loadStops},
		{"StateTrims", stateTrims},
		{"LoadAfterATrimmedClaimIsLost", loadTrimmed},
		{"TombstoneEndsARoom", tombstone},
		{"ResultsComeInOrder", resultsInOrder},
		{"ResultsOfManyRoomsComeInOrder", manyRooms},
		{"EmptyBatchIsAnswered", emptyBatch},
		{"EntriesComeBackAsTheyWere", entriesComeBack},
		{"LongJournalsAreLoadedWhole", loadLong},
		{"ReleaseTrims", releaseTrims},
		{"OldOwnerCannotBury", buryFenced},
		{"TombstoneIsNoJournal", tombstoneIsGone},
		{"EndedContextIsNoAnswer", endedContext},
		{"AForestalledRoomIsNotBorn", forestalled},
		{"ARoomThatLivedMayFollowAForestalledOne", renewedBehindForestalled},
		{"AnExpiredForestallIsForgotten", forestallExpires},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.try(&suite{T: t, j: make(t), room: rooms.ID(fmt.Sprintf("%s-%d", c.name, time.Now().UnixNano()))})
		})
	}
}

type suite struct {
	*testing.T
	j    rooms.Journal
	room rooms.ID
}

func (s *suite) entry(epoch rooms.Epoch, tick uint64, kind rooms.EntryKind) rooms.Entry {
	return rooms.Entry{
		Room: s.room, ID: rooms.EntryID{Epoch: epoch, Tick: tick}, Nonce: 7, Kind: kind, Horizon: tick + 4,
		Body: fmt.Appendf(nil, "%d-%d", epoch, tick),
	}
}

func (s *suite) append(entries ...rooms.Entry) []rooms.Result {
	s.Helper()
	done := make(chan []rooms.Result, 1)
	s.j.Append(entries, func(r []rooms.Result) { done <- r })
	select {
	case r := <-done:
		if len(r) != len(entries) {
			s.Fatalf("%d results for %d entries", len(r), len(entries))
		}
		return r
	case <-time.After(10 * time.Second):
		s.Fatal("append was never answered")
		return nil
	}
}

func (s *suite) want(e rooms.Entry, o rooms.Outcome) {
	s.Helper()
	if got := s.append(e)[0]; got.Outcome != o {
		s.Fatalf("append %s: got %s (%v), want %s", e.ID, got.Outcome, got.Err, o)
	}
}

func (s *suite) claim(seen rooms.Epoch, nonce uint64) rooms.Epoch {
	s.Helper()
	e, err := s.j.Claim(s.Context(), s.room, seen, nonce)
	if err != nil {
		s.Fatalf("claim: %v", err)
	}
	return e
}

func (s *suite) load(claim rooms.Epoch) []rooms.Entry {
	s.Helper()
	es, err := s.j.Load(s.Context(), s.room, claim)
	if err != nil {
		s.Fatalf("load: %v", err)
	}
	return es
}

// A late append or claim must not bring a finished room back to life.
func onlyCreationCreates(s *suite) {
	s.want(s.entry(5, 1, rooms.EntryDelta), rooms.Gone)
	s.want(s.entry(5, 2, rooms.EntrySnapshot), rooms.Gone)
	if _, err := s.j.Claim(s.Context(), s.room, 0, 1); !errors.Is(err, rooms.ErrGone) {
		s.Fatalf("claim of nothing: %v", err)
	}
	if _, err := s.j.Top(s.Context(), s.room); !errors.Is(err, rooms.ErrGone) {
		s.Fatalf("top of nothing: %v", err)
	}
	s.want(s.entry(5, 1, rooms.EntryCreate), rooms.Confirmed)
	s.want(s.entry(5, 1, rooms.EntryCreate), rooms.Fenced)
}

// Two entries under one id, or a smaller one behind a larger, would make two histories.
func idsOnlyGrow(s *suite) {
	s.want(s.entry(5, 3, rooms.EntryCreate), rooms.Confirmed)
	s.want(s.entry(5, 3, rooms.EntryDelta), rooms.Fenced)
	s.want(s.entry(5, 2, rooms.EntryDelta), rooms.Fenced)
	s.want(s.entry(4, 9, rooms.EntryDelta), rooms.Fenced)
	s.want(s.entry(5, 4, rooms.EntryDelta), rooms.Confirmed)
	top, err := s.j.Top(s.Context(), s.room)
	if want := (rooms.EntryID{Epoch: 5, Tick: 4}); err != nil || top.ID != want || top.Nonce != 7 {
		s.Fatalf("top = %+v, %v; want %s with nonce 7", top, err, want)
	}
}

// After a claim nothing of the old owner gets in: that is what makes one history of two owners.
func claimFences(s *suite) {
	s.want(s.entry(5, 1, rooms.EntryCreate), rooms.Confirmed)
	epoch := s.claim(5, 70)
	if epoch <= 5 {
		s.Fatalf("claimed epoch %d, want more than 5", epoch)
	}
	s.want(s.entry(5, 2, rooms.EntryDelta), rooms.Fenced)
	s.want(s.entry(5, 1<<40, rooms.EntrySnapshot), rooms.Fenced)
	s.want(s.entry(epoch, 2, rooms.EntrySnapshot), rooms.Confirmed)
	s.want(s.entry(5, 3, rooms.EntryDelta), rooms.Fenced)
	if _, err := s.j.Claim(s.Context(), s.room, 5, 71); !errors.Is(err, rooms.ErrClaimLost) {
		s.Fatalf("claim from an epoch that is over: %v", err)
	}
}

// A claim whose answer was lost is sent again; it must not fence itself.
func claimRepeats(s *suite) {
	s.want(s.entry(5, 1, rooms.EntryCreate), rooms.Confirmed)
	first := s.claim(5, 70)
	if again := s.claim(5, 70); again != first {
		s.Fatalf("the same claim again gave epoch %d, then %d", first, again)
	}
}

func claimRace(s *suite) {
	s.want(s.entry(5, 1, rooms.EntryCreate), rooms.Confirmed)
	var mu sync.Mutex
	won := 0
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			_, err := s.j.Claim(context.Background(), s.room, 5, uint64(100+i))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won++
			case !errors.Is(err, rooms.ErrClaimLost):
				s.Errorf("claim: %v", err)
			}
		})
	}
	wg.Wait()
	if won != 1 {
		s.Fatalf("%d claimants won, want 1", won)
	}
}

func loadStops(s *suite) {
	s.want(s.entry(5, 1, rooms.EntryCreate), rooms.Confirmed)
	s.want(s.entry(5, 2, rooms.EntryDelta), rooms.Confirmed)
	epoch := s.claim(5, 70)
	second := s.claim(epoch, 71)
	es := s.load(epoch)
	if len(es) != 3 || es[2].Kind != rooms.EntryClaim || es[2].Nonce != 70 || es[2].ID.Epoch != epoch {
		s.Fatalf("loaded %+v", es)
	}
	for i, want := range []string{"5-1", "5-2"} {
		if e := es[i]; string(e.Body) != want || e.Horizon != e.ID.Tick+4 || e.Nonce != 7 {
			s.Errorf("entry %d = %+v, want body %s", i, e, want)
		}
	}
	if es := s.load(second); len(es) != 4 {
		s.Fatalf("the second claimant loaded %d entries, want 4", len(es))
	}
}

func stateTrims(s *suite) {
	s.want(s.entry(5, 1, rooms.EntryCreate), rooms.Confirmed)
	for tick := uint64(2); tick < 10; tick++ {
		s.want(s.entry(5, tick, rooms.EntryDelta), rooms.Confirmed)
	}
	s.want(s.entry(5, 10, rooms.EntrySnapshot), rooms.Confirmed)
	s.want(s.entry(5, 11, rooms.EntryDelta), rooms.Confirmed)
	if es := s.load(s.claim(5, 70)); len(es) != 3 || es[0].ID.Tick != 10 {
		s.Fatalf("loaded %d entries from %s, want 3 from 5-10", len(es), es[0].ID)
	}
}

// Another claim may trim ours away while we load: then we have lost, and must not play.
func loadTrimmed(s *suite) {
	s.want(s.entry(5, 1, rooms.EntryCreate), rooms.Confirmed)
	first := s.claim(5, 70)
	second := s.claim(first, 71)
	s.want(s.entry(second, 2, rooms.EntrySnapshot), rooms.Confirmed)
	if _, err := s.j.Load(s.Context(), s.room, first); !errors.Is(err, rooms.ErrClaimLost) {
		s.Fatalf("load after the claim was trimmed: %v", err)
	}
}

func tombstone(s *suite) {
	s.want(s.entry(5, 1, rooms.EntryCreate), rooms.Confirmed)
	if err := s.j.Bury(s.Context(), s.room, 4, []byte("x"), time.Minute); err == nil {
		s.Fatal("an old epoch buried the room")
	}
	if err := s.j.Bury(s.Context(), s.room, 5, []byte("result"), time.Minute); err != nil {
		s.Fatal(err)
	}
	s.want(s.entry(5, 2, rooms.EntryDelta), rooms.Gone)
	if _, err := s.j.Claim(s.Context(), s.room, 0, 9); !errors.Is(err, rooms.ErrGone) {
		s.Fatalf("claim of a buried room: %v", err)
	}
}

// One refused entry must not take its neighbours with it, nor change whose answer is whose.
func resultsInOrder(s *suite) {
	s.want(s.entry(5, 1, rooms.EntryCreate), rooms.Confirmed)
	other := s.entry(5, 1, rooms.EntryDelta)
	other.Room += "-other"
	got := s.append(s.entry(5, 1, rooms.EntryDelta), other, s.entry(5, 2, rooms.EntryDelta))
	for i, want := range []rooms.Outcome{rooms.Fenced, rooms.Gone, rooms.Confirmed} {
		if got[i].Outcome != want {
			s.Errorf("result %d is %s, want %s", i, got[i].Outcome, want)
		}
	}
}

// A batch of a shard is of many rooms, which a store may keep in many places.
func manyRooms(s *suite) {
	var create, second []rooms.Entry
	for i := range 300 {
		e := s.entry(5, 1, rooms.EntryCreate)
		e.Room = rooms.ID(fmt.Sprintf("%s-%d", s.room, i))
		if i%3 != 1 {
			create = append(create, e)
		}
		e.Kind = rooms.EntryDelta
		if i%3 == 0 {
			e.ID.Tick = 2
		}
		second = append(second, e)
	}
	for i, r := range s.append(create...) {
		if r.Outcome != rooms.Confirmed {
			s.Fatalf("creation %d: %s (%v)", i, r.Outcome, r.Err)
		}
	}
	want := [3]rooms.Outcome{rooms.Confirmed, rooms.Gone, rooms.Fenced}
	for i, r := range s.append(second...) {
		if r.Outcome != want[i%3] {
			s.Fatalf("entry %d: %s (%v), want %s", i, r.Outcome, r.Err, want[i%3])
		}
	}
}

func emptyBatch(s *suite) { s.append() }

// Bytes and numbers that a packing might mistake for something else, or cut.
func entriesComeBack(s *suite) {
	var every []byte
	for i := range 512 {
		every = append(every, byte(i))
	}
	wrote := []rooms.Entry{
		{ID: rooms.EntryID{Epoch: 1 << 41, Tick: 1<<64 - 1}, Nonce: 1<<64 - 1, Kind: rooms.EntryCreate, Horizon: 1<<64 - 1, Body: every},
		{ID: rooms.EntryID{Epoch: 1<<41 + 1, Tick: 1}, Kind: rooms.EntryDelta},
		{ID: rooms.EntryID{Epoch: 1<<41 + 1, Tick: 1 << 60}, Nonce: 0x0d0a0d0a, Kind: rooms.EntryDelta, Horizon: 3, Body: []byte("\r\n$-1\r\n\x00")},
	}
	for i := range wrote {
		wrote[i].Room = s.room
		if i > 0 {
			wrote[i].Prev = wrote[i-1].ID
		}
		s.want(wrote[i], rooms.Confirmed)
	}
	es := s.load(s.claim(0, 70))
	if len(es) != len(wrote)+1 {
		s.Fatalf("loaded %d entries, want %d", len(es), len(wrote)+1)
	}
	for i, want := range wrote {
		got := es[i]
		if !bytes.Equal(got.Body, want.Body) {
			s.Errorf("body of %s is %q", want.ID, got.Body)
		}
		got.Body, want.Body = nil, nil
		if fmt.Sprint(got) != fmt.Sprint(want) {
			s.Errorf("entry %+v came back as %+v", want, got)
		}
	}
	if claim := es[len(wrote)]; claim.Prev != wrote[len(wrote)-1].ID || claim.Room != s.room {
		s.Errorf("the claim is %+v", claim)
	}
}

// Whoever loads in parts must not lose or double what lies between two of them.
func loadLong(s *suite) {
	s.want(s.entry(5, 1, rooms.EntryCreate), rooms.Confirmed)
	const last = 260
	for tick := uint64(2); tick <= last; tick++ {
		s.want(s.entry(5, tick, rooms.EntryDelta), rooms.Confirmed)
	}
	es := s.load(s.claim(5, 70))
	if len(es) != last+1 {
		s.Fatalf("loaded %d entries, want %d", len(es), last+1)
	}
	for i, e := range es[:last] {
		if e.ID.Tick != uint64(i+1) {
			s.Fatalf("entry %d is %s", i, e.ID)
		}
	}
}

func releaseTrims(s *suite) {
	s.want(s.entry(5, 1, rooms.EntryCreate), rooms.Confirmed)
	s.want(s.entry(5, 2, rooms.EntryDelta), rooms.Confirmed)
	s.want(s.entry(5, 3, rooms.EntryRelease), rooms.Confirmed)
	if es := s.load(s.claim(5, 70)); len(es) != 2 || es[0].Kind != rooms.EntryRelease {
		s.Fatalf("loaded %+v", es)
	}
}

// An owner that was replaced must not end what another plays on.
func buryFenced(s *suite) {
	s.want(s.entry(5, 1, rooms.EntryCreate), rooms.Confirmed)
	epoch := s.claim(5, 70)
	if err := s.j.Bury(s.Context(), s.room, 5, nil, time.Minute); !errors.Is(err, rooms.ErrClaimLost) {
		s.Fatalf("bury by the old owner: %v", err)
	}
	s.want(s.entry(epoch, 2, rooms.EntrySnapshot), rooms.Confirmed)
	if err := s.j.Bury(s.Context(), s.room, epoch, nil, time.Minute); err != nil {
		s.Fatalf("bury by the owner: %v", err)
	}
}

// What is left of a room is not a journal to anybody, and its name is not free while it is there.
func tombstoneIsGone(s *suite) {
	s.want(s.entry(5, 1, rooms.EntryCreate), rooms.Confirmed)
	if err := s.j.Bury(s.Context(), s.room, 5, []byte("result"), time.Minute); err != nil {
		s.Fatal(err)
	}
	if _, err := s.j.Top(s.Context(), s.room); !errors.Is(err, rooms.ErrGone) {
		s.Errorf("top: %v", err)
	}
	if _, err := s.j.Load(s.Context(), s.room, 5); !errors.Is(err, rooms.ErrGone) {
		s.Errorf("load: %v", err)
	}
	s.want(s.entry(5, 1, rooms.EntryCreate), rooms.Gone)
	s.want(s.entry(1<<62, 1, rooms.EntryCreate), rooms.Gone)
	s.want(s.entry(1<<62, 1, rooms.EntrySnapshot), rooms.Gone)
}

// Who asked and did not wait for the answer must not take it for one: neither gone nor lost.
func endedContext(s *suite) {
	s.want(s.entry(5, 1, rooms.EntryCreate), rooms.Confirmed)
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	_, claim := s.j.Claim(ctx, s.room, 5, 70)
	_, load := s.j.Load(ctx, s.room, 5)
	_, top := s.j.Top(ctx, s.room)
	bury := s.j.Bury(ctx, s.room, 5, nil, time.Minute)
	for what, err := range map[string]error{"claim": claim, "load": load, "top": top, "bury": bury} {
		if err == nil || errors.Is(err, rooms.ErrGone) || errors.Is(err, rooms.ErrClaimLost) {
			s.Errorf("%s: %v", what, err)
		}
	}
}
