package redisstore

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"tickover.dev/cluster"
	"tickover.dev/cluster/storetest"
	"tickover.dev/redisconn"
	"tickover.dev/redisconn/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// prefixes keep the stores of one server apart.
var prefixes atomic.Int64

func opener(url string) func(testing.TB) storetest.Store {
	return func(t testing.TB) storetest.Store {
		return New(client(t, url), fmt.Sprintf("t%d:", prefixes.Add(1)))
	}
}

func client(t testing.TB, url string) redis.UniversalClient {
	c, err := redisconn.Open(redisconn.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestStoreOnOneServer(t *testing.T) {
	storetest.Run(t, opener(redistest.Start(t).URL()))
}

// Commands that touch two keys fail only there.
func TestStoreOnACluster(t *testing.T) {
	storetest.Run(t, opener(redistest.StartCluster(t).URL()))
}

// A crash between taking the key and writing the record must not keep the key for ever: who finds it learns whose it was.
func TestAKeyHalfTakenCanBeFreed(t *testing.T) {
	s := New(client(t, redistest.Start(t).URL()), "")
	ctx := context.Background()
	half := cluster.Record{Room: "r", Kind: "arena", Key: "k", Owner: 7, Epoch: 1}
	if _, err := s.takeKey(ctx, half); err != nil {
		t.Fatal(err)
	}
	got, err := s.Register(ctx, cluster.Record{Room: "r2", Kind: "arena", Key: "k", Owner: 8, Epoch: 1})
	if !errors.Is(err, cluster.ErrKeyTaken) || got.Owner != 7 || got.Room != "r" || got.Epoch != 0 {
		t.Fatalf("registered: %+v, %v", got, err)
	}
	if err := s.Remove(ctx, got); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Register(ctx, cluster.Record{Room: "r2", Kind: "arena", Key: "k", Owner: 8, Epoch: 1}); err != nil {
		t.Fatal(err)
	}
}
