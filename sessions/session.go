package sessions

import (
	"container/list"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"time"

	"tickover.dev/rooms"
)

// session is what is known here of a session. The Registry's lock guards all of it.
//
//	          detach                    saved, or too old
//	attached ────────► waiting ───────────────────────────► forgotten
//	   ▲  │               │ ▲
//	   │  │ leave         │ └─ in memory only, it waits for its time-out
//	   │  ▼               ▼
//	   │ moved ─────────────────► forgotten soon             resume, adopt: attached again, from everywhere
//	   └────┘
type session struct {
	id     string
	player rooms.Player
	gen    uint64 // of the newest connection here, counted from 1
	first  uint64 // generation since which the session is known here without a gap
	secrets
	seats    []Place
	joining  int // joins that are not answered yet, over all its connections
	requests []Request
	newer    *session // of the same player, see Registry.players
	older    *session
	making   []creation // that are not answered yet

	creations  float64 // that it may still make
	refilledAt time.Time

	attached attachment // nil loop: no connection
	since    time.Time  // when the connection was lost
	list     *list.List // that elem is in
	elem     *list.Element

	// With a store:
	dirty   bool      // in Registry.dirty: what the store has is older
	savedAt time.Time // or given by the store
	moved   bool      // a newer connection is at another node
}

const (
	secretBytes = 18
	maxRequests = 8 // remembered creations per session
)

// attachment is where a session's connection is.
type attachment struct {
	loop *Loop
	conn *conn
}

// opened is what a connection needs to know of its session.
type opened struct {
	id, secret string
	player     rooms.Player
	gen        uint64
	seats      []Place
	resumed    bool
	replaced   attachment // the connection that was replaced
}

func (s *session) opened(secret string, resumed bool, replaced attachment) opened {
	return opened{
		id: s.id, secret: secret, player: s.player, gen: s.gen, seats: slices.Clone(s.seats), resumed: resumed, replaced: replaced,
	}
}

// record is what a store is to keep of the session.
func (s *session) record(node string) Record {
	r := Record{
		ID: s.id, Player: s.player, Gen: s.gen, Node: node, Connected: s.attached.loop != nil,
		Seats: slices.Clone(s.seats), Requests: slices.Clone(s.requests),
	}
	if !s.refilledAt.IsZero() {
		r.Creations, r.CreationsAt = s.creations, s.refilledAt.UnixMilli()
	}
	return r
}

// fill makes the session what a store has kept of it.
func (s *session) fill(r *Record) {
	s.player, s.seats, s.requests = r.Player, slices.Clone(r.Seats), slices.Clone(r.Requests)
	s.creations, s.refilledAt = r.Creations, time.Time{}
	if r.CreationsAt != 0 {
		s.refilledAt = time.UnixMilli(r.CreationsAt)
	}
}

// unlist takes a session off its list, if it is in one.
func (s *session) unlist() {
	if s.elem != nil {
		s.list.Remove(s.elem)
		s.elem, s.list = nil, nil
	}
}

// newSecret makes 144 random bits in 24 characters.
func newSecret() string {
	var b [secretBytes]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func hash(secret string) Hash { return sha256.Sum256([]byte(secret)) }
