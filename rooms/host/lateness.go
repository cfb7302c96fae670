package host

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// lateness counts how late steps start, in buckets that double: 1 us, 2 us, 4 us and so on. One goroutine records at a time, any may read.
type lateness struct{ buckets [32]atomic.Uint64 }

func (l *lateness) record(d time.Duration) {
	i := bits.Len64(uint64(max(d, 0) / time.Microsecond))
	b := &l.buckets[min(i, len(l.buckets)-1)]
	b.Store(b.Load() + 1)
}

// LatenessStats is how late steps started: Counts[i] of them by less than 2^i microseconds, but not less than half that.
type LatenessStats struct{ Counts [32]uint64 }

func (s *LatenessStats) add(l *lateness) {
	for i := range l.buckets {
		s.Counts[i] += l.buckets[i].Load()
	}
}
