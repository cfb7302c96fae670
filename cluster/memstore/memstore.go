// Package memstore keeps members and directory in memory: the store of a single node's tests, and the world of simulations. It is as
// strict as the real thing; delays and losses are its callers' to make.
//
// All methods may be called from any goroutine.
package memstore

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"

	"tickover.dev/cluster"
	"tickover.dev/rooms"
)

// Store implements cluster.Members and cluster.Directory.
type Store struct {
	mu sync.Mutex
	// Guarded by mu.
	members map[cluster.Boot]cluster.Member
	records map[rooms.ID]cluster.Record
	entered map[rooms.ID]rooms.Epoch   // of records that were entered for want of one: for which epoch
	keys    map[address]cluster.Record // as they were registered
}

type address struct{ kind, key string }

var (
	_ cluster.Members   = (*Store)(nil)
	_ cluster.Directory = (*Store)(nil)
)

// New makes an empty store.
func New() *Store {
	return &Store{
		members: map[cluster.Boot]cluster.Member{}, records: map[rooms.ID]cluster.Record{}, entered: map[rooms.ID]rooms.Epoch{},
		keys: map[address]cluster.Record{},
	}
}

// Clear forgets everything, as a server does that is started again without its disk.
func (s *Store) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.members)
	clear(s.records)
	clear(s.entered)
	clear(s.keys)
}

// Beat implements cluster.Members.
func (s *Store) Beat(ctx context.Context, m cluster.Member) (all []cluster.Member, knew bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, knew = s.members[m.Boot]
	s.members[m.Boot] = m
	return slices.SortedFunc(maps.Values(s.members), func(a, b cluster.Member) int { return cmp.Compare(a.Boot, b.Boot) }), knew, nil
}

// Leave implements cluster.Members.
func (s *Store) Leave(ctx context.Context, b cluster.Boot) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.members, b)
	return nil
}

// Register implements cluster.Directory.
func (s *Store) Register(ctx context.Context, r cluster.Record) (cluster.Record, error) {
	if err := ctx.Err(); err != nil {
		return cluster.Record{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at := address{r.Kind, r.Key}
	if held, taken := s.keys[at]; r.Key != "" && taken && held.Room != r.Room {
		if now, ok := s.records[held.Room]; ok {
			held = now
		}
		return held, cluster.ErrKeyTaken
	}
	if r.Key != "" {
		s.keys[at] = r
	}
	if old, ok := s.records[r.Room]; ok {
		return old, nil
	}
	s.records[r.Room] = r
	return r, nil
}

// Raise implements cluster.Directory.
func (s *Store) Raise(ctx context.Context, r cluster.Record) (cluster.Record, error) {
	if err := ctx.Err(); err != nil {
		return cluster.Record{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.records[r.Room]
	switch {
	case ok && old.Epoch >= r.Epoch:
		return old, nil
	case ok:
		delete(s.entered, r.Room)
		old.Owner, old.Epoch = r.Owner, r.Epoch
		r = old
	default:
		s.entered[r.Room] = r.Epoch
		s.takeKey(r)
	}
	s.records[r.Room] = r
	return r, nil
}

// takeKey gives a room its key, unless another one has it, and reports whether it has it now. s.mu is held.
func (s *Store) takeKey(r cluster.Record) bool {
	at := address{r.Kind, r.Key}
	held, taken := s.keys[at]
	if r.Key != "" && !taken {
		s.keys[at], held = r, r
	}
	return held.Room == r.Room
}

// Enter implements cluster.Directory.
func (s *Store) Enter(ctx context.Context, r cluster.Record, was rooms.Epoch) (cluster.Record, error) {
	if err := ctx.Err(); err != nil {
		return cluster.Record{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, known := s.records[r.Room]
	if entered, ok := s.entered[r.Room]; known && (!ok || entered > was) {
		if old.Epoch > was {
			return old, rooms.ErrClaimLost
		}
		return old, rooms.ErrGone
	}
	if !s.takeKey(r) {
		r.Key = ""
	}
	r.Epoch = max(r.Epoch, old.Epoch+1)
	s.records[r.Room], s.entered[r.Room] = r, was
	return r, nil
}

// Settle implements cluster.Directory.
func (s *Store) Settle(ctx context.Context, r cluster.Record) (cluster.Record, error) {
	if err := ctx.Err(); err != nil {
		return cluster.Record{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now, ok := s.records[r.Room]
	switch {
	case !ok:
		return now, cluster.ErrNoRecord
	case now.Owner != r.Owner:
		return now, rooms.ErrClaimLost
	}
	delete(s.entered, r.Room)
	return now, nil
}

// Look implements cluster.Directory.
func (s *Store) Look(ctx context.Context, room rooms.ID) (cluster.Record, error) {
	if err := ctx.Err(); err != nil {
		return cluster.Record{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.records[room]
	if !ok {
		return r, cluster.ErrNoRecord
	}
	return r, nil
}

// Find implements cluster.Directory.
func (s *Store) Find(ctx context.Context, kind, key string) (cluster.Record, error) {
	if err := ctx.Err(); err != nil {
		return cluster.Record{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	held, ok := s.keys[address{kind, key}]
	if !ok {
		return cluster.Record{}, cluster.ErrNoRecord
	}
	if now, ok := s.records[held.Room]; ok {
		return now, nil
	}
	return held, nil
}

// Owned implements cluster.Directory.
func (s *Store) Owned(ctx context.Context, b cluster.Boot) ([]cluster.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var owned []cluster.Record
	for _, r := range s.records {
		if r.Owner == b {
			owned = append(owned, r)
		}
	}
	slices.SortFunc(owned, func(a, b cluster.Record) int { return cmp.Compare(a.Room, b.Room) })
	return owned, nil
}

// Tell implements cluster.Directory.
func (s *Store) Tell(ctx context.Context, told []cluster.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range told {
		if now, ok := s.records[r.Room]; ok && now.Owner == r.Owner {
			now.Notice = r.Notice
			s.records[r.Room] = now
		}
	}
	return nil
}

// Remove implements cluster.Directory.
func (s *Store) Remove(ctx context.Context, r cluster.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.records[r.Room]; ok && old.Epoch > r.Epoch {
		return nil
	}
	delete(s.records, r.Room)
	delete(s.entered, r.Room)
	if at := (address{r.Kind, r.Key}); s.keys[at].Room == r.Room {
		delete(s.keys, at)
	}
	return nil
}
