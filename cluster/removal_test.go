package cluster_test

// Time is virtual here: see onGround, which uses testing/synctest.

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"tickover.dev/cluster"
	"tickover.dev/cluster/memstore"
	"tickover.dev/rooms"
)

// slow is an estate and its directory in which something happens before a room is forestalled, and while it is removed, which is not
// answered the first time.
type slow struct {
	*memstore.Store
	*estate
	before, meanwhile func()
}

func (s *slow) Forestall(ctx context.Context, r cluster.Record) error {
	if do := s.before; do != nil {
		s.before = nil
		do()
	}
	return s.estate.Forestall(ctx, r)
}

func (s *slow) Remove(ctx context.Context, r cluster.Record) error {
	if do := s.meanwhile; do != nil {
		s.meanwhile = nil
		do()
		return errors.New("no answer")
	}
	return s.Store.Remove(ctx, r)
}

// unborn has a node be frozen while it makes the room "late", and another one find that.
func unborn(g *ground, prepare func(s *slow, bear func())) (heir *estate, outcomes []rooms.Outcome) {
	_, creator, freeze := g.node(1)
	time.Sleep(time.Second)
	if _, err := g.store.Register(g.Context(), cluster.Record{Room: "late", Kind: "k", Owner: creator.boot, Epoch: 1}); err != nil {
		g.Fatal(err)
	}
	freeze()
	s := &slow{Store: g.store, estate: &estate{boot: 2, journal: g.journal, own: map[rooms.ID]cluster.Record{}}}
	first := rooms.Entry{Room: "late", ID: rooms.EntryID{Epoch: 1, Tick: 1}, Nonce: creator.boot.Nonce(9), Kind: rooms.EntryCreate}
	prepare(s, func() {
		g.journal.Append([]rooms.Entry{first}, func(rs []rooms.Result) { outcomes = append(outcomes, rs[0].Outcome) })
	})
	c := cluster.New(cluster.Config{Self: cluster.Member{Boot: 2, Kinds: []string{"k"}}, Members: g.store, Directory: s, Rooms: s})
	ctx, cancel := context.WithCancel(g.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	time.Sleep(5 * time.Second)
	cancel()
	<-ended
	return s.estate, outcomes
}

// A node that is frozen while it makes a room is taken for dead, and its room for one that has no journal. Before that is acted upon
// somebody has to look again: by then the room may live, and nobody would find it when its node dies.
func TestARoomThatIsBornLateIsNotTakenOffTheDirectory(t *testing.T) {
	onGround(t, func(g *ground) {
		heir, outcomes := unborn(g, func(s *slow, bear func()) { s.before = bear })
		if _, ok := heir.Epoch("late"); !ok || !slices.Equal(outcomes, []rooms.Outcome{rooms.Confirmed}) {
			at, err := g.store.Look(g.Context(), "late")
			g.Errorf("the room is nobody's; born: %v, its record is %+v (%v)", outcomes, at, err)
		}
	})
}

// A room whose record is about to be removed must not begin any more: it would live beside another one of its key, and nobody would find
// it when its creator dies.
func TestARoomThatIsTakenOffTheDirectoryIsNotBornAnyMore(t *testing.T) {
	onGround(t, func(g *ground) {
		heir, outcomes := unborn(g, func(s *slow, bear func()) { s.meanwhile = bear })
		if _, ok := heir.Epoch("late"); ok || !slices.Equal(outcomes, []rooms.Outcome{rooms.Gone}) {
			g.Errorf("its first entry was %v, and it has an owner: %v", outcomes, ok)
		}
		if at, err := g.store.Look(g.Context(), "late"); !errors.Is(err, cluster.ErrNoRecord) {
			g.Errorf("its record is %+v (%v)", at, err)
		}
	})
}
