package bus

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"tickover.dev/cluster"
)

// Config is for New. Self, Bus and Handler are required; the zero value of everything else is fit for use.
type Config struct {
	Self    cluster.Boot
	Bus     Bus
	Handler Handler
	Log     *slog.Logger // nil: none

	// FlushAfter is how long a message waits for others to go with it: 2 ms. Shorter costs a round trip, and so CPU here and at the
	// store, for fewer messages each. While a round trip is under way, what comes waits for its end at least.
	FlushAfter time.Duration
	// FlushBytes is how many waiting bytes, to all destinations together, are sent at once: 64 KiB.
	FlushBytes int

	// MaxQueued bounds the bytes that wait for one destination: 8 MiB. Beyond it messages are refused. MaxQueuedAll bounds those to
	// all destinations: 64 MiB.
	MaxQueued, MaxQueuedAll int
	// MaxPeers bounds the boots that are known as destinations, and those known as senders: 1,024, of some 300 bytes each. Beyond it
	// the one that was silent for longest is forgotten, which it will take for a loss when it is spoken to again. If all of them
	// were spoken to in the last ten pulses, messages to others are refused, and nobody is told.
	MaxPeers int

	// GiveUp is for how long a batch is sent again and again before what is queued for its destination is dropped: 5 s.
	GiveUp time.Duration
	// Pulse is how often a destination that nothing more is said to is told the newest number: 1 s. A last message that is lost
	// is noticed after up to twice that. It goes on for ten pulses; Redis can lose the last second or two in a fail-over.
	Pulse time.Duration
}

// Handler takes what comes. It is called from one goroutine. While it works, nothing more is read: what a slow one leaves in the
// inbox for too long is lost, and it is told so.
type Handler interface {
	// Receive takes a message. Those of one sender come in the order in which they were sent, and none comes twice. It is valid
	// during the call only.
	Receive(from cluster.Boot, message []byte)
	// Lost tells that messages of a sender were lost, or may have been, after what was received and before what will be: ask for
	// the whole.
	Lost(from cluster.Boot)
}

// Errors of Send.
var (
	ErrFull     = errors.New("bus: the queue is full")        // the message is dropped; the destination will be told, but see MaxPeers
	ErrTooLarge = errors.New("bus: message beyond its bound") // MaxMessage; nothing is sent, and nobody told
	ErrClosed   = errors.New("bus: closed")                   // Run has ended, or is about to
)

// Link is this node's connection to all others. Run runs it; everything else may be called from any goroutine.
type Link struct {
	// Set by New, then read-only.
	config  Config
	log     *slog.Logger
	ready   chan struct{}
	timer   *time.Timer // wakes the sender; reset under mu
	scratch sync.Pool   // of *[]byte

	received received

	mu sync.Mutex
	// Guarded by mu.
	out     outbox
	closed  bool
	idle    bool      // the sender waits for the timer,
	armed   time.Time // which ends then; zero: never
	waiters []waiter  // for pings, by number

	inMu sync.Mutex
	// Guarded by inMu.
	in ledger
}

// waiter waits for a ping of at least its number.
type waiter struct {
	number uint64
	done   chan error // of one
}

// New makes a link. It takes messages at once, and does nothing with them before Run.
func New(c Config) *Link {
	c.FlushAfter = cmp.Or(c.FlushAfter, 2*time.Millisecond)
	c.FlushBytes = cmp.Or(c.FlushBytes, 64<<10)
	c.MaxQueued = cmp.Or(c.MaxQueued, 8<<20)
	c.MaxQueuedAll = cmp.Or(c.MaxQueuedAll, 64<<20)
	c.MaxPeers = cmp.Or(c.MaxPeers, 1024)
	c.GiveUp = cmp.Or(c.GiveUp, 5*time.Second)
	c.Pulse = cmp.Or(c.Pulse, time.Second)
	l := &Link{config: c, log: c.Log, ready: make(chan struct{}), timer: time.NewTimer(0), in: newLedger(c.MaxPeers)}
	l.timer.Stop()
	l.out = newOutbox(&l.config)
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	l.scratch.New = func() any { return new([]byte) }
	return l
}

// Send sends one message, which encode appends to what it is given. It never blocks, and allocates nothing that lasts. nil means
// that the message is queued: it arrives, or its receiver learns that something did not, unless one of the two nodes ends.
func (l *Link) Send(to cluster.Boot, encode func([]byte) []byte) error {
	scratch := l.scratch.Get().(*[]byte)
	*scratch = encode((*scratch)[:0])
	err := l.add(to, *scratch)
	if cap(*scratch) <= maxFreeSize {
		l.scratch.Put(scratch)
	}
	return err
}

func (l *Link) add(to cluster.Boot, message []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	now := time.Now()
	err := l.out.add(to, message, now)
	l.arm(now)
	return err
}

// arm has the sender wake in time. mu is held. The timer alone wakes it: a message that finds it idle costs one wake, not two.
func (l *Link) arm(now time.Time) {
	at := l.out.wake()
	if !l.idle || at.IsZero() || !l.armed.IsZero() && !at.Before(l.armed) {
		return
	}
	l.armed = at
	l.timer.Reset(at.Sub(now))
}

// Forget drops what is queued for a boot that is dead, and falls silent. If it lives all the same, it learns that it has lost
// something when it is spoken to again, and whatever comes from it next counts as a loss here.
func (l *Link) Forget(b cluster.Boot) {
	l.mu.Lock()
	l.out.forget(b)
	l.mu.Unlock()
	l.inMu.Lock()
	l.in.forget(b)
	l.inMu.Unlock()
}

// Ready is closed when this node has an inbox. Before that, nobody should be told of the node.
func (l *Link) Ready() <-chan struct{} { return l.ready }

// Ping sends a packet through this node's own inbox, and returns when it is back; else it is the cause of ctx, or ErrClosed.
func (l *Link) Ping(ctx context.Context) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return ErrClosed
	}
	now := time.Now()
	l.out.ping.number++
	l.out.ping.at = now
	w := waiter{l.out.ping.number, make(chan error, 1)}
	l.waiters = append(l.waiters, w)
	l.arm(now)
	l.mu.Unlock()
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		l.ponged(w.number, w.number)
		return context.Cause(ctx)
	}
}

// ponged ends the waiting for pings with these numbers.
func (l *Link) ponged(from, to uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := l.waiters[:0]
	for _, w := range l.waiters {
		if from <= w.number && w.number <= to {
			w.done <- nil
		} else {
			kept = append(kept, w)
		}
	}
	clear(l.waiters[len(kept):])
	if l.waiters = kept; len(kept) == 0 {
		l.out.ping.at = time.Time{}
	}
}
