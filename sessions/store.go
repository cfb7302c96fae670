package sessions

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"tickover.dev/rooms"
)

// Store keeps sessions where every node finds them, so that a session may be resumed on any of them. It is the fence between nodes,
// too: of all connections of a session the one that Resume gave the highest generation is the session's, and nothing that an older
// one leaves behind is saved any more.
//
// An error that is none of those below means that the store could not be reached, or that its answer was lost: what it was asked for
// may have happened or not. Any goroutine may call its methods; none of them keeps what it is given.
type Store interface {
	// Open keeps a session that the store does not know. secret is its only one.
	Open(ctx context.Context, r Record, secret Hash) error

	// Resume gives a session to a new connection at a node, if secret is its newest one, or the one before it while the newest was
	// never used (docs/failover/RULES.md, R20). From then on next is the newest, and secret the one before it; the session's
	// generation is one higher, and the node its own. It gives the session as it is now, and which node it was at.
	//
	// attempt is the number of the client's hello, 0 if it has none. The secret before the newest is for clients whose welcome was
	// lost: it needs a higher number than that of the newest hello that it was good for, or none.
	//
	// Errors are ErrBadSecret, ErrStale and ErrNoSession; then nothing has changed.
	Resume(ctx context.Context, id string, secret, next Hash, attempt uint64, node string) (r Record, before string, err error)

	// Save keeps what has become of sessions, each for its TTL from now on. It gives one error for each record: ErrMoved if the
	// session has another generation by now, ErrNoSession if it is forgotten.
	Save(ctx context.Context, rs []Record) []error
}

// Errors of a Store.
var (
	ErrBadSecret = errors.New("the secret is wrong or old")
	ErrStale     = errors.New("a later hello of this session was answered")
	ErrNoSession = errors.New("there is no such session, or it is forgotten")
	ErrMoved     = errors.New("the session has a newer connection")
)

// Hash is what is kept of a secret, its SHA-256: whoever reads the store cannot resume anything.
type Hash [sha256.Size]byte

// Record is what is kept of a session.
type Record struct {
	ID        string // 24 characters
	Player    rooms.Player
	Gen       uint64 // of the newest connection, counted from 1
	Node      string // that the newest connection is at, or was
	Connected bool   // it is there, as far as that node has told
	Seats     []Place
	Requests  []Request // creations that may be asked for again; at most 8

	Creations   float64 // how many rooms the session might make
	CreationsAt int64   // when that was so, in Unix milliseconds; 0: it has not made any
}

// Place is a seat in a room.
type Place struct {
	Room rooms.ID
	Seat rooms.Seat
}

// Request remembers which room a creation made, as it may be asked for again.
type Request struct {
	Run    uint32
	Number uint64
	Room   rooms.ID
}

const (
	idleTTL = 2 * time.Minute
	keptTTL = 30 * time.Minute

	// refreshEvery is how often a session whose connection lasts is saved although nothing has changed.
	refreshEvery = 5 * time.Minute
	// connectedTTL ends sessions without seats whose node died: three refreshes, so that two may fail.
	connectedTTL = 3 * refreshEvery
)

// TTL is how long the session is to be kept if nothing more is heard of it.
func (r *Record) TTL() time.Duration {
	switch {
	case len(r.Seats) > 0:
		return keptTTL
	case r.Connected:
		return connectedTTL
	}
	return idleTTL
}
