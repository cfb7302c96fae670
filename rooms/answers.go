package rooms

import (
	"errors"
	"fmt"
	"time"
)

// This file is what a shard does with its journal's answers.

// Adopt takes over a room from its journal, with the claim that was made for it. gone says of which nodes no connection is left: their
// players are dropped (FAILOVER.md R16); nil: of none. It refuses a journal that is corrupt (ErrCorrupt), or is of a newer version (ErrNewer),
// or whose state the kind cannot read.
func (s *Shard) Adopt(id ID, kind *Kind, epoch Epoch, nonce uint64, entries []Entry, gone func(Node) bool, now time.Duration) error {
	if s.rooms[id] != nil {
		return fmt.Errorf("rooms: room %s is on this shard already", id)
	}
	saved, err := replay(entries)
	if err != nil {
		return err
	}
	c := newCore(id, kind, s.log.With("room", id, "kind", kind.Name), 0, 0)
	c.epoch, c.nonce = epoch, nonce
	c.broken, c.rosterEpoch = s.broken, epoch
	c.adopting = true
	s.rooms[id] = c // for Dispossess
	err = s.restore(c, saved, gone, now)
	c.adopting = false
	if err != nil {
		s.forget(c)
		return err
	}
	c.callRoll()
	s.place(c, now)
	s.run(c, now, opCommit)
	s.collect(c, now)
	return nil
}

// TakeLoaded answers AskRestore: the room's own claim and what it loaded.
func (s *Shard) TakeLoaded(room ID, epoch Epoch, nonce uint64, entries []Entry, err error, now time.Duration) {
	c := s.rooms[room]
	if c == nil || c.phase != phaseClaiming {
		return
	}
	if errors.Is(err, ErrGone) || errors.Is(err, ErrClaimLost) {
		s.lose(c, err)
		return
	}
	if epoch != 0 {
		c.epoch, c.nonce, c.rosterEpoch = epoch, nonce, epoch // ours, whatever it holds: it may have to be buried
	}
	if err == nil {
		var from saved
		if from, err = replay(entries); err == nil {
			err = s.restore(c, from, nil, now)
		}
	}
	if err != nil {
		s.quarantine(c, err)
		return
	}
	s.unpause(c)
	c.callRoll()
	c.started = now - c.h.Now
	s.run(c, now, opCommit)
	s.collect(c, now)
	if c.kind.RateHz == 0 && s.rooms[room] == c {
		s.makeReady(c)
	}
}

// TakeResults answers Output.Appends.
func (s *Shard) TakeResults(entries []Entry, results []Result, now time.Duration) {
	for i := range results {
		s.TakeResult(&entries[i], results[i], now)
	}
}

// TakeResult answers one entry of Output.Appends.
func (s *Shard) TakeResult(e *Entry, r Result, now time.Duration) {
	s.Counters.count(r.Outcome)
	c := s.rooms[e.Room]
	if c == nil || c.phase != phaseSent || c.sent.ID != e.ID {
		return // of a room that was restored or closed meanwhile
	}
	switch r.Outcome {
	case Confirmed:
		s.confirm(c, now)
	case Fenced:
		if c.resent {
			s.ask(c) // the first copy may have come in late, and stand in the way of the second
			return
		}
		s.lose(c, ErrClaimLost)
	case Gone:
		s.bereave(c)
	case Refused:
		c.phase = phaseWaiting
		s.retryLater(c, now)
	default:
		if c.broken.blindConfirm {
			s.confirm(c, now)
			return
		}
		s.ask(c)
	}
}

// retryLater has a room's entry sent, or its question asked, again after a pause.
func (s *Shard) retryLater(c *core, now time.Duration) {
	c.retryAt = now + retryPause
	if !c.inRetry {
		c.inRetry = true
		s.retry = append(s.retry, c)
	}
}

func (s *Shard) ask(c *core) {
	c.phase = phaseAsking
	s.Out.Asks = append(s.Out.Asks, Ask{AskTop, c.id, c.epoch})
}

// TakeTop answers AskTop. An error means that the journal could not be read: it is asked again.
func (s *Shard) TakeTop(room ID, t Top, err error, now time.Duration) {
	c := s.rooms[room]
	if c == nil || c.phase != phaseAsking {
		return
	}
	switch {
	case errors.Is(err, ErrGone) && c.sent.Kind == EntryCreate:
		s.resend(c, now)
		return
	case errors.Is(err, ErrGone):
		s.bereave(c)
		return
	case err != nil:
		s.retryLater(c, now)
		return
	}
	switch c.afterTop(t) {
	case verdictConfirmed:
		s.confirm(c, now)
	case verdictResend:
		s.resend(c, now)
	case verdictLost:
		c.resealAt = t.ID
		s.run(c, now, opReseal)
		s.collect(c, now)
	default:
		s.lose(c, ErrClaimLost)
	}
}

func (s *Shard) resend(c *core, now time.Duration) {
	c.phase, c.resent = phaseSent, true
	s.Out.Appends = append(s.Out.Appends, c.sent)
}

// retryRefused sends entries again that were refused, and asks again about those whose fate is unknown.
func (s *Shard) retryRefused(now time.Duration) {
	waiting := s.retry[:0]
	for _, c := range s.retry {
		if s.rooms[c.id] == c && c.retryAt > now {
			waiting = append(waiting, c)
			continue
		}
		c.inRetry = false
		switch {
		case s.rooms[c.id] != c:
		case c.phase == phaseWaiting:
			s.resend(c, now)
		case c.phase == phaseAsking:
			s.ask(c)
		}
	}
	clear(s.retry[len(waiting):])
	s.retry = waiting
}

// confirm shows what the confirmed entry covers, and sends what collected meanwhile.
func (s *Shard) confirm(c *core, now time.Duration) {
	show, jobs := c.confirmed()
	if show != nil {
		s.show(c, show)
	}
	for _, n := range jobs {
		if j := c.h.Jobs.Get(n); j != nil {
			s.Out.Jobs = append(s.Out.Jobs, JobRequest{c.id, c.kind, n, Job{ID: jobID(c.id, n), Name: j.Name, Room: c.id, raw: j.Body}})
		}
	}
	if s.unpause(c) {
		s.showStatus(c, StatusPlaying)
	}
	switch {
	case c.h.Ended && c.endShown:
		s.over(c, Ended{Room: c.id, Epoch: c.epoch, Why: c.h.Why, Result: c.h.Result, Code: c.refusal.Code})
		return
	case c.releasing && c.sent.Kind == EntryRelease:
		s.over(c, Ended{Room: c.id, Epoch: c.epoch, Why: "released", Kept: true})
		return
	case c.owesMore():
		s.run(c, now, opCommit)
		s.collect(c, now)
	}
	if c.kind.RateHz == 0 {
		s.makeReady(c) // its deadlines may have passed meanwhile
	}
}

// release gives a room up: what is open becomes a last entry, after which nothing more is shown.
func (s *Shard) release(c *core, now time.Duration) {
	if c.h.Tick == 0 && c.phase == phasePlaying { // the next owner must not find a room that was never created
		s.run(c, now, opTick)
		s.collect(c, now)
		if s.rooms[c.id] != c {
			return
		}
	}
	c.releasing, c.seal = true, true
	if c.phase == phasePlaying {
		s.run(c, now, opCommit)
		s.collect(c, now)
	}
}

// lose drops a room that another node owns now, or that has no journal any more: nothing unconfirmed of it was shown.
func (s *Shard) lose(c *core, err error) {
	s.dropFrames(c)
	s.over(c, Ended{Room: c.id, Epoch: c.epoch, Why: "lost", Kept: true, Err: err})
}

// pause tells the players of a room that it waits for its journal, once it has done so for a second and may not step.
func (s *Shard) pause(c *core, now time.Duration) {
	if c.paused || c.phase == phasePlaying || c.phase == phaseOver || c.h.Tick == 0 || now-c.waitsSince < maxAhead {
		return
	}
	c.paused = true
	s.Counters.Paused.Add(1)
	s.showStatus(c, StatusPaused)
}

// unpause reports whether the room was paused, and ends that.
func (s *Shard) unpause(c *core) bool {
	was := c.paused
	if was {
		c.paused = false
		s.Counters.Paused.Add(-1)
	}
	return was
}

// showStatus tells of a room's condition. It shows nothing of its state.
func (s *Shard) showStatus(c *core, st Status) {
	f := newFrame()
	at := c.newest()
	f.Room, f.Epoch, f.Tick, f.Status, f.To = c.id, at.Epoch, at.Tick, st, c.audience()
	s.Out.Frames = append(s.Out.Frames, f)
}

// Reseal has every room put its whole state into its next entry. It is for a journal that may have lost its newest entries, as
// after a fail-over of the store: what is missing is then sealed by what this node still knows (FAILOVER.md R2).
func (s *Shard) Reseal() {
	for _, c := range s.rooms {
		s.sealNext(c)
	}
}

// Prove has one room put its whole state into its next entry: if somebody else has claimed it, its journal says so.
func (s *Shard) Prove(room ID) {
	if c := s.rooms[room]; c != nil {
		s.sealNext(c)
	}
}

func (s *Shard) sealNext(c *core) {
	c.seal = true
	if c.kind.RateHz == 0 {
		s.makeReady(c)
	}
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
	case t.ID.Compare(c.sent.ID) < 0: // what was confirmed is gone, or an entry that was replaced since came in late
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
	if !c.broken.sameID {
		c.skipTo(c.sent.ID.Tick + 1)
	}
	c.last, c.seal, c.phase = top, true, phasePlaying
	c.flyingMail.addAll(&c.open)
	c.open.reset()
	c.open, c.flyingMail = c.flyingMail, c.open
	if held := c.flying; held != nil {
		c.flying = nil
		c.takeBack(held)
		held.Release()
	}
	w.state = c.game.appendState(w.state[:0])
	c.flying, c.plain = c.frame(), false
	c.append(w, c.horizonLength())
}

// takeBack has everything that a frame was to show shown by the next one.
func (c *core) takeBack(f *Frame) {
	c.resendAll()
	c.noticed = nil
	c.signals = append(f.Answers, c.signals...)
	if c.status == StatusNone {
		c.status = f.Status
	}
	for i := range f.Seats {
		p := &f.Seats[i]
		seat := p.Seat
		if c.h.Seats.Get(seat) == nil {
			seat = 0
		}
		o := c.out(seat)
		o.notes = append(p.Notes, o.notes...)
		if o.resend == 0 {
			o.resend = p.Resend
		}
	}
}
