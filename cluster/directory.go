package cluster

import (
	"context"
	"errors"

	"tickover.dev/rooms"
)

// Record is a room in the directory: where it is, as far as the directory knows. The room's journal is the truth.
type Record struct {
	Room  rooms.ID
	Kind  string
	Key   string // "" if it has none
	Owner Boot
	Epoch rooms.Epoch // of that ownership; a record's epoch only grows

	Notice string // what its owner last told of it, for listings: a rooms.Notice; "": nothing yet
}

// Errors of a Directory. Others mean that it could not be reached: nothing is known about the outcome.
var (
	ErrNoRecord = errors.New("cluster: the directory has no such room")
	ErrKeyTaken = errors.New("cluster: a room of this kind and key exists")
)

// Directory says where rooms are. All methods may be called from any goroutine. Whoever implements it passes storetest.
type Directory interface {
	// Register enters a new room under its owner, and its key, if it has one: of many that ask for one key at once, one gets it, and
	// the others get the record of its room and ErrKeyTaken. (While that room is being entered, its record as it will be.)
	// Registering the same room again changes nothing.
	Register(ctx context.Context, r Record) (Record, error)

	// Raise writes a room's owner and epoch, if that epoch is newer than the record's, or the same by the same owner. It gives the
	// record as it stands then. It also enters a room that has no record; Enter may overrule that.
	Raise(ctx context.Context, r Record) (Record, error)

	// Enter enters a room again whose owner had it in epoch was, and whose journal the store has lost; see Renewal. It gives the record
	// with its epoch, newer than any before, and with the room's key, unless another room has that by now. A record that stands is
	// not touched: the error is rooms.ErrClaimLost if it is newer than was, else rooms.ErrGone. But one that was entered for want of
	// one, for an epoch that is not newer than was, is overruled, until it is settled.
	Enter(ctx context.Context, r Record, was rooms.Epoch) (Record, error)

	// Settle makes a record like any other that Enter wrote for r.Owner, and gives it. The errors are rooms.ErrClaimLost if it names
	// another owner, and ErrNoRecord.
	Settle(ctx context.Context, r Record) (Record, error)

	// Look reads a room's record.
	Look(ctx context.Context, room rooms.ID) (Record, error)

	// Find reads the record of the room that has a kind's key.
	Find(ctx context.Context, kind, key string) (Record, error)

	// Owned lists what a boot owns.
	Owned(ctx context.Context, b Boot) ([]Record, error)

	// Tell writes what listings show of rooms, by their Notice, where their records name the given owner. What was told before, in any
	// epoch, is replaced. The rest of the records stays as it is.
	Tell(ctx context.Context, told []Record) error

	// Remove takes a room that is no more off the directory, with its key, if its epoch is not newer than the given one.
	Remove(ctx context.Context, r Record) error
}

// Members keeps the nodes' heartbeats. All methods may be called from any goroutine.
type Members interface {
	// Beat writes what a node tells of itself, and reads what all do. knew says that the node was a member before: if not, and it has
	// beaten before, somebody took it for dead, or the store has lost it.
	Beat(ctx context.Context, m Member) (all []Member, knew bool, err error)
	// Leave takes a boot off the members: it is dead, and owns nothing any more. What it tells later is a new beginning.
	Leave(ctx context.Context, b Boot) error
}
