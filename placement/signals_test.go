package placement

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tickover.dev/cluster"
	"tickover.dev/rooms"
	"tickover.dev/sessions"
)

// signal sends one from a node, and gives what became of it in words.
func (n *node) signal(room rooms.ID, id, name string) string {
	ctx, cancel := context.WithTimeout(n.w.Context(), 5*time.Second)
	defer cancel()
	a, err := n.Signal(ctx, room, Signal{ID: id, Name: name})
	switch {
	case err != nil:
		return err.Error()
	case a.Before:
		return "before"
	case a.Code != "":
		return a.Code + ": " + a.Why
	}
	return fmt.Sprint(a.Value)
}

// Whoever signals knows neither which node has the room nor whether the last copy got through.
func TestASignalReachesItsRoomFromAnyNodeAndTakesEffectOnce(t *testing.T) {
	inTown(t, 3, func(w *town) {
		room := w.nodes[0].enter("ann", lobby).room.ID
		for _, c := range []struct {
			at             int
			id, name, want string
		}{
			{0, "a", "count", "[1]"},
			{1, "b", "count", "[2]"},
			{2, "c", "count", "[3]"},
			{2, "a", "count", "before"},
			{0, "a", "count", "before"}, // wherever it came first
			{1, "d", "refuse", "room_ended: but it has not"},
			{0, "e", "refuse", "room_ended: but it has not"},
			{0, "f", "silence", "before"},
			{1, "g", "silence", "before"}, // the game does not answer: it was taken all the same
			{1, "h", "count", "[8]"},
		} {
			if got := w.nodes[c.at].signal(room, c.id, c.name); got != c.want {
				t.Errorf("%+v: %s", c, got)
			}
		}
		for _, n := range w.nodes {
			if n.Signals.Waiting() != 0 {
				t.Errorf("%d wait", n.Signals.Waiting())
			}
		}
	})
}

// A signal that is under way when its room's owner dies must neither be lost nor be taken twice.
func TestASignalFollowsItsRoom(t *testing.T) {
	inTown(t, 3, func(w *town) {
		room := w.nodes[0].enter("ann", lobby).room.ID
		w.nodes[1].enter("bob", lobby) // it has somebody to live for
		if got := w.nodes[1].signal(room, "a", "count"); got != "[1]" {
			t.Fatal(got)
		}
		w.nodes[0].kill()
		var all sync.WaitGroup
		var got [2]string
		for i, n := range w.nodes[1:] {
			all.Go(func() { got[i] = n.signal(room, fmt.Sprint(n.Cluster.Self()), "count") })
		}
		all.Wait()
		if slices.Sort(got[:]); got != [2]string{"[2]", "[3]"} {
			t.Errorf("%q", got)
		}
		go w.nodes[1].drain()
		if got := w.nodes[2].signal(room, "z", "count"); got != "[4]" {
			t.Errorf("while it moves: %s", got)
		}
	})
}

// A room that is no more says so, and one that never was is another thing.
func TestASignalLearnsOfTheEndOfItsRoom(t *testing.T) {
	inTown(t, 2, func(w *town) {
		room := w.nodes[0].enter("ann", lobby).room.ID
		if got := w.nodes[1].signal(room, "a", "end"); got != "[1]" {
			t.Fatal(got)
		}
		for _, n := range w.nodes {
			_, err := n.Signal(w.Context(), room, Signal{ID: "b", Name: "count"})
			var ended *sessions.EndedError
			if !errors.As(err, &ended) || ended.Tomb.Why != "ended" || string(ended.Tomb.Result) != "\xa4over" {
				t.Error(err)
			}
			if _, err := n.Signal(w.Context(), "nothing", Signal{ID: "c", Name: "count"}); !errors.Is(err, sessions.ErrUnknownRoom) {
				t.Error(err)
			}
		}
	})
}

// A record whose owner nobody knows must be looked into, and not be waited for until the caller gives up.
func TestASignalToARoomThatWasNeverMadeFindsOut(t *testing.T) {
	inTown(t, 2, func(w *town) {
		if _, err := w.store.Register(w.Context(), cluster.Record{Room: "ghost", Kind: "ledger", Owner: 999, Epoch: 1}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if got := w.nodes[0].signal("ghost", "a", "count"); got != sessions.ErrUnknownRoom.Error() {
			t.Error(got)
		}
		if took := time.Since(began); took < findAgain || took > 3*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

// Whoever signals rooms that do not answer must not fill the node, nor wait for ever.
func TestSignalsThatWaitAreBounded(t *testing.T) {
	inTown(t, 2, func(w *town) {
		room := w.nodes[0].enter("ann", lobby).room.ID
		w.nodes[0].dark.Store(true) // it does not know yet; nothing comes back from it
		n := w.nodes[0]
		ctx, cancel := context.WithTimeout(w.Context(), 2*time.Second)
		defer cancel()
		var all sync.WaitGroup
		for i := range maxSignals {
			all.Go(func() {
				if _, err := n.Signal(ctx, room, Signal{ID: fmt.Sprint(i), Name: "count"}); !errors.Is(err, sessions.ErrUnavailable) {
					t.Error(err)
				}
			})
		}
		time.Sleep(100 * time.Millisecond) // virtual time: all of them wait by then
		if _, err := n.Signal(ctx, room, Signal{ID: "more", Name: "count"}); !errors.Is(err, ErrManySignals) {
			t.Error(err)
		}
		all.Wait()
		if n.Signals.Waiting() != 0 {
			t.Errorf("%d wait", n.Signals.Waiting())
		}
	})
}

// Every room must be in one page, whatever the pages' size, and none may cost more than its bound.
func TestPagesMakeTheWholeList(t *testing.T) {
	of := map[cluster.Boot][]cluster.Record{}
	var whole []string
	for b := cluster.Boot(1); b <= 20; b++ {
		for i := range int(b) % 7 {
			kind := []string{"", "even", "odd"}[i%3]
			at := cluster.Record{Room: rooms.ID(fmt.Sprintf("r%02d-%d", b, 9-i)), Kind: kind, Owner: b}
			of[b] = append(of[b], at)
		}
		for _, at := range sorted(of[b]) {
			if at.Kind == "odd" {
				whole = append(whole, string(at.Room))
			}
		}
	}
	owners := []cluster.Boot{20, 3, 1, 2, 4, 5, 6, 7, 8, 9, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10}
	for limit := 1; limit <= len(whole)+1; limit++ {
		q := Query{Kind: "odd", Limit: limit}
		var got []string
		for {
			asked := 0
			p, err := List(t.Context(), owners, func(_ context.Context, b cluster.Boot) ([]cluster.Record, error) {
				asked++
				return of[b], nil
			}, q)
			if err != nil || len(p.Rooms) > limit || asked > maxPageOwners {
				t.Fatalf("limit %d: %d rooms of %d owners, %v", limit, len(p.Rooms), asked, err)
			}
			for _, at := range p.Rooms {
				got = append(got, string(at.Room))
			}
			if q.After = p.Next; p.Next == "" {
				break
			}
		}
		if !slices.Equal(got, whole) {
			t.Errorf("limit %d: %v, want %v", limit, got, whole)
		}
	}
}

// A cursor comes from strangers.
func TestACursorThatNoPageGaveIsRefused(t *testing.T) {
	for _, after := range []string{"x", "00000001", "00000000.r", "00000001.r/", ".", "00000001.\x00", "00000001.r\xff"} {
		_, err := List(t.Context(), nil, nil, Query{After: after, Limit: 1})
		if !errors.Is(err, ErrBadCursor) {
			t.Errorf("%q: %v", after, err)
		}
	}
}

// Any node must be able to tell of all rooms, and a page after the other must not cost the directory a walk each.
func TestAnyNodeListsTheWholeCluster(t *testing.T) {
	inTown(t, 3, func(w *town) {
		var want []rooms.ID
		for i, n := range w.nodes {
			for k := range 5 {
				e := lobby
				e.Target = fmt.Sprintf("%d-%d", i, k)
				want = append(want, n.enter(e.Target, e).room.ID)
			}
		}
		slices.Sort(want)
		time.Sleep(censusTTL) // virtual time: what was counted before is too old
		for _, n := range w.nodes {
			var got []rooms.ID
			for q := (Query{Limit: 4}); ; {
				p, err := n.List(w.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				for _, at := range p.Rooms {
					got = append(got, at.Room)
				}
				if q.After = p.Next; p.Next == "" {
					break
				}
			}
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("%v, want %v", got, want)
			}
			if len(n.census.counted) != 3 {
				t.Errorf("%d owners were counted", len(n.census.counted))
			}
		}
		at, err := w.nodes[1].Find(w.Context(), "ledger", "2-3")
		if err != nil || at.Owner != w.nodes[2].Cluster.Self() {
			t.Errorf("%+v, %v", at, err)
		}
		if _, err := w.nodes[1].Find(w.Context(), "ledger", "nothing"); !errors.Is(err, sessions.ErrUnknownKey) {
			t.Error(err)
		}
	})
}

// Turning pages must cost the directory a walk a second, whoever turns them, and what ended long ago must not stay in memory.
func TestOwnersAreCountedOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, walks := newCensus(), 0
		count := func(ctx context.Context, b cluster.Boot) error {
			_, err := c.of(ctx, b, func(ctx context.Context) ([]cluster.Record, error) {
				walks++
				select {
				case <-time.After(100 * time.Millisecond):
					return nil, nil
				case <-ctx.Done():
					return nil, context.Cause(ctx)
				}
			})
			return err
		}
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if err := count(t.Context(), 1); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		hurried, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := count(hurried, 2); !errors.Is(err, context.DeadlineExceeded) || len(c.counted) != 1 || walks != 2 {
			t.Errorf("%v, %d are remembered, %d walks", err, len(c.counted), walks)
		}
		time.Sleep(censusTTL)
		if err := count(t.Context(), 3); err != nil || len(c.counted) != 1 || walks != 3 {
			t.Errorf("%v, %d are remembered, %d walks", err, len(c.counted), walks)
		}
	})
}
