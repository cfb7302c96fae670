package bus

import (
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
	seeds := *simSeeds
	if raceEnabled {
		seeds = min(seeds, 30) // it is one goroutine
	}
	counts := map[string]int{}
	for seed := range uint64(seeds) {
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
		if counts[what] < seeds/10 {
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
	if raceEnabled {
		t.Skip("slow, and one goroutine")
	}
	const tries = 500 // the rarest needs 92
	for rule, broken := range map[string]wreck{
		"noPulse":       {noPulse: true},
		"fullUnnoticed": {fullUnnoticed: true},
		"renumber":      {renumber: true},
		"takeDoubles":   {takeDoubles: true},
		"trustFirst":    {trustFirst: true},
		"forgetNumbers": {forgetNumbers: true},
		"sameTalk":      {sameTalk: true},
		"readOn":        {readOn: true},
	} {
		t.Run(rule, func(t *testing.T) {
			for seed := range uint64(tries) {
				if w := simulate(seed+1, true, broken); w.failed != "" {
					t.Log(w.failed)
					return
				}
			}
			t.Fatalf("not noticed in %d seeds", tries)
		})
	}
}
