package rooms

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// Epoch is one ownership of a room. It grows at every claim.
type Epoch uint64

// EntryID orders a room's entries: by epoch, then by tick.
type EntryID struct {
	Epoch Epoch
	Tick  uint64
}

// Compare orders ids as the journal does.
func (a EntryID) Compare(b EntryID) int {
	return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.Tick, b.Tick))
}

func (a EntryID) String() string { return fmt.Sprintf("%d-%d", a.Epoch, a.Tick) }

// EntryKind says what an entry is. A claim and a tombstone are written by Claim and Bury, not by Append.
type EntryKind uint8

const (
	EntryCreate   EntryKind = iota + 1 // the first entry; it alone may create the room's journal; a snapshot
	EntryClaim                         // an owner's claim: no state, no horizon
	EntrySnapshot                      // the whole state; everything before it may be trimmed
	EntryDelta                         // what leads from the entry before it to this one: a difference, or what the steps since were given
	EntryRelease                       // a snapshot whose owner has stopped showing ticks beyond its horizon
)

// HoldsState reports whether an entry of this kind can be resumed from alone.
func (k EntryKind) HoldsState() bool {
	return k == EntryCreate || k == EntrySnapshot || k == EntryRelease
}

// Entry is one element of a room's journal: everything that happened since the entry Prev, up to tick ID.Tick.
type Entry struct {
	Room    ID
	ID      EntryID
	Prev    EntryID // the room's entry before this one; a loader refuses a broken link
	Nonce   uint64  // of the claim (or creation) this entry was written under
	Kind    EntryKind
	Horizon uint64 // ticks up to here may have been shown without a further entry; a new owner starts behind it
	Body    []byte // opaque to journals; never changed once appended
}

// Outcome is what became of an append.
type Outcome uint8

const (
	Confirmed Outcome = iota + 1 // stored
	Fenced                       // a newer epoch, or a newer entry, stands in the journal: this owner is one no more
	Gone                         // the room has no journal (any more)
	Refused                      // an error that stored nothing: send the same entry again later
	Unknown                      // the answer was lost: read Top before going on
)

func (o Outcome) String() string {
	return [...]string{"none", "confirmed", "fenced", "gone", "refused", "unknown"}[o]
}

// Result is the answer to one appended entry.
type Result struct {
	Outcome Outcome
	Err     error // for Refused and Unknown
}

// Top is the newest entry of a room's journal.
type Top struct {
	ID    EntryID
	Nonce uint64
	Kind  EntryKind
}

// Errors of a Journal. Other errors mean that the journal could not be reached: the outcome is unknown, try again.
var (
	ErrGone      = errors.New("rooms: the room has no journal")
	ErrClaimLost = errors.New("rooms: another claim came first")
	ErrBorn      = errors.New("rooms: the room has a journal")
)

// Journal keeps the rooms' streams of confirmed ticks: the durable truth and the fencing token in one.
// All methods may be called from any goroutine. Whoever implements it passes journaltest.Run.
type Journal interface {
	// Append stores each entry at the top of its room's stream, if its id is newer than the top and (unless it is an EntryCreate)
	// the stream exists. An entry that holds state trims all before it. It never blocks; done is called once, from any goroutine,
	// with one result per entry, in order. The batch and its bodies must not be changed afterwards.
	Append(batch []Entry, done func([]Result))

	// Claim makes the caller the owner, if the room's newest epoch is still seen (0: whatever it is): it writes a claim entry
	// <new epoch>-0, before which nothing older can be appended any more. A claim repeated with the same nonce gives the same epoch.
	Claim(ctx context.Context, room ID, seen Epoch, nonce uint64) (Epoch, error)

	// Load gives the entries up to and including the claim entry <epoch>-0, oldest first, starting at the newest that holds state
	// or before it. Call it after Claim; if the claim entry is gone by then, it returns ErrClaimLost.
	Load(ctx context.Context, room ID, claim Epoch) ([]Entry, error)

	// Top reads the newest entry.
	Top(ctx context.Context, room ID) (Top, error)

	// Bury replaces the journal by a tombstone with the room's end, which is opaque to journals, kept for ttl. Nothing can be appended
	// any more.
	Bury(ctx context.Context, room ID, epoch Epoch, end []byte, ttl time.Duration) error
}

// Forestaller is what those need of a journal who give up a room that was entered into a directory, and was never seen to begin. All
// methods may be called from any goroutine. Whoever implements it passes journaltest.Run as well.
type Forestaller interface {
	// Forestall puts a tombstone where a room has no journal: a creation of the given epoch, or an older one, that is still under way
	// is answered Gone. One of a newer epoch takes its place: that is a room which lived, and whose journal the store has lost
	// (FAILOVER.md R19). end is opaque to journals; all is kept for ttl. A tombstone of Bury stays as it is. If there is a journal,
	// nothing is changed, and the error is ErrBorn.
	Forestall(ctx context.Context, room ID, epoch Epoch, end []byte, ttl time.Duration) error
}
