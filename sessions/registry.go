package sessions

import (
	"container/list"
	"errors"
	"slices"
	"sync"
	"time"

	"tickover.dev/rooms"
)

// Registry keeps sessions across connections. By itself it is all there is: a session without a connection and without seats is
// forgotten after 2 minutes, one with seats after 30; rooms have their own graces, which usually end sooner. The two wait in lists of
// their own, so that visitors who come and go cannot push out players who have something to return to.
//
// Beside a Store it keeps the sessions that have their connection on this node, those that are not saved yet, and for some seconds
// those that have moved away.
type Registry struct {
	// Set by NewRegistry and New, then read-only.
	limit  int
	stored bool
	wake   chan struct{} // holds one if something is to be saved

	mu sync.Mutex
	// Guarded by mu.
	sessions         map[string]*session
	players          map[string]*session // without a store: the newest of each player
	idle, kept, away *list.List          // sessions without a connection: without seats, with seats, and moved; about longest first
	dirty            []*session          // to be saved
	resaved          time.Time           // when all were last saved on a suspicion, see resave
	counts           counts
}

// awayTTL is how long a session that has moved away is known: it may come back with what was never saved.
const awayTTL = 10 * time.Second

// counts is what an operator may want to know.
type counts struct {
	opened, resumed, badSecrets, stale, superseded, expired uint64
}

// refused counts a hello whose secret was not taken.
func (c *counts) refused(err error) {
	if errors.Is(err, ErrStale) {
		c.stale++
	} else {
		c.badSecrets++
	}
}

// NewRegistry makes an empty registry that keeps, of sessions without a connection, at most limit with seats and as many without;
// 0: 100,000.
func NewRegistry(limit int) *Registry {
	if limit == 0 {
		limit = 100_000
	}
	return &Registry{
		limit: limit, wake: make(chan struct{}, 1), sessions: map[string]*session{}, players: map[string]*session{},
		idle: list.New(), kept: list.New(), away: list.New(),
	}
}

// open makes a session for a player, in memory.
func (g *Registry) open(p rooms.Player, at attachment) opened {
	secret := newSecret()
	s := &session{id: newSecret(), player: p, gen: 1, secrets: secrets{current: hash(secret)}, attached: at}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sessions[s.id] = s
	g.enter(s)
	g.counts.opened++
	return s.opened(secret, false, attachment{})
}

// resume gives a session in memory to a new connection, if its hello has the newest secret, or the one before it and is not stale
// (docs/failover/RULES.md, R20).
func (g *Registry) resume(id, secret string, attempt uint64, at attachment) (opened, error) {
	h := hash(secret)
	next := newSecret()
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.sessions[id]
	err := ErrBadSecret
	if s != nil {
		err = s.rotate(h, hash(next), attempt)
	}
	if err != nil {
		g.counts.refused(err)
		return opened{}, err
	}
	s.gen++
	return s.opened(next, true, g.attach(s, at)), nil
}

// attach gives a session a new connection, and what that replaces. g.mu is held.
func (g *Registry) attach(s *session, at attachment) (replaced attachment) {
	replaced, s.attached, s.moved = s.attached, at, false
	s.unlist()
	g.counts.resumed++
	if replaced.loop != nil {
		g.counts.superseded++
	}
	return replaced
}

// detach notes that a session's connection of generation gen is gone. A newer one stays.
func (g *Registry) detach(id string, gen uint64, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.sessions[id]
	if s == nil || s.gen != gen {
		return
	}
	s.attached, s.since = attachment{}, now
	g.enlist(s)
	g.touch(s)
}

// enlist puts a session without a connection at the end of its list, and forgets the first if there are too many. g.mu is held.
func (g *Registry) enlist(s *session) {
	s.unlist()
	switch {
	case s.moved:
		s.list = g.away
	case len(s.seats) > 0:
		s.list = g.kept
	default:
		s.list = g.idle
	}
	s.elem = s.list.PushBack(s)
	for l := s.list; l.Len() > g.limit; {
		g.forget(l.Front().Value.(*session))
	}
}

// reseated notes that a session's seats have changed. g.mu is held.
func (g *Registry) reseated(s *session) {
	if s.elem != nil && (s.list == g.kept) != (len(s.seats) > 0) && !s.moved {
		g.enlist(s)
	}
	g.touch(s)
}

// forget drops a session. g.mu is held.
func (g *Registry) forget(s *session) {
	s.unlist()
	g.strike(s)
	delete(g.sessions, s.id)
	if !s.moved {
		g.counts.expired++
	}
}

// expire forgets sessions that have been without a connection for too long.
func (g *Registry) expire(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, l := range []struct {
		list *list.List
		ttl  time.Duration
	}{{g.idle, idleTTL}, {g.kept, keptTTL}, {g.away, awayTTL}} {
		for e := l.list.Front(); e != nil; e = l.list.Front() {
			s := e.Value.(*session)
			if now.Sub(s.since) < l.ttl {
				break // the rest came later
			}
			g.forget(s)
		}
	}
}

// reserve takes one of the seats that a session may have, limit of them, for a join by its connection of generation gen. That counts
// until seat or release. It reports whether the connection is the newest, and whether there was a seat left.
func (g *Registry) reserve(id string, gen uint64, limit int) (newest, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.sessions[id]
	switch {
	case s == nil || s.gen != gen || s.moved:
		return false, false
	case len(s.seats)+s.joining >= limit:
		return true, false
	}
	s.joining++
	return true, true
}

// release gives back what reserve took for a join by the connection of generation gen that led to no seat.
func (g *Registry) release(id string, gen uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.sessions[id]; s != nil {
		g.answered(s, gen)
	}
}

// answered notes that a join that had been reserved for is over. g.mu is held.
func (g *Registry) answered(s *session, gen uint64) {
	if gen < s.first {
		return // it was reserved before the session was forgotten here
	}
	s.joining--
	if s.joining == 0 && s.attached.loop == nil {
		g.touch(s) // it may go
	}
}

// seating is what seat says of a seat.
type seating uint8

const (
	seatKept seating = iota
	seatOver         // the session has as many as it may, or is forgotten: nobody could return to this one
	seatAway         // the session is at another node, which may have its client return to it
)

// seat notes that the session of a connection of generation gen has a seat; reserved: it had been reserved. A seat that was not has
// been the session's for longer than is known here. It counts all the same, as long as that is not twice the limit: what is known
// here and is no more will be taken off soon.
func (g *Registry) seat(id string, gen uint64, p Place, reserved bool, limit int) seating {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.sessions[id]
	if s != nil && reserved {
		g.answered(s, gen)
	}
	switch {
	case g.stored && (s == nil || s.moved):
		return seatAway
	case s == nil:
		return seatOver
	case slices.Contains(s.seats, p):
		return seatKept
	case reserved && len(s.seats) >= limit, len(s.seats) >= 2*limit:
		return seatOver
	}
	s.seats = append(s.seats, p)
	g.reseated(s)
	return seatKept
}

// unseat notes that a session has a seat no more, as its connection of generation gen was told. A newer one finds out itself.
func (g *Registry) unseat(id string, gen uint64, p Place) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.sessions[id]; s != nil && s.gen == gen {
		s.seats = slices.DeleteFunc(s.seats, func(q Place) bool { return q == p })
		g.reseated(s)
	}
}

// Len is how many sessions there are.
func (g *Registry) Len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.sessions)
}

// Counts gives what happened to sessions so far.
func (g *Registry) Counts() map[string]uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.counts
	return map[string]uint64{
		"opened": c.opened, "resumed": c.resumed, "bad_secret": c.badSecrets, "stale": c.stale,
		"superseded": c.superseded, "expired": c.expired,
	}
}
