package host

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// latenessBuckets is enough for half an hour: four buckets for every doubling of a microsecond.
const latenessBuckets = 120

// lateness counts how late steps start. One goroutine records at a time, any may read.
type lateness struct {
	buckets [latenessBuckets]atomic.Uint64
}

func (l *lateness) record(d time.Duration) {
	micros := uint64(max(d, 0) / time.Microsecond)
	i := int(micros)
	if micros >= 4 {
		e := bits.Len64(micros) - 1
		i = 4*(e-1) + int(micros>>(e-2)&3)
	}
	b := &l.buckets[min(i, len(l.buckets)-1)]
	b.Store(b.Load() + 1)
}

// LatenessStats is how late steps started: Counts[i] of them by less than Bound(i), but not less than Bound(i-1).
type LatenessStats struct{ Counts [latenessBuckets]uint64 }

// Bound is the end of bucket i. Buckets are at most a quarter wide.
func (LatenessStats) Bound(i int) time.Duration {
	if i < 4 {
		return time.Duration(i+1) * time.Microsecond
	}
	return time.Duration(5+i%4) << (i/4 - 1) * time.Microsecond
}

func (s *LatenessStats) add(l *lateness) {
	for i := range l.buckets {
		s.Counts[i] += l.buckets[i].Load()
	}
}

// Quantile is an upper bound of it: the end of its bucket.
func (s *LatenessStats) Quantile(q float64) time.Duration {
	var all, n uint64
	for _, c := range s.Counts {
		all += c
	}
	for i, c := range s.Counts {
		if n += c; all > 0 && float64(n) >= q*float64(all) {
			return s.Bound(i)
		}
	}
	return 0
}
