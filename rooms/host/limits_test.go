package host

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"tickover.dev/codec"
	"tickover.dev/rooms"
	"tickover.dev/rooms/memjournal"
)

// Whoever may create rooms must not be able to fill the node's memory with them.
func TestRoomsAreBounded(t *testing.T) {
	h, err := New(Config{Kinds: []rooms.Kind{talkers(rooms.Config{})}, Journal: memjournal.New(), Sink: newSink(), MaxRooms: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Stop(t.Context())
	first, err := h.Create("game", "a", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Create("game", "b", nil); err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.FindOrCreate("game", "c", nil); !errors.Is(err, ErrTooManyRooms) {
		t.Errorf("a third room: %v, want %v", err, ErrTooManyRooms)
	}
	if r, _, err := h.FindOrCreate("game", "a", nil); err != nil || r != first {
		t.Errorf("a room that is there: %v, %v", r, err)
	}
	if st := h.Stats(); st.MaxRooms != 2 || st.Rooms["game"] != 2 {
		t.Errorf("stats %+v", st)
	}
	first.Post(&rooms.Mail{Type: rooms.MailSignal, Name: "end"})
	eventually(t, "there is a place again", func() bool { _, err := h.Create("game", "c", nil); return err == nil })
}

// Rooms that end quickly must not fill the node's memory with their ends either.
func TestTombstonesAreBounded(t *testing.T) {
	h, _ := startWith(t, talkers(rooms.Config{}))
	for i := range maxTombs + 10 {
		h.remember(rooms.Ended{Room: rooms.ID(fmt.Sprint(i))})
	}
	if len(h.tombs) != maxTombs || len(h.buried) != maxTombs {
		t.Errorf("%d tombstones, %d in order, want %d", len(h.tombs), len(h.buried), maxTombs)
	}
	if _, ok := h.Tomb("9"); ok {
		t.Error("the oldest is kept")
	}
	if _, ok := h.Tomb("10"); !ok {
		t.Error("a newer one is forgotten")
	}
}

// What a journal was given by another version must be told from nonsense, and neither be taken for a result.
func TestTombstonesAreVersioned(t *testing.T) {
	end, err := epitaphOf(rooms.Ended{Why: "refused", Code: "bad_board", Result: []byte{7}})
	if err != nil {
		t.Fatal(err)
	}
	if tomb, err := ReadTomb(end); err != nil || tomb.Why != "refused" || tomb.Code != "bad_board" || string(tomb.Result) != "\x07" {
		t.Errorf("%+v, %v", tomb, err)
	}
	next, err := codec.Append(nil, &epitaph{Format: tombFormat + 1, Why: "ended"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ReadTomb(next); !errors.Is(err, errTombFormat) {
		t.Errorf("the next version: %v", err)
	}
	for _, bad := range []string{"", "\x07", "\xc0", "\x81\xa1f", string(end[:len(end)-1])} {
		if tomb, err := ReadTomb([]byte(bad)); err == nil {
			t.Errorf("%q is read as %+v", bad, tomb)
		}
	}
}

// Large bodies must not fill a shard's memory while it is stuck.
func TestInboxIsBoundedByBytes(t *testing.T) {
	h, s := startWith(t, talkers(rooms.Config{}))
	r, _ := join(t, h, s, "ann")
	stuck, goOn := make(chan struct{}), make(chan struct{})
	r.runner.call(func(*rooms.Shard, time.Duration) { close(stuck); <-goOn })
	<-stuck
	m := rooms.Mail{Type: rooms.MailSignal, Name: "x", Body: make([]byte, 1<<20)}
	taken := 0
	for r.Post(&m) == nil {
		taken++
	}
	if err := r.Post(&m); taken != maxInboxBytes>>20 || !errors.Is(err, rooms.ErrMailboxFull) {
		t.Errorf("%d MiB were taken, then %v", taken, err)
	}
	close(goOn)
	eventually(t, "the room takes what it may, and refusals are counted", func() bool {
		return h.Stats().MailboxRefusals > 2 && r.Post(&rooms.Mail{Type: rooms.MailSignal, Name: "x"}) == nil
	})
}

// A kind whose Admit hangs must keep only its own players waiting, and these not for ever.
func TestSlowAdmitDelaysItsOwnKindOnly(t *testing.T) {
	until, s := make(chan struct{}), newSink()
	admit := func(_ context.Context, a rooms.Admission) (any, error) {
		if a.Kind == "slow" && a.Player.Name != "quick" {
			<-until
		}
		return nil, nil
	}
	kind := func(name string) rooms.Kind {
		return rooms.Define(&talker{}, rooms.Config{Name: name, RateHz: 50, Seats: 100, Admit: admit})
	}
	h, err := New(Config{Kinds: []rooms.Kind{kind("slow"), kind("fast")}, Journal: memjournal.New(), Sink: s, Shards: 1})
	if err != nil {
		t.Fatal(err)
	}
	h.callTimeout = 4 * time.Second
	slow, err1 := h.Create("slow", "", nil)
	fast, err2 := h.Create("fast", "", nil)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	refused := make(chan string, 100)
	ask := func(r *Handle, name string) {
		m := rooms.Mail{Session: name, Gen: 1, Run: 1, Number: 1, Player: rooms.Player{Name: name}}
		r.Join(m, nil, func(code, _ string) { refused <- code })
	}
	for i := range h.config.Workers {
		ask(slow, fmt.Sprint("slow", i))
	}
	eventually(t, "all places are taken", func() bool { return len(h.desks["slow"].admits) == h.config.Workers })
	began := time.Now()
	ask(slow, "quick")
	ask(fast, "ann")
	eventually(t, "ann joins", func() bool { _, ok := s.note(rooms.NoteJoined, "ann"); return ok })
	if took := time.Since(began); took > time.Second {
		t.Errorf("ann waited %s for a kind that is not hers", took)
	}
	if code := <-refused; code != "overloaded" || time.Since(began) < admitWait || time.Since(began) > admitWait+time.Second {
		t.Errorf("refused with %q after %s, want overloaded after %s", code, time.Since(began), admitWait)
	}
	for range h.config.Workers {
		if code := <-refused; code != "overloaded" {
			t.Errorf("a call that took too long: %q", code)
		}
	}
	ask(slow, "quick") // there are places again, though no call is back
	eventually(t, "quick joins", func() bool { _, ok := s.note(rooms.NoteJoined, "quick"); return ok })
	if n := h.Stats().OverdueCalls; n != int64(h.config.Workers) {
		t.Errorf("%d overdue calls counted, want %d", n, h.config.Workers)
	}
	close(until)
	if err := h.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if len(refused) > 0 || len(h.desks["slow"].admits) != 0 {
		t.Errorf("%d more refusals, %d places taken", len(refused), len(h.desks["slow"].admits))
	}
}
