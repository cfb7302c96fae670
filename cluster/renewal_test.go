package cluster_test

import (
	"errors"
	"testing"
	"time"

	"tickover.dev/cluster"
	"tickover.dev/cluster/memstore"
	"tickover.dev/rooms"
)

// renewing is renewals of one room in one directory.
type renewing struct {
	*testing.T
	store *memstore.Store
}

func (r *renewing) begin(b cluster.Boot, was rooms.Epoch) *cluster.Renewal {
	return cluster.NewRenewal(cluster.Record{Room: "r", Kind: "sim", Key: "k", Owner: b, Epoch: was}, time.UnixMilli(1000))
}

// step takes a renewal one call further, and gives the pause it wants.
func (r *renewing) step(n *cluster.Renewal) (pause time.Duration, done bool) {
	r.Helper()
	return n.Take(n.Ask(r.Context(), r.store))
}

// end steps a renewal until it is done.
func (r *renewing) end(n *cluster.Renewal) {
	r.Helper()
	for range 10 {
		if _, done := r.step(n); done {
			return
		}
	}
	r.Fatal("a renewal has no end")
}

// An owner that gives its room up because the store has lost its record as well, and an older owner has entered the room since, gives up
// what only it knows.
func TestTheNewestOwnerInsistsAfterASecondLoss(t *testing.T) {
	r := &renewing{t, memstore.New()}
	newest, stale := r.begin(3, 16), r.begin(1, 5)
	if pause, done := r.step(newest); pause < time.Second || done {
		t.Fatalf("entered: pause %s, done %v", pause, done)
	}
	r.store.Clear()
	r.step(stale)
	r.step(newest) // to settle
	r.step(newest)
	r.end(stale)
	r.end(newest)
	if !errors.Is(stale.Err, rooms.ErrClaimLost) || newest.Err != nil || newest.Record.Epoch <= 1000 {
		t.Errorf("stale: %v; newest: %v, %+v", stale.Err, newest.Err, newest.Record)
	}
	if at, err := r.store.Look(t.Context(), "r"); err != nil || at != newest.Record {
		t.Errorf("the directory says %+v, %v", at, err)
	}
}

// A node that is wrongly taken for dead has its new records taken away, and a creation in their epoch forestalled: the room must not end
// for that.
func TestARenewalBeginsAgainWithoutItsRecord(t *testing.T) {
	r := &renewing{t, memstore.New()}
	n := r.begin(3, 16)
	r.step(n)
	forestalled := n.Record.Epoch
	if err := r.store.Remove(t.Context(), n.Record); err != nil {
		t.Fatal(err)
	}
	r.end(n)
	if n.Record.Epoch <= forestalled {
		t.Errorf("it is to be made in epoch %d, which is forestalled", n.Record.Epoch)
	}
	if at, err := r.store.Look(t.Context(), "r"); n.Err != nil || err != nil || at != n.Record {
		t.Errorf("%v; the directory says %+v, %v", n.Err, at, err)
	}
}

// A store that does not answer says nothing: the renewal asks again.
func TestARenewalOutlastsTheStoresSilence(t *testing.T) {
	r := &renewing{t, memstore.New()}
	n := r.begin(3, 16)
	for range 3 {
		if pause, done := n.Take(cluster.Record{}, errAway); pause == 0 || done {
			t.Fatalf("pause %s, done %v", pause, done)
		}
	}
	r.end(n)
	if n.Err != nil {
		t.Error(n.Err)
	}
}
