package rooms

import (
	"bytes"
	"time"

	"github.com/cespare/xxhash/v2"

	"tickover.dev/codec/delta"
)

// commit is how a room's ticks become entries, and entries become frames. At most one entry is on its way; what happens meanwhile
// collects for the next one.
//
//	            build, append          confirmed: show the frame
//	playing ──────────────────► sent ────────────────────────────► playing
//	   ▲                         │ │ unknown
//	   │ top is older: resend    │ └────────► asking ── top is newer or foreign ──► over (fenced)
//	   │                         │ refused       │ top is ours: confirmed
//	   │                         └─────────► waiting ── after a pause: the same bytes again
//	   │ loaded
//	claiming ◄── a panic in the game
//
// Nothing of a tick is shown before the entry that covers it is confirmed (FAILOVER.md R1, R2, R10, R11).
type commit struct {
	phase   phase
	epoch   Epoch
	nonce   uint64
	last    EntryID // newest entry known to be in the journal
	horizon uint64  // of that entry
	sent    Entry   // on its way, if phase is sent, asking or waiting
	retryAt time.Duration

	flying     *Frame   // shown when sent is confirmed
	flyingMail window   // what happened up to sent, for the case that the room must be restored
	flyingJobs []uint64 // started when sent is confirmed
	open       window   // what happened since
	jobs       []uint64 // asked for since
	changed    bool     // the game's state differs from prev

	prev     []byte // the state of the newest entry built
	prevGame int    // length of its game part
	public   uint64 // hash of the public value last put into a frame
	seal     bool   // the next entry must hold the whole state
	deltas   int    // entries since the last whole state, and
	deltaLen int    // their bytes

	refusal   Note // of the room's creation, by the game
	endShown  bool // the entry that ends the room was built
	releasing bool
	attempts  int           // restores since the last confirmed step, see panicked
	attention time.Duration // when an input was last applied; horizons are short for a while after it
	shownAt   time.Duration // when a frame was last built
	paused    bool
	quiet     *Frame        // may be shown without a further entry
	resealAt  EntryID       // see reseal
	unsent    bool          // sent has not been handed to the journal yet
	savedAt   time.Duration // Periodic: when the newest confirmed snapshot was taken
	unsaved   bool          // Periodic: something changed since the newest snapshot was built
}

type phase uint8

const (
	phasePlaying phase = iota
	phaseSent
	phaseAsking
	phaseWaiting
	phaseClaiming
	phaseOver
)

const (
	activeHorizon = 200 * time.Millisecond // while inputs flow: what a take-over may jump over
	quietHorizon  = time.Second            // in a room where nothing happens
	quietFrame    = 500 * time.Millisecond // a watched room shows that it goes on at least so often
	maxAhead      = time.Second            // how far a room steps ahead of its journal
	maxAheadBytes = 1 << 20
	maxDeltas     = 256 // entries between whole states, so that loading stays a few milliseconds
	periodicEvery = time.Second
	periodicBound = 2 * time.Second // Periodic rooms show nothing when their newest snapshot is older
	retryPause    = 50 * time.Millisecond
)

// mayStep reports whether the room may take its next step: it exists, and is not too far ahead of its journal.
func (c *core) mayStep() bool {
	switch {
	case c.phase == phaseClaiming || c.phase == phaseOver || c.h.Ended || c.releasing:
		return false
	case c.phase == phasePlaying || c.kind.Durability == Periodic:
		return true
	}
	ahead := c.h.Tick - min(c.h.Tick, c.last.Tick)
	if c.last.Epoch != c.epoch {
		ahead = c.h.Tick - min(c.h.Tick, c.sent.ID.Tick)
	}
	limit := uint64(max(1, c.kind.RateHz)) * uint64(maxAhead/time.Second)
	return ahead < limit && c.open.bytes() < maxAheadBytes
}

// tick steps the room once and, if it can, makes the step an entry. It runs the game's code.
func (c *core) tick(now time.Duration, w *workspace) {
	inputs := len(c.mail.list) > 0
	c.advance(now)
	c.open.addAll(&c.mail)
	c.mail.reset()
	w.state = c.game.appendState(w.state[:0])
	if !bytes.Equal(w.state, c.prev[:c.prevGame]) {
		c.changed = true
	}
	if inputs {
		c.attention = c.h.Now
	}
	c.build(w)
}

// commitOpen makes an entry of what collected while another was on its way. It runs the game's code.
func (c *core) commitOpen(w *workspace) {
	w.state = c.game.appendState(w.state[:0])
	c.build(w)
}

// build makes the next entry and its frame, if something calls for one and none is on its way. w.state is the game's state.
func (c *core) build(w *workspace) {
	if c.phase != phasePlaying {
		return
	}
	if c.kind.Durability == Periodic && !c.seal && !c.h.Ended {
		c.buildPeriodic(w)
		return
	}
	switch {
	case c.changed || c.dirty || c.seal:
		c.flying = c.frame()
	case c.silentFor(quietFrame) && c.h.Tick <= c.horizon && c.h.Now > 0 && c.watched():
		c.quiet = c.frame() // within the horizon: needs no entry
		return
	case c.silentFor(quietFrame) && c.watched():
		c.flying = c.frame()
	default:
		return
	}
	c.append(w, c.horizonLength())
}

func (c *core) silentFor(d time.Duration) bool { return c.kind.RateHz > 0 && c.h.Now-c.shownAt >= d }

// horizonLength is how many ticks may be shown without a further entry.
func (c *core) horizonLength() uint64 {
	if c.kind.RateHz == 0 || c.releasing || !c.watched() {
		return 0
	}
	d := quietHorizon
	if c.h.Now-c.attention < time.Second {
		d = activeHorizon
	}
	return uint64(d / c.kind.period())
}

// append makes the entry for the present tick.
func (c *core) append(w *workspace, horizon uint64) {
	game := len(w.state)
	c.h.Rand, _ = c.pcg.AppendBinary(c.h.Rand[:0])
	w.state = headerCodec.Append(w.state, pointerTo(&c.h))
	body := entryBody{Format: entryFormat, Kind: c.kind.Name, Version: c.kind.Version, Game: game, Hash: xxhash.Sum64(w.state)}
	e := Entry{Room: c.id, ID: EntryID{c.epoch, c.h.Tick}, Prev: c.last, Nonce: c.nonce, Horizon: c.h.Tick + horizon}
	switch {
	case c.last == EntryID{}:
		e.Kind = EntryCreate
	case c.releasing:
		e.Kind = EntryRelease
	case c.seal || c.deltas >= maxDeltas || c.deltaLen > 2*len(w.state)+4096:
		e.Kind = EntrySnapshot
	default:
		e.Kind = EntryDelta
	}
	if e.Kind == EntryDelta {
		w.delta = delta.Append(w.delta[:0], c.prev, w.state, &w.scratch)
		body.Delta = w.delta
		c.deltas++
	} else {
		body.State = w.state
		c.deltas, c.deltaLen = 0, 0
	}
	body.Rings = c.ringRows(w.rings[:0], e.Kind == EntryDelta)
	w.rings = body.Rings
	e.Body = bodyCodec.Append(make([]byte, 0, len(body.State)+len(body.Delta)+96), pointerTo(&body))
	c.deltaLen += len(e.Body)
	c.prev, c.prevGame = append(c.prev[:0], w.state...), game
	c.seal, c.changed, c.dirty = false, false, false
	c.endShown = c.h.Ended
	c.sent, c.phase = e, phaseSent
	c.flyingMail, c.open = c.open, c.flyingMail
	c.open.reset()
	c.flyingJobs, c.jobs = append(c.flyingJobs, c.jobs...), c.jobs[:0]
	c.unsent = true
}

// ringRows lists the reliable messages that an entry must hold.
func (c *core) ringRows(rows []ringRow, onlyNew bool) []ringRow {
	for seat, o := range c.outs.All() {
		from := uint64(0)
		if onlyNew {
			from = o.ring.saved
		}
		for _, m := range o.ring.after(from) {
			rows = append(rows, ringRow{seat, m.Number, m.Wire})
			o.ring.saved = m.Number
		}
	}
	return rows
}

// buildPeriodic shows the tick at once, and takes a snapshot when one is due.
func (c *core) buildPeriodic(w *workspace) {
	if stale := c.h.Now-c.savedAt > periodicBound; !stale && (c.changed || c.dirty || c.silentFor(quietFrame) && c.watched()) {
		c.quiet = c.frame()
		c.unsaved = c.unsaved || c.changed || c.dirty
		c.prev, c.prevGame = append(c.prev[:0], w.state...), len(w.state)
		c.changed, c.dirty = false, false
	}
	if c.h.Now-c.savedAt >= periodicEvery || c.h.Tick == 1 {
		if !c.unsaved && !c.changed && !c.dirty {
			c.savedAt = c.h.Now
			return
		}
		c.unsaved = false
		c.seal = true
		c.append(w, 0)
	}
}

// confirmed takes note that the entry on its way is in the journal, and gives the frame that may be shown now.
func (c *core) confirmed() (show *Frame, jobs []uint64) {
	c.last, c.horizon, c.phase = c.sent.ID, c.sent.Horizon, phasePlaying
	c.sent.Body = nil
	c.flyingMail.reset()
	c.savedAt = c.h.Now
	if c.h.Tick > c.sent.ID.Tick || len(c.open.list) == 0 {
		c.attempts = 0
	}
	show, c.flying = c.flying, nil
	jobs, c.flyingJobs = c.flyingJobs, nil
	return show, jobs
}

// afterTop decides what became of an entry whose answer was lost, from the journal's top (FAILOVER.md R2).
func (c *core) afterTop(t Top) verdict {
	switch {
	case t.ID.Epoch > c.epoch, t.ID.Epoch == c.epoch && t.Nonce != c.nonce:
		return verdictFenced
	case t.ID == c.sent.ID:
		return verdictConfirmed
	case t.ID == c.last:
		return verdictResend
	case t.ID.Compare(c.last) < 0:
		return verdictLost
	}
	return verdictFenced
}

type verdict uint8

const (
	verdictConfirmed verdict = iota
	verdictResend
	verdictFenced
	verdictLost // the store has lost entries that were confirmed
)

// reseal replaces an entry that cannot follow what the store still has by a whole state under a later id.
func (c *core) reseal(top EntryID, w *workspace) {
	c.h.Tick = max(c.h.Tick, c.sent.ID.Tick+1)
	held := c.flying
	c.last, c.seal, c.phase = top, true, phasePlaying
	c.flyingMail.addAll(&c.open)
	c.open.reset()
	c.open, c.flyingMail = c.flyingMail, c.open
	w.state = c.game.appendState(w.state[:0])
	if held != nil {
		held.Release()
		c.resendAll()
	}
	c.flying = c.frame()
	c.append(w, c.horizonLength())
}
