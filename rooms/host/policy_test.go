package host

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tickover.dev/rooms"
	"tickover.dev/rooms/memjournal"
)

// startWith starts a host of one kind, stopped when the test ends.
func startWith(t *testing.T, k rooms.Kind) (*Host, *sink) {
	t.Helper()
	s := newSink()
	h, err := New(Config{Kinds: []rooms.Kind{k}, Journal: memjournal.New(), Sink: s, Shards: 2})
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

// talker is a game that ends, refuses and gives jobs as its signals say.
type talker struct{ Done []string }

func (g *talker) Step(t *rooms.Tick[order]) {
	for e := range t.Events() {
		switch {
		case e.Type == rooms.Created:
			var o order
			if e.Decode(&o); o.Do == "refuse" {
				t.Reject(e, "not_today", "come back tomorrow")
			}
		case e.Type == rooms.Done:
			g.Done = append(g.Done, e.Why)
		case e.Type == rooms.Signal && e.Name == "end":
			t.End("won")
		case e.Type == rooms.Signal && e.Name == "do":
			t.Do("job", nil)
		}
	}
}

func talkers(c rooms.Config) rooms.Kind {
	c.Name, c.RateHz = "game", 50
	return rooms.Define(&talker{}, c)
}

// Of many that ask for one key at once, one must create, and all must get that room.
func TestManyAsksForOneKeyGetOneRoom(t *testing.T) {
	h, _ := startWith(t, talkers(rooms.Config{}))
	var mu sync.Mutex
	made, ids := 0, map[rooms.ID]bool{}
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			r, created, err := h.FindOrCreate("game", "lobby", nil)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			ids[r.ID] = true
			if created {
				made++
			}
		})
	}
	wg.Wait()
	if made != 1 || len(ids) != 1 {
		t.Errorf("%d rooms were made, %d were given", made, len(ids))
	}
	if _, err := h.Create("game", "lobby", nil); !errors.Is(err, ErrKeyTaken) {
		t.Errorf("create with a taken key: %v", err)
	}
}

// Mail that comes too late must be answered with the room's end, and a signal must not take the process down.
func TestEndedRoomAnswersWithItsTombstone(t *testing.T) {
	h, s := startWith(t, talkers(rooms.Config{}))
	r, _ := join(t, h, s, "ann")
	r.Post(&rooms.Mail{Type: rooms.MailSignal, Name: "end", Ticket: 1})
	eventually(t, "the room is gone", func() bool { _, ok := h.Room(r.ID); return !ok })
	r.Post(&rooms.Mail{Type: rooms.MailSignal, Name: "end", Ticket: 2})
	r.Post(&rooms.Mail{Type: rooms.MailReturn, Seat: 1, Session: "bob", Gen: 2})
	var n rooms.Note
	eventually(t, "bob is answered", func() (ok bool) { n, ok = s.note(rooms.NoteGone, "bob"); return ok })
	var result string
	if n.Why != "ended" || rooms.Decode(n.Result, &result) != nil || result != "won" {
		t.Errorf("bob was told %+v", n)
	}
	if tomb, ok := h.Tomb(r.ID); !ok || tomb.Why != "ended" {
		t.Errorf("tombstone %+v, %v", tomb, ok)
	}
}

// Tombstones must not collect for ever.
func TestTombstonesAreForgotten(t *testing.T) {
	h, s := startWith(t, talkers(rooms.Config{}))
	h.config.TombstoneTTL = time.Millisecond
	for range 20 {
		r, _ := join(t, h, s, "ann")
		r.Post(&rooms.Mail{Type: rooms.MailSignal, Name: "end"})
		eventually(t, "the room is gone", func() bool { _, ok := h.Room(r.ID); return !ok })
		s.mu.Lock()
		s.notes = nil
		s.mu.Unlock()
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	if len(h.tombs) > 5 || len(h.buried) != len(h.tombs) {
		t.Errorf("%d tombstones are kept, %d in order", len(h.tombs), len(h.buried))
	}
}

// The game's own reason must reach who created the room, however late the join is.
func TestRefusedCreationIsToldToLateJoins(t *testing.T) {
	h, s := startWith(t, talkers(rooms.Config{}))
	r, err := h.Create("game", "", rooms.Encode(nil, order{"refuse"}))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the room is gone", func() bool { _, ok := h.Room(r.ID); return !ok })
	r.Join(rooms.Mail{Session: "ann", Gen: 1, Run: 1, Number: 1}, nil, func(code, why string) {})
	var n rooms.Note
	eventually(t, "ann is answered", func() (ok bool) { n, ok = s.note(rooms.NoteRefused, "ann"); return ok })
	if n.Code != "not_today" {
		t.Errorf("ann was told %+v", n)
	}
}

// A job that panics, or gives what cannot be encoded, must come back as a failed one, not take the process down.
func TestBrokenJobsComeBackAsFailed(t *testing.T) {
	for want, do := range map[string]func() (any, error){
		"panic":   func() (any, error) { panic("as asked") },
		"encode":  func() (any, error) { return make(chan int), nil },
		"refused": func() (any, error) { return nil, errors.New("refused") },
	} {
		h, s := startWith(t, talkers(rooms.Config{Do: func(context.Context, rooms.Job) (any, error) { return do() }}))
		r, _ := join(t, h, s, "ann")
		r.Post(&rooms.Mail{Type: rooms.MailSignal, Name: "do"})
		eventually(t, want+" is told", func() bool {
			var g talker
			return rooms.Decode(inspect(h, r).State, &g) == nil && len(g.Done) == 1 && strings.Contains(g.Done[0], want)
		})
	}
}

// Admit decides off the tick; what it cannot do must refuse the join, also after Stop.
func TestAdmitDecides(t *testing.T) {
	h, s := startWith(t, talkers(rooms.Config{Admit: func(_ context.Context, a rooms.Admission) (any, error) {
		switch a.Player.Name {
		case "panic":
			panic("as asked")
		case "eve":
			return nil, errors.New("no eves")
		}
		return nil, nil
	}}))
	r, err := h.Create("game", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	refused := make(chan string, 3)
	ask := func(name string) {
		r.Join(rooms.Mail{Session: name, Gen: 1, Run: 1, Number: 1, Player: rooms.Player{Name: name}}, nil, func(code, _ string) { refused <- code })
	}
	for _, name := range []string{"panic", "eve"} {
		if ask(name); <-refused != "not_admitted" {
			t.Errorf("%s was refused otherwise", name)
		}
	}
	ask("ann")
	eventually(t, "ann joins", func() bool { _, ok := s.note(rooms.NoteJoined, "ann"); return ok })
	if err := h.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if ask("late"); <-refused != "shutting_down" {
		t.Error("a join after Stop was refused otherwise")
	}
}

// refusing is a journal that takes no release of one room.
type refusing struct {
	*memjournal.Journal
	room *atomic.Pointer[rooms.ID]
}

func (j refusing) Append(batch []rooms.Entry, done func([]rooms.Result)) {
	results := make([]rooms.Result, len(batch))
	for i, e := range batch {
		if id := j.room.Load(); id != nil && *id == e.Room && e.Kind == rooms.EntryRelease {
			results[i] = rooms.Result{Outcome: rooms.Refused, Err: errors.New("not now")}
			continue
		}
		j.Journal.Append(batch[i:i+1], func(r []rooms.Result) { results[i] = r[0] })
	}
	done(results)
}

// One room that its journal does not answer for must not spend the time that was given to stop the rest: they are released, and the
// goroutines end, and whoever waits learns which room it was.
func TestARoomThatIsNotReleasedIsNamedAndTheRestStops(t *testing.T) {
	var held atomic.Pointer[rooms.ID]
	j := refusing{memjournal.New(), &held}
	h, err := New(Config{Kinds: []rooms.Kind{talkers(rooms.Config{})}, Journal: j, Sink: newSink(), Shards: 1})
	if err != nil {
		t.Fatal(err)
	}
	var all []*Handle
	for range 20 {
		r, err := h.Create("game", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
		eventually(t, "it is in the journal", func() bool { return len(j.Entries(r.ID)) > 0 })
	}
	bad := all[7].ID
	held.Store(&bad)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	err = h.Stop(ctx)
	if ctx.Err() != nil {
		t.Error("Stop took all the time that it was given")
	}
	if err == nil || !strings.Contains(err.Error(), "1 of the rooms not released: "+string(bad)+":") || strings.Contains(err.Error(), "return") {
		t.Errorf("Stop says %v", err)
	}
	for _, r := range all {
		if es := j.Entries(r.ID); (es[len(es)-1].Kind == rooms.EntryRelease) == (r.ID == bad) {
			t.Errorf("room %s: the newest entry is of kind %d", r.ID, es[len(es)-1].Kind)
		}
	}
}

// A step that never returns must not keep a node from stopping: its room is taken away, or the deadline ends the wait.
func TestStopDoesNotWaitForAStuckStep(t *testing.T) {
	until := make(chan struct{})
	block.Store(&until)
	defer close(until)
	for limit, patience := range map[time.Duration]time.Duration{200 * time.Millisecond: 8 * time.Second, time.Hour: time.Second} {
		s := newSink()
		h, err := New(Config{
			Kinds:   []rooms.Kind{rooms.Define(&game{}, rooms.Config{Name: "game", RateHz: 50, StepLimit: limit})},
			Journal: memjournal.New(), Sink: s, Shards: 1,
		})
		if err != nil {
			t.Fatal(err)
		}
		r, seat := join(t, h, s, "ann")
		r.Post(&rooms.Mail{Type: rooms.MailInput, Seat: seat, Session: "ann", Run: 1, Number: 1, Body: rooms.Encode(nil, order{"block"})})
		eventually(t, "the step is stuck", func() bool { return h.runners[0].turn.token.Load() != 0 })
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		began := time.Now()
		err = h.Stop(ctx)
		if took := time.Since(began); took > patience+time.Second {
			t.Errorf("limit %s: Stop took %s", limit, took)
		}
		cancel()
		if (err == nil) != (limit < time.Second) {
			t.Errorf("limit %s: Stop says %v", limit, err)
		}
	}
}
