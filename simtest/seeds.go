// Package simtest is what the simulations share: virtual time, the flags that choose seeds, and the proof that broken builds are noticed.
// It is for tests only.
//
//	go test ./rooms -run Survive -sim.seeds 2000    many seeds
//	go test ./rooms -run Survive -sim.seed 17 -v    one, with its trace
//	go test ./rooms -run Broken -sim.mutants 2000   how many of so many seeds notice each broken build
package simtest

import (
	"flag"
	"testing"
)

var (
	seeds   = flag.Int("sim.seeds", 0, "how many seeds a simulation runs; 0: as many as take a few seconds")
	seed    = flag.Uint64("sim.seed", 0, "the one seed that a simulation runs, with its trace")
	mutants = flag.Int("sim.mutants", 0, "how many seeds are tried on each broken build; 0: only one that is known to notice it")
)

// Seeds gives the seeds to run: those of the flags, or so many, fewer under the race detector.
func Seeds(usual, underRace int) (all []uint64) {
	if *seed != 0 {
		return []uint64{*seed}
	}
	n := *seeds
	switch {
	case n != 0:
	case Race, testing.Short():
		n = underRace
	default:
		n = usual
	}
	for s := range n {
		all = append(all, uint64(s)+1)
	}
	return all
}

// One gives the one seed that was chosen, or 0.
func One() uint64 { return *seed }
