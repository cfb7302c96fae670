package placement

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"tickover.dev/cluster"
	"tickover.dev/rooms"
	"tickover.dev/rooms/host"
)

// Local is this node's rooms as its cluster sees them. It implements cluster.Rooms.
type Local struct {
	// Set by NewLocal, then read-only.
	self    cluster.Boot
	host    *host.Host
	journal rooms.Journal
	conns   func() int
	town    *Rooms

	mu sync.Mutex
	// Guarded by mu.
	opening map[rooms.ID]rooms.Epoch // entered into the directory, and not on the host yet
}

var _ cluster.Rooms = (*Local)(nil)

// NewLocal joins a host and its journal. conns counts the node's connections; town is the rooms that its players see.
func NewLocal(self cluster.Boot, h *host.Host, j rooms.Journal, conns func() int, town *Rooms) *Local {
	return &Local{self: self, host: h, journal: j, conns: conns, town: town, opening: map[rooms.ID]rooms.Epoch{}}
}

// Epoch implements cluster.Own.
func (l *Local) Epoch(room rooms.ID) (rooms.Epoch, bool) {
	l.mu.Lock()
	epoch, ok := l.opening[room]
	l.mu.Unlock()
	if ok {
		return epoch, true
	}
	return l.host.Epoch(room)
}

// All implements cluster.Own.
func (l *Local) All() []cluster.Record {
	handles := l.host.Handles()
	all := make([]cluster.Record, len(handles))
	for i, h := range handles {
		all[i] = l.record(h)
	}
	return all
}

func (l *Local) record(h *host.Handle) cluster.Record { return RecordOf(h, l.self) }

// RecordOf gives the record of a node's room.
func RecordOf(h *host.Handle, node cluster.Boot) cluster.Record {
	r := cluster.Record{Room: h.ID, Kind: h.Kind.Name, Key: h.Key(), Owner: node, Epoch: h.Epoch()}
	if n := h.Notice(); n != nil {
		r.Notice = string(n.Append(nil))
	}
	return r
}

// Top implements cluster.Rooms.
func (l *Local) Top(ctx context.Context, room rooms.ID) (rooms.Top, error) {
	return l.journal.Top(ctx, room)
}

// Claim implements cluster.Rooms.
func (l *Local) Claim(ctx context.Context, r cluster.Record) (rooms.Epoch, error) {
	if _, runs := l.host.Kind(r.Kind); r.Kind != "" && !runs {
		return 0, fmt.Errorf("%w: %w: %q", cluster.ErrCannotRun, host.ErrUnknownKind, r.Kind)
	}
	epoch, err := l.host.Claim(ctx, r.Room, r.Epoch, l.town.gone(r.Room))
	if err == nil {
		l.town.claimed(r.Room)
	}
	if err != nil && !errors.Is(err, rooms.ErrGone) && !errors.Is(err, rooms.ErrClaimLost) {
		return 0, fmt.Errorf("%w: %w", cluster.ErrCannotRun, err)
	}
	return epoch, err
}

// Forestall implements cluster.Rooms.
func (l *Local) Forestall(ctx context.Context, r cluster.Record) error {
	end, ttl, err := l.host.Unborn()
	if err != nil {
		return err
	}
	return l.town.Tombs.Forestall(ctx, r.Room, r.Epoch, end, ttl)
}

// Prove implements cluster.Rooms.
func (l *Local) Prove(room rooms.ID) { l.host.Prove(room) }

// Load implements cluster.Rooms.
func (l *Local) Load() (rooms, connections int) { return l.host.Len(), l.conns() }

// open makes a room that is about to be entered into the directory known as this node's, until the returned function is called.
func (l *Local) open(room rooms.ID, epoch rooms.Epoch) (opened func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opening[room] = epoch
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.opening, room)
	}
}
