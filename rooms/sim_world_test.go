package rooms

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"time"

	"github.com/cespare/xxhash/v2"

	"tickover.dev/simtest"
)

// The simulation runs the real Shard over a journal, a network and clients that fail in every way we know, in virtual time, from one
// seeded queue of events in one goroutine: a seed repeats exactly.
//
//	clients ──► mail (late, twice) ──► the node that has the room ──► appends (late, refused, unknown) ──► simStore
//	   ▲                                    │                                                                │
//	   └───────── frames (checked) ◄────────┘◄──────────────── answers, tops, claims and loads ◄─────────────┘

const simRoom = ID("room")

var errSim = errors.New("the journal is away")

type world struct {
	seed      uint64
	rng       *rand.Rand
	kind      *Kind
	rate      int
	periodic  bool // what was acknowledged may be lost
	replays   bool
	strangers bool // every node runs another build: none replays another's tail
	broken    breakage
	loadOld   bool // broken build: load first, claim second
	renewAny  bool // broken build: whoever has the room makes its journal anew

	now     time.Duration
	queue   simtest.Queue
	trace   *xxhash.Digest
	verbose bool // print the trace
	counts  map[string]int
	failed  string

	store   simStore
	nodes   []*simNode
	owner   *simNode // where mail goes
	claims  int      // under way
	nonces  uint64
	clients []*simClient
	seen    *history
	paused  bool
	calm    bool // no more faults
	healing bool // the store has lost entries that the owner has not sealed yet
	weather weather
	lull    time.Duration // until then the players do nothing
	steps   int           // of rooms' clocks, which go on whenever they are looked at
}

// weather is how the journal is just now.
type weather struct {
	delay            time.Duration
	refuse, unknown  int // percent of appends
	landsLate, error int // percent of unknown ones that are stored after all, and later; of reads that fail
}

func (w *world) in(d time.Duration, do func()) {
	w.queue.Put(w.now+d, do)
}

func (w *world) fail(format string, args ...any) {
	if w.failed == "" {
		w.failed = fmt.Sprintf("seed %d, %s: ", w.seed, w.now) + fmt.Sprintf(format, args...)
	}
}

func (w *world) count(what string) { w.counts[what]++ }

// note adds to the trace.
func (w *world) note(what string, values ...uint64) {
	fmt.Fprintln(w.trace, w.now, what, values)
	if w.verbose {
		fmt.Println(w.now, what, values)
	}
}

// chance is true in so many of a hundred cases.
func (w *world) chance(percent int) bool { return w.rng.IntN(100) < percent }

func (w *world) between(from, to time.Duration) time.Duration {
	return from + time.Duration(w.rng.Int64N(int64(to-from)+1))
}

// simNode is one process that may own the room.
type simNode struct {
	w        *world
	shard    *Shard
	alive    bool
	wakeAt   time.Duration
	inFlight int
}

func (w *world) newNode() *simNode {
	n := &simNode{w: w, alive: true}
	n.shard = NewShard(simLog(w), func() (uint64, uint64) { return w.rng.Uint64(), w.rng.Uint64() })
	n.shard.broken = w.broken
	if w.replays {
		n.shard.ShadowEvery = 1
		n.shard.Clock = func() time.Duration { w.steps++; return time.Duration(w.steps) * 30 * time.Microsecond }
	}
	w.nodes = append(w.nodes, n)
	return n
}

// post brings mail to a node, now.
func (n *simNode) post(m Mail) {
	if !n.alive {
		return
	}
	n.w.note("mail", uint64(m.Type), uint64(m.Seat), m.Gen, uint64(m.Run), m.Number)
	if err := n.shard.Take(&m, n.w.now); err != nil {
		if f := Refusal(&m, err); f != nil && !errors.Is(err, ErrGone) { // where the room is gone from, sessions ask elsewhere
			n.shard.Out.Frames = append(n.shard.Out.Frames, f)
		}
	}
	n.turn()
}

// turn advances the shard and carries out what it asks for.
func (n *simNode) turn() {
	if !n.alive {
		return
	}
	wake := n.shard.Advance(n.w.now)
	for _, f := range n.shard.Out.Frames {
		n.w.shown(f)
		n.w.deliver(f)
		f.Release()
	}
	if len(n.shard.Out.Appends) > 0 {
		n.append(append([]Entry(nil), n.shard.Out.Appends...))
	}
	for _, a := range n.shard.Out.Asks {
		n.ask(a)
	}
	for _, j := range n.shard.Out.Jobs {
		n.w.in(n.w.between(time.Millisecond, 200*time.Millisecond), func() {
			n.w.owner.post(Mail{Type: MailDone, Room: simRoom, Number: j.Number, Name: j.Job.Name})
		})
	}
	for _, e := range n.shard.Out.Ended {
		n.ended(e)
	}
	for _, s := range n.shard.Out.Shadows {
		n.w.count("shadow replayed")
		if d := s.Replay(); d != nil {
			n.w.fail("I5: the shadow of ticks %d to %d: %v", s.From, s.Tick, d)
		}
	}
	n.shard.Out.Reset()
	if wake > 0 && (n.wakeAt <= n.w.now || wake < n.wakeAt) {
		n.wakeAt = max(wake, n.w.now+time.Microsecond)
		n.w.in(n.wakeAt-n.w.now, n.turn)
	}
}

func (n *simNode) ended(e Ended) {
	n.w.note("ended", uint64(e.Epoch))
	switch e.Why {
	case "released":
		n.w.count("released")
		n.w.in(n.w.between(0, 20*time.Millisecond), func() { n.w.takeOver(e.Epoch, false) })
	case "lost":
		n.w.count("fenced")
		if n == n.w.owner { // the other one is on its way, or was taken down
			n.w.in(200*time.Millisecond, func() { n.w.takeOver(0, true) })
		}
	default:
		n.w.fail("the room ended: %s, %v", e.Why, e.Err)
	}
}

// append sends a batch to the journal, through whatever weather there is.
func (n *simNode) append(batch []Entry) {
	w := n.w
	run := w.store.run
	for _, e := range batch {
		w.sent(&e)
		n.inFlight++
		there, back := w.between(0, w.weather.delay), w.between(0, w.weather.delay)
		if n.shard.rooms[simRoom] != nil && n.shard.rooms[simRoom].resent {
			w.count("sent again")
		}
		switch p := w.rng.IntN(100); {
		case p < w.weather.refuse:
			w.count("refused then retried")
			w.in(there+back, func() { n.answer(e, Result{Outcome: Refused, Err: errSim}) })
		case p < w.weather.refuse+w.weather.unknown:
			n.lose(e, run, there, back)
		default:
			w.in(there, func() {
				o := n.land(e, run)
				w.in(back, func() { n.answer(e, Result{Outcome: o}) })
			})
		}
	}
}

// lose loses an append or its answer: it is stored before or after its owner asks, or never.
func (n *simNode) lose(e Entry, run int, there, back time.Duration) {
	w := n.w
	n0 := "unknown -> was not"
	stored := w.chance(50)
	if stored {
		n0 = "unknown -> was applied"
		if w.chance(w.weather.landsLate) {
			there += w.between(0, 300*time.Millisecond)
		}
		w.in(there, func() { n.land(e, run) })
	}
	w.count(n0)
	w.in(back+w.between(0, 30*time.Millisecond), func() { n.answer(e, Result{Outcome: Unknown, Err: errSim}) })
}

// land brings an entry to the run of the store that it was sent to.
func (n *simNode) land(e Entry, run int) Outcome {
	w := n.w
	if w.store.run != run {
		return Unknown
	}
	o := w.store.apply(e)
	if o == Confirmed {
		w.wrote(&e)
	}
	if o == Confirmed && e.Kind == EntryCreate && run > 0 {
		w.resumed(n, w.store.entries)
	}
	return o
}

func (n *simNode) answer(e Entry, r Result) {
	n.inFlight--
	if !n.alive {
		return
	}
	n.w.note("answer", uint64(r.Outcome), e.ID.Tick)
	if n.w.replays && e.Kind == EntryDelta && r.Outcome == Confirmed {
		n.w.count("events confirmed")
	}
	c := n.shard.rooms[simRoom]
	if c != nil && r.Outcome == Fenced && !c.resent && c.flying != nil {
		n.w.count("fenced with output queued")
	}
	n.shard.TakeResult(&e, r, n.w.now)
	if r.Outcome == Confirmed && e.Kind.HoldsState() && n == n.w.owner && n.w.store.created {
		n.w.healing = false
	}
	n.turn()
}

// ask answers what a shard wants to know of the journal.
func (n *simNode) ask(a Ask) {
	w := n.w
	there, back := w.between(0, w.weather.delay), w.between(0, w.weather.delay)
	switch {
	case a.Type == AskRenew:
		n.renew(a)
	case a.Type == AskTop && w.chance(w.weather.error):
		w.in(there+back, func() {
			n.tell(func() { n.shard.TakeTop(a.Room, Top{}, errSim, w.now) })
		})
	case a.Type == AskTop:
		w.in(there, func() {
			top, err := Top{}, ErrGone
			if w.store.created {
				e := w.store.top()
				top, err = Top{ID: e.ID, Nonce: e.Nonce, Kind: e.Kind}, nil
			}
			w.in(back, func() { n.tell(func() { n.shard.TakeTop(a.Room, top, err, w.now) }) })
		})
	default:
		w.count("panic restore")
		if n.inFlight > 0 {
			w.count("panic restore with an append in flight")
		}
		w.claim(a.Seen, func(epoch Epoch, nonce uint64, entries []Entry, err error) {
			n.tell(func() { n.shard.TakeLoaded(a.Room, epoch, nonce, entries, err, w.now) })
			if err == nil && n.alive {
				w.resumed(n, entries)
			}
		})
	}
}

func (n *simNode) tell(what func()) {
	if n.alive {
		what()
		n.turn()
	}
}

// claim claims the room and loads it, with time for others in between.
func (w *world) claim(seen Epoch, done func(Epoch, uint64, []Entry, error)) {
	w.claims++
	w.nonces++
	nonce := w.nonces
	old := w.store.entries
	d := func() time.Duration { return w.between(0, w.weather.delay) }
	w.in(d(), func() {
		epoch, err := w.store.claim(seen, nonce)
		w.note("claim", uint64(epoch), nonce)
		w.in(d(), func() {
			var entries []Entry
			if err == nil {
				entries, err = w.store.load(epoch)
			}
			if w.loadOld && err == nil {
				entries = append(append([]Entry(nil), old...), entries[len(entries)-1])
			}
			w.in(d(), func() {
				w.claims--
				done(epoch, nonce, entries, err)
			})
		})
	})
}

// takeOver has a new node claim the room from epoch seen (0: whatever it is).
func (w *world) takeOver(seen Epoch, cold bool) {
	if w.claims > 0 || !w.store.created || w.owner.alive && w.owner.shard.Len() > 0 && cold {
		return
	}
	from := w.owner
	w.note("take over")
	if from.inFlight > 0 {
		w.count("take-over with an append in flight")
	}
	w.claim(seen, func(epoch Epoch, nonce uint64, entries []Entry, err error) {
		if err != nil {
			w.in(100*time.Millisecond, func() { w.takeOver(0, cold) })
			return
		}
		n := w.newNode()
		kind := *w.kind
		if w.strangers {
			kind.rules += 2 * nonce
		}
		if err := n.shard.Adopt(simRoom, &kind, epoch, nonce, entries, func(Node) bool { return cold }, w.now); err != nil {
			w.fail("adopt: %v", err)
			return
		}
		w.count("take-over")
		w.resumed(n, entries)
		w.owner = n
		if cold {
			for _, c := range w.clients {
				c.cut()
			}
		}
		n.turn()
		w.nodes = w.nodes[max(0, len(w.nodes)-3):]
	})
}

// simLog prints what rooms log with the trace.
func simLog(w *world) *slog.Logger {
	if w.verbose {
		return slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "stack" {
				return slog.Attr{}
			}
			return a
		}}))
	}
	return slog.New(slog.DiscardHandler)
}
