package bus

import (
	"testing"

	"tickover.dev/simtest"
)

// R15: what is received is in order and without doubles, and who misses something is told: at that point if more comes, and within
// two pulses if not.
func TestNothingIsLostWithoutNotice(t *testing.T) {
	var tally simtest.Tally
	for _, seed := range simtest.Seeds(150, 30) {
		w := simulate(seed, true, wreck{})
		if w.failed != "" {
			t.Fatal(w.failed)
		}
		tally.Add(w.counts)
	}
	tally.Must(t,
		"received", "double", "lost", "refused", "resent", "dropped", "no inbox", "request lost", "answer lost", "late", "away",
		"vanished", "lost its end", "inbox lost", "overflowed", "frozen", "died", "taken for dead", "evicted",
	)
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
	mutant := func(name string, seed uint64, broken wreck) simtest.Mutant {
		return simtest.Mutant{Name: name, Seed: seed, Run: func(seed uint64) string { return simulate(seed, true, broken).failed }}
	}
	simtest.Notice(t, []simtest.Mutant{
		mutant("nobody tells the newest number", 6, wreck{noPulse: true}),
		mutant("a refused message uses up no number", 1, wreck{fullUnnoticed: true}),
		mutant("an unknown batch gets another number", 1, wreck{renumber: true}),
		mutant("doubles are taken", 1, wreck{takeDoubles: true}),
		mutant("the first number heard is the first", 2, wreck{trustFirst: true}),
		mutant("numbers are forgotten with their sender", 1, wreck{forgetNumbers: true}),
		mutant("a sender begins again in the same conversation", 2, wreck{sameTalk: true}),
		mutant("a reader goes on behind a lost end", 92, wreck{readOn: true}),
	})
}
