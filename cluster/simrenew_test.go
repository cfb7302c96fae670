package cluster_test

import (
	"context"
	"errors"
	"time"

	"tickover.dev/cluster"
	"tickover.dev/rooms"
)

// This file is the store's coming back empty. Rooms whose newest owner lives, and reaches the store until they are renewed, go on; what
// becomes of the others is nobody's promise.

// empty has the store lose everything, and is kind to all requests for a while.
func (w *world) empty() {
	w.counts["store came back empty"]++
	w.note("empty")
	w.run++
	w.delay, w.lossy = 3*time.Millisecond, 0
	w.doomed()
	w.journal.Clear()
	w.store.Clear()
	w.spared = w.now + 4*time.Second
	for _, n := range w.nodes { // each notices the restart in its own time
		n.in(w.between(0, time.Second), func() {
			for _, r := range n.own.All() {
				n.shard.Prove(r.Room)
			}
			n.step()
		})
	}
}

// sleepThrough has a node sleep until others have its rooms, and the store come back empty as it wakes.
func (w *world) sleepThrough(n *node) {
	w.counts["a node slept through it"]++
	n.frozen = true
	w.in(w.between(2*simLease, 4*simLease), func() {
		if !w.calm && !w.away {
			w.empty()
		}
		w.in(w.between(0, 200*time.Millisecond), n.thaw)
	})
}

// doomed gives up the rooms that have no journal and whose newest owner cannot make one now.
func (w *world) doomed() {
	for _, id := range w.roomIDs() {
		top, err := w.journal.Top(context.Background(), id)
		if err != nil {
			continue
		}
		owner := cluster.BootOf(top.Nonce)
		well := false
		for _, n := range w.nodes {
			_, has := n.own[id]
			well = well || n.boot == owner && n.alive && !n.frozen && !n.cut && !n.leaving && has
		}
		if !well {
			w.giveUp(id)
		}
	}
}

func (w *world) giveUp(id rooms.ID) {
	if w.over[id] {
		return
	}
	w.counts["room lost with the store"]++
	w.note("over", id)
	w.over[id] = true
}

// renew asks for a new journal of a room.
func (n *node) renew(a rooms.Ask) {
	r, ok := n.own[a.Room]
	if !ok {
		n.w.fail("%s renews room %s, which it has not", n.boot, a.Room)
	}
	r.Epoch = a.Seen
	n.askRenewal(cluster.NewRenewal(r, time.UnixMilli(0).Add(n.w.now)))
}

func (n *node) askRenewal(r *cluster.Renewal) {
	w := n.w
	n.call(func() func() {
		now, err := w.ask(r)
		w.note("renewal", n.boot, r.Record, now, err)
		return func() { n.takeRenewal(r, now, err) }
	}, func() { n.takeRenewal(r, cluster.Record{}, errAway) })
}

// ask asks the directory, unless a rule is broken.
func (w *world) ask(r *cluster.Renewal) (cluster.Record, error) {
	ctx := context.Background()
	switch {
	case w.wreck.renewBlind: // who has the room makes its journal anew, whatever the directory says
		return r.Record, nil
	case w.wreck.renewByForce:
		if at, err := w.store.Look(ctx, r.Record.Room); err == nil && at.Owner != r.Record.Owner {
			at.Epoch = 1 << 60
			w.store.Remove(ctx, at)
		}
	}
	now, err := r.Ask(ctx, w.store)
	if w.wreck.renewFirst && err == nil {
		now, err = w.store.Settle(ctx, now)
	}
	return now, err
}

func (n *node) takeRenewal(r *cluster.Renewal, now cluster.Record, err error) {
	w := n.w
	pause, done := r.Take(now, err)
	if !done {
		n.in(pause, func() { n.askRenewal(r) })
		return
	}
	id := r.Record.Room
	var renewed rooms.Renewal
	switch {
	case errors.Is(r.Err, rooms.ErrClaimLost):
		w.counts["renewal lost"]++
	case r.Err != nil:
		w.counts["renewal refused"]++
	default:
		w.counts["renewed"]++
		n.own[id] = r.Record
		n.nonces++
		renewed = rooms.Renewal{Epoch: r.Record.Epoch, Nonce: n.boot.Nonce(n.nonces), Key: r.Record.Key}
	}
	n.shard.TakeRenewed(id, renewed, r.Err, w.now)
	n.step()
}

// forestall keeps a room that has no journal from being born.
func (n *node) forestall(ctx context.Context, r cluster.Record) error {
	n.w.counts["forestalled"]++
	if n.w.wreck.forestallAll {
		r.Epoch = 1 << 60
	}
	return n.w.journal.Forestall(ctx, r.Room, r.Epoch, nil, time.Minute)
}
