package host

import (
	"testing"
	"time"
)

// The figures we publish come out of these buckets: each value must lie in its own, and no bucket be wider than a quarter.
func TestLatenessFallsIntoItsBucket(t *testing.T) {
	for us := 0; us < 5_000_000; us += 1 + us/7 {
		d := time.Duration(us) * time.Microsecond
		var l lateness
		l.record(d)
		var s LatenessStats
		s.add(&l)
		got := s.Quantile(1)
		if got <= d || float64(got) > 1.26*float64(d)+float64(time.Microsecond) {
			t.Fatalf("%s is counted as less than %s", d, got)
		}
	}
}
