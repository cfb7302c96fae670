package bus

import (
	"fmt"
	"testing"
)

// R15: what is received is in order and without doubles, and who misses something is told: at that point if more comes, and within
// two pulses if not.
func TestNothingIsLostWithoutNotice(t *testing.T) {
	if *simSeed != 0 {
		if w := simulate(*simSeed, true, wreck{}); w.failed != "" {
			t.Fatal(w.failed)
		}
		return
	}
	counts := map[string]int{}
	for seed := range uint64(*simSeeds) {
		w := simulate(seed+1, true, wreck{})
		if w.failed != "" {
			t.Fatal(w.failed)
		}
		for what, n := range w.counts {
			counts[what] += n
		}
	}
	t.Log(counts)
	for _, what := range []string{
		"received", "double", "lost", "refused", "resent", "dropped", "no inbox", "request lost", "answer lost", "late", "away",
		"vanished", "lost its end", "inbox lost", "overflowed", "frozen", "died", "taken for dead", "evicted",
	} {
		if counts[what] < *simSeeds/10 {
			t.Errorf("%q happened %d times: the simulation proves nothing about it", what, counts[what])
		}
	}
}

// Healing costs a whole state: it must not be asked for when nothing is wrong.
func TestWithoutFaultsAllArrivesAndNobodyIsTold(t *testing.T) {
	for seed := range uint64(10) {
		w := simulate(seed+1, false, wreck{})
		if w.failed != "" {
			t.Fatal(w.failed)
		}
		for p, r := range w.pairs {
			if r.got != r.meant {
				t.Fatalf("seed %d: %s got %d of %d from %s", w.seed, p.to, r.got, r.meant, p.from)
			}
		}
		if w.counts["lost"] > 0 || w.counts["double"] > 0 || w.counts["inbox lost"] > 0 {
			t.Fatalf("seed %d: %v", w.seed, w.counts)
		}
	}
}

// A simulation that cannot be repeated finds bugs that cannot be found again.
func TestASeedRepeats(t *testing.T) {
	for seed := range uint64(5) {
		a, b := simulate(seed+1, true, wreck{}), simulate(seed+1, true, wreck{})
		if a.trace.Sum64() != b.trace.Sum64() {
			t.Fatalf("seed %d took two courses", seed+1)
		}
	}
}

// Each rule, broken, must be noticed, or the simulation does not guard it.
func TestBrokenRulesAreNoticed(t *testing.T) {
	for _, broken := range []wreck{
		{noPulse: true},
		{fullUnnoticed: true},
		{renumber: true},
		{takeDoubles: true},
		{trustFirst: true},
		{forgetNumbers: true},
		{sameTalk: true},
		{readOn: true},
	} {
		t.Run(fmt.Sprintf("%+v", broken), func(t *testing.T) {
			for seed := range uint64(*simSeeds) {
				if w := simulate(seed+1, true, broken); w.failed != "" {
					t.Log(w.failed)
					return
				}
			}
			t.Fatalf("not noticed in %d seeds", *simSeeds)
		})
	}
}
