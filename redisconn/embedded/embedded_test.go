package embedded_test

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"tickover.dev/redisconn"
	"tickover.dev/redisconn/embedded"
)

func TestMain(m *testing.M) {
	// A client that could not dial tries again each second, and sees only then that it was closed.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

func start(t *testing.T) redis.UniversalClient {
	t.Helper()
	addr, stop, err := embedded.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	c, err := redisconn.Open(redisconn.Config{URL: "redis://" + addr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func add(t *testing.T, c redis.UniversalClient, id string, more ...any) error {
	t.Helper()
	return c.Do(t.Context(), append(append([]any{"xadd", "s"}, more...), id, "f", "v")...).Err()
}

// Without it a stale owner, fenced by an entry that was deleted since, could append again.
func TestStreamRemembersItsLastID(t *testing.T) {
	c := start(t)
	for _, id := range []string{"5-1", "7-0"} {
		if err := add(t, c, id); err != nil {
			t.Fatal(err)
		}
	}
	if n := c.XDel(t.Context(), "s", "7-0").Val(); n != 1 {
		t.Fatal("the entry was not deleted")
	}
	for _, id := range []string{"6-9", "7-0", "5-2"} {
		if err := add(t, c, id); !redis.HasErrorPrefix(err, "The ID specified in XADD is equal or smaller") {
			t.Errorf("%s behind 7-0: %v", id, err)
		}
	}
	script := `return redis.call('XADD', 's', '6-1', 'f', 'v')`
	if err := c.Eval(t.Context(), script, []string{"s"}).Err(); err == nil || !strings.Contains(err.Error(), "equal or smaller") {
		t.Errorf("from a script: %v", err)
	}
	if err := add(t, c, "7-1"); err != nil {
		t.Errorf("a larger one: %v", err)
	}
}

// What was asked for and not done must leave no memory: else a room could not be created behind a late append to it.
func TestOnlyTakenIDsAreRemembered(t *testing.T) {
	c := start(t)
	if err := add(t, c, "9-9", "nomkstream"); err != redis.Nil {
		t.Fatalf("append to nothing: %v", err)
	}
	if err := add(t, c, "5-1"); err != nil {
		t.Fatal(err)
	}
	if err := c.Rename(t.Context(), "s", "other").Err(); err != nil {
		t.Fatal(err)
	}
	if err := add(t, c, "4-1"); err != nil {
		t.Errorf("the name is free again: %v", err)
	}
	c.Del(t.Context(), "s")
	if err := add(t, c, "3-1"); err != nil {
		t.Errorf("the stream was deleted: %v", err)
	}
}

// A lease that never ends makes a dead node live on.
func TestKeysExpireByThemselves(t *testing.T) {
	c := start(t)
	if err := add(t, c, "9-9"); err != nil {
		t.Fatal(err)
	}
	c.PExpire(t.Context(), "s", 50*time.Millisecond)
	for start := time.Now(); c.Exists(t.Context(), "s").Val() != 0; time.Sleep(5 * time.Millisecond) { // a bounded wait
		if time.Since(start) > 5*time.Second {
			t.Fatal("the key does not expire")
		}
	}
	for start := time.Now(); ; time.Sleep(5 * time.Millisecond) { // a bounded wait
		err := add(t, c, "1-1")
		if err == nil {
			return
		}
		if time.Since(start) > 5*time.Second {
			t.Fatalf("the stream expired, its last id did not: %v", err)
		}
	}
}

// Each of these ends the process if it comes through.
func TestMalformedCommandsAreSurvived(t *testing.T) {
	c := start(t)
	for _, command := range [][]any{
		{"xadd", "s"},
		{"xadd", "s", "nomkstream"},
		{"xadd", "s", "maxlen", "="},
		{"xadd", "s", "minid", "="},
		{"xadd", "s", "nomkstream", "maxlen", "="},
		{"xadd", "s", "minid", "~", "1-1"},
		{"xtrim", "s", "minid", "="},
		{"xtrim", "s"},
	} {
		if err := c.Do(t.Context(), command...).Err(); err == nil {
			t.Errorf("%v was accepted", command)
		}
	}
}

// It tells next to nothing of itself, and is good enough to try things out.
func TestCheckKnowsIt(t *testing.T) {
	r, err := redisconn.Check(t.Context(), start(t))
	if err != nil || !r.Embedded {
		t.Errorf("%+v, %v", r, err)
	}
}
