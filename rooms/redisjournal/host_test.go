package redisjournal_test

import (
	"context"
	"sync"
	"testing"

	"tickover.dev/redisconn/redistest"
	"tickover.dev/rooms"
	"tickover.dev/rooms/host"
	"tickover.dev/rooms/redisjournal"
)

var _ host.Shelf = (*redisjournal.Journal)(nil)

// counter counts its inputs.
type counter struct{ Count int }

type press struct{ N int }

func (c *counter) Step(t *rooms.Tick[press]) {
	for e := range t.Events() {
		if e.Type == rooms.Input {
			c.Count++
		}
	}
}

// shown remembers the newest tick of each room, and how rooms ended.
type shown struct {
	mu sync.Mutex
	// Guarded by mu.
	ticks map[rooms.ID]uint64
	ended map[rooms.ID]rooms.Ended
}

func (s *shown) Deliver(frames []*rooms.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range frames {
		s.ticks[f.Room] = max(s.ticks[f.Room], f.Tick)
		f.Release()
	}
}

func (s *shown) RoomEnded(e rooms.Ended) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended[e.Room] = e
}

func (s *shown) tick(room rooms.ID) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ticks[room]
}

func (s *shown) end(room rooms.ID) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended[room].Why
}

func startHost(t *testing.T, url string) (*host.Host, *shown) {
	t.Helper()
	s := &shown{ticks: map[rooms.ID]uint64{}, ended: map[rooms.ID]rooms.Ended{}}
	h, err := host.New(host.Config{
		Kinds:   []rooms.Kind{rooms.Define(&counter{}, rooms.Config{Name: "counter", RateHz: 100})},
		Journal: newJournal(t, url), Sink: s, Shards: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := h.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return h, s
}

// The whole chain, which no part can promise alone: a room plays on through a crash of Redis, moves to another host behind its
// owner's back, and the old owner shows nothing any more.
func TestRoomsPlayOnThroughACrashAndATakeOver(t *testing.T) {
	server := redistest.Start(t, redistest.Durable...)
	first, saw := startHost(t, server.URL())
	room, err := first.Create("counter", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	room.Join(rooms.Mail{Session: "ann", Gen: 1, Run: 1, Number: 1}, nil, func(code, why string) { t.Errorf("refused: %s %s", code, why) })
	eventually(t, "the room plays", func() bool { return saw.tick(room.ID) > 20 })
	server.Kill()
	server.Restart()
	before := saw.tick(room.ID)
	eventually(t, "the room plays on after the crash", func() bool { return saw.tick(room.ID) > before+20 })

	second, saw2 := startHost(t, server.URL())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := second.Resume(ctx, room.ID, false); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the old owner finds itself fenced", func() bool { return saw.end(room.ID) == "lost" })
	last := saw.tick(room.ID)
	eventually(t, "the new owner plays on behind it", func() bool { return saw2.tick(room.ID) > last+20 })
	if now := saw.tick(room.ID); now != last {
		t.Errorf("the old owner has shown ticks up to %d after it was fenced at %d", now, last)
	}
}
