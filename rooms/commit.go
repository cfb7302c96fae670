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
// A room whose journal is gone leaves sent or asking for renewing, see renew.go.
//
// Nothing of a tick is shown before the entry that covers it is confirmed (FAILOVER.md R1, R2, R10, R11). An entry also covers the ticks
// behind it up to its horizon, as long as nothing reaches the room in them: of those, rooms of Durability Replay show all (replay.go), others
// only that they go on.
type commit struct {
	phase   phase
	epoch   Epoch
	nonce   uint64
	last    EntryID // newest entry known to be in the journal
	horizon uint64  // of that entry
	base    uint64  // tick of that entry, or of the resume
	sent    Entry   // on its way, if phase is sent, asking or waiting
	resent  bool    // sent more than once: a refusal as old may be its own doing
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
	deltaLen int    // their bytes, and its own
	wholeAt  uint64 // tick of the last whole state, and
	wholeLen int    // its size

	endShown  bool // the entry that ends the room was built
	releasing bool
	attention time.Duration // when an input was last applied; horizons are short for a while after it
	shownAt   time.Duration // when a frame was last built
	shown     EntryID       // epoch and tick of the newest frame that was given out
	paused    bool
	quiet     *Frame  // may be shown without a further entry
	resealAt  EntryID // see reseal
	unsent    bool    // sent has not been handed to the journal yet
	renewed   bool    // it had a journal before the one that it has, or is to have, now

	recovery
	restoring
	periodic
	replaying
}

// periodic is what a room of Durability Periodic keeps beside.
type periodic struct {
	stored  bool          // this epoch has a snapshot in the journal
	savedAt time.Duration // everything shown up to then is in it
	sentNow time.Duration // of the snapshot on its way
	unsaved bool          // something was shown that no snapshot built so far holds
}

type phase uint8

const (
	phasePlaying phase = iota
	phaseSent
	phaseAsking
	phaseRenewing
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
	case c.phase == phasePlaying:
		return true
	case c.open.bytes() >= maxAheadBytes:
		return false
	case c.kind.Durability == Periodic && c.stored:
		return c.h.Now+c.kind.period()-c.savedAt <= periodicBound
	}
	limit := uint64(max(1, c.kind.RateHz)) * uint64(maxAhead/time.Second)
	return c.h.Tick < c.covered()+limit
}

// tick steps the room once and, if it can, makes the step an entry. It runs the game's code.
func (c *core) tick(now time.Duration, w *workspace) {
	c.stepFrom, c.stepping = len(c.open.list), true
	replays := c.kind.Durability == Replay
	if replays && c.acksDue() {
		c.takeAcks()
	}
	heard := len(c.open.list) // what comes behind is news
	if n := c.mail.batch(); n > 0 {
		for i := range c.mail.list[:n] {
			c.open.add(c.mail.list[i])
		}
		c.mail.drop(n)
	}
	mail := c.open.list[c.stepFrom:]
	if replays {
		c.advanceRecorded(now, mail, w)
	} else {
		c.advance(now, mail)
		w.state = c.game.appendState(w.state[:0])
		c.changed = c.changed || !bytes.Equal(w.state, c.prev[:c.prevGame])
	}
	if len(c.open.list) > heard {
		c.attention = c.h.Now
	}
	c.build(w)
	c.stepping = false
	c.stepped()
}

// commitOpen makes an entry of what collected while another was on its way. It runs the game's code.
func (c *core) commitOpen(w *workspace) {
	if c.kind.Durability != Replay {
		w.state = c.game.appendState(w.state[:0])
	}
	c.build(w)
}

// build makes the next entry and its frame, if something calls for one and none is on its way. w.state is the game's state, but of a
// Replay room.
func (c *core) build(w *workspace) {
	switch {
	case c.kind.Durability == Replay:
		c.buildReplay(w)
		return
	case c.kind.Durability == Periodic && c.stored && !c.seal && !c.h.Ended:
		c.buildPeriodic(w)
		return
	}
	if c.phase != phasePlaying {
		return
	}
	silent := c.silentFor(quietFrame) && c.watched()
	switch {
	case c.changed || c.dirty || c.seal:
	case silent && c.h.Tick <= c.horizon:
		c.quiet = c.frame() // within the horizon: needs no entry
		return
	case !silent:
		return
	}
	if c.last.Epoch == c.epoch { // an entry without a step, behind one of the same tick, needs a later id
		c.skipTo(c.last.Tick + 1)
	}
	c.flying = c.frame()
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

// append makes the entry for the present tick. w.state is the game's state.
func (c *core) append(w *workspace, horizon uint64) {
	game := len(w.state)
	c.h.Rand, _ = c.pcg.AppendBinary(c.h.Rand[:0])
	w.state = headerCodec.Append(w.state, pointerTo(&c.h))
	e := Entry{Room: c.id, ID: EntryID{c.epoch, c.h.Tick}, Prev: c.last, Nonce: c.nonce, Horizon: c.h.Tick + horizon, Kind: c.nextKind(len(w.state))}
	hash := xxhash.Sum64(w.state)
	if e.Kind == EntryDelta && c.kind.Durability == Replay {
		e.Body = c.eventsBody(hash)
	} else {
		e.Body = c.stateBody(w, e.Kind, game, hash)
	}
	if c.kind.Durability == Replay {
		c.keepStretch(w, &e, game, hash)
		c.recording.forget()
	} else {
		c.prev, c.prevGame = append(c.prev[:0], w.state...), game
	}
	if e.Kind.HoldsState() {
		c.deltas, c.deltaLen, c.wholeAt, c.wholeLen = 0, 0, c.h.Tick, len(w.state)
	} else {
		c.deltas++
	}
	c.deltaLen += len(e.Body)
	c.seal, c.changed, c.dirty = c.releasing && e.Kind != EntryRelease, false, false // a creation comes before its release
	c.endShown = c.h.Ended
	c.sent, c.phase, c.resent, c.sentNow = e, phaseSent, false, c.h.Now
	c.flyingMail, c.open = c.open, c.flyingMail
	c.open.reset()
	c.flyingJobs, c.jobs = append(c.flyingJobs, c.jobs...), c.jobs[:0]
	c.unsent = true
}

// nextKind is what the next entry has to be. size is that of the whole state.
func (c *core) nextKind(size int) EntryKind {
	switch {
	case c.last == EntryID{}:
		return EntryCreate
	case c.releasing:
		return EntryRelease
	case c.seal || c.kind.Durability == Periodic:
		return EntrySnapshot
	case c.kind.Durability == Replay && c.tailIsLong():
		return EntrySnapshot
	case c.kind.Durability != Replay && (c.deltas >= maxDeltas || c.deltaLen > 2*size+4096):
		return EntrySnapshot
	}
	return EntryDelta
}

// stateBody makes the body of an entry that holds the state in w, or its difference to the one before.
func (c *core) stateBody(w *workspace, kind EntryKind, game int, hash uint64) []byte {
	body := &w.body
	*body = entryBody{Format: entryFormat, Kind: c.kind.Name, Version: c.kind.Version, Game: game, Hash: hash, Rules: c.kind.rules}
	if kind == EntryDelta {
		w.delta = delta.Append(w.delta[:0], c.prev, w.state, &w.scratch)
		body.Delta = w.delta
	} else {
		body.State = w.state
	}
	body.Rings = c.ringRows(w.rings[:0], kind == EntryDelta)
	w.rings = body.Rings
	return bodyCodec.Append(make([]byte, 0, len(body.State)+len(body.Delta)+96), pointerTo(body))
}

// ringRows lists the reliable messages that an entry must hold.
func (c *core) ringRows(rows []ringRow, onlyNew bool) []ringRow {
	if c.broken.noRings {
		return rows
	}
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

// buildPeriodic shows the tick at once, and takes a snapshot when one is due. Once what has been shown is older than the newest
// snapshot by the bound, nothing more is shown until there is a new one (FAILOVER.md R12).
func (c *core) buildPeriodic(w *workspace) {
	if c.phase == phasePlaying && !c.unsaved {
		c.savedAt = c.h.Now
	}
	news := c.changed || c.dirty
	if fresh := c.h.Now-c.savedAt <= periodicBound; fresh && (news || c.silentFor(quietFrame) && c.watched()) {
		c.quiet = c.frame()
		c.unsaved = c.unsaved || news
		c.prev, c.prevGame = append(c.prev[:0], w.state...), len(w.state)
		c.changed, c.dirty = false, false
	}
	due := c.h.Now-c.savedAt >= periodicEvery || c.open.bytes() >= maxAheadBytes/2
	if c.phase != phasePlaying || !due || !c.unsaved && !c.changed && !c.dirty {
		return
	}
	c.skipTo(c.last.Tick + 1)
	if c.changed || c.dirty {
		c.flying = c.frame()
	}
	c.unsaved = false
	c.append(w, 0)
}

// confirmed takes note that the entry on its way is in the journal, and gives the frame that may be shown now.
func (c *core) confirmed() (show *Frame, jobs []uint64) {
	c.last, c.horizon, c.base, c.phase = c.sent.ID, c.sent.Horizon, c.sent.ID.Tick, phasePlaying
	c.sent.Body = nil
	c.flyingMail.reset()
	c.stored = c.stored || c.sent.Kind.HoldsState()
	c.savedAt = c.sentNow
	c.forgive()
	show, c.flying = c.flying, nil
	jobs, c.flyingJobs = c.flyingJobs, c.flyingJobs[:0]
	return show, jobs
}

// newest is the epoch and tick up to which the room was shown, for frames that show no tick of their own: ticks do not go back.
func (c *core) newest() EntryID {
	if c.shown.Compare(c.last) > 0 {
		return c.shown
	}
	return c.last
}

// deadline is when a room without a rate has to act by itself, in the room's time.
func (c *core) deadline() (time.Duration, bool) {
	at, ok := c.h.nextDeadline()
	if c.unsaved && c.phase == phasePlaying && (!ok || c.savedAt+periodicEvery < at) {
		return c.savedAt + periodicEvery, true
	}
	return at, ok
}
