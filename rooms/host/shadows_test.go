package host

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"tickover.dev/rooms"
	"tickover.dev/rooms/memjournal"
)

// moody keeps something outside of its state, which its shadow does not find there.
type moody struct {
	Steps int
	Mood  struct{ Level int }
}

// moods is what it keeps. A shadow is stepped beside the room: what both use must be made for that, here as in a real game's mistake.
var moods struct {
	sync.Mutex
	level int
}

func (m *moody) Step(t *rooms.Tick[order]) {
	m.Steps++
	if t.Number() == 3 {
		moods.Lock()
		moods.level++
		m.Mood.Level = moods.level
		moods.Unlock()
	}
}

func (m *moody) Public() any { return m }

// logged is what a host logged.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Without it, nobody learns that a game is not deterministic before the node of one of its rooms dies.
func TestShadowOfARoomThatKeepsSomethingElsewhereNamesTheField(t *testing.T) {
	var log logged
	kind := rooms.Define(&moody{}, rooms.Config{Name: "moody", RateHz: 128, Durability: rooms.Replay})
	s := newSink()
	h, err := New(Config{
		Kinds: []rooms.Kind{kind}, Journal: memjournal.New(), Sink: s, Shards: 1, ShadowEvery: 1, Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := h.Create("moody", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	// A snapshot that is due ends a stretch: enough input makes one due.
	r.Join(rooms.Mail{Session: "ann", Gen: 1, Run: 1, Number: 1}, nil, func(code, why string) { t.Error(code, why) })
	eventually(t, "ann joins", func() bool { _, ok := s.note(rooms.NoteJoined, "ann"); return ok })
	body := rooms.Encode(nil, order{strings.Repeat("x", 8000)})
	n := uint64(0)
	eventually(t, "a shadow differs", func() bool {
		n++
		r.Post(&rooms.Mail{Type: rooms.MailInput, Seat: 1, Session: "ann", Gen: 1, Run: 1, Number: n, Body: body})
		return h.Stats().Replays.ShadowsDiffer > 0
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := h.Stop(ctx); err != nil {
		t.Error(err)
	}
	if text := log.String(); !strings.Contains(text, "Mood.Level: 1 != 2") || strings.Contains(text, "panic") {
		t.Errorf("the log says %s", text)
	}
	if st := h.Stats(); st.Panics != 0 || st.Quarantined != 0 {
		t.Errorf("the room was disturbed: %+v", st)
	}
}
