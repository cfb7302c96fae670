package placement

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"tickover.dev/rooms"
)

// This file is the pace of musters. A node that is back, or has missed messages of another one, has a thousand rooms to send rosters to.
// All at once would fill its loops' mailboxes, and the whole states that the rooms answer with the way back: then everything is lost, and
// begins anew.

// rosters is the ways that wait for their muster.
type rosters struct {
	wake chan struct{} // one token: somebody waits

	mu sync.Mutex
	// Guarded by mu.
	queue []*way // each once, see way.queued
}

const (
	maxMusters = 128
	// musterPause is behind so many musters: 12,800 a second at most. At 10 kB of state each that is what the bus carries.
	musterPause = 10 * time.Millisecond
	// musterWithin is how long they are waited for: a loop may be stuck, and others are not.
	musterWithin = time.Second
	// musterAgain is how long after a roster that did not get through the next one is sent.
	musterAgain = 200 * time.Millisecond
)

func newRosters() *rosters { return &rosters{wake: make(chan struct{}, 1)} }

// add has a way mustered when it is its turn.
func (q *rosters) add(w *way) {
	q.mu.Lock()
	if !w.queued {
		w.queued = true
		q.queue = append(q.queue, w)
	}
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take gives those whose turn it is.
func (q *rosters) take() []*way {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(maxMusters, len(q.queue))
	turn := q.queue[:n:n]
	if q.queue = q.queue[n:]; len(q.queue) == 0 {
		q.queue = nil
	}
	for _, w := range turn {
		w.queued = false
	}
	return turn
}

// callMusters musters those who wait, until ctx ends.
func (r *Rooms) callMusters(ctx context.Context) {
	for {
		turn := r.rosters.take()
		if len(turn) == 0 {
			select {
			case <-r.rosters.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		r.musterAll(ctx, turn)
		if len(turn) < maxMusters {
			continue
		}
		select {
		case <-time.After(musterPause):
		case <-ctx.Done():
			return
		}
	}
}

// musterAll has all who are here in some rooms counted, and sends the rosters.
func (r *Rooms) musterAll(ctx context.Context, turn []*way) {
	bounded, cancel := context.WithTimeout(ctx, musterWithin)
	defer cancel()
	var left atomic.Int64
	left.Store(int64(len(turn)))
	for _, w := range turn {
		w.callMuster(func() {
			if left.Add(-1) == 0 {
				cancel()
			}
		})
	}
	<-bounded.Done()
}

// callMuster has all who are here counted, and sends the roster, if the way still musters. done is called once.
func (w *way) callMuster(done func()) {
	w.mu.Lock()
	number, musters := w.muster, w.at.Load().state == stateMustering
	w.mu.Unlock()
	if !musters {
		done()
		return
	}
	w.town.Hub.Muster(w.id, func(here []rooms.RosterEntry) {
		defer done()
		if w.town.ctx.Err() == nil {
			w.open(number, here)
		}
	})
}

// syncSoon sends another roster in a while, as one did not get through.
func (w *way) syncSoon() {
	if w.again.Swap(true) {
		return
	}
	time.AfterFunc(musterAgain, func() {
		w.again.Store(false)
		if w.town.ctx.Err() == nil {
			w.sync()
		}
	})
}

// takeRefused has rosters of this node sent again that a frame says were refused.
func (r *Rooms) takeRefused(f *rooms.Frame) {
	for _, n := range f.Answers {
		if n.Type != rooms.NoteRoster || n.Node != r.node() {
			continue
		}
		if w := r.known(f.Room); w != nil {
			w.syncSoon()
		}
	}
}
