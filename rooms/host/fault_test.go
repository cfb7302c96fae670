package host

import (
	"context"
	"errors"
	"fmt"
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

// illegible is a journal of a newer version.
type illegible struct {
	*memjournal.Journal
	is *atomic.Bool
}

func (j illegible) Load(ctx context.Context, room rooms.ID, claim rooms.Epoch) ([]rooms.Entry, error) {
	if j.is.Load() {
		return nil, fmt.Errorf("load: %w", rooms.ErrNewer)
	}
	return j.Journal.Load(ctx, room, claim)
}

// Nothing is wrong with a room that a newer node has written: an older one that buried it, however often it has tried, would end a game
// that the next node could run.
func TestARoomOfANewerVersionIsNeverPutAside(t *testing.T) {
	var newer atomic.Bool
	j, s := memjournal.New(), newSink()
	start := func(version int) *Host {
		h, err := New(Config{Kinds: []rooms.Kind{talkers(rooms.Config{Version: version})}, Journal: illegible{j, &newer}, Sink: s, Shards: 1})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	stop := func(h *Host) {
		if err := h.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	first := start(2)
	r, err := first.Create("game", "lobby", nil)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is in the journal", func() bool { return len(j.Entries(r.ID)) > 0 })
	stop(first)
	older := start(1)
	for i := range 3 * maxFailedClaims {
		newer.Store(i%2 == 1) // its kind, then the journal itself
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if err := older.Resume(ctx, r.ID, true); !errors.Is(err, rooms.ErrNewer) {
			t.Fatalf("resume: %v, want %v", err, rooms.ErrNewer)
		}
		cancel()
	}
	if st := older.Stats(); st.Quarantined != 0 || len(j.Quarantined()) != 0 {
		t.Errorf("put aside: %+v", st)
	}
	stop(older)
	newer.Store(false)
	last := start(2)
	if err := last.Resume(t.Context(), r.ID, true); err != nil {
		t.Errorf("a node of its version: %v", err)
	}
	stop(last)
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
