package rooms

import (
	"errors"
	"fmt"
	"time"
)

// recovery is what a room remembers of steps that panicked. A step is tried again as it was, then without its inputs, then the
// room is closed (FAILOVER.md R17). What had been stepped before, and was not in the journal yet, is stepped again first and on its
// own: it was innocent.
type recovery struct {
	stepping  bool // a step's code is running, or panicked
	stepFrom  int  // where its mail starts in open
	attempts  int  // restores since the last forgiveness, and
	barren    int  // those of them that no input can be blamed for
	faultTick uint64
	healAt    uint64 // forgiven when this tick is confirmed; 0: not yet, or nothing to forgive
}

const (
	maxTries    = 2 // steps that may panic before their inputs are refused; one more closes the room
	maxRestores = 8 // without one good step in between, whatever the reasons
)

// blame notes that the game panicked, and reports whether the room may be restored once more.
func (c *core) blame() bool {
	c.attempts++
	c.faultTick, c.healAt = max(c.faultTick, c.h.Tick), 0
	tries, curable := 0, false
	if c.stepping {
		for i := range c.open.list[c.stepFrom:] {
			p := &c.open.list[c.stepFrom+i]
			p.Tries++
			tries = max(tries, int(p.Tries))
			curable = curable || p.Type == Input && p.Tries <= maxTries
		}
	}
	if !curable {
		c.barren++
	}
	c.stepping = false
	return max(tries, c.barren) <= maxTries && c.attempts <= maxRestores && c.last != EntryID{}
}

// stepped notes that a step went well.
func (c *core) stepped() {
	if c.attempts > 0 && c.healAt == 0 && c.h.Tick > c.faultTick && !c.mail.suspects() {
		c.healAt = c.h.Tick
	}
}

// forgive forgets panics once the room is past them.
func (c *core) forgive() {
	if c.healAt > 0 && c.sent.ID.Tick >= c.healAt {
		c.attempts, c.barren, c.healAt = 0, 0, 0
	}
}

// requeue puts back what happened since the newest confirmed entry, for a room that is about to be restored.
func (c *core) requeue() {
	var all window
	all.addAll(&c.flyingMail)
	all.addAll(&c.open)
	all.addAll(&c.mail)
	c.flyingMail.reset()
	c.open.reset()
	c.mail = all
}

// ErrNewer is a room of a newer version of its kind, or one that a newer version of this program has written: nothing is wrong with it.
// It waits for a node that can run it (FAILOVER.md R17).
var ErrNewer = errors.New("rooms: this node is older than the room")

// restoring is what opRestore resumes from.
type restoring struct {
	from saved
	gone func(Node) bool
}

// restore resumes a room, guarded as every call of its game is: Migrate may fail, panic, or never return.
func (s *Shard) restore(c *core, from saved, gone func(Node) bool, now time.Duration) error {
	c.restoring = restoring{from, gone}
	if from.isBehind() && from.rules != c.kind.rules {
		s.Counters.OtherRules.Add(1)
		s.log.Warn("room was stepped by other rules: resumed from its newest snapshot", "room", c.id, "kind", c.kind.Name, "lost", from.entriesBehind())
		from.rollBack()
	}
	err := s.runResume(c, from, gone, now)
	if err != nil && c.again {
		s.Counters.Diverged.Add(1)
		s.log.Error("room cannot be replayed: resumed from its newest snapshot", "room", c.id, "kind", c.kind.Name, "lost", from.entriesBehind(), "error", err)
		from.rollBack()
		err = s.runResume(c, from, gone, now)
	}
	return err
}

func (s *Shard) runResume(c *core, from saved, gone func(Node) bool, now time.Duration) error {
	c.restoring = restoring{from, gone}
	s.run(c, now, opRestore)
	err := c.fault
	c.fault, c.faultStack, c.restoring = nil, nil, restoring{}
	return err
}

// resume takes over a saved state: the room goes on behind everything that was ever shown of it. gone says of which nodes no session is
// connected any more; see Adopt.
func (c *core) resume(s saved, gone func(Node) bool) error {
	if s.version > c.kind.Version {
		return fmt.Errorf("%w: version %d of its kind, this node has %d", ErrNewer, s.version, c.kind.Version)
	}
	game := c.kind.make()
	if err := game.restore(s.state[:s.game], s.version, c.kind.Version); err != nil {
		return err
	}
	var h header
	if err := headerCodec.Decode(s.state[s.game:], pointerTo(&h)); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if err := c.pcg.UnmarshalBinary(h.Rand); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	c.game, c.h = game, h
	c.recording.forget()
	c.replaying = replaying{recording: c.recording, tolerant: c.tolerant, stepTime: c.stepTime}
	c.rosterStale, c.audienceStale = true, true
	c.outs.Clear()
	for _, row := range s.rings {
		seat := c.h.Seats.Get(row.Seat)
		if seat == nil || row.Number <= seat.Acked {
			continue
		}
		o := c.out(row.Seat)
		o.ring.add(row.Number, row.Wire)
		o.ring.saved = row.Number
	}
	if err := c.goOn(&s); err != nil {
		return err
	}
	c.prev, c.prevGame = append(c.prev[:0], s.state...), s.game
	c.last, c.horizon, c.base = s.last, s.horizon, c.h.Tick
	c.phase, c.seal, c.status = phasePlaying, true, StatusResumed
	c.deltas, c.deltaLen, c.public, c.endShown = 0, 0, 0, false
	c.changed, c.dirty, c.unsent, c.resent = false, false, false, false
	c.shownAt, c.attention = c.h.Now, c.h.Now-time.Second
	c.stored, c.unsaved, c.savedAt = false, false, c.h.Now
	c.faultTick, c.refusal = max(c.faultTick, c.h.Tick), Note{}
	c.list, c.signals, c.jobs = c.list[:0], c.signals[:0], c.jobs[:0]
	c.wholeAt, c.noticed = c.h.Tick, nil
	for id := range c.h.Jobs.All() {
		c.jobs = append(c.jobs, id)
	}
	if c.kind.Durability == Periodic && !s.released || s.rolledBack {
		c.status, c.horizon = StatusRolledBack, 0
		c.rollBack()
	}
	c.resendAll()
	if gone != nil {
		c.dropGone(gone)
	}
	return nil
}

// goOn brings a room from its newest whole state to where the next tick is shown.
func (c *core) goOn(s *saved) error {
	switch {
	case s.rolledBack || c.broken.horizonIgnored:
	case s.rules != 0:
		c.again = true
		if err := c.stepAgain(s); err != nil {
			return err
		}
		c.again = false
		for seat, o := range c.outs.All() { // what else is in it was said by whoever stepped first
			if *o = (seatOut{ring: o.ring}); c.h.Seats.Get(seat) == nil {
				c.outs.Delete(seat)
			}
		}
	case c.kind.RateHz > 0: // jump over ticks that may have been shown; nothing happened in them
		c.skipTo(s.horizon)
	}
	return nil
}

// Far more than the reliable messages, jobs and seats that there can be between two snapshots: no number is used twice.
const (
	rolledBack      = 1 << 20
	rolledBackSeats = 16 * maxSeats
)

// rollBack starts a new history of a Periodic room (FAILOVER.md R12), or of one that could not be replayed: its players may have seen what never was. Their reliable
// streams go on with numbers they cannot know, and their inputs from wherever they are.
func (c *core) rollBack() {
	c.h.Loose = true
	c.h.NextSeat += rolledBackSeats
	c.h.NextJob += rolledBack
	for seat, s := range c.h.Seats.All() {
		if !s.Who.Bot {
			s.Issued += rolledBack
			c.giveUp(seat, s, c.out(seat))
		}
	}
}

// dropGone has the next step tell the game of every player whose connection died with its node.
func (c *core) dropGone(gone func(Node) bool) {
	for seat, s := range c.h.Seats.All() {
		if !s.Who.Bot && s.Connected && gone(s.Node) {
			c.mail.add(pend{Type: Dropped, Seat: seat, Session: s.Who.Session, Gen: s.Gen})
		}
	}
}
