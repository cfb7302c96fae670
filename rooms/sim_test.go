package rooms

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	"tickover.dev/simtest"
)

// newWorld makes the world of a seed, with its room.
func newWorld(seed uint64, rate int, durability Durability) *world {
	clear(simPoison)
	kind := Define(&simGame{Beats: durability == Replay}, Config{Name: "sim", RateHz: rate, Durability: durability, Grace: time.Hour, Empty: time.Hour})
	w := &world{
		seed: seed, rng: rand.New(rand.NewPCG(seed, 77)), kind: &kind, rate: rate, periodic: durability == Periodic, replays: durability == Replay,
		trace: xxhash.New(), counts: map[string]int{}, seen: newHistory(), now: time.Second,
		weather: weather{delay: 5 * time.Millisecond},
	}
	return w
}

const (
	simLength = 20 * time.Second
	simCalm   = 30 * time.Second // in which everything must come right
)

func (w *world) run() {
	w.owner = w.newNode()
	w.in(0, func() {
		w.owner.post(Mail{Type: MailCreate, Room: simRoom, Kind: w.kind, Name: "key", Epoch: 1, Nonce: 1 << 40})
	})
	for i := range 3 {
		c := &simClient{w: w, session: fmt.Sprint("session-", i), gen: 1, run: 1, refused: map[uint64]bool{}}
		w.clients = append(w.clients, c)
		w.in(w.between(0, time.Second), c.act)
	}
	w.in(500*time.Millisecond, w.fault)
	w.until(w.now + simLength)
	w.calm, w.weather = true, weather{delay: 5 * time.Millisecond}
	w.until(w.now + simCalm)
	w.final()
}

func (w *world) until(end time.Duration) {
	for w.failed == "" {
		at, do, ok := w.queue.Next(end)
		if !ok {
			break
		}
		w.now = at
		do()
		w.bounds()
	}
	w.now = end
}

// fault has something go wrong, and comes back for more.
func (w *world) fault() {
	if w.calm {
		return
	}
	w.in(w.between(100*time.Millisecond, 1500*time.Millisecond), w.fault)
	c, ready := w.ready()
	switch p := w.rng.IntN(100); {
	case p < 25:
		w.weather = weather{delay: w.between(0, 60*time.Millisecond)}
	case p < 50:
		w.weather = weather{
			delay: w.between(0, 60*time.Millisecond), refuse: w.rng.IntN(30), unknown: w.rng.IntN(40), landsLate: 50, error: w.rng.IntN(50),
		}
	case p < 56: // an outage
		w.weather = weather{delay: 5 * time.Millisecond, refuse: 50, unknown: 50, error: 90}
	case !ready:
	case p < 66:
		w.crash()
	case p < 73: // suspected wrongly: two owners for a while
		w.takeOver(c.epoch, false)
	case p < 76:
		w.sleep(c)
	case p < 86:
		w.owner.post(Mail{Type: MailRelease, Room: simRoom})
	case p < 92:
		w.loseTail(c)
	case p < 94:
		w.loseAll(c)
	case p < 98: // a quiet room shows ticks without entries
		w.lull = w.now + w.between(time.Second, 3*time.Second)
		w.in(w.lull-w.now-w.between(0, 500*time.Millisecond), func() {
			if w.owner.alive && !w.healing {
				w.takeOver(0, false)
			}
		})
	}
}

// ready gives the room, if nothing is wrong with it and its owner just now.
func (w *world) ready() (*core, bool) {
	c := w.owner.shard.rooms[simRoom]
	ready := w.owner.alive && w.store.created && w.claims == 0 && c != nil && c.last.Epoch == c.epoch && c.last.Tick > 0 && !c.releasing
	return c, ready && !w.healing
}

func (w *world) crash() {
	w.count("crash")
	w.owner.alive = false
	for _, c := range w.clients {
		c.cut()
	}
	w.in(w.between(time.Millisecond, 800*time.Millisecond), func() { w.takeOver(0, true) })
}

// loseTail has the store forget its newest entries, as a fail-over to a replica does. Appends under way come to nothing.
func (w *world) loseTail(c *core) {
	if c.phase != phasePlaying && c.phase != phaseSent || c.fault != nil {
		return
	}
	if w.store.loseTail(1+w.rng.IntN(3)) == 0 {
		return
	}
	w.count("reseal after lost tail")
	w.healing = true
	clear(simPoison) // a panic now would restore what the store still has
	w.owner.shard.Reseal()
	w.owner.turn()
}

// final checks that everything came right after the faults had stopped.
func (w *world) final() {
	c := w.owner.shard.rooms[simRoom]
	if w.failed != "" {
		return
	}
	if c == nil {
		w.fail("liveness: nobody has the room")
		return
	}
	seated := 0
	game := c.game.(*room[*simGame, simInput]).game
	for _, cl := range w.clients {
		switch cl.state {
		case clientOut:
			if c.h.seatOf(cl.session) != 0 {
				w.fail("%s has left, its seat is taken", cl.session)
			}
			continue
		case clientIn:
		default:
			w.fail("liveness: %s is in state %d", cl.session, cl.state)
			return
		}
		seated++
		if len(cl.open) > 0 {
			w.fail("liveness: %d inputs of %s are not acknowledged, from %d", len(cl.open), cl.session, cl.open[0])
		}
		w.balance(cl, game.Rows.Get(cl.seat), c.h.Seats.Get(cl.seat))
	}
	if n := c.h.Seats.Len(); n != seated && w.failed == "" {
		w.fail("%d seats are taken, %d clients are in", n, seated)
	}
}

// balance compares what a client sent with what the game was given.
func (w *world) balance(cl *simClient, row *simRow, s *seatState) {
	if row == nil || s == nil {
		w.fail("%s sits nowhere", cl.session)
		return
	}
	slack := uint64(0)
	if game := w.owner.shard.rooms[simRoom].game.(*room[*simGame, simInput]).game; game.Beats {
		slack = 3 // what was said in the last ticks is on its way
	}
	if !w.periodic && cl.reliable+slack < s.Issued {
		w.fail("liveness: %s has reliable messages up to %d of %d", cl.session, cl.reliable, s.Issued)
	}
	if w.periodic || row.Run != cl.run {
		return
	}
	var count, sum uint64
	for n := uint64(1); n <= cl.next; n++ {
		if !cl.refused[n] {
			count, sum = count+1, sum+n*n
		}
	}
	if row.Count != count || row.Sum != sum {
		w.fail("I2, I3: %s sent %d inputs that were not refused; the game counts %d", cl.session, count, row.Count)
	}
}

// mustHappen is what the simulation has to have tried, or it proves nothing.
var mustHappen = []string{
	"unknown -> was applied", "unknown -> was not", "refused then retried", "fenced with output queued", "take-over with an append in flight",
	"resend across a drop", "stay changed with old inputs in flight", "panic restore with an append in flight", "reseal after lost tail",
	"room paused and playing again", "crash", "released", "refused as room_fault", "mail came twice", "store came back empty", "renewed",
	"renewal refused",
}

// replayMustHappen is what it has to have tried of Durability Replay.
var replayMustHappen = []string{
	"tail replayed", "stepped to the horizon", "new state shown within the horizon", "new state shown with an append in flight",
	"events confirmed", "shadow replayed",
}

// simulate runs a seed: a third of them is of Replay rooms.
func simulate(seed uint64, prepare func(*world)) *world {
	if seed%3 == 0 {
		return simulateAs(seed, Replay, prepare)
	}
	return simulateAs(seed, EveryChange, prepare)
}

func simulateAs(seed uint64, durability Durability, prepare func(*world)) *world {
	rate := []int{20, 0}[seed%2]
	w := newWorld(seed, rate, durability)
	w.verbose = simtest.One() != 0
	if prepare != nil {
		prepare(w)
	}
	w.run()
	return w
}

// Without it nobody knows whether the rules of FAILOVER.md hold in this code. Flags behind the package: -sim.seeds N runs more,
// -sim.seed S runs one and prints its trace.
func TestRoomsSurviveEverything(t *testing.T) {
	var tally simtest.Tally
	for _, seed := range simtest.Seeds(300, 40) {
		w := simulate(seed, nil)
		if w.failed != "" {
			t.Fatal(w.failed)
		}
		tally.Add(w.counts)
	}
	tally.Must(t, append(mustHappen, replayMustHappen...)...)
}

// A failure that cannot be repeated cannot be understood.
func TestSeedRepeatsExactly(t *testing.T) {
	for seed := uint64(1); seed <= 6; seed++ {
		a, b := simulate(seed, nil), simulate(seed, nil)
		if a.trace.Sum64() != b.trace.Sum64() || a.queue.Puts() != b.queue.Puts() {
			t.Errorf("seed %d has two traces", seed)
		}
	}
}

// A Periodic room may lose what its loss bound says, but must come right, and nobody may be left waiting.
func TestPeriodicRoomsComeRight(t *testing.T) {
	seeds := uint64(100)
	if simtest.Race || testing.Short() {
		seeds = 20
	}
	for seed := uint64(1); seed <= seeds; seed++ {
		w := newWorld(seed, []int{20, 0}[seed%2], Periodic)
		w.verbose = simtest.One() == seed
		w.run()
		if w.failed != "" {
			t.Fatal(w.failed)
		}
	}
}

// Where no node has the rules of another, Replay rooms are rolled back at each crash: players lose what they were told, but must come right.
func TestRoomsOfStrangersComeRight(t *testing.T) {
	seeds := uint64(100)
	if simtest.Race || testing.Short() {
		seeds = 20
	}
	rolledBack := 0
	for seed := uint64(1); seed <= seeds; seed++ {
		w := newWorld(seed, []int{20, 0}[seed%2], Replay)
		w.verbose, w.periodic, w.strangers = simtest.One() == seed, true, true
		w.run()
		if w.failed != "" {
			t.Fatal(w.failed)
		}
		rolledBack += w.counts["rolled back"]
	}
	if rolledBack == 0 {
		t.Error("never happened: a room was rolled back")
	}
}

// Each of these rules, switched off, must be noticed.
func TestBrokenRulesAreNoticed(t *testing.T) {
	mutant := func(name string, seed uint64, what Durability, wreck func(*world)) simtest.Mutant {
		return simtest.Mutant{Name: name, Seed: seed, Run: func(seed uint64) string { return simulateAs(seed, what, wreck).failed }}
	}
	simtest.Notice(t, []simtest.Mutant{
		mutant("show before confirm", 1, EveryChange, func(w *world) { w.broken.showEarly = true }),
		mutant("rings not in entries", 1, EveryChange, func(w *world) { w.broken.noRings = true }),
		mutant("gaps allowed", 3, EveryChange, func(w *world) { w.broken.gapsAllowed = true }),
		mutant("horizon ignored", 14, EveryChange, func(w *world) { w.broken.horizonIgnored = true }),
		mutant("other bytes under an id", 65, EveryChange, func(w *world) { w.broken.sameID = true }),
		mutant("unknown taken for confirmed", 1, EveryChange, func(w *world) { w.broken.blindConfirm = true }),
		mutant("load before claim", 9, EveryChange, func(w *world) { w.loadOld = true }),
		mutant("whoever has the room renews it", 36, EveryChange, func(w *world) { w.renewAny = true }),
		mutant("replay, show before confirm", 1, Replay, func(w *world) { w.broken.showEarly = true }),
		mutant("replay, rings not in snapshots", 1, Replay, func(w *world) { w.broken.noRings = true }),
		mutant("replay, unknown taken for confirmed", 1, Replay, func(w *world) { w.broken.blindConfirm = true }),
		mutant("replay, horizon jumped", 4, Replay, func(w *world) { w.broken.horizonJumped = true }),
		mutant("replay, events not in entries", 1, Replay, func(w *world) { w.broken.eventsLost = true }),
		mutant("replay, rings not rebuilt", 1, Replay, func(w *world) { w.broken.ringsLost = true }),
		mutant("replay, time not in entries", 1, Replay, func(w *world) { w.broken.nowLost = true }),
	})
}
