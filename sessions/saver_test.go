package sessions

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tickover.dev/rooms"
)

// loggedStore remembers when it was asked to save, and what.
type loggedStore struct {
	*Memory
	mu    sync.Mutex
	saves []saveCall
	err   error
	block chan struct{} // if not nil: nothing is answered before it is closed
}

type saveCall struct {
	at    time.Time
	count int
}

func (s *loggedStore) Save(ctx context.Context, rs []Record) []error {
	s.mu.Lock()
	s.saves = append(s.saves, saveCall{time.Now(), len(rs)})
	failure, block := s.err, s.block
	s.mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			failure = ctx.Err()
		}
	}
	if failure == nil {
		return s.Memory.Save(ctx, rs)
	}
	errs := make([]error, len(rs))
	for i := range errs {
		errs[i] = failure
	}
	return errs
}

func (s *loggedStore) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *loggedStore) take() []saveCall {
	s.mu.Lock()
	defer s.mu.Unlock()
	saves := s.saves
	s.saves = nil
	return saves
}

// openMany opens sessions with connections at a hub.
func openMany(t *testing.T, h *Hub, n int) []*grant {
	t.Helper()
	all := make([]*grant, n)
	l := h.newLoop(nil)
	for i := range all {
		g, err := h.openStored(t.Context(), rooms.Player{ID: fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		h.config.Registry.adopt(g, attachment{l, &conn{loop: l, id: g.ID, gen: g.Gen}}, h.now())
		all[i] = g
	}
	return all
}

// Saving each change by itself would be a command of the store for every join, and saving late would lose them.
func TestChangesAreSavedTogetherAndSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &loggedStore{Memory: NewMemory()}
		h := New(Config{Store: s, Node: "a"})
		h.Serve(nil)
		all := openMany(t, h, 1200)
		synctest.Wait()
		time.Sleep(time.Second)
		s.take()
		g := h.config.Registry
		for range 200 { // one change each millisecond
			time.Sleep(time.Millisecond)
			g.made(all[7].ID, Request{1, 2, "r"})
		}
		time.Sleep(time.Second)
		saves := s.take()
		if len(saves) < 9 || len(saves) > 12 {
			t.Errorf("%d saves in 200 ms", len(saves))
		}
		for _, o := range all {
			g.seat(o.ID, 1, Place{"r", 1}, false, 8)
		}
		time.Sleep(time.Second)
		saves = s.take()
		total := 0
		for _, c := range saves {
			total += c.count
			if c.count > saveAtOnce {
				t.Errorf("%d sessions at once", c.count)
			}
		}
		if total != 1200 {
			t.Errorf("%d sessions saved: %v", total, saves)
		}
		time.Sleep(refreshEvery - 20*time.Second)
		if saves := s.take(); len(saves) != 0 {
			t.Errorf("%d saves of nothing", len(saves))
		}
		time.Sleep(30 * time.Second)
		if saves := s.take(); len(saves) == 0 {
			t.Error("sessions that last are not saved again")
		}
		time.Sleep(2 * keptTTL)
		if all, err := s.Of(t.Context(), "7"); err != nil || len(all) != 1 {
			t.Errorf("a session that lasts has expired: %v, %v", all, err)
		}
		for _, o := range all {
			g.detach(o.ID, o.Gen, h.now())
		}
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if g.Len() != 0 || h.stats.Saves.Load() < 3*1200 {
			t.Errorf("%d sessions are not saved at the end", g.Len())
		}
	})
}

// A store that is away must be asked again, but not all the time, and its log line must not come with every try.
func TestAStoreThatIsAwayIsAskedNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &loggedStore{Memory: NewMemory()}
		log := newCountingLog()
		h := New(Config{Store: s, Node: "a", Log: log.logger()})
		h.Serve(nil)
		all := openMany(t, h, 3)
		time.Sleep(time.Second)
		s.take()
		s.fail(errors.New("away"))
		h.config.Registry.seat(all[0].ID, 1, Place{"r", 1}, false, 8)
		time.Sleep(time.Minute)
		if n := len(s.take()); n < 55 || n > 70 {
			t.Errorf("asked %d times in a minute", n)
		}
		if n := log.count(); n != 1 {
			t.Errorf("%d lines", n)
		}
		s.fail(nil)
		time.Sleep(2 * time.Second)
		if n := log.count(); n != 2 || h.config.Registry.Unsaved() != 0 {
			t.Errorf("%d lines, %d to be saved", n, h.config.Registry.Unsaved())
		}
		if all, err := s.Of(t.Context(), "0"); err != nil || len(all[0].Seats) != 1 {
			t.Errorf("%+v, %v", all, err)
		}
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A store that never answers must not hold up the node's end for long.
func TestCloseDoesNotWaitForAStoreThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &loggedStore{Memory: NewMemory(), block: make(chan struct{})}
		h := New(Config{Store: s, Node: "a"})
		h.Serve(nil)
		openMany(t, h, 2)
		synctest.Wait()
		start := time.Now()
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d > 2*storeWithin {
			t.Errorf("closed after %s", d)
		}
	})
}

// Hellos wait for their turn at the store, and not for ever.
func TestCallsOfTheStoreAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Config{Store: NewMemory(), Node: "a"})
		defer h.Close(t.Context())
		var work sync.WaitGroup
		block := make(chan struct{})
		running, most := 0, 0
		var mu sync.Mutex
		for range 3 * maxStores {
			work.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				h.callStore(ctx, func(context.Context) error {
					mu.Lock()
					running++
					most = max(most, running)
					mu.Unlock()
					<-block
					mu.Lock()
					running--
					mu.Unlock()
					return nil
				})
			})
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := h.callStore(ctx, func(context.Context) error { return nil }); !errors.Is(err, errStoreAway) {
			t.Errorf("%v", err)
		}
		close(block)
		work.Wait()
		if most != maxStores {
			t.Errorf("%d at once", most)
		}
	})
}

// A resume that has begun will be done: hanging up must not keep this node from knowing.
func TestACallOfTheStoreOutlivesItsClient(t *testing.T) {
	h := New(Config{Store: NewMemory(), Node: "a"})
	ctx, cancel := context.WithCancel(t.Context())
	err := h.callStore(ctx, func(ctx context.Context) error {
		cancel()
		if _, bounded := ctx.Deadline(); !bounded {
			t.Error("it may hang for ever")
		}
		return ctx.Err()
	})
	if err != nil {
		t.Error(err)
	}
	if err := h.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
