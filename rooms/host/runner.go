package host

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"tickover.dev/rooms"
)

// What waits for a shard, all its rooms together, is bounded. The bounds are reached only when the shard is stuck: then mail is refused.
const (
	maxInbox      = 64 << 10 // pieces of mail
	maxInboxBytes = 64 << 20 // of their bodies
)

// runner drives one shard. Whoever holds its turn runs it; a watchdog may take the turn from a goroutine that is stuck in a game's
// code and give it to another (see watchdog.go), so everything a round needs is kept here and not on the stack.
type runner struct {
	// Set by newRunner, then read-only.
	host     *Host
	counters *rooms.Counters // the shard's
	wake     chan struct{}   // one token: there is something in the inbox, or the runner is to stop
	done     chan struct{}   // closed when the shard is stepped no more

	rooms    atomic.Int64 // placed on this shard
	stuck    atomic.Int64
	taken    atomic.Int64
	refusals atomic.Int64

	lateness lateness
	turn     turn

	// Owned by the goroutine that runs the shard.
	shard    *rooms.Shard
	waiting  []rooms.Entry // for the batch before them to be answered
	inFlight bool          // a batch is with the journal
	round    inbox         // what is being taken in, and how far
	now      time.Duration

	mu sync.Mutex
	// Guarded by mu.
	inbox   inbox
	stopped bool
}

// inbox is what waits for a shard's next round.
type inbox struct {
	mail     []rooms.Mail
	bodies   []byte // of the mail
	answered []answered
	calls    []func(*rooms.Shard, time.Duration) // answers to asks

	nextMail, nextAnswered, nextResult, nextCall int
}

// answered is one answered append.
type answered struct {
	entries []rooms.Entry
	results []rooms.Result
}

// shardPhase is how much later each shard's rooms are due than those of the one before: shards that step at the same moments would all
// wait for their journal at the same moments.
const shardPhase = 1250 * time.Microsecond

func newRunner(h *Host, phase time.Duration) *runner {
	r := &runner{host: h, wake: make(chan struct{}, 1), done: make(chan struct{})}
	r.shard = rooms.NewShard(h.log, seeds)
	r.counters = &r.shard.Counters
	r.turn.clock = r.clock
	r.shard.Turn = &r.turn
	r.shard.Clock = r.clock
	r.shard.Lateness = r.lateness.record
	r.shard.Phase = phase
	r.shard.ShadowEvery = h.config.ShadowEvery
	return r
}

func seeds() (uint64, uint64) {
	var b [16]byte
	rand.Read(b[:])
	return binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:])
}

// clock is the shard's time: since the host started, never going back.
func (r *runner) clock() time.Duration { return time.Since(r.host.started) }

// patience is how long mail may wait for a shard that has nothing else to do. Mail for a room with a fixed rate waits for the room's
// next tick anyway, so it wakes nobody: at 20 inputs a tick that saves most of what a shard's goroutine would cost.
const (
	patience  = 50 * time.Millisecond
	wakeAfter = 4096 // pieces of waiting mail wake the shard all the same, long before the inbox is full
)

// post queues mail. It copies the body. The shard takes it in before it steps next, or at once if it is urgent.
func (r *runner) post(m *rooms.Mail, urgent bool) error {
	r.mu.Lock()
	if r.stopped || len(r.inbox.mail) >= maxInbox || len(r.inbox.bodies)+len(m.Body) > maxInboxBytes {
		stopped := r.stopped
		r.mu.Unlock()
		if stopped {
			return rooms.ErrGone
		}
		r.refusals.Add(1)
		return rooms.ErrMailboxFull
	}
	mail := *m
	if len(m.Body) > 0 {
		from := len(r.inbox.bodies)
		r.inbox.bodies = append(r.inbox.bodies, m.Body...)
		mail.Body = r.inbox.bodies[from:len(r.inbox.bodies):len(r.inbox.bodies)]
	}
	r.inbox.mail = append(r.inbox.mail, mail)
	urgent = urgent || len(r.inbox.mail) >= wakeAfter
	r.mu.Unlock()
	if urgent {
		r.signal()
	}
	return nil
}

func (r *runner) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// call queues an answer of the journal.
func (r *runner) call(f func(*rooms.Shard, time.Duration)) {
	r.mu.Lock()
	r.inbox.calls = append(r.inbox.calls, f)
	r.mu.Unlock()
	r.signal()
}

// release gives a room up. It is not refused, whatever waits already. It is mail, so that it comes behind the room's creation.
func (r *runner) release(id rooms.ID) {
	r.mu.Lock()
	r.inbox.mail = append(r.inbox.mail, rooms.Mail{Type: rooms.MailRelease, Room: id})
	r.mu.Unlock()
	r.signal()
}

// append hands what waits to the journal, one batch at a time: a journal's costs are its round trips, so what comes up while one is
// under way shares the next. A batch holds at most one entry of each room, as a room has at most one unresolved (FAILOVER.md R1).
// The results come back through the inbox.
func (r *runner) append() {
	if r.inFlight || len(r.waiting) == 0 {
		return
	}
	entries := r.waiting
	r.waiting, r.inFlight = nil, true
	r.host.config.Journal.Append(entries, func(results []rooms.Result) {
		r.mu.Lock()
		r.inbox.answered = append(r.inbox.answered, answered{entries, results})
		r.mu.Unlock()
		r.signal()
	})
}

func (r *runner) stop() {
	r.mu.Lock()
	r.stopped = true
	r.mu.Unlock()
	r.signal()
}

// run goes round until stop, or until the turn is lost. It starts where the goroutine before it left off.
func (r *runner) run() {
	ended := false
	defer func() {
		if ended {
			close(r.done)
		} else { // by runtime.Goexit: the turn was lost
			r.cameBack()
		}
	}()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		r.now = r.clock()
		r.shard.Unix = r.host.unix(r.shard.Unix)
		r.takeIn()
		wake := r.shard.Advance(r.now)
		r.carryOut()
		pause := patience
		if wake > 0 {
			pause = max(0, min(pause, wake-r.clock()))
		}
		timer.Reset(pause)
		select {
		case <-r.wake:
		case <-timer.C:
		}
		if !r.swap() {
			ended = true
			return
		}
	}
}

// swap takes the inbox over, once the round before is taken in, and reports false when it is time to end.
func (r *runner) swap() bool {
	r.round.reset()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return false
	}
	r.round, r.inbox = r.inbox, r.round
	return true
}

func (b *inbox) reset() {
	const keepBytes = 1 << 20
	clear(b.mail)
	clear(b.answered)
	clear(b.calls)
	bodies := b.bodies[:0]
	if cap(bodies) > keepBytes {
		bodies = nil
	}
	*b = inbox{mail: b.mail[:0], bodies: bodies, answered: b.answered[:0], calls: b.calls[:0]}
}

// takeIn hands the round to the shard. Each element is counted before it is taken: if the turn is lost in the middle, whoever
// goes on does not take it twice.
func (r *runner) takeIn() {
	b := &r.round
	for b.nextCall < len(b.calls) {
		b.nextCall++
		b.calls[b.nextCall-1](r.shard, r.now)
	}
	for b.nextAnswered < len(b.answered) {
		a := &b.answered[b.nextAnswered]
		r.inFlight = false
		for b.nextResult < len(a.results) {
			b.nextResult++
			r.shard.TakeResult(&a.entries[b.nextResult-1], a.results[b.nextResult-1], r.now)
		}
		b.nextAnswered, b.nextResult = b.nextAnswered+1, 0
	}
	for b.nextMail < len(b.mail) {
		b.nextMail++
		m := &b.mail[b.nextMail-1]
		if err := r.shard.Take(m, r.now); err != nil {
			r.refuse(m, err)
		}
	}
}

// refuse answers mail that its room did not take.
func (r *runner) refuse(m *rooms.Mail, err error) {
	if errors.Is(err, rooms.ErrMailboxFull) {
		r.refusals.Add(1)
	}
	if errors.Is(err, rooms.ErrGone) && m.Node != 0 && r.moved(m.Room) {
		return // it is asked for again where the room is
	}
	if f := rooms.Refusal(m, err); f != nil {
		if tomb, ok := r.tomb(m.Room); ok && errors.Is(err, rooms.ErrGone) {
			tomb.inscribe(f)
		}
		r.shard.Out.Frames = append(r.shard.Out.Frames, f)
	}
}

// moved reports whether a room that is not on the shard goes on elsewhere, as far as is known here.
func (r *runner) moved(id rooms.ID) bool {
	if e, ok := r.justEnded(id); ok {
		return e.Kept
	}
	_, over := r.host.Tomb(id)
	return !over
}

// tomb tells of a room that is over, also if it is so since this round.
func (r *runner) tomb(id rooms.ID) (Tomb, bool) {
	if e, ok := r.justEnded(id); ok {
		return Tomb{Why: e.Why, Code: e.Code, Result: e.Result}, true
	}
	return r.host.Tomb(id)
}

// justEnded gives the end of a room that is to be carried out at the end of this round.
func (r *runner) justEnded(id rooms.ID) (rooms.Ended, bool) {
	for _, e := range r.shard.Out.Ended {
		if e.Room == id {
			return e, true
		}
	}
	return rooms.Ended{}, false
}

// carryOut does what the shard asks for.
func (r *runner) carryOut() {
	out := &r.shard.Out
	for _, f := range out.Frames {
		if f.Notice == nil {
			continue
		}
		if h, ok := r.host.Room(f.Room); ok {
			h.notice.Store(f.Notice)
		}
	}
	if len(out.Frames) > 0 {
		r.host.config.Sink.Deliver(out.Frames)
	}
	r.waiting = append(r.waiting, out.Appends...)
	r.append()
	for _, a := range out.Asks {
		r.host.begin(func() { r.ask(a) })
	}
	for _, j := range out.Jobs {
		r.host.begin(func() { r.perform(j) })
	}
	for _, e := range out.Ended {
		r.host.ended(e)
	}
	if r.host.shadows != nil {
		r.host.shadows.offer(out.Shadows)
	}
	out.Reset()
}
