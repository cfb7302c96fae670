package e2e

import (
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"
)

// This file has players count on a local cluster whose nodes are killed: what the first line of the README's promises is worth.

// victim is any of the cluster's nodes that have players now: the death of another one would prove little.
func (c *localCluster) victim() int {
	c.t.Helper()
	var busy []int
	for _, n := range c.look().Nodes {
		if n.State == "alive" && n.Sockets > 0 {
			busy = append(busy, n.PID)
		}
	}
	if len(busy) == 0 {
		c.t.Fatalf("no node has players:\n%s", c.log())
	}
	return busy[rand.N(len(busy))]
}

// countWhileNodesDie has 120 players in 6 rooms count for 25 s, and kills any node at 5, 13 and 21 s.
func (c *localCluster) countWhileNodesDie() {
	c.t.Helper()
	s := startSoak(c.t, build(c.t, "tickctl"), c.game, "120", "6", "25s")
	for i := range 3 {
		wait(c.t, []time.Duration{5 * time.Second, 8 * time.Second, 8 * time.Second}[i])
		if err := syscall.Kill(c.victim(), syscall.SIGKILL); err != nil {
			c.t.Error(err)
		}
	}
	r := s.wait()
	if got := strings.Count(c.log(), "was killed."); got != 3 {
		c.t.Errorf("%d nodes were killed, want 3:\n%s", got, c.log())
	}
	// The first to die holds 40 of the sockets.
	if r.Reconnects < 40 || r.InputsAcked < 120*10*20 {
		c.t.Errorf("too little happened: %+v", r)
	}
	c.end(syscall.SIGTERM)
}

// The promise that the product is about: a node may be killed at any time, and nobody loses anything, or gets it twice, or sees
// another history than others.
func TestNothingIsLostWhileNodesOfALocalClusterDie(t *testing.T) {
	needs(t, "redis-server", "redis-server")
	startCluster(t, build(t, "tickover"), nil, "--nodes=3").countWhileNodesDie()
}

// The stand-in for Redis must keep the same promise, or what newcomers see first is not what they get; and they must be told that it
// is one.
func TestNothingIsLostOnTheEmbeddedRedisEither(t *testing.T) {
	c := startCluster(t, build(t, "tickover"), []string{"PATH=" + t.TempDir()}, "--nodes=3")
	if !strings.Contains(c.log(), "There is no redis-server in the PATH: an embedded stand-in is used. It is slower, and forgets all when this ends.") {
		t.Errorf("nobody is told:\n%s", c.log())
	}
	c.countWhileNodesDie()
}
