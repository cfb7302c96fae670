// Package storetest is what every store of sessions must pass: the same claims, tried on memory and on real servers.
package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"tickover.dev/rooms"
	"tickover.dev/sessions"
)

// Store is what is tried.
type Store interface {
	sessions.Store
	Of(ctx context.Context, player string) ([]sessions.Record, error)
}

// Run tries a store, which may hold other sessions already.
func Run(t *testing.T, s Store) {
	for _, c := range []struct {
		name string
		try  func(*suite)
	}{
		{"WhatIsSavedIsResumed", saves},
		{"OpenOverwritesNothing", opensOnce},
		{"TheSecretBeforeIsGoodUntilTheNewestIsUsed", rotates},
		{"AHelloThatWasGivenUpTakesNothing", ignoresStale},
		{"WrongSecretsChangeNothing", refuses},
		{"OlderGenerationsSaveNothing", fences},
		{"OfManyResumesEachIsANewGeneration", races},
		{"SavesAreAnsweredOneByOne", answers},
		{"PlayersSessionsAreFound", finds},
	} {
		t.Run(c.name, func(t *testing.T) { c.try(&suite{T: t, s: s}) })
	}
}

type suite struct {
	*testing.T
	s Store
}

var drawn atomic.Int64

// fresh is a session that no other test uses.
func (s *suite) fresh() sessions.Record {
	n := drawn.Add(1)
	return sessions.Record{
		ID: fmt.Sprintf("session-%d", n), Player: rooms.Player{ID: fmt.Sprintf("player-%d", n), Name: "Ann Ø"},
		Gen: 1, Node: "a", Connected: true,
	}
}

func secret(text string) sessions.Hash { return sha256.Sum256([]byte(text)) }

// open opens a session with the secret "1".
func (s *suite) open() sessions.Record {
	s.Helper()
	r := s.fresh()
	if err := s.s.Open(s.Context(), r, secret("1")); err != nil {
		s.Fatal(err)
	}
	return r
}

func (s *suite) resume(id, old, next, node string) sessions.Record {
	s.Helper()
	return s.attempt(0, id, old, next, node)
}

// attempt resumes for a hello with a number.
func (s *suite) attempt(number uint64, id, old, next, node string) sessions.Record {
	s.Helper()
	r, _, err := s.s.Resume(s.Context(), id, secret(old), secret(next), number, node)
	if err != nil {
		s.Fatalf("resume with %s: %v", old, err)
	}
	return r
}

func (s *suite) save(rs ...sessions.Record) {
	s.Helper()
	if err := errors.Join(s.s.Save(s.Context(), rs)...); err != nil {
		s.Fatal(err)
	}
}

func (s *suite) wantError(want, got error) {
	s.Helper()
	if !errors.Is(got, want) {
		s.Fatalf("got %v, want: %v", got, want)
	}
}

func (s *suite) wantRecord(want, got sessions.Record) {
	s.Helper()
	if !reflect.DeepEqual(got, want) {
		s.Fatalf("got  %+v\nwant %+v", got, want)
	}
}

// Whatever is lost here is a seat that its player does not get back, or a room made twice.
func saves(s *suite) {
	r := s.open()
	first, before, err := s.s.Resume(s.Context(), r.ID, secret("1"), secret("2"), 0, "b")
	if err != nil || before != "a" {
		s.Fatalf("was at %q, %v", before, err)
	}
	r.Gen, r.Node = 2, "b"
	s.wantRecord(r, first)

	r.Seats = []sessions.Place{{Room: "r-1", Seat: 3}, {Room: "r-2", Seat: 1<<32 - 1}}
	r.Requests = []sessions.Request{{Run: 1<<32 - 1, Number: 7, Room: "r-1"}}
	r.Creations, r.CreationsAt = 6.5, 1_795_000_000_000
	s.save(r)
	r.Connected = false
	s.save(r)
	if all, err := s.s.Of(s.Context(), r.Player.ID); err != nil || len(all) != 1 || all[0].Connected || len(all[0].Seats) != 2 {
		s.Fatalf("%+v, %v", all, err)
	}
	r.Gen, r.Node, r.Connected = 3, "c", true
	s.wantRecord(r, s.resume(r.ID, "2", "3", "c"))

	r.Seats, r.Requests = nil, nil
	s.save(r)
	r.Gen = 4
	s.wantRecord(r, s.resume(r.ID, "3", "4", "c"))
}

// An open that is repeated by mistake must not take a session from its player.
func opensOnce(s *suite) {
	r := s.open()
	if err := s.s.Open(s.Context(), r, secret("other")); err == nil {
		s.Fatal("opened twice")
	}
	s.resume(r.ID, "1", "2", "b")
}

// A lost welcome must not lock a player out, and a stolen old secret must not let a thief in.
func rotates(s *suite) {
	r := s.open()
	s.resume(r.ID, "1", "2", "a")
	s.resume(r.ID, "1", "3", "b") // the welcome with 2 was lost
	s.resume(r.ID, "1", "4", "a") // and that with 3
	s.resume(r.ID, "4", "5", "a")
	for _, old := range []string{"1", "2", "3"} {
		_, _, err := s.s.Resume(s.Context(), r.ID, secret(old), secret("x"), 0, "b")
		s.wantError(sessions.ErrBadSecret, err)
	}
	s.resume(r.ID, "4", "6", "b")
	s.resume(r.ID, "6", "7", "a")
}

// A hello that its client has given up may come when a later one has been answered. If it were granted, the client's connection would
// be closed for good, and its secret be worth nothing.
func ignoresStale(s *suite) {
	const large = 1<<53 - 3
	r := s.open()
	stale := func(number uint64, old string) {
		s.Helper()
		_, _, err := s.s.Resume(s.Context(), r.ID, secret(old), secret("x"), number, "b")
		s.wantError(sessions.ErrStale, err)
	}
	s.attempt(9, r.ID, "1", "2", "a")
	stale(8, "1")
	stale(9, "1")
	if all, err := s.s.Of(s.Context(), r.Player.ID); err != nil || len(all) != 1 || all[0].Gen != 2 || all[0].Node != "a" {
		s.Fatalf("%+v, %v", all, err) // nothing has changed
	}
	s.attempt(10, r.ID, "1", "3", "b") // the welcome with 2 was lost
	stale(9, "1")
	stale(10, "1")
	_, _, err := s.s.Resume(s.Context(), r.ID, secret("2"), secret("x"), 11, "b")
	s.wantError(sessions.ErrBadSecret, err) // it was never shown
	s.resume(r.ID, "1", "4", "a")           // a client that does not number
	stale(10, "1")                          // is no reason to forget the number

	s.attempt(3, r.ID, "4", "5", "a") // whoever has the newest secret may begin anew
	stale(3, "4")
	s.attempt(large, r.ID, "4", "6", "a")
	stale(large, "4")
	s.attempt(large+1, r.ID, "4", "7", "a")
	s.resume(r.ID, "7", "8", "a")
	s.attempt(1, r.ID, "7", "9", "a")
	if got := s.attempt(2, r.ID, "9", "10", "b"); got.Gen != 10 {
		s.Fatalf("generation %d", got.Gen)
	}
}

// Whoever guesses must not disturb, and must not learn more than that he is wrong.
func refuses(s *suite) {
	r := s.open()
	for _, wrong := range []sessions.Hash{secret("0"), {}} {
		_, _, err := s.s.Resume(s.Context(), r.ID, wrong, secret("x"), 0, "b")
		s.wantError(sessions.ErrBadSecret, err)
	}
	_, _, err := s.s.Resume(s.Context(), "nobody", secret("1"), secret("x"), 0, "b")
	s.wantError(sessions.ErrNoSession, err)
	s.save(r)
	if got := s.resume(r.ID, "1", "2", "b"); got.Gen != 2 {
		s.Fatalf("generation %d", got.Gen)
	}
}

// A node that does not know yet that its session has moved must not overwrite what became of it.
func fences(s *suite) {
	old := s.open()
	young := s.resume(old.ID, "1", "2", "b")
	young.Seats = []sessions.Place{{Room: "r", Seat: 1}}
	s.save(young)
	s.wantError(sessions.ErrMoved, s.s.Save(s.Context(), []sessions.Record{old})[0])
	young.Gen = 3
	s.wantRecord(young, s.resume(old.ID, "2", "3", "b"))
}

// Two nodes at once: one of them must be the newer.
func races(s *suite) {
	r := s.open()
	const many = 16
	gens := make([]uint64, many)
	var work sync.WaitGroup
	for i := range many {
		work.Go(func() {
			got, _, err := s.s.Resume(s.Context(), r.ID, secret("1"), secret(fmt.Sprint("next ", i)), 0, fmt.Sprint("node ", i))
			if err != nil {
				s.Error(err)
			}
			gens[i] = got.Gen
		})
	}
	work.Wait()
	slices.Sort(gens)
	for i, gen := range gens {
		if gen != uint64(i)+2 {
			s.Fatalf("generations %v", gens)
		}
	}
}

// One session that is gone must not keep the others from being saved.
func answers(s *suite) {
	moved, gone, kept := s.open(), s.fresh(), s.open()
	s.resume(moved.ID, "1", "2", "b")
	kept.Seats = []sessions.Place{{Room: "r", Seat: 1}}
	errs := s.s.Save(s.Context(), []sessions.Record{moved, gone, kept})
	if len(errs) != 3 {
		s.Fatalf("%d answers", len(errs))
	}
	s.wantError(sessions.ErrMoved, errs[0])
	s.wantError(sessions.ErrNoSession, errs[1])
	s.wantError(nil, errs[2])
	if r := s.resume(kept.ID, "1", "2", "b"); len(r.Seats) != 1 {
		s.Fatalf("%+v", r)
	}
	if errs := s.s.Save(s.Context(), nil); len(errs) != 0 {
		s.Fatalf("%d answers to nothing", len(errs))
	}
}

// Presence: where is this player?
func finds(s *suite) {
	one, two, other := s.open(), s.fresh(), s.open()
	two.Player = one.Player
	if err := s.s.Open(s.Context(), two, secret("1")); err != nil {
		s.Fatal(err)
	}
	two = s.resume(two.ID, "1", "2", "b")
	all, err := s.s.Of(s.Context(), one.Player.ID)
	if err != nil || len(all) != 2 {
		s.Fatalf("%+v, %v", all, err)
	}
	slices.SortFunc(all, func(a, b sessions.Record) int { return strings.Compare(a.ID, b.ID) })
	want := []sessions.Record{one, two}
	slices.SortFunc(want, func(a, b sessions.Record) int { return strings.Compare(a.ID, b.ID) })
	s.wantRecord(want[0], all[0])
	s.wantRecord(want[1], all[1])
	if all, err := s.s.Of(s.Context(), "nobody"); err != nil || len(all) != 0 {
		s.Fatalf("%+v, %v", all, err)
	}
	if all, err := s.s.Of(s.Context(), other.Player.ID); err != nil || len(all) != 1 {
		s.Fatalf("%+v, %v", all, err)
	}
}
