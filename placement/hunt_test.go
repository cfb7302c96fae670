package placement_test

import (
	"fmt"
	"runtime"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"tickover.dev/simtest"
)

// mustHappen is what the hunt has to have tried, or it proves nothing. The simulation of package rooms fails if outputs never wait behind a
// fenced entry, and that of package cluster if no claim is ever sent again.
var mustHappen = []string{
	"crash", "freeze", "cut", "store away", "drain", "killed in mid-drain", "fail-over", "append confirmed and lost",
	"append: unknown, was done", "append: unknown, was not done", "append: arrived late", "append fenced", "append refused",
	"take-over", "take-over with an append in flight", "claim lost", "load interrupted by a claim", "release with the peer gone",
	"resend across a drop", "stay changed with inputs in flight", "session resumed at another node", "gap healed", "packet lost",
	"wrong obituary", "inbox lost", "reload", "second process", "old secret", "all nodes crash", "raise confirmed and lost", "forestalled",
}

func hunt(t *testing.T, seed uint64, wreck wreck) (w *world) {
	defer func() {
		if r := recover(); r != nil {
			panic(fmt.Sprintf("seed %d: %v", seed, r))
		}
	}()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	cryptotest.SetGlobalRandom(t, seed)
	synctest.Test(t, func(t *testing.T) {
		w = newWorld(t, seed, wreck)
		w.run()
	})
	return w
}

// Without it nobody knows what whole nodes do to the players of each other.
func TestHuntFindsNothing(t *testing.T) {
	var tally simtest.Tally
	longest := time.Duration(0)
	for _, seed := range simtest.Seeds(100, 8) {
		w := hunt(t, seed, wreck{})
		if w.failed != "" {
			t.Error(w.failed)
		}
		tally.Add(w.counts)
		longest = max(longest, w.took)
	}
	t.Logf("everybody was served %s after the last fault, or earlier", longest)
	tally.Must(t, mustHappen...)
}

// A hunt that cannot fail proves nothing: each of these, broken, must be noticed. Broken rules of rooms and of ownership are for the
// simulations of packages rooms and cluster to notice.
func TestHuntNoticesWhatIsBroken(t *testing.T) {
	if simtest.Race || testing.Short() {
		t.Skip("takes a while")
	}
	for _, m := range []struct {
		name  string
		seeds uint64
		wreck wreck
	}{
		{"owners do not read rosters", 300, wreck{noRoster: true}},
		{"nobody listens to: not here", 60, wreck{noElsewhere: true}},
		{"gaps are not healed", 60, wreck{noLost: true}},
		{"a node that a session has left is not told", 200, wreck{noSuperseded: true}},
		{"fenced taken for confirmed", 60, wreck{unfenced: true}},
		{"unknown taken for confirmed", 20, wreck{forgetful: true}},
	} {
		t.Run(m.name, func(t *testing.T) {
			for seed := uint64(1); seed <= m.seeds; seed++ {
				if w := hunt(t, seed, m.wreck); w.failed != "" {
					t.Logf("noticed: %s", w.failed)
					return
				}
			}
			t.Errorf("not noticed in %d seeds", m.seeds)
		})
	}
}

// How often a seed repeats exactly is worth knowing, and not to be relied on: see the comment at the top of hunt_world_test.go.
func TestHuntRepeats(t *testing.T) {
	if simtest.One() == 0 {
		t.Skip("for -sim.seed")
	}
	first := hunt(t, simtest.One(), wreck{})
	for range 9 {
		again := hunt(t, simtest.One(), wreck{})
		alike := 0
		for alike < min(len(first.trace), len(again.trace)) && first.trace[alike] == again.trace[alike] {
			alike++
		}
		t.Logf("the first %d of %d events are the same", alike, len(first.trace))
	}
}
