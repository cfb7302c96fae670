package redisbus

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"tickover.dev/cluster"
	"tickover.dev/cluster/bus"
	"tickover.dev/cluster/bus/bustest"
	"tickover.dev/redisconn"
	"tickover.dev/redisconn/embedded"
	"tickover.dev/redisconn/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// prefixes keep the buses of one server apart.
var prefixes atomic.Int64

func client(t testing.TB, open func(redisconn.Config) (redis.UniversalClient, error), c redisconn.Config) redis.UniversalClient {
	t.Helper()
	r, err := open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func opener(c redisconn.Config) func(testing.TB) bustest.Bus {
	return func(t testing.TB) bustest.Bus {
		b := New(client(t, redisconn.Open, c), client(t, redisconn.OpenBlocking, c),
			Config{MaxPackets: 100, Prefix: fmt.Sprintf("t%d:", prefixes.Add(1))})
		return bustest.Bus{Bus: b, Max: 100, Lose: func(owner cluster.Boot) { b.client.Del(context.Background(), b.key(owner)) }}
	}
}

func TestBusOnOneServer(t *testing.T) {
	bustest.Run(t, opener(redisconn.Config{URL: redistest.Start(t).URL()}))
}

// Commands that touch two keys fail only there.
func TestBusOnACluster(t *testing.T) {
	t.Parallel()
	bustest.Run(t, opener(redisconn.Config{URL: redistest.StartCluster(t).URL()}))
}

// What people try things out with.
func TestBusOnEmbedded(t *testing.T) {
	addr, stop, err := embedded.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	bustest.Run(t, opener(redisconn.Config{URL: "redis://" + addr}))
}

// A fail-over can leave a stream whose newest id is below what was read, if the new master's clock is behind: what is added then gets
// ids that the reader has passed, and it would never see them.
func TestAStreamThatLostItsEndIsReadAnew(t *testing.T) {
	server := redistest.Start(t)
	b := opener(redisconn.Config{URL: server.URL()})(t).Bus.(*Bus)
	opened, err := b.Open(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	in := opened.(*inbox)
	future := time.Now().Add(time.Hour).UnixMilli()
	server.Do("xadd", in.key, fmt.Sprint(future, "-0"), field, "a")
	if got, err := in.Read(t.Context()); err != nil || len(got) != 1 {
		t.Fatalf("read %q, %v", got, err)
	}
	server.Do("del", in.key)
	server.Do("xadd", in.key, "*", field, "b")
	outcomes := make([]bus.Outcome, 1)
	if lost, err := in.Tend(t.Context()); !lost || err != nil {
		t.Fatalf("lost %t, %v", lost, err)
	}
	b.Put(t.Context(), []bus.Packet{{To: 1, Data: []byte("c")}}, outcomes)
	if got, err := in.Read(t.Context()); err != nil || len(got) != 2 || string(got[0]) != "b" || string(got[1]) != "c" {
		t.Fatalf("read %q, %v", got, err)
	}
	if lost, err := in.Tend(t.Context()); lost || err != nil {
		t.Fatalf("lost %t, %v", lost, err)
	}
}

// An inbox of a node that was killed must not stay for ever, and one that is kept must not go.
func TestAnInboxExpiresWithoutItsOwner(t *testing.T) {
	server := redistest.Start(t)
	b := opener(redisconn.Config{URL: server.URL()})(t).Bus.(*Bus)
	b.config.Expiry = 300 * time.Millisecond
	in, err := b.Open(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); time.Since(start) < time.Second; {
		if lost, err := in.Tend(t.Context()); lost || err != nil {
			t.Fatalf("lost %t, %v", lost, err)
		}
	}
	for start := time.Now(); server.Do("exists", b.key(1)) != int64(0); {
		if time.Since(start) > 5*time.Second {
			t.Fatal("it is still there")
		}
	}
}

// If making the inbox again succeeds but its answer is lost, its owner must still be told of the loss, later.
func TestALossIsToldThoughAnAnswerWasLost(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.StartProxy(t, server.Addr())
	b := opener(redisconn.Config{URL: "redis://" + proxy.Addr()})(t).Bus.(*Bus)
	in, err := b.Open(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	server.Do("del", b.key(1))
	proxy.LoseAnswers(1, "xadd")
	if lost, err := in.Tend(t.Context()); lost || err == nil {
		t.Fatalf("lost %t, %v; its answer should have been lost", lost, err)
	}
	if server.Do("exists", b.key(1)) != int64(1) {
		t.Fatal("there is no inbox")
	}
	if lost, err := in.Tend(t.Context()); !lost || err != nil {
		t.Fatalf("lost %t, %v", lost, err)
	}
}
