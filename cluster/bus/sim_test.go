package bus

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"tickover.dev/cluster"
	"tickover.dev/simtest"
)

// The simulation runs the outboxes and ledgers of several nodes over a store that is away, slow, loses requests and answers, and
// carries out late what was reported unknown; inboxes vanish, lose their ends, and overflow; nodes die, start again, freeze, and are
// taken for dead while they live. It is in virtual time, one goroutine, one seeded queue of events: a seed repeats exactly.
//
// Each message holds its place among all those that its sender meant for its receiver, refused ones too. So a receiver's test is:
// places only grow, and where one is missing Lost was called at that very point.

var simStart = time.UnixMicro(1_000_000)

const (
	simFaults  = 20 * time.Second
	simNotice  = 3500 * time.Millisecond // two pulses, and what was under way when the faults ended
	simTimeout = 300 * time.Millisecond
	simInbox   = 16 // packets
)

type world struct {
	seed    uint64
	rng     *rand.Rand
	now     time.Time
	end     time.Time // of the faults
	queue   simtest.Queue
	trace   hash.Hash64
	counts  map[string]int
	failed  string
	config  Config
	nodes   []*simNode // by slot
	boots   cluster.Boot
	streams map[cluster.Boot]*simStream
	pairs   map[pair]*record
	faults  bool
	away    bool
	wreck   wreck
}

// wreck breaks the rules, one by one, so that the simulation can prove that it would notice.
type wreck struct {
	noPulse       bool // nobody tells the newest number
	fullUnnoticed bool // a refused message uses up no number
	renumber      bool // an unknown batch is sent again under another number
	takeDoubles   bool // a receiver takes what comes again
	trustFirst    bool // a receiver takes the first number it hears for the first there was
	forgetNumbers bool // a receiver that forgets a sender forgets its numbers
	sameTalk      bool // a sender that has forgotten its numbers begins again in the same conversation
	readOn        bool // a reader whose inbox has lost its end goes on where it was
}

type pair struct{ from, to cluster.Boot }

// record is what a test knows of what goes from one boot to another.
type record struct {
	meant uint64 // messages that were given to add
	got   uint64 // the place of the newest received
	told  bool   // Lost was called since
}

type simStream struct {
	entries []simEntry
	last    int
}

type simEntry struct {
	id   int
	data []byte
}

type simNode struct {
	w      *world
	boot   cluster.Boot
	config Config
	out    outbox
	in     ledger
	alive  bool
	frozen bool
	held   []func() // what would have happened while it was frozen
	busy   bool     // a put is under way
	read   int
}

func (w *world) in(d time.Duration, do func()) {
	w.queue.Put(w.now.Add(d).Sub(simStart), do)
}

func (w *world) chance(percent int) bool { return w.rng.IntN(100) < percent }

func (w *world) between(from, to time.Duration) time.Duration {
	return from + time.Duration(w.rng.Int64N(int64(to-from)+1))
}

func (w *world) fail(format string, args ...any) {
	if w.failed == "" {
		w.failed = fmt.Sprintf("seed %d, %s: ", w.seed, w.now.Sub(w.end)+simFaults) + fmt.Sprintf(format, args...)
	}
}

func (w *world) note(what string, values ...any) {
	w.counts[what]++
	fmt.Fprintln(w.trace, w.now.UnixMicro(), what, values)
	if simtest.One() != 0 {
		fmt.Println(w.now.Sub(w.end)+simFaults, what, values)
	}
}

// simulate runs one seed.
func simulate(seed uint64, faults bool, broken wreck) *world {
	w := &world{
		seed: seed, rng: rand.New(rand.NewPCG(seed, 7)), now: simStart, end: simStart.Add(simFaults), trace: fnv.New64a(), counts: map[string]int{},
		streams: map[cluster.Boot]*simStream{}, pairs: map[pair]*record{}, faults: faults, wreck: broken,
		config: Config{
			FlushAfter: 2 * time.Millisecond, FlushBytes: 600, MaxQueued: 4000, MaxQueuedAll: 9000, MaxPeers: 100,
			GiveUp: 1500 * time.Millisecond, Pulse: time.Second,
		},
	}
	if faults && seed%2 == 0 {
		w.config.MaxPeers = 2 // fewer than there are
		w.in(0, w.doubt)
	}
	for slot := range 3 + w.rng.IntN(2) {
		w.nodes = append(w.nodes, nil)
		w.boot(slot)
	}
	w.in(0, w.talk)
	if faults {
		w.in(0, w.trouble)
	}
	w.in(simFaults, w.calm)
	finish := w.end.Add(simNotice)
	for w.failed == "" {
		at, do, ok := w.queue.Next(finish.Sub(simStart))
		if !ok {
			break
		}
		w.now = simStart.Add(at)
		do()
	}
	w.now = finish
	w.judge()
	return w
}

// talk has nodes say something to each other, in bursts.
func (w *world) talk() {
	if w.now.After(w.end) {
		return
	}
	from, to := w.anyNode(), w.anyNode()
	for range 1 + w.rng.IntN(12) {
		from.send(to.boot)
	}
	if w.chance(3) {
		w.in(w.between(time.Second, 3*time.Second), w.talk) // what was lost at the end of a burst has to be noticed in a silence
		return
	}
	w.in(w.between(0, 40*time.Millisecond), w.talk)
}

func (w *world) anyNode() *simNode { return w.nodes[w.rng.IntN(len(w.nodes))] }

// trouble makes something go wrong.
func (w *world) trouble() {
	if w.now.After(w.end) {
		return
	}
	slot := w.rng.IntN(len(w.nodes))
	n, other := w.nodes[slot], w.anyNode()
	switch w.rng.IntN(8) {
	case 0:
		w.note("away")
		w.away = true
		w.in(w.between(10*time.Millisecond, 3*time.Second), func() { w.away = false })
	case 1:
		w.note("vanished", n.boot)
		delete(w.streams, n.boot)
	case 2:
		w.loseEnd(n.boot)
	case 3:
		n.freeze()
	case 4:
		if w.chance(40) {
			w.restart(slot)
		}
	case 5, 6:
		n.takeForDead(other.boot)
	}
	w.in(w.between(100*time.Millisecond, 900*time.Millisecond), w.trouble)
}

// doubt has nodes be wrong about each other all the time.
func (w *world) doubt() {
	if w.now.Before(w.end) {
		w.anyNode().takeForDead(w.anyNode().boot)
		w.in(w.between(50*time.Millisecond, 500*time.Millisecond), w.doubt)
	}
}

func (w *world) loseEnd(b cluster.Boot) {
	s := w.streams[b]
	if s == nil || len(s.entries) == 0 {
		return
	}
	keep := len(s.entries) - 1 - w.rng.IntN(len(s.entries))
	s.last = s.entries[keep].id - 1
	s.entries = s.entries[:keep]
	w.note("lost its end", b)
}

func (w *world) restart(slot int) {
	old := w.nodes[slot]
	old.alive = false
	w.note("died", old.boot)
	w.boot(slot)
	w.in(3*time.Second, func() { delete(w.streams, old.boot) })
	for _, n := range w.nodes {
		n.later(w.between(0, 2*time.Second), func() { n.forget(old.boot) })
	}
}

func (w *world) boot(slot int) {
	w.boots++
	n := &simNode{w: w, boot: w.boots, config: w.config, alive: true, in: newLedger(100)}
	n.config.Self = n.boot
	n.out = newOutbox(&n.config)
	w.nodes[slot] = n
	w.streams[n.boot] = &simStream{}
	n.later(0, n.tick)
	n.later(0, n.poll)
	n.later(w.between(0, time.Second), n.tend)
}

func (w *world) calm() {
	w.note("calm")
	w.away = false
	for _, n := range w.nodes {
		if w.faults && w.chance(30) {
			w.loseEnd(n.boot)
		}
		n.thaw()
	}
	w.faults = false
}

// judge looks whether every loss at the end was told.
func (w *world) judge() {
	for _, from := range w.nodes {
		for _, to := range w.nodes {
			if from.out.peers[to.boot] == nil {
				continue // too many destinations: it was taken for dead and evicted, and nothing was said to it again
			}
			if r := w.pairs[pair{from.boot, to.boot}]; r != nil && r.got < r.meant && !r.told {
				w.fail("%s got %d of %d messages from %s, and was not told", to.boot, r.got, r.meant, from.boot)
			}
		}
	}
	for _, n := range w.nodes {
		w.counts["evicted"] += int(n.out.tally.evicted)
		w.counts["resent"] += int(n.out.tally.resent)
		w.counts["dropped"] += int(n.out.tally.dropped)
		w.counts["no inbox"] += int(n.out.tally.gone)
	}
}

func (w *world) record(from, to cluster.Boot) *record {
	p := pair{from, to}
	if w.pairs[p] == nil {
		w.pairs[p] = &record{}
	}
	return w.pairs[p]
}

// apply carries out an XADD.
func (w *world) apply(to cluster.Boot, data []byte) Outcome {
	s := w.streams[to]
	if s == nil {
		return NoInbox
	}
	s.last++
	s.entries = append(s.entries, simEntry{s.last, data})
	if n := len(s.entries) - simInbox; n > 0 {
		s.entries = s.entries[n:]
		w.note("overflowed", to)
	}
	return Delivered
}

// later has something happen at a node: not if it is dead by then, and later if it is frozen.
func (n *simNode) later(d time.Duration, do func()) { n.w.in(d, func() { n.do(do) }) }

func (n *simNode) do(what func()) {
	switch {
	case !n.alive:
	case n.frozen:
		n.held = append(n.held, what)
	default:
		what()
	}
}

func (n *simNode) freeze() {
	n.w.note("frozen", n.boot)
	n.frozen = true
	n.w.in(n.w.between(100*time.Millisecond, 3*time.Second), n.thaw)
}

func (n *simNode) thaw() {
	n.frozen = false
	held := n.held
	n.held = nil
	for _, do := range held {
		n.do(do)
	}
}

// send means a message for another node.
func (n *simNode) send(to cluster.Boot) {
	if !n.alive || n.frozen {
		return
	}
	r := n.w.record(n.boot, to)
	r.meant++
	message := binary.BigEndian.AppendUint64(nil, r.meant)
	message = append(message, make([]byte, n.w.rng.IntN(100))...)
	err := n.out.add(to, message, n.w.now)
	p := n.out.peers[to]
	if p == nil {
		n.w.note("too many destinations")
		r.meant--
		return
	}
	if err != nil {
		n.w.note("refused", n.boot, to)
		if n.w.wreck.fullUnnoticed {
			p.last--
		}
	}
	if n.w.wreck.sameTalk && len(p.queue) > 0 {
		p.conversation = 1
		binary.BigEndian.PutUint64(p.queue[len(p.queue)-1].packet[6:], 1)
	}
	n.tick()
}

// takeForDead has a node forget one that lives, and speak to it again.
func (n *simNode) takeForDead(b cluster.Boot) {
	if n.frozen || n.boot == b {
		return
	}
	n.w.note("taken for dead", b)
	n.forget(b)
	n.later(n.w.between(0, time.Second), func() { n.send(b) })
}

func (n *simNode) forget(b cluster.Boot) {
	n.out.forget(b)
	n.in.forget(b)
	if n.w.wreck.forgetNumbers {
		delete(n.in.senders, b)
	}
}

// tick is the sender: what is due goes out as one pipeline, unless one is under way.
func (n *simNode) tick() {
	w := n.w
	if n.busy {
		return
	}
	packets := n.out.take(w.now, nil)
	if len(packets) == 0 {
		if wake := n.out.wake(); !wake.IsZero() {
			n.later(max(wake.Sub(w.now), 0), n.tick)
		}
		return
	}
	n.busy = true
	outcomes := make([]Outcome, len(packets))
	sent := make([]Packet, len(packets))
	for i, p := range packets {
		sent[i] = Packet{p.To, bytes.Clone(p.Data)}
	}
	settle := func(d time.Duration) {
		n.later(d, func() {
			n.busy = false
			n.out.settle(outcomes, w.now)
			n.renumber(packets, outcomes)
			n.tick()
		})
	}
	there := w.between(50*time.Microsecond, 3*time.Millisecond)
	apply := func() {
		for i, p := range sent {
			if w.wreck.noPulse && kind(p.Data[1]) == kindPulse {
				outcomes[i] = Delivered
				continue
			}
			if !w.faults || !w.chance(3) { // else it is refused: memory is short, a slot is being moved
				outcomes[i] = w.apply(p.To, p.Data)
			}
		}
	}
	ignored := func() {
		for _, p := range sent {
			w.apply(p.To, p.Data)
		}
	}
	switch fate := w.rng.IntN(100); {
	case w.away || w.faults && fate < 4:
		w.note("request lost", n.boot)
		settle(simTimeout)
	case w.faults && fate < 8:
		w.note("answer lost", n.boot)
		w.in(there, ignored)
		settle(simTimeout)
	case w.faults && fate < 12:
		w.note("late", n.boot)
		w.in(simTimeout+w.between(0, 800*time.Millisecond), ignored)
		settle(simTimeout)
	default:
		w.in(there, func() {
			apply()
			settle(w.between(50*time.Microsecond, 3*time.Millisecond))
		})
	}
}

func (n *simNode) renumber(packets []Packet, outcomes []Outcome) {
	if !n.w.wreck.renumber {
		return
	}
	for i, o := range outcomes {
		p := n.out.peers[packets[i].To]
		if o == Unknown && p != nil && len(p.queue) == 1 && kind(packets[i].Data[1]) == kindBatch {
			p.last++
			p.open = false
			binary.BigEndian.PutUint64(p.queue[0].packet[14:], p.last)
		}
	}
}

// poll is the receiver.
func (n *simNode) poll() {
	w := n.w
	if s := w.streams[n.boot]; s != nil && !w.away {
		for _, e := range s.entries {
			if e.id > n.read {
				n.read = e.id
				n.take(e.data)
			}
		}
	}
	n.later(w.between(time.Millisecond, 30*time.Millisecond), n.poll)
}

// tend is what an adapter's Tend does, and Link with its result.
func (n *simNode) tend() {
	w := n.w
	if w.away {
		n.later(100*time.Millisecond, n.tend)
		return
	}
	s := w.streams[n.boot]
	switch {
	case s == nil:
		w.streams[n.boot] = &simStream{}
		n.read = 0
		n.lostAll()
	case s.last < n.read && !w.wreck.readOn:
		n.read = 0
		n.lostAll()
	default:
		for len(s.entries) > 0 && s.entries[0].id < n.read {
			s.entries = s.entries[1:]
		}
	}
	n.later(time.Second, n.tend)
}

func (n *simNode) lostAll() {
	n.w.note("inbox lost", n.boot)
	for _, b := range n.in.known() {
		n.w.record(b, n.boot).told = true
	}
}

func (n *simNode) take(packet []byte) {
	w := n.w
	h, messages, err := parse(packet)
	if err != nil {
		w.fail("%s cannot read a packet: %s", n.boot, err)
		return
	}
	n.misjudge(h)
	v := n.in.take(h)
	r := w.record(h.sender, n.boot)
	if v.double {
		w.note("double", h.sender, n.boot)
	}
	if v.lost {
		w.note("lost", h.sender, n.boot)
		r.told = true
	}
	for v.deliver && len(messages) > 0 {
		var m []byte
		m, messages, _ = nextMessage(messages)
		place := binary.BigEndian.Uint64(m)
		switch {
		case place <= r.got:
			w.fail("%s received message %d from %s after %d", n.boot, place, h.sender, r.got)
		case place > r.got+1 && !r.told:
			w.fail("%s received message %d from %s after %d, and was not told", n.boot, place, h.sender, r.got)
		}
		r.got, r.told = place, false
		w.note("received", h.sender, n.boot, place)
	}
}

func (n *simNode) misjudge(h header) {
	s := n.in.senders[h.sender]
	switch {
	case s == nil && n.w.wreck.trustFirst:
		n.in.senders[h.sender] = &sender{conversation: h.conversation, next: h.number}
	case s != nil && n.w.wreck.takeDoubles && h.kind == kindBatch && h.conversation == s.conversation:
		s.next = min(s.next, h.number)
	}
}
