package redisjournal_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"tickover.dev/redisconn"
	"tickover.dev/redisconn/redistest"
	"tickover.dev/rooms"
	"tickover.dev/rooms/journaltest"
	"tickover.dev/rooms/redisjournal"
)

// owner plays one room by the rules R1 to R3: one entry at a time, and nothing is taken for granted.
type owner struct {
	t    *testing.T
	j    *redisjournal.Journal
	room rooms.ID
	last rooms.EntryID
	tick uint64

	seal     atomic.Bool // the next entry must hold the whole state
	seen     [rooms.Unknown + 1]int
	replaced int // entries that the store had lost what they follow
}

// step has one more entry stored, however long that takes.
func (o *owner) step() {
	o.tick++
	e := entry(o.room, 5, o.tick, rooms.EntryDelta)
	e.Prev = o.last
	if o.seal.Swap(false) {
		e.Kind = rooms.EntrySnapshot
	}
	resent := false
	for start := time.Now(); time.Since(start) < patience; {
		r := send(o.t, o.j, e)[0]
		o.seen[r.Outcome]++
		switch r.Outcome {
		case rooms.Confirmed:
			o.last = e.ID
			return
		case rooms.Refused:
			resent = true
			<-time.After(10 * time.Millisecond)
			continue
		case rooms.Gone:
			o.t.Fatal("the room is gone")
		case rooms.Fenced:
			if !resent {
				o.t.Fatal("fenced, and there is no other owner")
			}
		}
		switch top := o.top(); {
		case top.ID == e.ID && top.Nonce == e.Nonce:
			o.last = e.ID
			return
		case top.ID == o.last:
			resent = true
		default: // the store lost what was confirmed: a later id, whole
			o.replaced++
			o.tick++
			e = entry(o.room, 5, o.tick, rooms.EntrySnapshot)
			e.Prev, resent = top.ID, false
		}
	}
	o.t.Fatalf("entry %s is never stored: %v", e.ID, o.seen)
}

func (o *owner) top() (top rooms.Top) {
	eventually(o.t, "the top can be read", func() bool {
		var err error
		top, err = o.j.Top(o.t.Context(), o.room)
		if errors.Is(err, rooms.ErrGone) {
			o.t.Fatal("the room is gone")
		}
		return err == nil
	})
	return top
}

// Through a fail-over an owner must learn nothing false: no entry confirmed that is not stored, no fence that nobody set. Then it
// must be able to go on.
func TestSentinelFailOverTellsNothingFalse(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t, 1)
	j := newJournal(t, s.URL())
	o := &owner{t: t, j: j, room: fresh(), last: rooms.EntryID{Epoch: 5, Tick: 1}, tick: 1}
	want(t, j, entry(o.room, 5, 1, rooms.EntryCreate), rooms.Confirmed)
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	var lost atomic.Int64
	watching.Go(func() {
		redisconn.Watch(ctx, redisconn.WatchConfig{
			Config: redisconn.Config{URL: s.URL()}, Every: 20 * time.Millisecond,
			Lost: func(string) { o.seal.Store(true); lost.Add(1) },
		})
	})
	defer watching.Wait()
	defer cancel()
	for range 50 {
		o.step()
	}
	s.Master.Do("wait", 1, 5000)
	s.Master.Kill()
	for o.seen[rooms.Refused]+o.seen[rooms.Unknown] == 0 {
		o.step()
	}
	s.AwaitMaster(s.Replica)
	eventually(t, "the fail-over is noticed", func() bool { o.step(); return lost.Load() > 0 })
	o.step()
	for range 20 {
		o.step()
	}
	es := load(t, j, o.room)
	if first := es[0]; !first.Kind.HoldsState() || first.ID.Tick <= 51 {
		t.Errorf("the journal starts with %+v, want the seal", first)
	}
	for i, e := range es[1 : len(es)-1] {
		if e.Prev != es[i].ID {
			t.Errorf("entry %s continues %s, but %s is before it", e.ID, e.Prev, es[i].ID)
		}
	}
	if got := es[len(es)-2].ID; got != o.last {
		t.Errorf("the newest entry is %s, confirmed was %s", got, o.last)
	}
	t.Logf("outcomes %v, %d replaced, lost told %d times", o.seen, o.replaced, lost.Load())
	t.Run("Conformance", func(t *testing.T) { journaltest.Run(t, func(testing.TB) rooms.Journal { return j }) })
}

// While a slot is moved, its rooms wait; they must not be lost, nor stored at two places, and the others must not notice.
func TestMovedSlotIsFollowed(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t)
	j := newJournal(t, c.URL())
	var batch []rooms.Entry
	for range 30 {
		batch = append(batch, entry(fresh(), 5, 1, rooms.EntryCreate))
	}
	moved := batch[7].Room
	key := "tk:j:{" + string(moved) + "}"
	next := func() { // the batch's next entries; of the moved room only once its last one is stored
		for i := range batch {
			batch[i] = entry(batch[i].Room, 5, batch[i].ID.Tick+1, rooms.EntryDelta)
		}
	}
	others := func(rs []rooms.Result) rooms.Result {
		t.Helper()
		for i, r := range rs {
			if i != 7 && r.Outcome != rooms.Confirmed {
				t.Fatalf("entry %d: %s (%v)", i, r.Outcome, r.Err)
			}
		}
		return rs[7]
	}
	if r := others(send(t, j, batch...)); r.Outcome != rooms.Confirmed {
		t.Fatalf("%s (%v)", r.Outcome, r.Err)
	}
	_, to := c.BeginMove(key)
	next()
	if r := others(send(t, j, batch...)); r.Outcome != rooms.Refused || !redis.HasErrorPrefix(r.Err, "ASK") {
		t.Fatalf("half moved: %s (%v)", r.Outcome, r.Err)
	}
	c.EndMove(key, to)
	waiting := batch[7]
	eventually(t, "the client finds the slot", func() bool {
		r := send(t, j, waiting)[0]
		if r.Outcome != rooms.Refused && r.Outcome != rooms.Confirmed {
			t.Fatalf("%s (%v)", r.Outcome, r.Err)
		}
		return r.Outcome == rooms.Confirmed
	})
	next()
	if r := others(send(t, j, batch...)); r.Outcome != rooms.Confirmed {
		t.Fatalf("%s (%v)", r.Outcome, r.Err)
	}
	if es := load(t, j, moved); len(es) != 4 {
		t.Errorf("%d entries", len(es))
	}
	deadNode(t, c, j, append(batch[:7], batch[8:]...)) // load has claimed that one
}

// deadNode: the rooms of one dead server must not take those of the others with them.
func deadNode(t *testing.T, c *redistest.Cluster, j *redisjournal.Journal, batch []rooms.Entry) {
	for i := range batch {
		batch[i] = entry(batch[i].Room, 5, batch[i].ID.Tick+1, rooms.EntryDelta)
	}
	c.Servers[0].Do("config", "set", "cluster-require-full-coverage", "no")
	c.Servers[1].Do("config", "set", "cluster-require-full-coverage", "no")
	c.Servers[2].Kill()
	count := map[rooms.Outcome]int{}
	var waiting rooms.Entry
	for i, r := range send(t, j, batch...) {
		if count[r.Outcome]++; r.Outcome != rooms.Confirmed {
			waiting = batch[i]
		}
	}
	if count[rooms.Confirmed] == 0 || count[rooms.Unknown]+count[rooms.Refused] == 0 || count[rooms.Fenced]+count[rooms.Gone] != 0 {
		t.Errorf("with one of three servers dead: %v", count)
	}
	// Another server takes the dead one's slots over. It does not have the rooms, so it can be told from the dead one.
	c.TakeOver(2, 0)
	start := time.Now()
	eventually(t, "the client asks the new server", func() bool { return send(t, j, waiting)[0].Outcome == rooms.Gone })
	if d := time.Since(start); d > 5*time.Second { // by itself go-redis looks every ten seconds
		t.Errorf("the client found the new server after %s", d)
	}
}
