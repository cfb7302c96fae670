package node

import (
	"context"
	"strings"
	"testing"
	"time"

	"tickover.dev/netcode"
	"tickover.dev/redisconn/redistest"
	"tickover.dev/rooms"
)

// One room that its journal does not answer for must not spend the time of the whole stop: players are told to come back, and the other
// nodes that this one is gone, and whoever stops it which room it was.
func TestARoomThatIsNotReleasedDoesNotSpendTheWholeStop(t *testing.T) {
	redis := redistest.Start(t)
	n, err := Start(t.Context(), Config{
		GameAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", Loops: 2, Shards: 2, Drain: patience, Kinds: []rooms.Kind{count, stage},
		Redis: redis.URL(), Name: "one",
	})
	if err != nil {
		t.Fatal(err)
	}
	c, _ := enter(t, n, "ann")
	lobby := c.sitIn("lobby")
	c.sit()
	redis.Do("set", "tk:j:{"+lobby.ID+"}", "what no journal is")
	stopped := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	go func() { stopped <- n.Stop(ctx) }()
	c.closed(netcode.CloseStopping)
	err = <-stopped
	if ctx.Err() != nil {
		t.Error("the stop took all the time that it was given")
	}
	if err == nil || !strings.Contains(err.Error(), "not released: "+lobby.ID+":") || strings.Contains(err.Error(), "leave the cluster") {
		t.Errorf("the stop says %v", err)
	}
}
