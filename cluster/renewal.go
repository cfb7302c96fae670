package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tickover.dev/rooms"
)

// Renewal is how a room that lives, and whose journal and record the store has lost, gets back into the directory (FAILOVER.md R19).
// Whoever has the room may try. It may be several: an owner that was frozen, or cut off, when another node claimed its room knows of no
// newer epoch than its own, and the journal that would have told it so is lost. So whoever comes first waits for a while, in which one
// that had the room in a newer epoch comes before it; then the record is settled, and its owner makes the journal anew.
//
//	         entered                   the record is as it was
//	entering ───────► waiting ─► settling ────────────────────► done: make the journal
//	   │ ▲                          │
//	   │ └──────────────────────────┘ the record is gone, or another's: the store has lost it once more, or somebody had the room later
//	   ▼
//	  done: the directory knows the room as it is, or somebody had it later
//
// It is a state machine: whoever runs it calls Ask, hands the answer to Take, and asks again after the pause that Take gives.
type Renewal struct {
	// Record is the room as it is to be entered. When it is done, as it was.
	Record Record
	// Err is, when it is done, why the room is over here: rooms.ErrGone or rooms.ErrClaimLost.
	Err error

	was      rooms.Epoch
	settling bool
}

const (
	// renewalWait is for how long a node that had the room in a newer epoch may come: it finds out within a second, when its sweep
	// compares, if it does not see the store come back or write to a room before.
	renewalWait  = 1500 * time.Millisecond
	renewalAgain = 100 * time.Millisecond // after a call that was not answered
)

// NewRenewal begins the renewal of a room that its owner has in r.Epoch. now is the time of day: epochs follow it.
func NewRenewal(r Record, now time.Time) *Renewal {
	n := &Renewal{Record: r, was: r.Epoch}
	n.Record.Epoch = max(r.Epoch+1, rooms.Epoch(now.UnixMilli()))
	return n
}

// Ask does what is to be done next.
func (n *Renewal) Ask(ctx context.Context, d Directory) (Record, error) {
	if n.settling {
		return d.Settle(ctx, n.Record)
	}
	return d.Enter(ctx, n.Record, n.was)
}

// Take takes its answer, and says whether the renewal is done, or when to ask again.
func (n *Renewal) Take(now Record, err error) (pause time.Duration, done bool) {
	lost := errors.Is(err, rooms.ErrClaimLost)
	switch {
	case n.settling && (lost || errors.Is(err, ErrNoRecord)): // entering tells who comes before whom
		n.settling = false
		n.Record.Epoch++ // whoever has taken the room off the directory has forestalled it up to that epoch
		return 0, false
	case lost, errors.Is(err, rooms.ErrGone):
		n.Err = err
		return 0, true
	case err != nil:
		return renewalAgain, false
	case n.settling:
		n.Record = now
		return 0, true
	}
	n.Record, n.settling = now, true
	return renewalWait, false
}

// renewAtOnce bounds the calls of the directory for rooms that are renewed: a store that comes back empty has lost all at once.
const renewAtOnce = 64

// Renew enters a room that this node has in r.Epoch again. It gives its record, with the epoch to go on in and the key that is left to
// it, or rooms.ErrGone, rooms.ErrClaimLost, or the context's error: it asks until it is answered.
func (c *Cluster) Renew(ctx context.Context, r Record) (Record, error) {
	n := NewRenewal(r, time.Now())
	for {
		now, err := c.askRenewal(ctx, n)
		if ctx.Err() != nil {
			return Record{}, fmt.Errorf("renew room %s: %w", r.Room, context.Cause(ctx))
		}
		pause, done := n.Take(now, err)
		if done {
			return n.Record, n.Err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

func (c *Cluster) askRenewal(ctx context.Context, n *Renewal) (Record, error) {
	select {
	case c.renewing <- struct{}{}:
	case <-ctx.Done():
		return Record{}, context.Cause(ctx)
	}
	defer func() { <-c.renewing }()
	ctx, cancel := context.WithTimeout(ctx, orderWithin)
	defer cancel()
	return n.Ask(ctx, c.config.Directory)
}
