package redisjournal

import (
	"math/bits"
	"sync/atomic"
	"time"

	"tickover.dev/rooms"
)

// Stats counts what was appended since New, one by one: a reader may see an entry's outcome a moment after the entry.
type Stats struct {
	Pipelines, Entries, Bytes uint64 // sent, of packed entries
	Outcomes                  Outcomes
	Latency                   Latency // of pipelines: until all of one is answered, or given up
	Queued                    int     // now: entries that wait for a pipeline
	Running                   int     // now: pipelines on their way
}

// Outcomes counts entries by what became of them.
type Outcomes struct{ Confirmed, Fenced, Gone, Refused, Unknown uint64 }

// latencyBuckets of 2^i x 64 us: the last bound is 2.1 s, which is beyond the client's timeout.
const latencyBuckets = 16

// Latency is a histogram. Counts[i] took at most Bound(i), and longer than Bound(i-1); the last one has all that took longer.
type Latency struct {
	Counts [latencyBuckets + 1]uint64
	Sum    time.Duration
}

// Bound is the end of bucket i, of those that have one.
func (Latency) Bound(i int) time.Duration { return 64 * time.Microsecond << i }

// Total is the number of pipelines in it.
func (l Latency) Total() (n uint64) {
	for _, c := range l.Counts {
		n += c
	}
	return n
}

// counters are what Stats is made of. Any goroutine counts, any reads.
type counters struct {
	pipelines, entries, bytes atomic.Uint64
	outcomes                  [rooms.Unknown + 1]atomic.Uint64
	latency                   [latencyBuckets + 1]atomic.Uint64
	latencySum                atomic.Int64
}

func (c *counters) sent(entries, bytes int, took time.Duration) {
	c.pipelines.Add(1)
	c.entries.Add(uint64(entries))
	c.bytes.Add(uint64(bytes))
	c.latency[bucket(took)].Add(1)
	c.latencySum.Add(int64(took))
}

// bucket is the first whose bound a time does not exceed.
func bucket(took time.Duration) int {
	const first = uint64(64 * time.Microsecond)
	return min(bits.Len64((uint64(max(took, 1))-1)/first), latencyBuckets)
}

func (c *counters) count(results []rooms.Result) {
	var n [rooms.Unknown + 1]uint64
	for i := range results {
		n[results[i].Outcome]++
	}
	for o, n := range n {
		if n > 0 {
			c.outcomes[o].Add(n)
		}
	}
}

// Stats may be called at any time.
func (j *Journal) Stats() Stats {
	c := &j.counters
	s := Stats{
		Pipelines: c.pipelines.Load(), Entries: c.entries.Load(), Bytes: c.bytes.Load(),
		Outcomes: Outcomes{
			Confirmed: c.outcomes[rooms.Confirmed].Load(), Fenced: c.outcomes[rooms.Fenced].Load(), Gone: c.outcomes[rooms.Gone].Load(),
			Refused: c.outcomes[rooms.Refused].Load(), Unknown: c.outcomes[rooms.Unknown].Load(),
		},
		Latency: Latency{Sum: time.Duration(c.latencySum.Load())},
	}
	for i := range c.latency {
		s.Latency.Counts[i] = c.latency[i].Load()
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	s.Queued, s.Running = j.queued, j.running
	return s
}
