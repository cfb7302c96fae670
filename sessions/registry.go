package sessions

import (
	"container/list"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"slices"
	"sync"
	"time"

	"tickover.dev/rooms"
)

// Registry keeps sessions across connections, in memory. A session without a connection and without seats is forgotten after
// idleTTL, one with seats after keptTTL; rooms have their own graces, which usually end sooner. The two wait in lists of their own, so
// that visitors who come and go cannot push out players who have something to return to.
type Registry struct {
	// Set by NewRegistry, then read-only.
	limit int

	mu sync.Mutex
	// Guarded by mu.
	sessions   map[string]*session
	idle, kept *list.List // sessions without a connection, without and with seats, about longest first
	counts     counts
}

const (
	idleTTL     = 2 * time.Minute
	keptTTL     = 30 * time.Minute
	secretBytes = 18
	maxRequests = 8 // remembered creations per session

	creationBurst   = 8 // rooms that a session may create at once
	creationsPerSec = 1 // and from then on
)

// session is one record. The Registry's lock guards all of it.
type session struct {
	id       string
	player   rooms.Player
	gen      uint64            // of the newest connection, counted from 1
	current  [sha256.Size]byte // hash of the newest secret
	previous [sha256.Size]byte // of the one before it, until the newest was used once
	seats    []place
	joining  int // joins that are not answered yet, over all its connections
	requests []request

	creations  float64 // that it may still make
	refilledAt time.Time

	attached attachment // nil loop: no connection
	since    time.Time  // when the connection was lost
	list     *list.List // that elem is in
	elem     *list.Element
}

// place is a seat in a room.
type place struct {
	Room rooms.ID
	Seat rooms.Seat
}

// request remembers which room a creation made, as it may be asked for again.
type request struct {
	Run    uint32
	Number uint64
	Room   rooms.ID
}

// attachment is where a session's connection is.
type attachment struct {
	loop *Loop
	conn *conn
}

// counts is what an operator may want to know.
type counts struct {
	opened, resumed, badSecrets, superseded, expired uint64
}

// Errors of resuming.
var errBadSecret = errors.New("the secret is wrong or old, or the session is forgotten")

// NewRegistry makes an empty registry that keeps, of sessions without a connection, at most limit with seats and as many without;
// 0: 100,000.
func NewRegistry(limit int) *Registry {
	if limit == 0 {
		limit = 100_000
	}
	return &Registry{limit: limit, sessions: map[string]*session{}, idle: list.New(), kept: list.New()}
}

// opened is what a connection needs to know of its session.
type opened struct {
	id, secret string
	player     rooms.Player
	gen        uint64
	seats      []place
	resumed    bool
	replaced   attachment // the connection that was replaced
}

// open makes a session for a player.
func (g *Registry) open(p rooms.Player, at attachment) opened {
	secret := newSecret()
	s := &session{id: newSecret(), player: p, gen: 1, current: hash(secret), attached: at}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sessions[s.id] = s
	g.counts.opened++
	return opened{id: s.id, secret: secret, player: p, gen: 1}
}

// resume gives a session to a new connection, if the secret is the newest or the one before it (FAILOVER.md R20).
func (g *Registry) resume(id, secret string, at attachment) (opened, error) {
	h := hash(secret)
	next := newSecret()
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.sessions[id]
	if s == nil {
		g.counts.badSecrets++
		return opened{}, errBadSecret
	}
	switch {
	case subtle.ConstantTimeCompare(h[:], s.current[:]) == 1:
		s.previous = s.current
	case subtle.ConstantTimeCompare(h[:], s.previous[:]) == 1:
		// The welcome with the newer secret was lost.
	default:
		g.counts.badSecrets++
		return opened{}, errBadSecret
	}
	s.current = hash(next)
	s.gen++
	old := s.attached
	s.attached = at
	s.unlist()
	g.counts.resumed++
	if old.loop != nil {
		g.counts.superseded++
	}
	return opened{
		id: id, secret: next, player: s.player, gen: s.gen, seats: slices.Clone(s.seats), resumed: true, replaced: old,
	}, nil
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
}

// enlist puts a session without a connection at the end of its list, and forgets the first if there are too many. g.mu is held.
func (g *Registry) enlist(s *session) {
	s.unlist()
	s.list = g.idle
	if len(s.seats) > 0 {
		s.list = g.kept
	}
	s.elem = s.list.PushBack(s)
	for s.list.Len() > g.limit {
		g.forget(s.list.Front().Value.(*session))
	}
}

// unlist takes a session off its list, if it is in one.
func (s *session) unlist() {
	if s.elem != nil {
		s.list.Remove(s.elem)
		s.elem, s.list = nil, nil
	}
}

// moved puts a session whose seats have changed into the right list. g.mu is held.
func (g *Registry) moved(s *session) {
	if s.elem != nil && (s.list == g.kept) != (len(s.seats) > 0) {
		g.enlist(s)
	}
}

// isNewest reports whether gen is a session's newest connection.
func (g *Registry) isNewest(id string, gen uint64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.sessions[id]
	return s != nil && s.gen == gen
}

// forget drops a session. g.mu is held.
func (g *Registry) forget(s *session) {
	s.unlist()
	delete(g.sessions, s.id)
	g.counts.expired++
}

// expire forgets sessions that have been without a connection for too long.
func (g *Registry) expire(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, l := range []struct {
		list *list.List
		ttl  time.Duration
	}{{g.idle, idleTTL}, {g.kept, keptTTL}} {
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
	case s == nil || s.gen != gen:
		return false, false
	case len(s.seats)+s.joining >= limit:
		return true, false
	}
	s.joining++
	return true, true
}

// release gives back what reserve took for a join that led to no seat.
func (g *Registry) release(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.sessions[id]; s != nil {
		s.joining--
	}
}

// seat notes that a session has a seat; reserved: it had been reserved. It reports false if the session is forgotten or has limit
// other seats, so that this one should be given up.
func (g *Registry) seat(id string, p place, reserved bool, limit int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.sessions[id]
	if s == nil {
		return false
	}
	if reserved {
		s.joining--
	}
	if slices.Contains(s.seats, p) {
		return true
	}
	if len(s.seats) >= limit {
		return false
	}
	s.seats = append(s.seats, p)
	g.moved(s)
	return true
}

// unseat notes that a session has a seat no more, as its connection of generation gen was told. A newer one finds out itself.
func (g *Registry) unseat(id string, gen uint64, p place) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.sessions[id]; s != nil && s.gen == gen {
		s.seats = slices.DeleteFunc(s.seats, func(q place) bool { return q == p })
		g.moved(s)
	}
}

// mayCreate takes one room off what a session may create, or says no. It outlives connections: cutting them earns nothing.
func (g *Registry) mayCreate(id string, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.sessions[id]
	if s == nil {
		return false
	}
	if s.refilledAt.IsZero() {
		s.creations = creationBurst
	} else {
		s.creations = min(s.creations+max(now.Sub(s.refilledAt).Seconds(), 0)*creationsPerSec, creationBurst)
	}
	s.refilledAt = now
	if s.creations < 1 {
		return false
	}
	s.creations--
	return true
}

// made remembers which room a request made, and recall finds it again.
func (g *Registry) made(id string, r request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.sessions[id]
	if s == nil {
		return
	}
	same := func(old request) bool { return old.Run == r.Run && old.Number == r.Number }
	s.requests = append(slices.DeleteFunc(s.requests, same), r)
	if len(s.requests) > maxRequests {
		s.requests = slices.Delete(s.requests, 0, 1)
	}
}

func (g *Registry) recall(id string, run uint32, number uint64) (rooms.ID, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.sessions[id]; s != nil {
		for _, r := range s.requests {
			if r.Run == run && r.Number == number {
				return r.Room, true
			}
		}
	}
	return "", false
}

// newSecret makes 144 random bits in 24 characters.
func newSecret() string {
	var b [secretBytes]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func hash(secret string) [sha256.Size]byte { return sha256.Sum256([]byte(secret)) }

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
		"opened": c.opened, "resumed": c.resumed, "bad_secret": c.badSecrets, "superseded": c.superseded, "expired": c.expired,
	}
}
