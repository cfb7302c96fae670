package redisconn_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"tickover.dev/redisconn"
	"tickover.dev/redisconn/redistest"
)

func TestMain(m *testing.M) {
	// A client that could not dial tries again each second, and sees only then that it was closed.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

func open(t *testing.T, c redisconn.Config) redis.UniversalClient {
	t.Helper()
	client, err := redisconn.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func check(t *testing.T, url string) (redisconn.Report, error) {
	t.Helper()
	return redisconn.Check(t.Context(), open(t, redisconn.Config{URL: url, Timeout: 300 * time.Millisecond}))
}

func wantReason(t *testing.T, err, reason error, advice string) {
	t.Helper()
	e, ok := errors.AsType[*redisconn.CheckError](err)
	if !ok || !errors.Is(err, reason) || !strings.Contains(err.Error(), advice) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v (%+v); want that it %v, with %q", err, e, reason, advice)
	}
}

// A server that a node can rely on must pass, with what is doubtful about it said.
func TestCheckPassesGoodServers(t *testing.T) {
	r, err := check(t, redistest.Start(t, redistest.Durable...).URL())
	if err != nil || r.Servers != 1 || r.Version == "" || len(r.Warnings) != 0 || r.Embedded {
		t.Errorf("%+v, %v", r, err)
	}
	r, err = check(t, "unix://"+redistest.Start(t, "maxmemory-policy volatile-lru").Socket())
	if err != nil || len(r.Warnings) != 2 || !strings.Contains(strings.Join(r.Warnings, "|"), "noeviction") || !strings.Contains(strings.Join(r.Warnings, "|"), "appendonly") {
		t.Errorf("%+v, %v", r, err)
	}
}

// Each of these costs somebody an evening if the message does not say what to do.
func TestCheckSaysWhatIsWrong(t *testing.T) {
	s := redistest.Start(t)
	_, err := check(t, strings.Replace(s.URL(), "redis://", "redis+cluster://", 1))
	wantReason(t, err, redisconn.ErrWrongMode, "use redis://")
	_, err = check(t, strings.Replace(s.URL(), "redis://", "redis://nobody:hunter2@", 1))
	wantReason(t, err, redisconn.ErrPassword, "user name and password")

	s.Do("config", "set", "maxmemory-policy", "allkeys-lru")
	_, err = check(t, s.URL())
	wantReason(t, err, redisconn.ErrEviction, "set it to noeviction")
	s.Do("config", "set", "maxmemory-policy", "noeviction")

	s.Do("replicaof", "127.0.0.1", "1")
	_, err = check(t, s.URL())
	wantReason(t, err, redisconn.ErrNotMaster, "its master (127.0.0.1:1)")
	s.Do("replicaof", "no", "one")

	s.Do("acl", "setuser", "weak", "on", ">hunter2", "~*", "-@all", "+ping", "+hello")
	_, err = check(t, strings.Replace(s.URL(), "redis://", "redis://weak:hunter2@", 1))
	wantReason(t, err, redisconn.ErrPermission, "ACL")

	s.Do("config", "set", "requirepass", "hunter2")
	_, err = check(t, s.URL())
	wantReason(t, err, redisconn.ErrPassword, "password")
	_, err = check(t, strings.Replace(s.URL(), "redis://", "redis://:wrong@", 1))
	wantReason(t, err, redisconn.ErrPassword, "password")
	if _, err = check(t, strings.Replace(s.URL(), "redis://", "redis://:hunter2@", 1)); err != nil {
		t.Errorf("the right password: %v", err)
	}
	if _, err := redisconn.Check(t.Context(), open(t, redisconn.Config{URL: s.URL(), Password: "hunter2"})); err != nil {
		t.Errorf("the right password, beside the address: %v", err)
	}

	s.Kill()
	start := time.Now()
	_, err = check(t, s.URL())
	wantReason(t, err, redisconn.ErrUnreachable, "address")
	_, err = check(t, strings.Replace(s.URL(), "redis://", "redis+cluster://", 1))
	wantReason(t, err, redisconn.ErrUnreachable, "address")
	_, err = check(t, strings.Replace(s.URL(), "redis://", "redis+sentinel://", 1)+"/main")
	wantReason(t, err, redisconn.ErrUnreachable, "address")
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("three dead servers take %s", d)
	}
}

func TestCheckKnowsSentinelsAndClusters(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t, 3)
	if r, err := check(t, s.URL()); err != nil || r.Servers != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	_, err := check(t, s.Sentinels[0].URL())
	wantReason(t, err, redisconn.ErrWrongMode, "redis+sentinel://")
	_, err = check(t, strings.Replace(s.URL(), redistest.MasterName, "other", 1))
	wantReason(t, err, redisconn.ErrWrongMode, "no master of that name")
	_, err = check(t, s.Replica.URL())
	wantReason(t, err, redisconn.ErrNotMaster, s.Master.Addr())

	c := redistest.StartCluster(t)
	if r, err := check(t, c.URL()); err != nil || r.Servers != 3 {
		t.Errorf("%+v, %v", r, err)
	}
	_, err = check(t, c.Servers[1].URL())
	wantReason(t, err, redisconn.ErrWrongMode, "redis+cluster://")
}

// Something else may stand at the address, or somebody's firewall.
func TestCheckDoesNotWaitForTheSilent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	start := time.Now()
	_, err = check(t, "redis://"+l.Addr().String())
	wantReason(t, err, redisconn.ErrUnreachable, "running")
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("noticed after %s", d)
	}
}

// A waiting reader holds its connection; with a deadline it must come back when its server does not.
func TestBlockingReadEndsAtItsDeadline(t *testing.T) {
	s := redistest.Start(t)
	c, err := redisconn.OpenBlocking(redisconn.Config{URL: s.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	read := func(d time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		return c.XRead(ctx, &redis.XReadArgs{Streams: []string{"s", "0"}, Block: 50 * time.Millisecond}).Err()
	}
	if err := read(5 * time.Second); err != redis.Nil {
		t.Fatalf("nothing to read: %v", err)
	}
	s.Freeze()
	start := time.Now()
	if err := read(200 * time.Millisecond); err == nil || errors.Is(err, redis.Nil) {
		t.Errorf("from a frozen server: %v", err)
	}
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("noticed after %s", d)
	}
	s.Thaw()
}
