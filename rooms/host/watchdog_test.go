package host

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"tickover.dev/rooms"
	"tickover.dev/rooms/memjournal"
	"tickover.dev/simtest"
)

// A step that never returns must cost its own room only, and that as soon as its limit is reached.
func TestStuckStepLosesItsRoomOnly(t *testing.T) {
	const limit = 500 * time.Millisecond // the default
	slack := 60 * time.Millisecond
	if simtest.Race {
		slack *= 3
	}
	for _, how := range []string{"block", "spin"} {
		t.Run(how, func(t *testing.T) {
			lent := func(want int) func() bool {
				return func() bool { spare.mu.Lock(); defer spare.mu.Unlock(); return spare.lent == want }
			}
			eventually(t, "all processors are back", lent(0))
			procs := runtime.GOMAXPROCS(0)
			h, s := start(t)
			until := make(chan struct{})
			block.Store(&until)
			bad, seat := join(t, h, s, "bad")
			good, _ := join(t, h, s, "good")
			for range 20 {
				if _, err := h.Create("game", "", nil); err != nil {
					t.Fatal(err)
				}
			}
			before := measure(h)
			bad.Post(&rooms.Mail{Type: rooms.MailInput, Seat: seat, Session: "bad", Run: 1, Number: 1, Body: rooms.Encode(nil, order{how})})
			eventually(t, "the stuck room is closed", func() bool { _, ok := s.note(rooms.NoteLeft, "bad"); return ok })
			if took := time.Since(time.Unix(0, stuckAt.Load())); took < limit || took > limit+slack {
				t.Errorf("the watchdog acted after %s, want %s to %s", took, limit, limit+slack)
			}
			from := s.tick(good.ID)
			eventually(t, "the other room goes on", func() bool { return s.tick(good.ID) > from+10 })
			if st := h.Stats(); st.StuckSteps != 1 || st.Quarantined != 1 {
				t.Errorf("%d stuck steps and %d quarantined rooms reported, want 1", st.StuckSteps, st.Quarantined)
			}
			if n := runtime.GOMAXPROCS(0); n != procs+1 {
				t.Errorf("%d processors while a step is stuck, want %d", n, procs+1)
			}
			compare(t, h, before)
			close(until)
			eventually(t, "the step is back", func() bool { return h.Stats().StuckSteps == 0 })
			eventually(t, "its processor is given back", lent(0))
			if n := runtime.GOMAXPROCS(0); n != procs {
				t.Errorf("%d processors afterwards, want %d", n, procs)
			}
		})
	}
}

// measured is how late steps start, beside what the machine does to a goroutine that only sleeps meanwhile.
type measured struct{ late, wakes LatenessStats }

func measure(h *Host) (m measured) {
	var wakes lateness
	before := h.Stats().Late
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(1200 * time.Millisecond); time.Now().Before(end); {
		due := <-tick.C
		wakes.record(time.Since(due))
	}
	m.late = h.Stats().Late.since(before)
	m.wakes.add(&wakes)
	return m
}

// compare fails the test if steps start later than they did before, by more than 2 ms or what the machine's own noise explains. All rooms
// share a few wake-ups here, so one that the machine delays makes many steps late: what a stuck step costs would be there every time.
func compare(t *testing.T, h *Host, before measured) {
	t.Helper()
	var complaints []string
	for range 5 {
		if complaints = measure(h).worseThan(t, before); len(complaints) == 0 {
			return
		}
	}
	t.Error(complaints)
}

func (m measured) worseThan(t *testing.T, before measured) (complaints []string) {
	for _, q := range []float64{0.5, 0.99} {
		allowed := 2 * time.Millisecond
		if noise := max(m.wakes.Quantile(q), before.wakes.Quantile(q)); noise > allowed {
			allowed += 2 * noise
		}
		was, is := before.late.Quantile(q), m.late.Quantile(q)
		t.Logf("quantile %.2f: steps %s late before, %s after; a sleeper %s", q, was, is, m.wakes.Quantile(q))
		if is > was+allowed {
			complaints = append(complaints, fmt.Sprintf("quantile %.2f: steps are %s late, %s before, allowed is %s more", q, is, was, allowed))
		}
	}
	return complaints
}

// A step that is within its limit must never be taken, not even when the process was stopped in the middle of it.
func TestWatchdogCountsOnlyTheStepsOwnTime(t *testing.T) {
	const limit = 500 * time.Millisecond
	for name, c := range map[string]struct {
		looks, slept []time.Duration
		want         bool
	}{
		"just below":          {[]time.Duration{480, 499}, []time.Duration{0, 0}, false},
		"reached":             {[]time.Duration{480, 500}, []time.Duration{0, 0}, true},
		"first seen too late": {[]time.Duration{500}, []time.Duration{0}, true},
		"stopped":             {[]time.Duration{20, 5000}, []time.Duration{0, 4960}, false},
		"stopped, then stuck": {[]time.Duration{20, 5000, 5460}, []time.Duration{0, 4960, 0}, true},
		"begun after a stop":  {[]time.Duration{10}, []time.Duration{4960}, false},
	} {
		var s sight
		tu := turn{clock: func() time.Duration { return 0 }}
		room := rooms.ID("r")
		token := tu.Enter(&room, limit)
		got := false
		for i := range c.looks {
			got = s.tooLong(&tu, token, c.looks[i]*time.Millisecond, c.slept[i]*time.Millisecond)
		}
		if got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// stubborn is game under new rules that cannot take over the old state.
type stubborn struct{ Count int }

func (*stubborn) Step(*rooms.Tick[order]) {}

func (*stubborn) Migrate(int, []byte) error {
	<-*block.Load()
	return nil
}

// A Migrate that never returns must cost its own room only, and the room's journal must stay for better rules.
func TestStuckMigrateLosesItsRoomOnly(t *testing.T) {
	j, s := memjournal.New(), newSink()
	old, err := New(Config{Kinds: []rooms.Kind{rooms.Define(&game{}, rooms.Config{Name: "game", RateHz: 50})}, Journal: j, Sink: s, Shards: 1})
	if err != nil {
		t.Fatal(err)
	}
	r, _ := join(t, old, s, "ann")
	if err := old.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	until := make(chan struct{})
	block.Store(&until)
	h, err := New(Config{Kinds: []rooms.Kind{
		rooms.Define(&stubborn{}, rooms.Config{Name: "game", RateHz: 50, Version: 2, StepLimit: 100 * time.Millisecond}),
		rooms.Define(&game{}, rooms.Config{Name: "other", RateHz: 50}),
	}, Journal: j, Sink: s, Shards: 1})
	if err != nil {
		t.Fatal(err)
	}
	other, err := h.Create("other", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := h.Resume(ctx, r.ID, true); !errors.Is(err, errStuck) {
		t.Errorf("resume: %v, want %v", err, errStuck)
	}
	from := inspect(h, other).Tick
	eventually(t, "the neighbour ticks on", func() bool { return inspect(h, other).Tick > from+10 })
	if _, open := h.Room(r.ID); open || len(j.Entries(r.ID)) == 0 || len(j.Quarantined()) != 0 {
		t.Errorf("open %v, %d entries", open, len(j.Entries(r.ID)))
	}
	close(until)
	eventually(t, "the call is back", func() bool { return h.Stats().StuckSteps == 0 })
	if err := h.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func (s *sink) tick(room rooms.ID) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ticks[room]
}
