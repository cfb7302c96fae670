package bus

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Stats counts what happened since New. Messages are counted once, however often they were sent.
type Stats struct {
	SentBatches, SentMessages, SentBytes uint64 // delivered to an inbox; bytes of packets
	Resent                               uint64 // batches sent again, as the outcome was unknown
	Pulses                               uint64
	Dropped                              uint64 // messages given up after Config.GiveUp, or as their destination was forgotten
	Refused                              uint64 // messages that met a full queue
	NoInbox                              uint64 // messages whose destination had none
	Evicted                              uint64 // destinations forgotten as there were too many

	ReceivedBatches, ReceivedMessages, ReceivedBytes uint64
	Doubles                                          uint64 // batches and pulses that had come before
	Lost                                             uint64 // calls of Handler.Lost
	Vanished                                         uint64 // times this node's inbox, or a part of it, was gone
	Malformed                                        uint64 // packets that this node cannot read
	ReadFailures                                     uint64

	// Now: bytes that wait or are on their way, and boots that this node sends to and hears of.
	QueuedBytes, Destinations, Senders int

	// Crossing is from Send to Receive of each batch's first message. Clocks of two nodes may differ by more than it takes.
	Crossing Crossing
}

// crossingBuckets of 2^i x 64 us: the last bound is 2.1 s.
const crossingBuckets = 16

// Crossing is a histogram. Counts[i] took at most Bound(i), and longer than Bound(i-1); the last one has all that took longer.
type Crossing struct {
	Counts [crossingBuckets + 1]uint64
	Sum    time.Duration
}

// Bound is the end of bucket i, of those that have one.
func (Crossing) Bound(i int) time.Duration { return 64 * time.Microsecond << i }

// received is counted by the receiver and read by any goroutine.
type received struct {
	batches, messages, bytes atomic.Uint64
	doubles, lost, vanished  atomic.Uint64
	malformed, failures      atomic.Uint64
	crossing                 [crossingBuckets + 1]atomic.Uint64
	crossingSum              atomic.Int64
}

// crossed counts a crossing; a clock that is behind the sender's makes it one of no time.
func (r *received) crossed(took time.Duration) {
	took = max(took, 0)
	r.crossing[bucket(took)].Add(1)
	r.crossingSum.Add(int64(took))
}

// bucket is the first whose bound a time does not exceed.
func bucket(took time.Duration) int {
	return min(bits.Len64(uint64(max(took-1, 0)>>6)/uint64(time.Microsecond)), crossingBuckets)
}

// Stats gives the counters.
func (l *Link) Stats() Stats {
	r := &l.received
	s := Stats{
		ReceivedBatches: r.batches.Load(), ReceivedMessages: r.messages.Load(), ReceivedBytes: r.bytes.Load(),
		Doubles: r.doubles.Load(), Lost: r.lost.Load(), Vanished: r.vanished.Load(),
		Malformed: r.malformed.Load(), ReadFailures: r.failures.Load(),
	}
	for i := range r.crossing {
		s.Crossing.Counts[i] = r.crossing[i].Load()
	}
	s.Crossing.Sum = time.Duration(r.crossingSum.Load())
	l.inMu.Lock()
	s.Senders = len(l.in.senders)
	l.inMu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	t := &l.out.tally
	s.SentBatches, s.SentMessages, s.SentBytes, s.Resent, s.Pulses = t.batches, t.messages, t.bytes, t.resent, t.pulses
	s.Dropped, s.Refused, s.NoInbox, s.Evicted = t.dropped, t.refused, t.gone, t.evicted
	s.QueuedBytes, s.Destinations = l.out.queued, len(l.out.order)
	return s
}
