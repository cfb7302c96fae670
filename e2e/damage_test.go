package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tickover.dev/client"
	"tickover.dev/redisconn/redistest"
)

// This file damages what is in Redis while nobody looks.

// diary is what a player was told of one room.
type diary struct {
	mu     sync.Mutex
	frames int
	left   string
}

func (d *diary) handler() client.Handler {
	return client.Handler{
		OnFrame: func(client.Frame) { d.mu.Lock(); d.frames++; d.mu.Unlock() },
		OnLeft:  func(why string, _ []byte) { d.mu.Lock(); d.left = why; d.mu.Unlock() },
	}
}

func (d *diary) read() (frames int, left string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.frames, d.left
}

// streamOf is all entries of a Redis stream, as text, oldest first.
func streamOf(s *redistest.Server, key string) (entries []string) {
	list, _ := s.Do("xrange", key, "-", "+").([]any)
	for _, e := range list {
		entries = append(entries, fmt.Sprintf("%q", e))
	}
	return entries
}

// entryID is the id of one entry of a Redis stream, from 0, or from the end if the index is negative.
func entryID(s *redistest.Server, key string, index int) string {
	list := s.Do("xrange", key, "-", "+").([]any)
	return list[(index+len(list))%len(list)].([]any)[0].(string)
}

// eventually waits, with a bound, for what others are about to do.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for start := time.Now(); time.Since(start) < 20*time.Second; time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never came true: %s", what)
}

// A journal that cannot be read, or that has lost an entry, must neither be played on as if nothing were, nor keep its node from the other
// rooms, nor be thrown away: somebody will want to know what happened.
func TestADamagedJournalCostsItsRoomOnly(t *testing.T) {
	redis := redistest.Start(t)
	node := nodeOn(t, build(t, "tickover"), redis.URL())
	b := startBalancer(t, node.game)
	ann, err := client.Dial(t.Context(), client.Config{URL: "ws://" + b.listener.Addr().String() + "/", Name: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	defer ann.Close()
	rooms, diaries := map[string]*client.Room{}, map[string]*diary{}
	for _, key := range []string{"well", "unreadable", "cut"} {
		d := &diary{}
		if rooms[key], err = ann.JoinOrCreate(t.Context(), "arena", key, map[string]int{"bots": 2}, d.handler()); err != nil {
			t.Fatal(err)
		}
		diaries[key] = d
	}
	journal := func(key string) string { return "tk:j:{" + rooms[key].ID + "}" }
	eventually(t, "the journal to be cut has a middle", func() bool {
		node.cmd.Process.Signal(syscall.SIGSTOP) // a snapshot trims it
		if len(streamOf(redis, journal("cut"))) >= 4 {
			return true
		}
		node.cmd.Process.Signal(syscall.SIGCONT)
		return false
	})
	node.kill()

	newest := entryID(redis, journal("unreadable"), -1)
	redis.Do("xadd", journal("unreadable"), newest+"9", "e", "\x01\x03rubbish")
	redis.Do("xdel", journal("cut"), entryID(redis, journal("cut"), 1))
	left := map[string][]string{"unreadable": streamOf(redis, journal("unreadable")), "cut": streamOf(redis, journal("cut"))}
	seen, _ := diaries["well"].read()

	node.start()
	b.use(node.game)
	eventually(t, "both are put aside", func() bool { return node.metric("tickover_rooms_quarantined_total") == "2" })
	for key, was := range left {
		kept := streamOf(redis, "tk:q:{"+rooms[key].ID+"}")
		if len(kept) <= len(was) || !slices.Equal(kept[:len(was)], was) { // a claim is behind them
			t.Errorf("%s: %d entries are kept of %d", key, len(kept), len(was))
		}
		eventually(t, key+": ann is told", func() bool { _, why := diaries[key].read(); return why != "" })
		if _, why := diaries[key].read(); why != "closed" {
			t.Errorf("%s: ann is told %q", key, why)
		}
		if n := strings.Count(node.log(), rooms[key].ID); n == 0 {
			t.Errorf("%s: the log does not name the room:\n%s", key, node.log())
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		again, err := ann.JoinOrCreate(ctx, "arena", key, nil, client.Handler{})
		cancel()
		if err != nil || again.ID == rooms[key].ID {
			t.Errorf("%s: its key is not free: %v", key, err)
		}
	}
	eventually(t, "the other room goes on", func() bool { n, _ := diaries["well"].read(); return n > seen+20 })
	if _, why := diaries["well"].read(); why != "" {
		t.Errorf("the room that was well is left: %s", why)
	}
	if _, err := ann.JoinID(t.Context(), rooms["cut"].ID, nil, client.Handler{}); !isRefused(err) {
		t.Errorf("joining a room that was put aside: %v", err)
	}
}

func isRefused(err error) bool {
	_, ok := errors.AsType[*client.Refused](err)
	return ok
}
