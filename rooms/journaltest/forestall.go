package journaltest

import (
	"bytes"
	"context"
	"errors"
	"time"

	"tickover.dev/rooms"
)

// tombs is what a journal has beside, for those who give rooms up.
type tombs interface {
	rooms.Forestaller
	Tomb(ctx context.Context, room rooms.ID) ([]byte, error)
}

func (s *suite) forestall(epoch rooms.Epoch, end string, ttl time.Duration) error {
	s.Helper()
	j, ok := s.j.(tombs)
	if !ok {
		s.Fatal("the journal cannot forestall")
	}
	return j.Forestall(s.Context(), s.room, epoch, []byte(end), ttl)
}

func (s *suite) wantTomb(end string) {
	s.Helper()
	if got, err := s.j.(tombs).Tomb(s.Context(), s.room); err != nil || !bytes.Equal(got, []byte(end)) {
		s.Errorf("the tombstone says %q (%v), want %q", got, err, end)
	}
}

// A room that was given up before its first entry must not begin when that entry comes after all: nobody would find it. One that has begun
// must not be given up.
func forestalled(s *suite) {
	if err := s.forestall(5, "never", time.Minute); err != nil {
		s.Fatal(err)
	}
	s.want(s.entry(5, 1, rooms.EntryCreate), rooms.Gone)
	s.want(s.entry(4, 1, rooms.EntryCreate), rooms.Gone)
	s.want(s.entry(6, 2, rooms.EntrySnapshot), rooms.Gone)
	if _, err := s.j.Top(s.Context(), s.room); !errors.Is(err, rooms.ErrGone) {
		s.Errorf("top: %v", err)
	}
	if _, err := s.j.Claim(s.Context(), s.room, 0, 9); !errors.Is(err, rooms.ErrGone) {
		s.Errorf("claim: %v", err)
	}
	s.wantTomb("never")

	s.room += "-born"
	s.want(s.entry(5, 1, rooms.EntryCreate), rooms.Confirmed)
	if err := s.forestall(5, "never", time.Minute); !errors.Is(err, rooms.ErrBorn) {
		s.Errorf("forestall of a room that has begun: %v", err)
	}
	s.want(s.entry(5, 2, rooms.EntryDelta), rooms.Confirmed)
	if err := s.j.Bury(s.Context(), s.room, 5, []byte("result"), time.Minute); err != nil {
		s.Fatal(err)
	}
	if err := s.forestall(9, "never", time.Minute); err != nil {
		s.Errorf("forestall of a room that has ended: %v", err)
	}
	s.wantTomb("result")
	s.want(s.entry(10, 1, rooms.EntryCreate), rooms.Gone)
}

// A room whose journal the store has lost is given up by those who know no better, and made anew by its owner, in a newer epoch.
func renewedBehindForestalled(s *suite) {
	for _, epoch := range []rooms.Epoch{5, 7, 6} { // the newest counts, and again is as once
		if err := s.forestall(epoch, "never", time.Minute); err != nil {
			s.Fatal(err)
		}
	}
	s.want(s.entry(7, 1, rooms.EntryCreate), rooms.Gone)
	s.want(s.entry(8, 9, rooms.EntryCreate), rooms.Confirmed)
	s.want(s.entry(8, 10, rooms.EntryDelta), rooms.Confirmed)
	if err := s.forestall(8, "never", time.Minute); !errors.Is(err, rooms.ErrBorn) {
		s.Errorf("forestall of a room that was made anew: %v", err)
	}
	if es := s.load(s.claim(8, 70)); len(es) != 3 || es[0].Kind != rooms.EntryCreate {
		s.Errorf("loaded %+v", es)
	}
}

// What nobody asks for any more must go by itself, and what has taken its place must stay.
func forestallExpires(s *suite) {
	const soon = 50 * time.Millisecond
	if err := s.forestall(5, "never", soon); err != nil {
		s.Fatal(err)
	}
	lives := s.room + "-lives"
	s.room, lives = lives, s.room
	if err := s.forestall(5, "never", soon); err != nil {
		s.Fatal(err)
	}
	s.want(s.entry(6, 1, rooms.EntryCreate), rooms.Confirmed)
	s.room, lives = lives, s.room
	beat, end := time.NewTicker(10*time.Millisecond), time.After(10*time.Second)
	defer beat.Stop()
	for {
		if _, err := s.j.(tombs).Tomb(s.Context(), s.room); errors.Is(err, rooms.ErrGone) {
			break
		}
		select {
		case <-beat.C:
		case <-end:
			s.Fatal("the tombstone stays")
		}
	}
	s.room = lives
	s.want(s.entry(6, 2, rooms.EntryDelta), rooms.Confirmed)
}
