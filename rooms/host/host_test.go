package host

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tickover.dev/rooms"
	"tickover.dev/rooms/memjournal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sink remembers what rooms show.
type sink struct {
	mu    sync.Mutex
	notes []rooms.Note
	ticks map[rooms.ID]uint64
	ended map[rooms.ID]rooms.Ended
}

func newSink() *sink {
	return &sink{ticks: map[rooms.ID]uint64{}, ended: map[rooms.ID]rooms.Ended{}}
}

func (s *sink) Deliver(frames []*rooms.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range frames {
		s.ticks[f.Room] = f.Tick
		for _, p := range f.Seats {
			s.notes = append(s.notes, p.Notes...)
		}
		f.Release()
	}
}

func (s *sink) RoomEnded(e rooms.Ended) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended[e.Room] = e
}

func (s *sink) note(want rooms.NoteType, session string) (rooms.Note, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.notes {
		if n.Type == want && n.Session == session {
			return n, true
		}
	}
	return rooms.Note{}, false
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

// game does what its inputs say: it counts, panics, blocks or spins.
type game struct{ Count, Steps int }

type order struct{ Do string }

// block is what stuck steps wait for.
var block atomic.Pointer[chan struct{}]

// stuckAt is when the newest of them got stuck, in Unix nanoseconds.
var stuckAt atomic.Int64

func (g *game) Step(t *rooms.Tick[order]) {
	g.Steps++
	for e := range t.Events() {
		if e.Type != rooms.Input {
			continue
		}
		switch e.Input.Do {
		case "panic":
			panic("as asked")
		case "block":
			stuckAt.Store(time.Now().UnixNano())
			<-*block.Load()
		case "spin":
			stuckAt.Store(time.Now().UnixNano())
			for until := *block.Load(); ; {
				select {
				case <-until:
					return
				default:
				}
			}
		default:
			g.Count++
		}
	}
}

func (g *game) Public() any { return g }

func start(t *testing.T) (*Host, *sink) {
	t.Helper()
	s := newSink()
	h, err := New(Config{
		Kinds:   []rooms.Kind{rooms.Define(&game{}, rooms.Config{Name: "game", RateHz: 50})},
		Journal: memjournal.New(), Sink: s, Shards: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := h.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return h, s
}

func join(t *testing.T, h *Host, s *sink, session string) (*Handle, rooms.Seat) {
	t.Helper()
	r, err := h.Create("game", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Join(rooms.Mail{Session: session, Gen: 1, Run: 1, Number: 1}, nil, func(code, why string) { t.Errorf("refused: %s %s", code, why) })
	var n rooms.Note
	eventually(t, session+" joins", func() (ok bool) { n, ok = s.note(rooms.NoteJoined, session); return ok })
	return r, n.Seat
}

// A panic must not take the process, nor the room's players, with it.
func TestPanicCostsOnlyThePoisonousInput(t *testing.T) {
	h, s := start(t)
	r, seat := join(t, h, s, "ann")
	send := func(n uint64, do string) {
		r.Post(&rooms.Mail{Type: rooms.MailInput, Seat: seat, Session: "ann", Run: 1, Number: n, Body: rooms.Encode(nil, order{do})})
	}
	send(1, "count")
	send(2, "panic")
	send(3, "count")
	eventually(t, "the room goes on", func() bool {
		in := inspect(h, r)
		return len(in.Seats) == 1 && in.Seats[0].Applied == 3
	})
	if _, ended := h.Room(r.ID); !ended {
		t.Fatal("the room was closed")
	}
}

func inspect(h *Host, r *Handle) rooms.Inspection {
	got := make(chan rooms.Inspection, 1)
	r.runner.call(func(s *rooms.Shard, _ time.Duration) {
		in, _ := s.Inspect(r.ID)
		got <- in
	})
	return <-got
}

// Ctrl-C and a new start must give the same room at the same tick.
func TestReleasedRoomIsResumed(t *testing.T) {
	s, j := newSink(), memjournal.New()
	kinds := []rooms.Kind{rooms.Define(&game{}, rooms.Config{Name: "game", RateHz: 50})}
	h, err := New(Config{Kinds: kinds, Journal: j, Sink: s})
	if err != nil {
		t.Fatal(err)
	}
	r, seat := join(t, h, s, "ann")
	r.Post(&rooms.Mail{Type: rooms.MailInput, Seat: seat, Session: "ann", Run: 1, Number: 1, Body: rooms.Encode(nil, order{})})
	eventually(t, "the input is applied", func() bool { return inspect(h, r).Seats[0].Applied == 1 })
	if err := h.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	shown := s.ticks[r.ID]
	again, err := New(Config{Kinds: kinds, Journal: j, Sink: s})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Stop(t.Context())
	if err := again.Resume(t.Context(), r.ID, true); err != nil {
		t.Fatal(err)
	}
	back, _ := again.Room(r.ID)
	in := inspect(again, back)
	if in.Tick < shown || in.Tick > shown+100 || in.Seats[0].Applied != 1 {
		t.Fatalf("resumed at tick %d with %+v; tick %d had been shown", in.Tick, in.Seats, shown)
	}
}
