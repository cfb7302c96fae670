package placement

// Time is virtual here: see inTown, which uses testing/synctest.

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tickover.dev/cluster"
	"tickover.dev/netcode"
	"tickover.dev/rooms"
	"tickover.dev/sessions"
)

// cards deals everybody a hand of 30 KB.
type cards struct{ ledger }

func (g *cards) Public() any               { return &g.ledger }
func (g *cards) Private(s rooms.Seat) any  { return strings.Repeat(string(rune('a'+s%26)), 30<<10) }
func (g *cards) Step(t *rooms.Tick[entry]) { g.ledger.Step(t) }

// What a room shows one node's players at once may be more than a message holds: it must arrive all the same.
func TestManyPlayersOfANodeAreShownARoomAtOnce(t *testing.T) {
	inTown(t, 0, func(w *town) {
		kind := odd{kinds: []rooms.Kind{rooms.Define(&cards{}, rooms.Config{Name: "ledger", RateHz: 20, Seats: 64, Grace: time.Hour})}}
		owner, other := w.startOdd(kind), w.startOdd(kind)
		time.Sleep(2 * time.Second)
		ann := owner.enter("ann", lobby)
		var all []*player
		for i := range 40 {
			o := &player{hub: other.players, session: "p" + string(rune('A'+i)), gen: 1, joining: true}
			found := make(chan error, 1)
			other.Enter(lobby, func(r sessions.Room, err error) { o.room = r; found <- err })
			if err := <-found; err != nil {
				t.Fatal(err)
			}
			other.players.mu.Lock()
			other.players.list = append(other.players.list, o)
			other.players.mu.Unlock()
			all = append(all, o)
		}
		for _, o := range all {
			o.join()
		}
		playFor(20*time.Second, ann)
		seated := 0
		other.players.mu.Lock()
		for _, o := range all {
			if o.seat != 0 {
				seated++
			}
		}
		other.players.mu.Unlock()
		if seated != len(all) {
			t.Errorf("%d of %d were told in 20 s that they have a seat", seated, len(all))
		}
	})
}

// half is a directory that takes a room's key, and then is not reached any more.
type half struct {
	cluster.Directory
	failing atomic.Bool
	held    *cluster.Record
}

func (d *half) Register(ctx context.Context, r cluster.Record) (cluster.Record, error) {
	switch {
	case d.failing.Load():
		d.held = &cluster.Record{Room: r.Room, Kind: r.Kind, Key: r.Key, Owner: r.Owner} // as redisstore has it: SET, but no record yet
		return cluster.Record{}, errDark
	case d.held != nil && d.held.Room != r.Room && d.held.Key == r.Key:
		return *d.held, cluster.ErrKeyTaken
	}
	return d.Directory.Register(ctx, r)
}

func (d *half) Find(ctx context.Context, kind, key string) (cluster.Record, error) {
	if d.held != nil && d.held.Key == key {
		return *d.held, nil
	}
	return d.Directory.Find(ctx, kind, key)
}

func (d *half) Remove(ctx context.Context, r cluster.Record) error {
	if d.held != nil && d.held.Room == r.Room && r.Key == d.held.Key {
		d.held = nil
	}
	return d.Directory.Remove(ctx, r)
}

// A creation that the store answers half must not take its key away from everybody.
func TestAKeyIsNotLostWithACreation(t *testing.T) {
	inTown(t, 1, func(w *town) {
		n := w.nodes[0]
		d := &half{Directory: n.Rooms.Directory}
		n.Rooms.Directory = d
		d.failing.Store(true)
		try := func() error {
			done := make(chan error, 1)
			n.Enter(sessions.Entry{Mode: netcode.JoinOrCreate, Kind: "ledger", Target: "lobby"}, func(_ sessions.Room, err error) { done <- err })
			return <-done
		}
		if err := try(); err == nil {
			t.Fatal("nothing was tried")
		}
		d.failing.Store(false)
		time.Sleep(time.Minute)
		if err := try(); err != nil {
			t.Errorf("a minute later: %v", err)
		}
	})
}
