package chaos

import (
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"tickover.dev/client"
	"tickover.dev/loadtest"
)

// A failure that cannot be run again is an anecdote.
func TestSeedRepeatsTheSchedule(t *testing.T) {
	first := Schedule(7, 40, 3)
	if !reflect.DeepEqual(first, Schedule(7, 40, 3)) {
		t.Error("one seed gave two schedules")
	}
	if reflect.DeepEqual(first, Schedule(8, 40, 3)) {
		t.Error("two seeds gave one schedule")
	}
	if !reflect.DeepEqual(first[:15], Schedule(7, 15, 3)) {
		t.Error("a shorter run of the same seed begins otherwise")
	}
}

// A run that left a kind out would prove nothing about it; one that is as long as there are kinds has each.
func TestScheduleHasEveryKindBeforeAnyTwice(t *testing.T) {
	for seed := range uint64(50) {
		plan := Schedule(seed, 2*int(kinds), 3)
		for _, half := range [][]Fault{plan[:kinds], plan[kinds:]} {
			var seen [kinds]bool
			for _, f := range half {
				if seen[f.Kind] {
					t.Fatalf("seed %d: %s comes twice", seed, f.Kind)
				}
				seen[f.Kind] = true
			}
		}
	}
	for _, f := range Schedule(1, 30, 3, Kill, Cut) {
		if f.Kind != Kill && f.Kind != Cut {
			t.Errorf("%s was not asked for", f)
		}
	}
}

// A freeze "for just under a lease" that lasts longer tests something else.
func TestFaultsStayWithinTheirBounds(t *testing.T) {
	for _, f := range Schedule(3, 2000, 3) {
		least, most := time.Duration(0), 4*time.Second // all are over within their window
		switch f.Kind {
		case FreezeShort:
			most = Lease - 1
		case FreezeLease:
			least, most = Lease, Lease+Lease/2
		case FreezeLong:
			least = 3 * Lease
		}
		if f.For < least || f.For > most || f.For == 0 {
			t.Errorf("%s: want %s to %s", f, least, most)
		}
		if f.Kind.onNode() != (f.Node >= 0) || f.Node >= 3 {
			t.Errorf("%s hits node %d", f, f.Node)
		}
	}
}

func TestKindsHaveNames(t *testing.T) {
	var names []string
	for k := range kinds {
		names = append(names, k.String())
	}
	got, err := ParseKinds(strings.Join(names, ","))
	if err != nil || len(got) != int(kinds) || !slices.IsSorted(got) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := ParseKinds("kill,flood"); err == nil {
		t.Error("an unknown kind was taken")
	}
	if got, err := ParseKinds(""); err != nil || got != nil {
		t.Errorf("nothing gives %v, %v", got, err)
	}
}

// The figures are only as good as this: a silence that reaches over the window's end must count.
func TestSilenceIsTheLongestInTheWindow(t *testing.T) {
	start := time.Now()
	at := func(ms ...int) (moments []time.Time) {
		for _, m := range ms {
			moments = append(moments, start.Add(time.Duration(m)*time.Millisecond))
		}
		return moments
	}
	for name, c := range map[string]struct {
		moments []time.Time
		want    int // ms, in the window from 0 to 1000
	}{
		"even":                {at(0, 200, 400, 600, 800, 1000), 200},
		"a hole":              {at(0, 100, 700, 1000), 600},
		"a hole before it":    {at(-5000, -10, 300, 600, 900), 300},
		"silent at the end":   {at(0, 100, 200), 800},
		"late at the start":   {at(650, 700, 1000), 650},
		"only outside":        {at(-10, 1010), 1000},
		"nothing":             {nil, 1000},
		"a hole over its end": {at(0, 500, 5000), 500},
	} {
		if got := Silence(c.moments, start, start.Add(time.Second)); got != time.Duration(c.want)*time.Millisecond {
			t.Errorf("%s: %s, want %d ms", name, got, c.want)
		}
	}
}

func TestQuantileAgreesWithCounting(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		all := make([]time.Duration, 1+random.IntN(300))
		for i := range all {
			all[i] = time.Duration(random.IntN(100))
		}
		q := random.Float64()
		got := Quantile(all, q)
		below := 0
		for _, d := range all {
			if d <= got {
				below++
			}
		}
		if float64(below) < q*float64(len(all)) || !slices.Contains(all, got) {
			t.Fatalf("quantile %g of %d is %d: only %d are not above", q, len(all), got, below)
		}
	}
}

// The ring of moments must not mix up their order, and a room's first epoch is no take-over.
func TestWitnessRemembersTheNewest(t *testing.T) {
	w := NewWitness(2)
	start := time.Now()
	w.Frame(0, client.Frame{Epoch: 5}, start) // before the join has returned
	w.Entered(0, "r")
	w.Entered(1, "r")
	for i := range 3 * memory {
		w.Frame(0, client.Frame{Epoch: 5 + uint64(i/memory)}, start.Add(time.Duration(i)*time.Millisecond))
	}
	w.Frame(1, client.Frame{Epoch: 6}, start) // who lags behind changes nothing
	heard := w.Moments(0)
	if len(heard) != memory || !slices.IsSortedFunc(heard, time.Time.Compare) || heard[memory-1] != start.Add((3*memory-1)*time.Millisecond) {
		t.Errorf("%d moments, the last %s", len(heard), heard[len(heard)-1].Sub(start))
	}
	own := w.Owned()["r"]
	if w.Moves() != 2 || own.Epoch != 7 || own.Since != start.Add(2*memory*time.Millisecond) {
		t.Errorf("%d moves, %+v", w.Moves(), own)
	}
	if silent := w.Silent(start.Add(time.Millisecond)); !slices.Equal(silent, []int{1}) {
		t.Errorf("silent are %v", silent)
	}
}

// Scripts read the last line, and the exit code must agree with it.
func TestReportTellsWhatFailed(t *testing.T) {
	r := Report{Play: loadtest.Report{InputsAcked: 100}, Moves: 4}
	r.Happened[Kill], r.Happened[DrainKill], r.Happened[Stall], r.Happened[FreezeLong] = 2, 1, 3, 1
	r.Gaps[Kill] = []time.Duration{50 * time.Millisecond, 900 * time.Millisecond}
	const want = "chaos: kills=3 freezes=1 drains=1 cuts=3 redis_restarts=0 takeovers=4 inputs_acked=100 lost=0 duplicated=0 forked=0 gap_p50_ms=50.0 gap_p99_ms=900.0"
	if got := r.Line(); got != want || !r.Clean() {
		t.Errorf("%s, clean %v\nwant %s", got, r.Clean(), want)
	}
	r.Missing = missing(Schedule(1, int(kinds), 3), r.Happened)
	if len(r.Missing) != int(kinds)-4 || r.Clean() {
		t.Errorf("missing are %v, clean %v", r.Missing, r.Clean())
	}
	var out strings.Builder
	if err := r.Write(&out); err != nil || !strings.Contains(out.String(), "never happened: redis-kill") {
		t.Error(out.String(), err)
	}
	r.Missing = nil
	if r.Failures = []string{"node-1 ended by itself"}; r.Clean() {
		t.Error("a failure is clean")
	}
}

// The harness must find its way through a real run, short as it is: each fault here is one that a working cluster survives.
func TestShortRunIsClean(t *testing.T) {
	if testing.Short() {
		t.Skip("runs three nodes for 15 s")
	}
	for _, program := range []string{"redis-server", "/usr/sbin/haproxy"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatal(err)
			}
			t.Skipf("SKIPPED, not tested: %v", err)
		}
	}
	binary := filepath.Join(t.TempDir(), "tickover")
	if out, err := exec.Command("go", "build", "-o", binary, "../../cmd/tickover").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	log := io.Writer(testLog{t})
	r, err := Run(t.Context(), Config{
		Dir: t.ArtifactDir(), Binary: binary, Balancer: "../../deploy/haproxy.cfg", Seed: 1, Duration: 15 * time.Second,
		Only: []Kind{Kill, Cut, FreezeLong}, Bots: 20, Rooms: 4, RateHz: 10, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(r.Line())
	if !r.Clean() || r.Play.InputsAcked < 20*10*10 || r.Moves == 0 {
		r.Write(log)
		t.Error("the run was not clean, or too little happened")
	}
}

type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}
