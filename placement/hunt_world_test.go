package placement_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"tickover.dev/cluster"
	"tickover.dev/cluster/bus/membus"
	"tickover.dev/cluster/memstore"
	"tickover.dev/rooms"
	"tickover.dev/rooms/memjournal"
	"tickover.dev/sessions"
	"tickover.dev/simtest"
)

// The hunt runs whole nodes - sessions, placement, cluster, inboxes and rooms, as package node wires them - without sockets and in virtual
// time, and real clients on them, while everything that may go wrong does: nodes crash, freeze, drain, are killed while they drain, are
// cut from the store and buried alive; requests, answers and packets are lost, late or half done; the store is away, or forgets what it
// has confirmed; players come, go, reload, and are in two places at once.
//
//	clients ═══ pipes ═══ loops ─ sessions.Hub ─ placement.Rooms ─ host ──► call ──► memjournal
//	                                   │             │    cluster ────────► call ──► memstore
//	                                   │             bus ─────────────────► call ──► membus
//	                                   └──────────────────────────────────► call ──► sessions.Memory
//
// All the time it is checked that no entry is of two owners (I1), no acknowledged input lost (I2) or applied twice (I3), no tick shown in
// two ways (I4), no tick and no reliable message out of order; after a calm, that everybody is served again, that journals fold to what
// was shown (I5), that a session has one connection (I6), and that nothing is left when all have gone: no room, record, way, view or
// goroutine.
//
// What a seed fixes: the faults and their times, the fate of every request by its kind, its node and its number, what players do, all
// ids and secrets. What it does not: which of two things that happen in the very same microsecond comes first; Go's timers, maps and
// selects settle that. So a seed repeats exactly about every second time, else from some point on another story is told. What fails must
// be understood from the trace of the run in which it failed: -sim.seed S prints it. (A seed that has failed once mostly fails again
// within a few runs.) The simulations of packages rooms, cluster, cluster/bus and sessions repeat exactly, and try more of what theirs is.

// world is one run of a seed. Time is virtual: all of it lives in a bubble of testing/synctest.
type world struct {
	// Set by newWorld, then read-only.
	seed     uint64
	tb       testing.TB
	began    time.Time
	kinds    []rooms.Kind
	journal  *memjournal.Journal
	store    *memstore.Store
	inboxes  *membus.Bus
	sessions *sessions.Memory
	wreck    wreck
	verbose  bool
	running  sync.WaitGroup // everything that goes on beside nodes and players

	mu sync.Mutex
	// Guarded by mu.
	dices   map[string]*rand.Rand
	trace   []string
	counts  map[string]int
	failed  string
	nodes   []*node // by slot
	boots   cluster.Boot
	players []*player
	weather weather
	calm    bool
	away    bool          // the store answers nobody
	losing  bool          // it confirms what it is about to lose
	busy    time.Time     // nothing else may go wrong before
	forget  bool          // the next record that is raised is lost
	took    time.Duration // the longest calm until everybody was served
	ending  bool          // nobody boots any more
	seen    history
}

// weather is how requests to the store fare.
type weather struct {
	delay   time.Duration // each way, at most
	lossy   int           // percent of requests, and of answers, that are lost
	refused int           // percent of appends
	dropped int           // percent of packets that the store says it has taken
}

var fair = weather{delay: 2 * time.Millisecond}

// wreck breaks something, so that the hunt can prove that it would notice.
type wreck struct {
	noRoster     bool // owners do not read rosters
	noElsewhere  bool // nobody listens to "not here"
	noLost       bool // nobody heals gaps
	noSuperseded bool // a node that a session has left is not told, nor by its store
	unfenced     bool // a fenced append is taken for a confirmed one
	forgetful    bool // an unknown append is taken for a confirmed one
}

func newWorld(tb testing.TB, seed uint64, wreck wreck) *world {
	w := &world{
		seed: seed, tb: tb, began: time.Now(), kinds: huntKinds, journal: memjournal.New(), store: memstore.New(), inboxes: membus.New(0),
		sessions: sessions.NewMemory(), wreck: wreck, verbose: simtest.One() != 0, dices: map[string]*rand.Rand{},
		counts: map[string]int{}, boots: 100, weather: fair, seen: newHistory(),
	}
	return w
}

const (
	huntFaults = 15 * time.Second
	// huntCalm is how long it may take after the last fault until everybody is served again, and huntEmpty until nothing is left when all
	// have gone: graces, and what is kept for ten seconds.
	huntCalm  = 20 * time.Second
	huntEmpty = 60 * time.Second
)

// run plays the seed from beginning to end.
func (w *world) run() {
	dice := w.dice("world")
	for range 3 + dice.IntN(3) {
		w.nodes = append(w.nodes, nil)
	}
	for slot := range w.nodes {
		w.boot(slot)
	}
	w.wait(2 * time.Second)
	for i := range 5 + dice.IntN(4) {
		p := newPlayer(w, i)
		w.players = append(w.players, p)
		p.start()
	}
	end := time.Now().Add(huntFaults)
	for w.wait(2 * time.Second); time.Now().Before(end) && !w.over(); {
		w.fault(dice)
		w.wait(between(dice, 100*time.Millisecond, 1500*time.Millisecond))
	}
	w.settle()
	if w.seed%4 == 0 && w.everybodyServed() {
		w.everythingAtOnce(dice)
	}
	if w.everybodyServed() {
		w.checkJournals()
		w.farewell()
	}
	w.end()
}

// dice gives a generator of its own to everybody who throws: what one does leaves the luck of the others as it is.
func (w *world) dice(name string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(name))
	return rand.New(rand.NewPCG(w.seed, h.Sum64()))
}

func between(r *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(r.Int64N(int64(to-from)+1))
}

func chance(r *rand.Rand, percent int) bool { return r.IntN(100) < percent }

// wait lets time pass. In the bubble that is no hope: everything that can happen by then has happened.
func (w *world) wait(d time.Duration) { time.Sleep(d) }

// in has something happen later, unless the run is over by then.
func (w *world) in(d time.Duration, do func()) {
	w.running.Go(func() {
		w.wait(d)
		if !w.over() {
			do()
		}
	})
}

func (w *world) now() time.Duration { return time.Since(w.began) }

// note writes down what happens: seeds are compared by it. w.mu is not held.
func (w *world) note(what string, values ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.noteLocked(what, values...)
}

func (w *world) noteLocked(what string, values ...any) {
	w.counts[what]++
	if w.verbose {
		w.trace = append(w.trace, fmt.Sprintln(w.now(), what, values))
		fmt.Print(w.trace[len(w.trace)-1])
	}
}

// fail ends the run. The first complaint counts.
func (w *world) fail(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failLocked(format, args...)
}

func (w *world) failLocked(format string, args ...any) {
	if w.failed == "" {
		w.failed = fmt.Sprintf("seed %d, %s: ", w.seed, w.now()) + fmt.Sprintf(format, args...)
		if w.verbose {
			fmt.Println(w.failed)
		}
	}
}

func (w *world) over() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed != ""
}

// living gives the nodes that clients can reach.
func (w *world) living() (nodes []*node) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range w.nodes {
		if n != nil && n.isOpen() {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// fault has something go wrong.
func (w *world) fault(dice *rand.Rand) {
	w.mu.Lock()
	n, busy := w.nodes[dice.IntN(len(w.nodes))], time.Now().Before(w.busy)
	w.mu.Unlock()
	p := dice.IntN(100)
	if busy {
		return
	}
	switch {
	case p < 17:
		w.setWeather(weather{
			delay: between(dice, 0, 50*time.Millisecond), lossy: dice.IntN(15), refused: dice.IntN(10), dropped: []int{0, 0, 3, 20}[dice.IntN(4)],
		})
	case p < 27:
		w.setWeather(fair)
	case p < 32:
		w.storeAway(between(dice, 100*time.Millisecond, 3*time.Second))
	case p < 36:
		w.failOver(dice)
	case p < 39:
		w.mu.Lock()
		w.forget = true
		w.mu.Unlock()
	case p < 43:
		w.cutLines(dice)
	case p < 47:
		w.moveOn(dice)
	case n == nil || !n.isOpen():
	case p < 59:
		n.crash()
	case p < 72:
		n.freeze(between(dice, huntLease/2, 3*huntLease))
	case p < 82:
		n.cutOff(between(dice, 100*time.Millisecond, 3*time.Second))
	case p < 91:
		w.note("drain", n.boot)
		n.drain()
		if chance(dice, 30) {
			w.in(between(dice, 0, 60*time.Millisecond), n.crash)
		}
	case p < 95:
		w.note("wrong obituary", n.boot)
		w.obituary(n.boot, 50)
	default:
		w.note("inbox lost", n.boot)
		w.inboxes.Lose(n.boot)
	}
}

func (w *world) setWeather(now weather) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.weather = now
}

func (w *world) storeAway(d time.Duration) {
	w.note("store away", d)
	w.mu.Lock()
	w.away = true
	w.mu.Unlock()
	w.in(d, func() {
		w.mu.Lock()
		w.away = false
		w.mu.Unlock()
	})
}

// failOver has the store confirm for a while what it then loses, as one does whose replica is behind. While that heals nothing else goes
// wrong: what is lost with its owner is gone (see ARCHITECTURE.md, what is not guaranteed).
func (w *world) failOver(dice *rand.Rand) {
	w.mu.Lock()
	well := !w.away
	for _, n := range w.nodes {
		well = well && n != nil && n.isWell(3*time.Second)
	}
	if !well {
		w.mu.Unlock()
		return
	}
	lasts := between(dice, 10*time.Millisecond, 300*time.Millisecond)
	w.weather = fair
	w.losing, w.busy = true, time.Now().Add(lasts+3*time.Second)
	w.mu.Unlock()
	w.note("fail-over", lasts)
	told := between(dice, 0, 300*time.Millisecond)
	w.in(lasts, func() {
		w.mu.Lock()
		w.losing = false
		w.mu.Unlock()
		w.wait(told)
		for _, n := range w.living() {
			n.host.Reseal()
		}
	})
}

// isPeaceful reports whether the store answers, and no node is frozen, cut off or about to end.
func (w *world) isPeaceful() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.away && !slices.ContainsFunc(w.nodes, func(n *node) bool { return n == nil || !n.isWell(0) })
}

// cutLines breaks some connections of players.
func (w *world) cutLines(dice *rand.Rand) {
	for _, p := range w.players {
		if chance(dice, 40) {
			p.cut()
		}
	}
}

// moveOn has everybody leave the rooms with keys and enter, all at once, new ones.
func (w *world) moveOn(dice *rand.Rand) {
	w.note("all move on")
	for _, p := range w.players {
		p.moveOn()
	}
}

// obituary tells some of the others that a node's process has ended.
func (w *world) obituary(dead cluster.Boot, percent int) {
	dice := w.dice(fmt.Sprint("obituary of ", dead, w.now()))
	for _, n := range w.living() {
		if n.boot != dead && chance(dice, percent) {
			w.in(between(dice, time.Millisecond, 20*time.Millisecond), func() { n.told(dead) })
		}
	}
}

// settle ends all faults.
func (w *world) settle() {
	w.note("calm")
	w.mu.Lock()
	w.calm, w.away, w.losing, w.weather, w.forget = true, false, false, fair, false
	nodes := slices.Clone(w.nodes)
	w.mu.Unlock()
	for _, n := range nodes {
		if n != nil {
			n.heal()
		}
	}
}

// everythingAtOnce ends all nodes in one moment. The store keeps what it has.
func (w *world) everythingAtOnce(dice *rand.Rand) {
	w.wait(between(dice, 0, time.Second))
	w.note("all nodes crash")
	for _, n := range w.living() {
		n.crash()
	}
}

// eventually waits for what must come, and fails if it does not.
func (w *world) eventually(within time.Duration, wrong func() string) bool {
	end := time.Now().Add(within)
	for !w.over() {
		what := wrong()
		if what == "" {
			return true
		}
		if time.Now().After(end) {
			w.fail("not within %s: %s", within, what)
			return false
		}
		w.wait(100 * time.Millisecond)
	}
	return false
}

// end stops everybody. Whoever does not end leaves a goroutine in the bubble, which is noticed.
func (w *world) end() {
	w.mu.Lock()
	w.ending = true
	w.mu.Unlock()
	for _, p := range w.players {
		p.stop()
	}
	for left := w.unended(); len(left) > 0; left = w.unended() {
		for _, n := range left {
			n.heal()
			n.stop()
		}
		w.running.Wait() // a node may just have been booted
	}
	w.running.Wait()
}

// unended gives the nodes of which something runs.
func (w *world) unended() (nodes []*node) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range w.nodes {
		if n != nil && !n.hasEnded() {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// farewell has all players leave, and looks at what remains.
func (w *world) farewell() {
	ctx, cancel := context.WithTimeout(context.Background(), huntCalm)
	defer cancel()
	var leaving sync.WaitGroup
	for _, p := range w.players {
		leaving.Go(func() { p.leaveForGood(ctx) })
	}
	leaving.Wait()
	w.eventually(huntEmpty, w.leftovers)
}
