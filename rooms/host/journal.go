package host

import (
	"context"
	"errors"
	"fmt"
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
		nonce := newNonce()
		epoch, entries, err := r.host.claim(r.host.ctx, a.Room, a.Seen, nonce)
		if r.host.ctx.Err() != nil {
			return
		}
		r.call(func(s *rooms.Shard, now time.Duration) { s.TakeLoaded(a.Room, epoch, nonce, entries, err, now) })
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
		if err == nil || errors.Is(err, rooms.ErrGone) || errors.Is(err, rooms.ErrClaimLost) {
			return epoch, entries, err
		}
		select {
		case <-ctx.Done():
			return 0, nil, context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

var errStuck = errors.New("the game's code does not return")

// Resume claims a room and goes on with it. cold says that its players' connections are gone, as after a restart.
// A room that cannot be resumed keeps its journal. ErrKeyTaken refuses one whose key another room has: the first keeps it.
func (h *Host) Resume(ctx context.Context, id rooms.ID, cold bool) error {
	slow := time.AfterFunc(time.Second, func() { h.log.Warn("resuming room takes long", "room", id) })
	defer slow.Stop()
	nonce := newNonce()
	epoch, entries, err := h.claim(ctx, id, 0, nonce)
	if err != nil {
		return fmt.Errorf("resume room %s: %w", id, err)
	}
	kindName, key, err := rooms.Identify(entries)
	if err != nil {
		return fmt.Errorf("resume room %s: %w", id, err)
	}
	kind, ok := h.kinds[kindName]
	if !ok {
		return fmt.Errorf("resume room %s: %w: %q", id, ErrUnknownKind, kindName)
	}
	r := &Handle{ID: id, Kind: kind, Key: key, host: h, gone: make(chan struct{})}
	h.mu.Lock()
	if h.stopping || h.rooms[id] != nil {
		h.mu.Unlock()
		return fmt.Errorf("resume room %s: it is open, or the host is stopping", id)
	}
	if _, taken := h.rooms[h.keys[address{kindName, key}]]; key != "" && taken {
		h.mu.Unlock()
		return fmt.Errorf("resume room %s: %w: %q", id, ErrKeyTaken, key)
	}
	h.add(r)
	h.mu.Unlock()
	done := make(chan error, 1)
	r.runner.call(func(s *rooms.Shard, now time.Duration) {
		err := errStuck // what remains if the game's code never comes back
		defer func() { done <- err }()
		err = s.Adopt(id, kind, epoch, nonce, entries, cold, now)
	})
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
		return fmt.Errorf("resume room %s: %w", id, err)
	}
	return nil
}
