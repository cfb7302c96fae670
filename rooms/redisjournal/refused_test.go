package redisjournal_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"tickover.dev/redisconn"
	"tickover.dev/redisconn/redistest"
	"tickover.dev/rooms"
	"tickover.dev/rooms/redisjournal"
)

// refused tries one append that Redis must refuse for a reason of its own, and again when the reason is gone.
func refused(t *testing.T, j *redisjournal.Journal, e rooms.Entry, prefix string, heal func()) {
	t.Helper()
	r := send(t, j, e)[0]
	if r.Outcome != rooms.Refused || !redis.HasErrorPrefix(r.Err, prefix) {
		t.Fatalf("%s: got %s (%v)", prefix, r.Outcome, r.Err)
	}
	heal()
	want(t, j, e, rooms.Confirmed)
}

// A server that cannot store at the moment has neither stored nor fenced anything: taken for fenced, rooms would be dropped.
func TestWhatRedisCannotStoreIsRefused(t *testing.T) {
	s := redistest.Start(t)
	j := newJournal(t, s.URL())
	room := fresh()
	want(t, j, entry(room, 5, 1, rooms.EntryCreate), rooms.Confirmed)

	s.Do("config", "set", "maxmemory", "1")
	refused(t, j, entry(room, 5, 2, rooms.EntryDelta), "OOM", func() { s.Do("config", "set", "maxmemory", "0") })

	s.Do("config", "set", "min-replicas-to-write", "1")
	refused(t, j, entry(room, 5, 3, rooms.EntrySnapshot), "NOREPLICAS", func() { s.Do("config", "set", "min-replicas-to-write", "0") })

	s.Do("replicaof", "127.0.0.1", "1")
	refused(t, j, entry(room, 5, 4, rooms.EntryDelta), "READONLY", func() { s.Do("replicaof", "no", "one") })

	s.Do("config", "set", "maxmemory", "1")
	refused(t, j, entry(fresh(), 5, 1, rooms.EntryCreate), "OOM", func() { s.Do("config", "set", "maxmemory", "0") })

	other := fresh()
	s.Do("set", "tk:j:{"+string(other)+"}", "not a stream")
	refused(t, j, entry(other, 5, 1, rooms.EntryCreate), "WRONGTYPE", func() { s.Do("del", "tk:j:{"+string(other)+"}") })

	if o := j.Stats().Outcomes; o.Refused != 5 || o.Confirmed != 6 || o.Fenced+o.Gone+o.Unknown != 0 {
		t.Errorf("outcomes %+v", o)
	}
}

// When memory is short, rooms that end must be able to go: that is what makes it less short.
func TestRoomsAreBuriedWithoutMemory(t *testing.T) {
	s := redistest.Start(t)
	j := newJournal(t, s.URL())
	a, b := fresh(), fresh()
	want(t, j, entry(a, 5, 1, rooms.EntryCreate), rooms.Confirmed)
	want(t, j, entry(b, 5, 1, rooms.EntryCreate), rooms.Confirmed)
	s.Do("config", "set", "maxmemory", "1")
	if err := errors.Join(j.Bury(t.Context(), a, 5, []byte("a"), time.Minute), j.Quarantine(t.Context(), b, 5, []byte("b"), time.Minute)); err != nil {
		t.Fatal(err)
	}
	s.Do("config", "set", "maxmemory", "0")
	for _, room := range []rooms.ID{a, b} {
		want(t, j, entry(room, 6, 1, rooms.EntryDelta), rooms.Gone)
		if ttl := s.Do("pttl", "tk:j:{"+string(room)+"}").(int64); ttl <= 0 || ttl > 60_000 {
			t.Errorf("the tombstone stays for %d ms", ttl)
		}
	}
}

// go-redis gives the commands of a pipeline no error of their own if its connection is refused by an answer of Redis. Taking "no
// error" for stored would confirm what was never sent.
func TestRefusedConnectionConfirmsNothing(t *testing.T) {
	s := redistest.Start(t)
	j := newJournal(t, s.URL())
	room := fresh()
	want(t, j, entry(room, 5, 1, rooms.EntryCreate), rooms.Confirmed)
	s.Do("config", "set", "requirepass", "secret")
	j = newJournal(t, s.URL())
	rs := send(t, j, entry(room, 5, 2, rooms.EntryDelta), entry(fresh(), 5, 1, rooms.EntryCreate), entry(room, 5, 3, rooms.EntrySnapshot))
	for i, r := range rs {
		if r.Outcome != rooms.Refused || !redis.IsAuthError(r.Err) {
			t.Errorf("entry %d: %s (%v)", i, r.Outcome, r.Err)
		}
	}
	if _, err := j.Top(t.Context(), room); !redis.IsAuthError(err) {
		t.Errorf("top: %v", err)
	}
}

func quick(t *testing.T, url string, c redisjournal.Config) *redisjournal.Journal {
	t.Helper()
	client, err := redisconn.Open(redisconn.Config{URL: url, Timeout: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	j := redisjournal.New(client, c)
	t.Cleanup(func() { j.Close(); client.Close() })
	return j
}

// A server that is gone must be noticed soon, by all that wait: players are told after a second.
func TestDeadServerIsNoticed(t *testing.T) {
	s := redistest.Start(t)
	j := quick(t, s.URL(), redisjournal.Config{})
	room := fresh()
	want(t, j, entry(room, 5, 1, rooms.EntryCreate), rooms.Confirmed)
	s.Freeze()
	start := time.Now()
	want(t, j, entry(room, 5, 2, rooms.EntryDelta), rooms.Unknown)
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("a frozen server is noticed after %s", d)
	}
	s.Thaw()
	eventually(t, "the frozen server takes what it was sent", func() bool {
		v, err := j.Top(t.Context(), room)
		return err == nil && v.ID.Tick == 2
	})
	s.Kill()
	start = time.Now()
	eventually(t, "a dead server refuses", func() bool { // the connections it had are unknown
		return send(t, j, entry(room, 5, 3, rooms.EntryDelta))[0].Outcome == rooms.Refused
	})
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("a dead server is noticed after %s", d)
	}
}

// Append must answer exactly once and never wait, whatever happens: a shard hangs on it.
func TestFullAndClosedJournalsRefuse(t *testing.T) {
	s := redistest.Start(t)
	j := quick(t, s.URL(), redisjournal.Config{Pipelines: 1, MaxQueued: 2})
	room := fresh()
	want(t, j, entry(room, 5, 1, rooms.EntryCreate), rooms.Confirmed)
	s.Freeze()
	answers := make(chan string, 10)
	submit := func(name string) {
		j.Append([]rooms.Entry{entry(room, 5, 2, rooms.EntryDelta)}, func(r []rooms.Result) { answers <- fmt.Sprint(name, " ", r[0].Outcome, " ", r[0].Err) })
	}
	submit("flying")
	eventually(t, "the only pipeline is busy", func() bool { return j.Stats().Running == 1 })
	submit("queued")
	submit("queued")
	submit("beyond")
	if a := <-answers; a != "beyond refused "+redisjournal.ErrBusy.Error() {
		t.Errorf("first answer: %s", a)
	}
	if st := j.Stats(); st.Queued != 2 || st.Running != 1 {
		t.Errorf("%d queued, %d running", st.Queued, st.Running)
	}
	j.Close()
	submit("late")
	s.Thaw()
	seen := map[string]int{}
	for range 4 {
		a := <-answers
		seen[a[:len("flying unknown")]]++
	}
	if seen["flying unknown"] != 1 || seen["queued refused"] != 2 || seen["late refused "+redisjournal.ErrClosed.Error()[:1]] != 1 {
		t.Errorf("answers %v", seen)
	}
	select {
	case a := <-answers:
		t.Errorf("one more answer: %s", a)
	default:
	}
}

// A batch that is too large for one pipeline is still one batch.
func TestLargeBatchesAreSentInParts(t *testing.T) {
	s := redistest.Start(t)
	j := newJournal(t, s.URL())
	batch := make([]rooms.Entry, 5000)
	for i := range batch {
		batch[i] = entry(rooms.ID(fmt.Sprint("large-", i)), 5, 1, rooms.EntryCreate)
	}
	body := make([]byte, 3<<20)
	for i := range 4 {
		batch[i].Body = body
	}
	for i, r := range send(t, j, batch...) {
		if r.Outcome != rooms.Confirmed {
			t.Fatalf("entry %d: %s (%v)", i, r.Outcome, r.Err)
		}
	}
	if st := j.Stats(); st.Pipelines < 4 || st.Entries != 5000 || st.Bytes < 12<<20 || st.Latency.Total() != st.Pipelines {
		t.Errorf("stats %+v", st)
	}
	s.Kill()
	for i, r := range send(t, j, batch...) {
		if r.Outcome != rooms.Refused && r.Outcome != rooms.Unknown {
			t.Fatalf("entry %d at a dead server: %s", i, r.Outcome)
		}
	}
}
