package cluster_test

// Time is virtual here: see onGround, which uses testing/synctest.

import (
	"context"
	"errors"
	"testing"
	"time"

	"tickover.dev/cluster"
	"tickover.dev/cluster/memstore"
	"tickover.dev/rooms"
)

// deaf is a directory that does not answer the first removal, behind which something happens.
type deaf struct {
	*memstore.Store
	meanwhile func()
}

func (d *deaf) Remove(ctx context.Context, r cluster.Record) error {
	if do := d.meanwhile; do != nil {
		d.meanwhile = nil
		do()
		return errors.New("no answer")
	}
	return d.Store.Remove(ctx, r)
}

// A node that is frozen while it makes a room is taken for dead, and its room for one that has no journal. Before that is acted upon again
// somebody has to look again: by then the room may live, and nobody would find it when its node dies.
func TestARoomThatIsBornLateIsNotTakenOffTheDirectory(t *testing.T) {
	onGround(t, func(g *ground) {
		_, ea, freeze := g.node(1)
		time.Sleep(time.Second)
		late := cluster.Record{Room: "late", Kind: "k", Owner: ea.boot, Epoch: 1}
		if _, err := g.store.Register(g.Context(), late); err != nil {
			g.Fatal(err)
		}
		freeze()
		born := false
		d := &deaf{g.store, func() {
			born = true
			g.journal.Append([]rooms.Entry{{Room: "late", ID: rooms.EntryID{Epoch: 1, Tick: 1}, Nonce: ea.boot.Nonce(9), Kind: rooms.EntryCreate}}, func([]rooms.Result) {})
		}}
		eb := &estate{boot: 2, journal: g.journal, own: map[rooms.ID]cluster.Record{}}
		b := cluster.New(cluster.Config{Self: cluster.Member{Boot: 2, Kinds: []string{"k"}}, Members: g.store, Directory: d, Rooms: eb})
		ctx, cancel := context.WithCancel(g.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.Run(ctx) }()
		time.Sleep(5 * time.Second)
		cancel()
		<-ended
		if _, ok := eb.Epoch("late"); !ok || !born {
			at, err := g.store.Look(g.Context(), "late")
			g.Errorf("the room is nobody's; born %v, its record is %+v (%v)", born, at, err)
		}
	})
}
