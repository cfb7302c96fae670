package redistest

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// A client that could not dial tries again each second, and sees only then that it was closed.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// Tests of what survives a crash mean nothing if the server does not crash, or does not come back with its disk.
func TestKilledServerComesBackWithItsDisk(t *testing.T) {
	start := time.Now()
	s := Start(t, Durable...)
	t.Logf("ready after %s", time.Since(start))
	s.Do("set", "k", "v")
	before := s.Do("info", "server")
	s.Kill()
	if _, err := s.try("ping"); err == nil {
		t.Fatal("a killed server answers")
	}
	s.Restart()
	if v := s.Do("get", "k"); v != "v" {
		t.Errorf("the key is %v", v)
	}
	if before == s.Do("info", "server") {
		t.Error("it is the same process")
	}
	s.Stop()
	s.Restart()
	if v := s.Do("get", "k"); v != "v" {
		t.Errorf("after a stop in good order the key is %v", v)
	}
}

// A port that is drawn may be taken before the server has it: without a second try, tests fail on busy machines.
func TestTakenPortIsDrawnAgain(t *testing.T) {
	first := Start(t)
	s := prepare(t, nil)
	s.port = first.port
	s.configure(nil)
	if p, err := s.run(); err != errPortTaken {
		t.Fatalf("%v, %v; want the port to be taken", p, err)
	}
	second := Start(t)
	if second.port == first.port {
		t.Fatal("two servers have one port")
	}
}

// What a lost answer looks like to a client decides everything: the command was done, and the client does not know.
func TestProxyLosesAnswersNotRequests(t *testing.T) {
	s := Start(t)
	p := StartProxy(t, s.Addr())
	c := redis.NewClient(&redis.Options{Addr: p.Addr(), MaxRetries: -1, DialerRetries: 1, DisableIdentity: true})
	defer c.Close()
	ctx := context.Background()
	p.LoseAnswers(1, "incr")
	if n, err := c.Incr(ctx, "n").Result(); err == nil {
		t.Fatalf("the answer %d came through", n)
	}
	if n := s.Do("get", "n"); n != "1" || p.Lost() != 1 {
		t.Errorf("the counter is %v, %d answers are lost; want 1 and 1", n, p.Lost())
	}
	p.Cut()
	if err := c.Ping(ctx).Err(); err == nil {
		t.Error("a cut proxy lets through")
	}
	p.Mend()
	if n, err := c.Incr(ctx, "n").Result(); err != nil || n != 2 {
		t.Errorf("after all that: %d, %v", n, err)
	}
}

// Without it every test of a Cluster would pass on one server.
func TestClusterSharesTheSlots(t *testing.T) {
	t.Parallel()
	start := time.Now()
	c := StartCluster(t)
	t.Logf("formed after %s", time.Since(start))
	key := "some{tag}"
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{c.Servers[0].Addr()}, MaxRetries: -1, DialerRetries: 1, DisableIdentity: true})
	defer client.Close()
	if err := client.Set(t.Context(), key, "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	from, to := c.BeginMove(key)
	if _, err := c.Servers[from].try("get", key); err == nil || !redis.HasErrorPrefix(err, "ASK") {
		t.Errorf("half moved: %v, want ASK", err)
	}
	c.EndMove(key, to)
	if _, err := c.Servers[from].try("get", key); err == nil || !redis.HasErrorPrefix(err, "MOVED") {
		t.Errorf("moved: %v, want MOVED", err)
	}
	if v := c.Servers[to].Do("get", key); v != "v" {
		t.Errorf("the new owner has %v", v)
	}
}

func TestSentinelReplacesADeadMaster(t *testing.T) {
	t.Parallel()
	start := time.Now()
	s := StartSentinel(t, 1)
	t.Logf("ready after %s", time.Since(start))
	s.AwaitMaster(s.Master)
	start = time.Now()
	s.Master.Kill()
	s.AwaitMaster(s.Replica)
	t.Logf("failed over after %s", time.Since(start))
}
