package sessions

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Memory is a Store in this process: several nodes of a simulation share one. It forgets everything when the process ends.
type Memory struct {
	mu sync.Mutex
	// Guarded by mu.
	sessions map[string]*remembered
	sweepAt  time.Time
}

var _ Store = (*Memory)(nil)

// remembered is one session.
type remembered struct {
	Record
	secrets
	until time.Time
}

// NewMemory makes an empty store.
func NewMemory() *Memory { return &Memory{sessions: map[string]*remembered{}} }

// Open implements Store.
func (m *Memory) Open(_ context.Context, r Record, secret Hash) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.find(r.ID) != nil {
		return fmt.Errorf("open session %s: there is one already", r.ID)
	}
	s := &remembered{secrets: secrets{current: secret}}
	s.keep(r)
	m.sessions[r.ID] = s
	m.sweep()
	return nil
}

// Resume implements Store.
func (m *Memory) Resume(_ context.Context, id string, secret, next Hash, attempt uint64, node string) (Record, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.find(id)
	if s == nil {
		return Record{}, "", ErrNoSession
	}
	if err := s.rotate(secret, next, attempt); err != nil {
		return Record{}, "", err
	}
	before := s.Node
	r := s.Record
	r.Gen, r.Node, r.Connected = r.Gen+1, node, true
	s.keep(r)
	return s.copy(), before, nil
}

// Save implements Store.
func (m *Memory) Save(_ context.Context, rs []Record) []error {
	m.mu.Lock()
	defer m.mu.Unlock()
	errs := make([]error, len(rs))
	for i, r := range rs {
		switch s := m.find(r.ID); {
		case s == nil:
			errs[i] = ErrNoSession
		case s.Gen != r.Gen:
			errs[i] = ErrMoved
		default:
			s.keep(r)
		}
	}
	return errs
}

// Of gives the sessions of a player, by id.
func (m *Memory) Of(_ context.Context, player string) (rs []Record, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id := range m.sessions {
		if s := m.find(id); s != nil && s.Player.ID == player {
			rs = append(rs, s.copy())
		}
	}
	slices.SortFunc(rs, func(a, b Record) int { return cmp.Compare(a.ID, b.ID) })
	return rs, nil
}

// find gives a session that is not too old. m.mu is held.
func (m *Memory) find(id string) *remembered {
	if s := m.sessions[id]; s != nil && time.Now().Before(s.until) {
		return s
	}
	return nil
}

// sweep forgets what is too old, now and then. m.mu is held.
func (m *Memory) sweep() {
	now := time.Now()
	if now.Before(m.sweepAt) {
		return
	}
	m.sweepAt = now.Add(time.Minute)
	for id, s := range m.sessions {
		if !now.Before(s.until) {
			delete(m.sessions, id)
		}
	}
}

// keep takes a record, with slices of its own.
func (s *remembered) keep(r Record) {
	s.Record = r
	s.Record = s.copy()
	s.until = time.Now().Add(r.TTL())
}

func (s *remembered) copy() Record {
	r := s.Record
	r.Seats, r.Requests = slices.Clone(r.Seats), slices.Clone(r.Requests)
	return r
}
