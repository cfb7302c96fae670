package rooms

import (
	"errors"
	"fmt"
	"time"

	"github.com/cespare/xxhash/v2"
)

// This file is how rooms of Durability Replay become entries and come back from them. An entry holds what the steps were given, a
// snapshot now and then all of the state. Whoever resumes the room steps it again from the newest snapshot, and then on to the horizon,
// without outputs (FAILOVER.md R11): as nothing but its entries reaches a room, it comes out the same.
//
//	snapshot ─► given ─► given ─► given ┄┄┄┄► horizon
//	   │          tail, stepped again  stepped without events
//	   └─ whole state

// ErrDiverged is a room that came out otherwise when it was stepped again: its Step is not deterministic.
var ErrDiverged = errors.New("rooms: stepped again, the room came out otherwise")

// replaying is what a room of Durability Replay keeps beside.
type replaying struct {
	recording
	plain    bool          // the entry on its way holds nothing that must be in the journal before its tick is shown
	framed   uint64        // tick of the newest frame
	stepTime time.Duration // what a step takes, smoothed
	hasAcks  bool          // a seat has an acknowledgement that was not applied yet, and
	acksNow  bool          // they must not wait
	again    bool          // entries are being stepped again, or that failed

	tolerant   bool   // entries are stepped again to the end, also behind divergedAt
	divergedAt uint64 // tick of the first entry whose state came out otherwise

	shadowing
}

const (
	maxReplay    = 4 * time.Millisecond // what stepping a tail again may take, unless
	minTail      = 16                   // it has fewer steps: a room of slow steps must not write its whole state at each
	maxTail      = 4096                 // steps of a tail, if nobody measures them
	maxTailBytes = 128 << 10            // of a tail's entries; more for states that are large themselves
	renewAhead   = 50 * time.Millisecond
)

// advanceRecorded runs one tick, and notes what it was given and how long it took.
func (c *core) advanceRecorded(now time.Duration, given []pend, w *workspace) {
	c.record(now, given)
	began := w.time()
	c.advance(now, given)
	c.stepTime += (w.time() - began - c.stepTime) / 8
}

// buildReplay makes the next entry if one is due and none is on its way, and the frame of the present tick. A frame waits for its entry
// unless the tick was given nothing and is covered by an earlier one.
func (c *core) buildReplay(w *workspace) {
	plain := c.kind.RateHz > 0 && len(c.steps) == 0 && !c.seal && !c.releasing && !c.h.Ended
	covered := plain && c.h.Tick <= c.horizon && (c.phase == phasePlaying || c.plain)
	if covered {
		c.showCovered()
	}
	if c.phase != phasePlaying || !c.isDue() {
		return
	}
	if c.last.Epoch == c.epoch && c.h.Tick <= c.last.Tick { // no step since: a whole state, as a later id is no step
		c.skipTo(c.last.Tick + 1)
		c.seal = true
	}
	if !covered {
		c.flying = c.frame()
	}
	c.plain = plain
	w.state = c.game.appendState(w.state[:0])
	c.append(w, c.horizonLength())
}

// isDue reports whether the room owes its journal an entry.
func (c *core) isDue() bool {
	owes := len(c.steps) > 0 || c.seal || c.releasing || len(c.jobs) > 0 || c.h.Ended && !c.endShown
	return owes || c.h.Tick > c.last.Tick && c.tailIsLong() || c.renews(c.h.Tick)
}

// renews reports whether an entry at a tick is due for its horizon alone: somebody watches, and would have to wait soon.
func (c *core) renews(tick uint64) bool {
	if c.kind.RateHz == 0 || c.last.Epoch == c.epoch && tick <= c.last.Tick {
		return false
	}
	return tick+uint64(renewAhead/c.kind.period()) >= c.horizon && c.watched()
}

// tailIsLong reports whether whoever resumed the room would have too much to step again.
func (c *core) tailIsLong() bool {
	steps := c.h.Tick - c.wholeAt
	return c.deltas >= maxDeltas || steps >= maxTail || steps >= minTail && time.Duration(steps)*c.stepTime > maxReplay ||
		c.deltaLen+len(c.steps) > max(maxTailBytes, 4*c.wholeLen)
}

// showCovered shows the present tick without waiting for an entry, if there is something to see in it.
func (c *core) showCovered() {
	if c.framed == c.h.Tick || !c.watched() {
		return
	}
	shownAt, silent := c.shownAt, c.silentFor(quietFrame)
	f := c.frame()
	if f.isEmpty() && !silent {
		c.shownAt = shownAt
		f.Release()
		return
	}
	c.quiet = f
}

// covered is the newest tick that is as good as in the journal.
func (c *core) covered() uint64 {
	if c.kind.Durability == Replay && c.plain {
		return max(c.base, min(c.horizon, c.sent.ID.Tick))
	}
	return c.base
}

// owesMore reports whether something happened since the entry that was just confirmed which calls for another, or for a frame.
func (c *core) owesMore() bool {
	if c.kind.Durability == Replay {
		return c.h.Tick > c.sent.ID.Tick || c.seal || c.releasing
	}
	return c.changed || c.dirty || c.seal || c.releasing
}

// waitAck keeps an acknowledgement for a later step: what a step finds must be in the journal, and what a session has seen bounds what its
// seat keeps for it. It waits for a step that is journaled anyway, so that players who only watch cost no entries.
func (c *core) waitAck(m *Mail) {
	s, o := c.h.Seats.Get(m.Seat), c.outs.Get(m.Seat)
	if s == nil || o == nil || s.Who.Bot || s.Who.Session != m.Session || m.Gen < max(s.Gen, o.ackGen) || m.Number <= max(s.Acked, o.acked) {
		return
	}
	o.acked, o.ackGen = m.Number, m.Gen
	c.hasAcks = true
	c.acksNow = c.acksNow || o.ring.bytes > maxReliable/4
}

// acksDue reports whether the next step is to be given the acknowledgements that wait.
func (c *core) acksDue() bool {
	if !c.hasAcks {
		return false
	}
	return c.acksNow || c.kind.RateHz == 0 || len(c.mail.list) > 0 || c.phase == phasePlaying && c.renews(c.h.Tick+1)
}

func (c *core) takeAcks() {
	c.hasAcks, c.acksNow = false, false
	for seat, o := range c.outs.All() {
		if s := c.h.Seats.Get(seat); s != nil && o.acked > 0 {
			c.open.add(pend{Type: eventAck, Seat: seat, Session: s.Who.Session, Gen: o.ackGen, Number: o.acked})
		}
		o.acked, o.ackGen = 0, 0
	}
}

// eventsBody makes the body of an entry of the recorded steps. hash is that of the state they left.
func (c *core) eventsBody(hash uint64) []byte {
	b := eventsBody{Format: entryFormat, Rules: c.kind.rules, Hash: hash, Steps: c.steps}
	return eventsCodec.Append(make([]byte, 0, len(c.steps)+32), pointerTo(&b))
}

// tailEntry is an eventsBody, read.
type tailEntry struct {
	tick  uint64
	hash  uint64
	steps []byte
}

func (s *saved) applyEvents(e Entry) error {
	var b eventsBody
	if err := readBody(e.Body, &b); err != nil {
		return err
	}
	if b.Rules != s.rules {
		return fmt.Errorf("%w: steps by other rules than the state before them", ErrCorrupt)
	}
	s.tail = append(s.tail, tailEntry{e.ID.Tick, b.Hash, b.Steps})
	s.hash, s.tick, s.horizon, s.released = b.Hash, e.ID.Tick, e.Horizon, false
	return nil
}

// isBehind reports whether more was shown of the room than its newest snapshot holds, and only stepping it again can tell what.
func (s *saved) isBehind() bool { return s.rules != 0 && (len(s.tail) > 0 || s.horizon > s.tick) }

// entriesBehind says what is lost without it.
func (s *saved) entriesBehind() string {
	return fmt.Sprintf("%d entries, and what was shown up to tick %d", len(s.tail), s.horizon)
}

// rollBack gives up what is behind the newest snapshot.
func (s *saved) rollBack() { s.tail, s.rolledBack = nil, true }

// stepAgain steps the room, which is at its newest snapshot, through the tail and to the horizon.
func (c *core) stepAgain(s *saved) error {
	for i := range s.tail {
		t := &s.tail[i]
		if err := c.stepEntry(t); err != nil {
			return err
		}
		if c.hash() == t.hash {
			continue
		}
		if !c.tolerant {
			return fmt.Errorf("%w: at tick %d", ErrDiverged, t.tick)
		}
		if c.divergedAt == 0 {
			c.divergedAt = t.tick
		}
	}
	if c.broken.ringsLost {
		for _, o := range c.outs.All() {
			o.ring = ring{}
		}
	}
	if c.kind.RateHz == 0 {
		return nil
	}
	if c.broken.horizonJumped {
		c.skipTo(s.horizon)
	}
	return c.stepSilently(s.horizon)
}

// stepEntry does the steps of one entry.
func (c *core) stepEntry(t *tailEntry) error {
	r := newStepReader(t.steps)
	for {
		silent, more := r.silent()
		if !more {
			break
		}
		if c.h.Tick >= t.tick || silent >= t.tick-c.h.Tick {
			return fmt.Errorf("%w: steps behind tick %d", ErrDiverged, t.tick)
		}
		if err := c.stepSilently(c.h.Tick + silent); err != nil {
			return err
		}
		now, given, err := r.read(c)
		if err != nil {
			return fmt.Errorf("%w: steps of tick %d: %w", ErrDiverged, t.tick, err)
		}
		c.advance(now, given)
	}
	if r.err != nil {
		return fmt.Errorf("%w: steps of tick %d: %w", ErrDiverged, t.tick, r.err)
	}
	if err := c.stepSilently(t.tick); err != nil || c.h.Tick == t.tick {
		return err
	}
	return fmt.Errorf("%w: it ended at tick %d, before %d", ErrDiverged, c.h.Tick, t.tick)
}

// stepSilently does the steps up to a tick, which are given nothing. A room that ends on the way stops there.
func (c *core) stepSilently(to uint64) error {
	if c.kind.RateHz == 0 && c.h.Tick < to {
		return fmt.Errorf("%w: steps up to tick %d are missing", ErrDiverged, to)
	}
	for c.h.Tick < to && !c.h.Ended {
		c.advance(0, nil)
	}
	return nil
}

// hash is that of the whole state. It uses prev as its memory.
func (c *core) hash() uint64 {
	c.h.Rand, _ = c.pcg.AppendBinary(c.h.Rand[:0])
	c.prev = headerCodec.Append(c.game.appendState(c.prev[:0]), pointerTo(&c.h))
	return xxhash.Sum64(c.prev)
}
