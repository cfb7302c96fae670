package redisjournal_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"tickover.dev/redisconn"
	"tickover.dev/rooms"
	"tickover.dev/rooms/redisjournal"
)

func TestMain(m *testing.M) {
	// A client that could not dial tries again each second, and sees only then that it was closed.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// patience bounds what tests wait for.
const patience = 20 * time.Second

func open(t testing.TB, url string) redis.UniversalClient {
	t.Helper()
	c, err := redisconn.Open(redisconn.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func newJournal(t testing.TB, url string) *redisjournal.Journal {
	t.Helper()
	j := redisjournal.New(open(t, url), redisjournal.Config{})
	t.Cleanup(j.Close)
	return j
}

var roomNumber atomic.Int64

// fresh is a room that nothing else uses.
func fresh() rooms.ID { return rooms.ID(fmt.Sprintf("room-%d", roomNumber.Add(1))) }

func entry(room rooms.ID, epoch rooms.Epoch, tick uint64, kind rooms.EntryKind) rooms.Entry {
	return rooms.Entry{
		Room: room, ID: rooms.EntryID{Epoch: epoch, Tick: tick}, Prev: rooms.EntryID{Epoch: epoch, Tick: tick - 1}, Nonce: 7, Kind: kind,
		Horizon: tick, Body: fmt.Appendf(nil, "%d-%d", epoch, tick),
	}
}

func send(t testing.TB, j *redisjournal.Journal, entries ...rooms.Entry) []rooms.Result {
	t.Helper()
	done := make(chan []rooms.Result, 1)
	j.Append(entries, func(r []rooms.Result) { done <- r })
	select {
	case r := <-done:
		return r
	case <-time.After(patience):
		t.Fatal("append was never answered")
		return nil
	}
}

func want(t testing.TB, j *redisjournal.Journal, e rooms.Entry, o rooms.Outcome) {
	t.Helper()
	if r := send(t, j, e)[0]; r.Outcome != o {
		t.Fatalf("append %s %s: %s (%v), want %s", e.Room, e.ID, r.Outcome, r.Err, o)
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for start := time.Now(); time.Since(start) < patience; time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never came true: %s", what)
}

// load claims a room and loads it.
func load(t testing.TB, j *redisjournal.Journal, room rooms.ID) []rooms.Entry {
	t.Helper()
	epoch, err := j.Claim(context.Background(), room, 0, 99)
	if err != nil {
		t.Fatal(err)
	}
	es, err := j.Load(context.Background(), room, epoch)
	if err != nil {
		t.Fatal(err)
	}
	return es
}
