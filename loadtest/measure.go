package loadtest

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// latencies is a histogram of times from 1 µs to 10 min with three digits, for many goroutines.
type latencies struct {
	mu sync.Mutex
	h  *hdrhistogram.Histogram
}

func newLatencies() *latencies {
	return &latencies{h: hdrhistogram.New(1, (10 * time.Minute).Microseconds(), 3)}
}

// record takes one time; beyond 10 min it counts as 10 min.
func (l *latencies) record(d time.Duration) {
	us := min(max(d.Microseconds(), 1), (10 * time.Minute).Microseconds())
	l.mu.Lock()
	defer l.mu.Unlock()
	l.h.RecordValue(us)
}

// spread sums the histogram up; nothing recorded is all zeroes.
func (l *latencies) spread() Spread {
	l.mu.Lock()
	defer l.mu.Unlock()
	ms := func(us int64) float64 { return round(float64(us) / 1000) }
	return Spread{P50: ms(l.h.ValueAtQuantile(50)), P99: ms(l.h.ValueAtQuantile(99)), Max: ms(l.h.Max())}
}

// round keeps three digits behind the point.
func round(f float64) float64 { return math.Round(f*1000) / 1000 }

// counters are written by all bots.
type counters struct {
	sent, acked, frames, errors atomic.Uint64

	mu sync.Mutex
	// Guarded by mu.
	complaints []string // the first few different ones
}

// maxComplaints is how many errors are kept in words.
const maxComplaints = 10

// complain counts an error and keeps its words if they are new.
func (c *counters) complain(what string) {
	c.errors.Add(1)
	c.remark(what)
}

// remark keeps words without counting an error.
func (c *counters) remark(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if slices.Contains(c.complaints, what) {
		return
	}
	if len(c.complaints) < maxComplaints {
		c.complaints = append(c.complaints, what)
	}
}
