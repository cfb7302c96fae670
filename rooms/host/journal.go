package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"tickover.dev/rooms"
)

// ask answers one question of a room to the journal. It runs on a goroutine of its own.
func (r *runner) ask(a rooms.Ask) {
	j := r.host.config.Journal
	switch a.Type {
	case rooms.AskTop:
		ctx, cancel := context.WithTimeout(r.host.ctx, time.Second)
		top, err := j.Top(ctx, a.Room)
		cancel()
		r.call(func(s *rooms.Shard, now time.Duration) { s.TakeTop(a.Room, top, err, now) })
	case rooms.AskRestore:
		nonce := r.host.config.Nonce()
		epoch, entries, err := r.host.claim(r.host.ctx, a.Room, a.Seen, nonce)
		if r.host.ctx.Err() != nil {
			return
		}
		if h, ok := r.host.Room(a.Room); ok && err == nil {
			h.epoch.Store(uint64(epoch))
		}
		r.call(func(s *rooms.Shard, now time.Duration) { s.TakeLoaded(a.Room, epoch, nonce, entries, err, now) })
	case rooms.AskRenew:
		renewed, err := r.host.renew(a)
		if r.host.ctx.Err() != nil {
			return
		}
		r.call(func(s *rooms.Shard, now time.Duration) { s.TakeRenewed(a.Room, renewed, err, now) })
	}
}

// claim claims a room and loads it, again and again until the journal answers: an unanswered claim may have been made.
func (h *Host) claim(ctx context.Context, room rooms.ID, seen rooms.Epoch, nonce uint64) (rooms.Epoch, []rooms.Entry, error) {
	j := h.config.Journal
	for {
		epoch, err := j.Claim(ctx, room, seen, nonce)
		var entries []rooms.Entry
		if err == nil {
			entries, err = j.Load(ctx, room, epoch)
		}
		if err == nil || isFinal(err) {
			return epoch, entries, err
		}
		select {
		case <-ctx.Done():
			return 0, nil, context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// isFinal reports whether a journal would give the same error again.
func isFinal(err error) bool {
	for _, final := range []error{rooms.ErrGone, rooms.ErrClaimLost, rooms.ErrCorrupt, rooms.ErrNewer} {
		if errors.Is(err, final) {
			return true
		}
	}
	return false
}

var errStuck = errors.New("the game's code does not return")

// Resume claims a room, whatever its epoch, and goes on with it. cold says that its players' connections are gone. See Claim.
func (h *Host) Resume(ctx context.Context, id rooms.ID, cold bool) error {
	gone := func(rooms.Node) bool { return cold }
	_, err := h.Claim(ctx, id, 0, gone)
	return err
}

// Claim claims a room whose newest epoch is seen (0: whatever it is) and goes on with it in the epoch that it gives. gone says of
// which nodes no connection is left. A room that cannot be resumed keeps its journal, unless that is corrupt, or maxFailedClaims claims
// have led to nothing: then it is put aside. ErrKeyTaken refuses one whose key another room has: the first keeps it.
func (h *Host) Claim(ctx context.Context, id rooms.ID, seen rooms.Epoch, gone func(rooms.Node) bool) (rooms.Epoch, error) {
	if h.isStopping() { // before the claim: nobody else could run the room while it stands
		return 0, fmt.Errorf("resume room %s: %w", id, ErrStopping)
	}
	slow := time.AfterFunc(time.Second, func() { h.log.Warn("resuming room takes long", "room", id) })
	defer slow.Stop()
	nonce := h.config.Nonce()
	epoch, entries, err := h.claim(ctx, id, seen, nonce)
	if t, over := h.Tomb(id); over && err == nil {
		err = h.buryAgain(ctx, id, epoch, t)
	} else if err == nil {
		err = h.adopt(ctx, id, epoch, nonce, entries, gone)
	}
	if errors.Is(err, rooms.ErrCorrupt) || err != nil && isFault(err) && failedClaims(entries) >= maxFailedClaims {
		h.putAside(ctx, id, epoch, err)
	}
	if err != nil {
		return 0, fmt.Errorf("resume room %s: %w", id, err)
	}
	return epoch, nil
}

// buryAgain buries a room whose end is known here, and was not in its journal when it was claimed: nobody had answered, or the store has
// lost it. Players were told of that end, so it stands.
func (h *Host) buryAgain(ctx context.Context, id rooms.ID, epoch rooms.Epoch, t Tomb) error {
	err := h.buryIn(ctx, rooms.Ended{Room: id, Epoch: epoch, Why: t.Why, Code: t.Code, Result: t.Result})
	if err == nil {
		err = rooms.ErrGone
	}
	return err
}

func (h *Host) isStopping() bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.stopping
}

// maxFailedClaims is how many claims in a row may lead to no entry before a room is taken for poisonous (FAILOVER.md R17): it may
// have killed the nodes that tried.
const maxFailedClaims = 3

// failedClaims counts the claims at the end of a journal: those that nothing followed.
func failedClaims(entries []rooms.Entry) int {
	n := 0
	for n < len(entries) && entries[len(entries)-1-n].Kind == rooms.EntryClaim {
		n++
	}
	return n
}

// isFault reports whether an error is the room's own: it will not resume elsewhere either.
func isFault(err error) bool {
	for _, other := range []error{
		ErrUnknownKind, ErrKeyTaken, ErrStopping, errOpen, rooms.ErrNewer, rooms.ErrGone, rooms.ErrClaimLost, context.Canceled,
	} {
		if errors.Is(err, other) {
			return false
		}
	}
	return true
}

// putAside buries a room that does not resume, and keeps what its journal held, if the journal has a shelf for that.
func (h *Host) putAside(ctx context.Context, id rooms.ID, epoch rooms.Epoch, why error) {
	h.quarantined.Add(1)
	h.log.Error("room put aside: it does not resume", "room", id, "epoch", epoch, "error", why)
	e := rooms.Ended{Room: id, Epoch: epoch, Why: "fault", Err: why}
	h.remember(e)
	if err := h.buryIn(ctx, e); err != nil {
		h.log.Warn("put room aside", "room", id, "error", err)
	}
}

var errOpen = errors.New("it is open, or the host is stopping")

// adopt has a shard run a room that was claimed and loaded.
func (h *Host) adopt(ctx context.Context, id rooms.ID, epoch rooms.Epoch, nonce uint64, entries []rooms.Entry, gone func(rooms.Node) bool) error {
	kindName, key, err := rooms.Identify(entries)
	if err != nil {
		return err
	}
	kind, ok := h.kinds[kindName]
	if !ok {
		return fmt.Errorf("%w: %q", ErrUnknownKind, kindName)
	}
	r := &Handle{ID: id, Kind: kind, key: key, host: h, gone: make(chan struct{})}
	r.epoch.Store(uint64(epoch))
	done := make(chan error, 1)
	if err := h.place(r, func(s *rooms.Shard, now time.Duration) {
		err := errStuck // what remains if the game's code never comes back
		defer func() { done <- err }()
		err = s.Adopt(id, kind, epoch, nonce, entries, gone, now)
	}); err != nil {
		return err
	}
	select {
	case err = <-done:
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-r.gone:
		select { // it was opened, and is over already; or it was taken away as it did not return
		case err = <-done:
		default:
			err = errStuck
		}
	case <-r.runner.done:
		err = ErrStopping
	}
	if err != nil {
		r.runner.release(id) // it may still be taken over, behind our back
		h.remove(id)
	}
	return err
}

// place enters a resumed room among the open ones, and has its shard adopt it before any mail can reach it.
func (h *Host) place(r *Handle, adopt func(*rooms.Shard, time.Duration)) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopping || h.rooms[r.ID] != nil {
		return errOpen
	}
	if _, taken := h.rooms[h.keys[address{r.Kind.Name, r.key}]]; r.key != "" && taken {
		return fmt.Errorf("%w: %q", ErrKeyTaken, r.key)
	}
	h.add(r)
	r.runner.call(adopt)
	return nil
}

// Epoch gives the epoch in which this host runs a room.
func (h *Host) Epoch(id rooms.ID) (rooms.Epoch, bool) {
	r, ok := h.Room(id)
	if !ok {
		return 0, false
	}
	return r.Epoch(), true
}

// Handles lists the rooms of this host.
func (h *Host) Handles() []*Handle {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return slices.Collect(maps.Values(h.rooms))
}

// Prove has a room write to its journal: if it has another owner by now, it is told so.
func (h *Host) Prove(id rooms.ID) {
	if r, ok := h.Room(id); ok {
		r.runner.call(func(s *rooms.Shard, _ time.Duration) { s.Prove(id) })
	}
}

// Reseal has all rooms write their whole state, as after a fail-over of the journal's store (FAILOVER.md R2).
func (h *Host) Reseal() {
	for _, r := range h.runners {
		r.call(func(s *rooms.Shard, _ time.Duration) { s.Reseal() })
	}
}
