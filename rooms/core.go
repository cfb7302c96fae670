package rooms

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"tickover.dev/netcode"
)

// core is the part of a room that does not depend on the game's types: what the shard drives and what Tick acts on.
// It belongs to its shard's goroutine. Everything in it but h is rebuilt when a room is resumed.
type core struct {
	// Set when the room is made, then read-only.
	id   ID
	kind *Kind
	game running
	log  *slog.Logger

	broken breakage // by tests

	h    header
	pcg  *rand.PCG
	rand *rand.Rand

	// The step under way.
	list    []pend // what is presented, in order
	refused []bool // per element of list: a Joined or Created that the game turned away
	dirty   bool   // something in h changed that must be journaled before it is shown

	// Waiting for the next step.
	mail window

	rosterStale   bool   // the seats changed, see place.callRoll
	audienceStale bool   // the connections changed, see audience
	nodes         []Node // that have connected players, as audience found them

	// Shown with the next entry.
	outs    Seats[seatOut]
	refusal Note // of the room's creation, by the game
	status  Status
	signals []Note
	noticed *Notice // what listings were told last

	commit
	place
}

// place is what the shard knows of a room. The game's code never touches it.
type place struct {
	started time.Duration // the shard's time at which the room's time was 0; for rate 0
	lane    *lane
	due     time.Duration // of the next tick, at a fixed rate
	alarmAt int           // index among the alarms, or -1
	wakeAt  time.Duration
	isReady bool

	fault      error // what the game's code panicked with
	faultStack []byte

	adopting bool // see Adopt

	inRetry    bool
	waitsSince time.Duration // for an answer of the journal

	roster      []rosterSeat // who is to be told if the room has to be closed from outside
	rosterEpoch Epoch        // the present one, as place and callRoll leave it
	rosterTick  uint64
}

type rosterSeat struct {
	seat    Seat
	session string
	node    Node
	gen     uint64
}

// callRoll notes who sits in the room.
func (c *core) callRoll() {
	c.roster, c.rosterStale = c.roster[:0], false
	c.rosterEpoch, c.rosterTick = c.epoch, c.h.Tick
	for seat, s := range c.h.Seats.All() {
		if !s.Who.Bot {
			c.roster = append(c.roster, rosterSeat{seat, s.Who.Session, s.Node, s.Gen})
		}
	}
}

// farewell tells everybody on the roster that the room is closed.
func (c *core) farewell(why string) *Frame {
	f := newFrame()
	f.Room, f.Epoch, f.Tick, f.Status = c.id, c.rosterEpoch, c.rosterTick, StatusFaulted
	for _, r := range c.roster {
		n := Note{Type: NoteLeft, Node: r.node, Session: r.session, Gen: r.gen, Seat: r.seat, Why: why}
		f.Seats = append(f.Seats, SeatPart{Seat: r.seat, Session: r.session, Node: r.node, Notes: []Note{n}})
		f.sendTo(r.node)
	}
	return f
}

// running is a room's game, its types erased.
type running interface {
	step(c *core)                  // builds the events of c.list and calls Step
	decodeInput(body []byte) error // decodes and validates an input that is about to be shown
	resetInputs()                  // forgets the decoded inputs of the last step
	appendState(dst []byte) []byte //
	restore(state []byte, from, version int) error
	appendPublic(dst []byte) ([]byte, bool)                  // false: the game publishes nothing
	appendPrivate(dst []byte, s Seat) (b []byte, dealt bool) // false: the game deals nothing
}

// seatOut collects what the next frame holds for one seat.
type seatOut struct {
	touched bool
	resend  uint64
	notes   []Note
	asked   uint64        // input last asked for again, and
	askedAt time.Duration // when
	acked   uint64        // acknowledged by the connection of generation ackGen, and not applied yet: see waitAck
	ackGen  uint64
	whole   bool // the seat is new or back: it needs public and private whatever changed
	vacated bool // nobody sits here any more: forget it after the next frame
	private uint64
	ring    ring
}

func (c *core) out(s Seat) *seatOut {
	o := c.outs.Get(s)
	if o == nil {
		o = c.outs.Put(s, seatOut{})
	}
	o.touched = true
	return o
}

// note answers somebody. Those without a seat share the place of seat 0, which is forgotten with the next frame: the number they
// named may be anybody's invention.
func (c *core) note(n Note) {
	seat := n.Seat
	if c.h.Seats.Get(seat) == nil {
		seat = 0
	}
	o := c.out(seat)
	o.notes = append(o.notes, n)
	c.dirty = true
}

// advance runs one tick with the given mail. now is the room's time, which at a fixed rate follows from the tick's number.
func (c *core) advance(now time.Duration, mail []pend) {
	c.skipTo(c.h.Tick + 1)
	if c.kind.RateHz == 0 {
		c.h.Now = max(c.h.Now, now)
	}
	c.game.resetInputs()
	c.list, c.refused = c.list[:0], c.refused[:0]
	c.takeTimers()
	c.takeWishes()
	c.takeGraces()
	for i := range mail {
		c.take(mail[i])
	}
	c.game.step(c)
	c.settle()
	c.takeEmpty()
}

// skipTo moves the room on to a later tick without a step.
func (c *core) skipTo(tick uint64) {
	c.h.Tick = max(c.h.Tick, tick)
	if c.kind.RateHz > 0 {
		c.h.Now = max(c.h.Now, c.kind.period()*time.Duration(c.h.Tick))
	}
}

// show puts an event into the step's list.
func (c *core) show(p pend) {
	c.list = append(c.list, p)
	c.refused = append(c.refused, false)
	c.dirty = true
}

func (c *core) takeWishes() {
	wishes := c.h.Wishes
	c.h.Wishes = nil
	c.dirty = c.dirty || len(wishes) > 0
	for _, w := range wishes {
		p := pend{Type: w.Type, Seat: w.Seat, Number: w.Number, Name: w.Name, Why: w.Why, Bot: w.Type == Joined}
		if s := c.h.Seats.Get(w.Seat); s != nil {
			p.Session, p.Gen = s.Who.Session, s.Gen
		}
		if w.Type == Done { // of a job that was never begun
			c.show(p)
			continue
		}
		c.take(p)
	}
}

func (c *core) takeTimers() {
	for i := 0; i < c.h.Timers.Len(); {
		name, due := c.h.Timers.At(i)
		if *due > c.h.Now {
			i++
			continue
		}
		c.h.Timers.Delete(name)
		c.show(pend{Type: Timer, Name: name})
	}
}

func (c *core) takeGraces() {
	for seat, s := range c.h.Seats.All() {
		if !s.Connected && !s.Who.Bot && s.GraceEnd <= c.h.Now {
			c.take(pend{Type: Left, Seat: seat, Session: s.Who.Session, Gen: s.Gen, Why: "grace"})
		}
	}
}

// takeEmpty starts, stops or ends the wait of a room without players.
func (c *core) takeEmpty() {
	seated, _ := c.h.humans()
	switch {
	case seated > 0 && c.h.EmptyAt != 0:
		c.h.EmptyAt, c.dirty = 0, true
	case seated == 0 && c.h.EmptyAt == 0:
		c.h.EmptyAt, c.dirty = c.h.Now+max(c.kind.Empty, time.Nanosecond), true
	case seated == 0 && c.h.EmptyAt <= c.h.Now && !c.h.Ended:
		c.end("empty", nil)
	}
}

// take applies one pending thing to the header and, if the game is to see it, puts it into the step's list.
func (c *core) take(p pend) {
	switch p.Type {
	case Created, Done, Timer:
		c.takeOwn(p)
	case Joined:
		c.takeJoin(p)
	case Returned:
		c.takeReturn(p)
	case Dropped:
		c.takeDrop(p)
	case Left:
		c.takeLeave(p)
	case Input:
		c.takeInput(p)
	case Signal:
		c.takeSignal(p)
	case eventRoster:
		c.takeRoster(p)
	case eventAck:
		c.acknowledge(p.Seat, p.Session, p.Gen, p.Number)
	case eventNodeGone:
		c.dropOf(func(s *seatState) bool { return s.Node == p.Node })
	}
}

func (c *core) takeOwn(p pend) {
	if p.Type == Done {
		if c.h.Jobs.Get(p.Number) == nil {
			return // told before
		}
		c.h.Jobs.Delete(p.Number)
	}
	c.show(p)
}

func (c *core) takeInput(p pend) {
	s := c.h.Seats.Get(p.Seat)
	if c.kind.Durability == Periodic || c.h.Loose { // what this session knows may have been rolled back
		switch {
		case s == nil:
			c.note(Note{Type: NoteGone, Node: p.Node, Session: p.Session, Gen: p.Gen, Seat: p.Seat, Why: "unknown"})
		case s.Who.Session == p.Session && p.Gen > s.Gen:
			c.note(Note{Type: NoteOverflow, Node: p.Node, Session: p.Session, Gen: p.Gen, Seat: p.Seat})
		}
	}
	if s == nil || s.Who.Bot || s.Who.Session != p.Session || s.Run != p.Run {
		return // of a former stay or run
	}
	switch {
	case p.Number <= s.Applied:
		c.out(p.Seat) // acknowledge again
		c.dirty = true
		return
	case p.Number != s.Applied+1 && !c.h.Loose && !c.broken.gapsAllowed:
		c.askAgain(p.Seat, s.Applied+1)
		return
	}
	s.Applied = p.Number
	c.out(p.Seat)
	c.dirty = true
	if p.Tries >= maxTries {
		c.answer(p, netcode.CodeRoomFault, "the room failed on a step with this input", nil)
		return
	}
	if err := c.game.decodeInput(p.Body); err != nil {
		c.answer(p, netcode.CodeBadInput, err.Error(), nil)
		return
	}
	c.show(p)
}

// askAgain asks a seat for its inputs from a number on. It is asked for the same ones twice a second at most: each answer may be a
// whole window of inputs, all of them out of order.
func (c *core) askAgain(seat Seat, from uint64) {
	o := c.out(seat)
	if o.asked == from && c.h.Now-o.askedAt < 500*time.Millisecond {
		return
	}
	o.resend, o.asked, o.askedAt = from, from, c.h.Now
	c.dirty = true
}

func (c *core) takeSignal(p pend) {
	if p.ID != "" {
		if slices.Contains(c.h.Signals, p.ID) {
			c.signals = append(c.signals, Note{Type: NoteSignal, Node: p.Node, Request: p.Ticket, Code: "duplicate", Why: "this signal was delivered before"})
			c.dirty = true
			return
		}
		if len(c.h.Signals) >= maxSignals {
			c.h.Signals = append(c.h.Signals[:0], c.h.Signals[1:]...)
		}
		c.h.Signals = append(c.h.Signals, p.ID)
	}
	c.show(p)
}

// settle carries out what the game decided about joins and creation, after its Step.
func (c *core) settle() {
	for i, p := range c.list {
		if p.Type == Joined && !p.Bot && c.h.Seats.Get(p.Seat) != nil && !c.refused[i] {
			c.noteSeated(p)
		}
	}
	if c.refusal.Code == "" {
		return
	}
	for seat, s := range c.h.Seats.All() { // the game refused the room's creation: nobody has been here
		if o := c.out(seat); !s.Who.Bot {
			o.notes = append(o.notes[:0], Note{
				Type: NoteRefused, Node: s.Node, Session: s.Who.Session, Gen: s.Gen, Request: s.Request, Code: c.refusal.Code, Why: c.refusal.Why,
			})
		}
		c.vacate(seat)
	}
}

// noteSeated tells a session that a join of its has its seat, and has a whole state sent to it. The node that asked is told, although the
// session may be at another one since.
func (c *core) noteSeated(p pend) {
	s := c.h.Seats.Get(p.Seat)
	c.note(Note{
		Type: NoteJoined, Node: p.Node, Session: p.Session, Gen: p.Gen, Request: p.Number, Seat: p.Seat, Resumed: true,
		Reliable: s.Acked, Applied: s.Applied,
	})
	o := c.out(p.Seat)
	o.whole, o.ring.shown = true, s.Acked
}

// watched reports whether anybody sees the room now.
func (c *core) watched() bool {
	_, connected := c.h.humans()
	return connected > 0
}

func (c *core) String() string { return fmt.Sprintf("room %s (%s)", c.id, c.kind.Name) }

// breakage switches rules off, one by one, so that the simulation can prove that it would notice. Only tests set it.
type breakage struct {
	showEarly      bool // frames do not wait for their entry (R10)
	noRings        bool // entries hold no reliable messages (R8)
	gapsAllowed    bool // any later input is applied (R9)
	horizonIgnored bool // a resumed room does not jump over ticks that may have been shown (R11)
	sameID         bool // other bytes are sent under an id that was used (R2)
	blindConfirm   bool // an unknown outcome is taken for a confirmation (R2)
	horizonJumped  bool // a replayed room jumps to the horizon instead of stepping there (R11)
	eventsLost     bool // entries do not hold everything that a step was given (R1)
	ringsLost      bool // replayed steps leave no reliable messages (R8)
	nowLost        bool // entries do not say when the steps of a room without a rate were (R7)
}
