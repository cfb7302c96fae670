package rooms

import (
	"container/heap"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"tickover.dev/codec/delta"
)

// Shard steps a set of rooms. It is a state machine: it has no goroutine, reads no clock and does no I/O. Its owner hands it mail
// and calls Advance, then carries out what Output says. All methods are for one goroutine, the one exception being described at
// Turn.
//
//	mail ──► Take ──► rooms' mailboxes ─┐
//	                                    ├─► Advance(now) ──► Output: appends, frames, asks, jobs, ended
//	slots and deadlines that are due ───┘
type Shard struct {
	log   *slog.Logger
	rooms map[ID]*core
	lanes lanes   // rooms with a fixed rate
	alarm alarms  // rooms without, by their next deadline
	ready []*core // rooms without a rate that have mail
	retry []*core // rooms whose entry was refused, or that wait for their journal
	Out   Output
	round []*core // those of them that are being stepped; the next is number at, for whoever goes on after a lost turn
	at    int
	space *workspace
	ids   uint64 // of signals that came without one

	// Turn, if set, guards the only thing that can take longer than planned: the game's own code.
	Turn Turn

	// Lateness, if set, is told how long after its due time a step started.
	Lateness func(time.Duration)
	// Clock, if set, gives the present time for Lateness, on the same scale as now.
	Clock func() time.Duration
	// Unix is the time since 1970 at which now was 0, for Frame.Due. It may be set anew before every call.
	Unix time.Duration

	// Phase is how much later than those of other shards this one's rooms are due: shards that step, and write to their journal, at
	// the same moments would wait for each other. Set it before the first room.
	Phase time.Duration

	// Counters may be read from any goroutine.
	Counters Counters

	// ShadowEvery has every so manieth stretch of a Replay room's history, from one snapshot to the next, put into Out.Shadows; 1: each,
	// 0: none. It costs the memory of that stretch's entries. Set it before the first room.
	ShadowEvery int

	seed func() (uint64, uint64)

	broken breakage
}

// Turn is how a watchdog sees into a shard. Enter is called before a game's code and Leave, with what Enter gave, after it. If Leave
// reports false, the shard was given to another goroutine meanwhile (see Dispossess), and this one ends without touching it.
type Turn interface {
	Enter(room *ID, limit time.Duration) (token uint64)
	Leave(token uint64) bool
}

// Counters count what went wrong, and what became of appends.
type Counters struct {
	Panics atomic.Int64 // of games' code
	Paused atomic.Int64 // rooms that wait for their journal now, their players told so

	Confirmed, Refused, Unknown, Fenced, Gone atomic.Int64 // answers of the journal, one per append

	Renewed atomic.Int64 // rooms whose journal was lost and made anew

	Diverged   atomic.Int64 // Replay rooms resumed from their newest snapshot: stepped again, they came out otherwise
	OtherRules atomic.Int64 // likewise: they were stepped by another program, or on another kind of processor
}

func (n *Counters) count(o Outcome) {
	switch o {
	case Confirmed:
		n.Confirmed.Add(1)
	case Refused:
		n.Refused.Add(1)
	case Fenced:
		n.Fenced.Add(1)
	case Gone:
		n.Gone.Add(1)
	default:
		n.Unknown.Add(1)
	}
}

// Output is what the owner of a shard has to do after Advance. It is valid until the next call.
type Output struct {
	Appends []Entry  // to Journal.Append, in order; results come back with TakeResults
	Frames  []*Frame // to show
	Asks    []Ask    // to be answered with TakeTop, TakeLoaded, TakeRenewed
	Jobs    []JobRequest
	Ended   []Ended
	Shadows []*Shadow // to be replayed aside
}

// AskType says what a room wants from its journal.
type AskType uint8

const (
	AskTop     AskType = iota + 1 // read the top
	AskRestore                    // claim the room (from epoch Seen) and load it
	AskRenew                      // its journal is gone: may the room, which is here in epoch Seen, have a new one?
)

// Ask is a question to the journal, or to who knows of all rooms, that takes I/O.
type Ask struct {
	Type AskType
	Room ID
	Seen Epoch
}

// JobRequest is a Do whose tick is confirmed.
type JobRequest struct {
	Room   ID
	Kind   *Kind
	Number uint64
	Job    Job
}

// Ended is a room that is no more on this shard.
type Ended struct {
	Room   ID
	Epoch  Epoch
	Why    string
	Result []byte
	Code   string // for Why "refused": the game's
	// Kept means that the journal stays: the room was released, fenced or lost, or could not be adopted. All others are buried.
	Kept bool
	Err  error
}

// workspace is memory that rooms use while they are stepped.
type workspace struct {
	state   []byte
	delta   []byte
	rings   []ringRow
	body    entryBody
	scratch delta.Scratch

	clock       func() time.Duration // may be nil
	shadowEvery int                  // see Shard.ShadowEvery
	stretches   int
}

// time is the present time, for measuring, or always 0.
func (w *workspace) time() time.Duration {
	if w.clock == nil {
		return 0
	}
	return w.clock()
}

// NewShard makes an empty shard. seed gives the seeds of new rooms' generators.
func NewShard(log *slog.Logger, seed func() (uint64, uint64)) *Shard {
	return &Shard{log: log, rooms: map[ID]*core{}, space: new(workspace), seed: seed}
}

// Len is the number of rooms.
func (s *Shard) Len() int { return len(s.rooms) }

// Advance steps every room that is due at now, and says when it wants to be called again at the latest (0: only for mail).
func (s *Shard) Advance(now time.Duration) (wake time.Duration) {
	s.stepLanes(now)
	for s.alarm.Len() > 0 && s.alarm[0].wakeAt <= now {
		c := heap.Pop(&s.alarm).(*core)
		c.alarmAt = -1
		s.makeReady(c)
	}
	s.stepReady(now)
	s.retryRefused(now)
	return s.nextWake(now)
}

// nextWake is when the earliest lane, alarm or retry is due.
func (s *Shard) nextWake(now time.Duration) time.Duration {
	wake := time.Duration(0)
	sooner := func(at time.Duration) {
		if at = max(at, now, 1); wake == 0 || at < wake {
			wake = at
		}
	}
	for _, l := range s.lanes {
		sooner(l.due)
	}
	if len(s.ready) > 0 {
		sooner(now)
	}
	if len(s.alarm) > 0 {
		sooner(s.alarm[0].wakeAt)
	}
	for _, c := range s.retry {
		sooner(c.retryAt)
	}
	return wake
}

// Reset empties Out for the next round; frames and bodies belong to whoever took them.
func (o *Output) Reset() {
	clear(o.Appends)
	clear(o.Frames)
	clear(o.Jobs)
	clear(o.Ended)
	clear(o.Shadows)
	*o = Output{o.Appends[:0], o.Frames[:0], o.Asks[:0], o.Jobs[:0], o.Ended[:0], o.Shadows[:0]}
}

// stepReady steps the rooms that have mail or a deadline. What a step makes ready again waits for the next call: one room must not
// keep the others waiting.
func (s *Shard) stepReady(now time.Duration) {
	if s.at == len(s.round) {
		s.round, s.ready, s.at = s.ready, s.round[:0], 0
	}
	for s.at < len(s.round) {
		c := s.round[s.at]
		s.round[s.at] = nil
		s.at++
		c.isReady = false
		if s.rooms[c.id] == c {
			s.stepEvented(c, now)
		}
	}
}

// stepEvented steps a room of rate 0, if there is a reason to. While it may not step, its mail waits until confirmed or resumed
// make it ready again.
func (s *Shard) stepEvented(c *core, now time.Duration) {
	deadline, ok := c.h.nextDeadline()
	at := now - c.started
	switch {
	case !c.mayStep():
		s.pause(c, now)
	case len(c.mail.list) > 0 || len(c.h.Wishes) > 0 || c.h.Tick == 0 || ok && deadline <= at:
		s.run(c, now, opTick)
		s.collect(c, now)
	case c.phase == phasePlaying && (c.seal || c.unsaved && c.savedAt+periodicEvery <= at): // an entry is due, but no step
		c.h.Now = max(c.h.Now, at)
		s.run(c, now, opCommit)
		s.collect(c, now)
	}
	if s.rooms[c.id] != c {
		return
	}
	if c.mayStep() && (len(c.h.Wishes) > 0 || len(c.mail.list) > 0) {
		s.makeReady(c)
	}
	s.setAlarm(c)
}

type op uint8

const (
	opTick op = iota
	opCommit
	opReseal
	opRestore
)

// run calls into a room's game, guarded: a panic becomes a restore, and a call that takes too long loses the shard.
func (s *Shard) run(c *core, now time.Duration, what op) {
	space := s.space // from Enter on, the shard itself may be another goroutine's
	space.clock, space.shadowEvery = s.Clock, s.ShadowEvery
	if s.Turn != nil {
		turn := s.Turn
		token := turn.Enter(&c.id, c.kind.StepLimit)
		defer func() {
			if !turn.Leave(token) {
				runtime.Goexit() // the shard is another goroutine's now
			}
		}()
	}
	defer func() {
		if r := recover(); r != nil {
			s.Counters.Panics.Add(1) // also of a lost turn: it is atomic
			c.fault = fmt.Errorf("panic: %v", r)
			c.faultStack = debug.Stack()
		}
	}()
	switch what {
	case opTick:
		c.tick(now-c.started, space)
	case opCommit:
		c.commitOpen(space)
	case opReseal:
		c.reseal(c.resealAt, space)
	case opRestore:
		c.fault = c.resume(c.from, c.gone)
	}
}

// collect moves what a room has ready into Out.
func (s *Shard) collect(c *core, now time.Duration) {
	if c.fault != nil {
		s.panicked(c, now)
		return
	}
	if c.rosterStale {
		c.callRoll()
	}
	if c.quiet != nil {
		s.show(c, c.quiet)
		c.quiet = nil
	}
	if c.stretch != nil {
		s.Out.Shadows = append(s.Out.Shadows, c.stretch)
		c.stretch = nil
	}
	if c.unsent {
		c.unsent = false
		c.waitsSince = now
		if c.broken.showEarly && c.flying != nil {
			s.show(c, c.flying)
			c.flying = nil
		}
		s.Out.Appends = append(s.Out.Appends, c.sent)
	}
}

// show gives out a frame of a room's tick.
func (s *Shard) show(c *core, f *Frame) {
	c.shown = EntryID{f.Epoch, f.Tick}
	if f.Due != 0 {
		f.Due += s.Unix
	}
	s.Out.Frames = append(s.Out.Frames, f)
}

// panicked restores a room whose game panicked, as a claim of one's own room, or closes it; see recovery. A room whose creation is
// not in the journal yet is closed at once: nobody has seen it.
func (s *Shard) panicked(c *core, now time.Duration) {
	s.log.Error("game panicked", "room", c.id, "kind", c.kind.Name, "tick", c.h.Tick, "attempt", c.attempts+1, "error", c.fault, "stack", string(c.faultStack))
	err := c.fault
	c.fault, c.faultStack = nil, nil
	if !c.blame() {
		s.quarantine(c, err)
		return
	}
	c.requeue()
	s.dropFrames(c)
	c.phase, c.unsent, c.waitsSince = phaseClaiming, false, now
	s.Out.Asks = append(s.Out.Asks, Ask{AskRestore, c.id, c.epoch})
}

func (s *Shard) dropFrames(c *core) {
	for _, f := range []*Frame{c.flying, c.quiet} {
		if f != nil {
			f.Release()
		}
	}
	c.flying, c.quiet, c.flyingJobs = nil, nil, nil
}
