package simtest

import (
	"maps"
	"slices"
	"testing"
)

// Tally counts what has happened in the seeds of a simulation.
type Tally struct {
	seeds  int
	counts map[string]int
}

// Add adds what has happened in one seed.
func (c *Tally) Add(counts map[string]int) {
	if c.counts == nil {
		c.counts = map[string]int{}
	}
	c.seeds++
	for what, n := range counts {
		c.counts[what] += n
	}
}

// Must fails the test if something never happened, though there were a hundred seeds: then the simulation proves nothing about it.
func (c *Tally) Must(t *testing.T, happen ...string) {
	t.Helper()
	for _, what := range slices.Sorted(maps.Keys(c.counts)) {
		t.Logf("%7d %s", c.counts[what], what)
	}
	for _, what := range happen {
		if c.counts[what] == 0 && c.seeds >= 100 {
			t.Errorf("never happened: %s", what)
		}
	}
}
