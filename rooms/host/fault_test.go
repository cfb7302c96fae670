package host

import (
	"errors"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"tickover.dev/rooms"
	"tickover.dev/rooms/memjournal"
)

// fragile panics in every step while it is told to.
type fragile struct{ Steps int }

var breakAll atomic.Bool

func (g *fragile) Step(*rooms.Tick[order]) {
	if g.Steps++; breakAll.Load() {
		panic("for good")
	}
}

// A room that failed for good must neither come back at the next start, where it would fail again, nor keep its key. What its journal
// held must be kept for those who look for the cause.
func TestFaultedRoomStaysClosedAfterARestart(t *testing.T) {
	kinds := []rooms.Kind{
		rooms.Define(&game{}, rooms.Config{Name: "game", RateHz: 50, StepLimit: 100 * time.Millisecond}),
		rooms.Define(&fragile{}, rooms.Config{Name: "fragile", RateHz: 50}),
	}
	for kind, fail := range map[string]func(*Handle){
		"game": func(r *Handle) {
			r.Post(&rooms.Mail{Type: rooms.MailInput, Seat: 1, Session: "ann", Run: 1, Number: 1, Body: rooms.Encode(nil, order{"block"})})
		},
		"fragile": func(*Handle) { breakAll.Store(true) },
	} {
		until := make(chan struct{})
		block.Store(&until)
		j, s := memjournal.New(), newSink()
		h, err := New(Config{Kinds: kinds, Journal: j, Sink: s, Shards: 1})
		if err != nil {
			t.Fatal(err)
		}
		r, err := h.Create(kind, "lobby", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Join(rooms.Mail{Session: "ann", Gen: 1, Run: 1, Number: 1}, nil, func(code, why string) { t.Error(code, why) })
		eventually(t, "ann joins", func() bool { _, ok := s.note(rooms.NoteJoined, "ann"); return ok })
		fail(r)
		eventually(t, "the room is in quarantine", func() bool { return slices.Contains(j.Quarantined(), r.ID) })
		close(until)
		breakAll.Store(false)
		if st := h.Stats(); st.Quarantined != 1 || (st.Panics >= 3) != (kind == "fragile") {
			t.Errorf("%s: stats %+v", kind, st)
		}
		if err := h.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "journals")
		next := memjournal.New()
		if err := errors.Join(j.Save(path), next.Restore(path)); err != nil {
			t.Fatal(err)
		}
		if left := next.Rooms(); len(left) != 0 || len(next.Entries(r.ID)) == 0 {
			t.Errorf("%s: rooms %v would be resumed, %d entries are kept", kind, left, len(next.Entries(r.ID)))
		}
		if end, err := next.Tomb(t.Context(), r.ID); err != nil {
			t.Error(err)
		} else if tomb, err := ReadTomb(end); err != nil || tomb.Why != "fault" { // its players must not be told that it came to its end
			t.Errorf("%s: %+v, %v", kind, tomb, err)
		}
		again, err := New(Config{Kinds: kinds, Journal: next, Sink: s, Shards: 1})
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Resume(t.Context(), r.ID, true); !errors.Is(err, rooms.ErrGone) {
			t.Errorf("%s: resume: %v", kind, err)
		}
		if _, err := again.Create(kind, "lobby", nil); err != nil {
			t.Errorf("%s: the key is not free: %v", kind, err)
		}
		if err := again.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// Two rooms of one key must not both be found by it, nor may it depend on chance which one is.
func TestResumeRefusesATakenKey(t *testing.T) {
	j, s := memjournal.New(), newSink()
	kinds := []rooms.Kind{talkers(rooms.Config{})}
	h, err := New(Config{Kinds: kinds, Journal: j, Sink: s, Shards: 1})
	if err != nil {
		t.Fatal(err)
	}
	r, err := h.Create("game", "lobby", nil)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is in the journal", func() bool { return len(j.Entries(r.ID)) > 0 })
	if err := h.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	again, err := New(Config{Kinds: kinds, Journal: j, Sink: s, Shards: 1})
	if err != nil {
		t.Fatal(err)
	}
	first, err := again.Create("game", "lobby", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Resume(t.Context(), r.ID, true); !errors.Is(err, ErrKeyTaken) {
		t.Errorf("resume: %v, want %v", err, ErrKeyTaken)
	}
	if found, ok := again.Find("game", "lobby"); !ok || found != first {
		t.Error("the key has changed hands")
	}
	if _, open := again.Room(r.ID); open || !slices.Contains(j.Rooms(), r.ID) {
		t.Errorf("open %v; the journal has %v", open, j.Rooms())
	}
	if err := again.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}
