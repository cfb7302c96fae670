package simtest

import "testing"

// Mutant is a build with a broken rule. A simulation that cannot fail proves nothing.
type Mutant struct {
	Name string
	Seed uint64 // that notices it
	// Run runs a seed, and tells what it noticed, or "".
	Run func(seed uint64) string
}

// Notice fails the test if a mutant is not noticed by its seed or, with -sim.mutants, by any of so many. A change of the simulation
// changes what its seeds do: then make sim-mutants gives others.
func Notice(t *testing.T, all []Mutant) {
	for _, m := range all {
		t.Run(m.Name, func(t *testing.T) {
			if *mutants > 0 {
				m.search(t, *mutants)
				return
			}
			if Race || testing.Short() {
				t.Skip("one goroutine, and slow")
			}
			if noticed := m.Run(m.Seed); noticed == "" {
				t.Errorf("seed %d does not notice it any more; make sim-mutants tells which do", m.Seed)
			} else {
				t.Log(noticed)
			}
		})
	}
}

// search tells how many seeds notice a mutant. A common one needs no more than a few.
func (m *Mutant) search(t *testing.T, n int) {
	const enough = 20
	tried, noticed, first := 0, 0, uint64(0)
	for seed := uint64(1); tried < n && noticed < enough; seed++ {
		tried++
		if m.Run(seed) == "" {
			continue
		}
		if noticed++; first == 0 {
			first = seed
		}
	}
	t.Logf("mutant: name=%q noticed=%d seeds=%d percent=%.1f first=%d", m.Name, noticed, tried, 100*float64(noticed)/float64(tried), first)
	if noticed == 0 {
		t.Errorf("not noticed in %d seeds", tried)
	}
}
