package rooms

import (
	"container/heap"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"time"

	"tickover.dev/codec/delta"
	"tickover.dev/netcode"
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
	space *workspace

	// Turn, if set, guards the only thing that can take longer than planned: the game's own code.
	Turn Turn

	// Lateness, if set, is told how long after its due time a step started.
	Lateness func(time.Duration)
	// Clock, if set, gives the present time for Lateness, on the same scale as now.
	Clock func() time.Duration

	seed func() (uint64, uint64)
}

// Turn is how a watchdog sees into a shard. Enter is called before a game's code and Leave, with what Enter gave, after it. If Leave
// reports false, the shard was given to another goroutine meanwhile (see Dispossess), and this one ends without touching it.
type Turn interface {
	Enter(room *ID, limit time.Duration) (token uint64)
	Leave(token uint64) bool
}

// Output is what the owner of a shard has to do after Advance. It is valid until the next call.
type Output struct {
	Appends []Entry  // to Journal.Append, in order; results come back with TakeResults
	Frames  []*Frame // to show
	Asks    []Ask    // to be answered with TakeTop, TakeLoaded
	Jobs    []JobRequest
	Ended   []Ended
}

// AskType says what a room wants from its journal.
type AskType uint8

const (
	AskTop     AskType = iota + 1 // read the top
	AskRestore                    // claim the room (from epoch Seen) and load it
)

// Ask is a question to the journal that takes I/O.
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
	// Kept means that the journal stays: the room was released, fenced or lost, or waits in quarantine.
	Kept bool
	Err  error
}

// workspace is memory that rooms use while they are stepped.
type workspace struct {
	state   []byte
	delta   []byte
	rings   []ringRow
	scratch delta.Scratch
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
	for len(s.ready) > 0 {
		c := s.ready[len(s.ready)-1]
		s.ready = s.ready[:len(s.ready)-1]
		c.isReady = false
		s.stepEvented(c, now)
	}
	s.retryRefused(now)
	return s.nextWake(now)
}

// Reset empties Out for the next round; frames and bodies belong to whoever took them.
func (o *Output) Reset() {
	clear(o.Appends)
	clear(o.Frames)
	clear(o.Jobs)
	clear(o.Ended)
	*o = Output{o.Appends[:0], o.Frames[:0], o.Asks[:0], o.Jobs[:0], o.Ended[:0]}
}

// stepEvented steps a room of rate 0.
func (s *Shard) stepEvented(c *core, now time.Duration) {
	if c.phase == phaseOver || !c.mayStep() {
		return // mail waits; confirmed and resumed make it ready again
	}
	deadline, ok := c.h.nextDeadline()
	if at := now - c.started; len(c.mail.list) == 0 && len(c.h.Wishes) == 0 && c.h.Tick > 0 && (!ok || deadline > at) {
		s.setAlarm(c)
		return
	}
	s.run(c, now, opTick)
	s.collect(c, now)
	if len(c.h.Wishes) > 0 {
		s.makeReady(c)
	}
	s.setAlarm(c)
}

type op uint8

const (
	opTick op = iota
	opCommit
	opReseal
)

// run calls into a room's game, guarded: a panic becomes a restore, and a call that takes too long loses the shard.
func (s *Shard) run(c *core, now time.Duration, what op) {
	space := s.space // from Enter on, the shard itself may be another goroutine's
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
		s.Out.Frames = append(s.Out.Frames, c.quiet)
		c.quiet = nil
	}
	if c.unsent {
		c.unsent = false
		c.sentAt = now
		s.Out.Appends = append(s.Out.Appends, c.sent)
	}
}

// panicked restores a room whose game panicked, as a claim of one's own room (FAILOVER.md R17): first the step is tried again,
// then without its inputs, then the room is closed and its journal kept.
func (s *Shard) panicked(c *core, now time.Duration) {
	s.log.Error("game panicked", "room", c.id, "kind", c.kind.Name, "tick", c.h.Tick, "attempt", c.attempts+1, "error", c.fault, "stack", string(c.faultStack))
	err := c.fault
	c.fault, c.faultStack = nil, nil
	c.attempts++
	if c.attempts > 2 || c.last == (EntryID{}) && c.phase != phaseSent {
		s.quarantine(c, err)
		return
	}
	c.requeue()
	s.dropFrames(c)
	c.phase, c.unsent = phaseClaiming, false
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

// quarantine closes a room because of a fault of its own. Its journal is kept for those who look for the cause.
func (s *Shard) quarantine(c *core, err error) {
	s.dropFrames(c)
	c.callRoll()
	s.Out.Frames = append(s.Out.Frames, c.farewell("fault"))
	s.over(c, Ended{Room: c.id, Epoch: c.epoch, Why: "fault", Kept: true, Err: err})
}

// over takes a room off the shard.
func (s *Shard) over(c *core, e Ended) {
	for _, p := range c.mail.list { // requests that will never be answered by a step
		if p.Type == Joined || p.Type == Returned {
			s.turnAway(c, p, e)
		}
	}
	c.phase = phaseOver
	s.forget(c)
	s.Out.Ended = append(s.Out.Ended, e)
}

// forget takes a room out of everything that would step it.
func (s *Shard) forget(c *core) {
	delete(s.rooms, c.id)
	s.lanes.remove(c)
	if c.alarmAt >= 0 {
		heap.Remove(&s.alarm, c.alarmAt)
		c.alarmAt = -1
	}
}

// turnAway answers a request that came too late for its room.
func (s *Shard) turnAway(c *core, p pend, e Ended) {
	n := Note{Type: NoteGone, Session: p.Session, Gen: p.Gen, Seat: p.Seat, Request: p.Number, Why: e.Why, Result: e.Result}
	if p.Type == Joined {
		n = Note{Type: NoteRefused, Session: p.Session, Gen: p.Gen, Request: p.Number, Code: netcode.CodeRoomEnded, Why: "the room has ended"}
	}
	f := newFrame()
	f.Room, f.Epoch, f.Tick = c.id, c.epoch, c.h.Tick
	f.Seats = append(f.Seats, SeatPart{Session: p.Session, Notes: []Note{n}})
	s.Out.Frames = append(s.Out.Frames, f)
}

// Dispossess is called by the goroutine that takes the shard over from one that is stuck in a room's game: the room is closed and
// the shard goes on. The room's memory and the workspace are left to the stuck code, which may still write to them: from the core,
// only what the game's code never touches is read here.
func (s *Shard) Dispossess(room ID) {
	s.space = new(workspace)
	c := s.rooms[room]
	if c == nil {
		return
	}
	err := fmt.Errorf("a step took longer than %s", c.kind.StepLimit)
	s.log.Error("room stuck", "room", c.id, "kind", c.kind.Name, "error", err)
	s.forget(c)
	s.Out.Frames = append(s.Out.Frames, c.farewell("fault"))
	s.Out.Ended = append(s.Out.Ended, Ended{Room: c.id, Epoch: c.rosterEpoch, Why: "fault", Kept: true, Err: err})
}
