package bus

import (
	"context"

	"tickover.dev/cluster"
)

// Bus keeps the inboxes. Its methods may be called from any goroutine.
type Bus interface {
	// Put adds each packet to its destination's inbox, and says in outcomes, of the same length, what became of it. It returns within
	// seconds whatever happens, and keeps no packet beyond. The error is why outcomes are Unknown, for people. A bus need not keep
	// packets of different calls, or of one call to one destination, in order: Link has one of its batches to a destination on its
	// way at most.
	Put(ctx context.Context, packets []Packet, outcomes []Outcome) error

	// Open makes the inbox of a boot.
	Open(ctx context.Context, owner cluster.Boot) (Inbox, error)
}

// Inbox is where packets for one boot arrive. It is for one goroutine. It is bounded: when it is full, the oldest packets go.
type Inbox interface {
	// Read waits for packets, for a second or so, and gives those that it has not given yet, in the order in which they were put.
	// They are valid until the next Read. It may return early, with none. A done context need not end the wait.
	Read(ctx context.Context) ([][]byte, error)

	// Tend is called about once a second, between reads. It keeps the inbox, gives up what was read, and makes the inbox again if
	// it has vanished; lost says so, or that packets which were put are there no more. What was read may be read again then.
	Tend(ctx context.Context) (lost bool, err error)

	// Close takes the inbox away.
	Close(ctx context.Context) error
}

// Packet is what goes into an inbox at once; 1 MiB at most.
type Packet struct {
	To   cluster.Boot
	Data []byte // not to be changed, nor kept
}

// Outcome is what became of a packet.
type Outcome uint8

// Outcomes. The zero value is the one that claims nothing.
const (
	Unknown   Outcome = iota // it may or may not be in the inbox, now or later
	Delivered                // it is in the inbox
	NoInbox                  // there is no such inbox
)

func (o Outcome) String() string {
	return [...]string{"unknown", "delivered", "no inbox"}[o]
}
