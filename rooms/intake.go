package rooms

import (
	"cmp"
	"container/heap"
	"errors"
	"slices"
	"time"

	"tickover.dev/netcode"
)

// This file is what reaches a shard from outside: mail for its rooms, and answers of the journal.

// MailType says what a Mail is.
type MailType uint8

const (
	MailCreate  MailType = iota + 1 // a new room; Kind, Name (its key), Body (options)
	MailJoin                        // Session, Gen, Run, Number (request), Player, Body (what Admit gave)
	MailReturn                      // Seat, Session, Gen, Run, Number (last reliable message seen)
	MailDrop                        // Seat, Session, Gen
	MailLeave                       // Seat, Session, Gen, Number (request)
	MailInput                       // Seat, Session, Run, Number, Body
	MailAck                         // Seat, Session, Number
	MailSignal                      // ID, Name, Body, Ticket
	MailDone                        // Number (of the job), Name, Why, Body
	MailRelease                     // give the room up: a last entry, then Ended with Kept
)

// Mail is one thing that reaches a room from outside. Body is copied when it is taken.
type Mail struct {
	Type    MailType
	Room    ID
	Seat    Seat
	Session string
	Gen     uint64
	Run     uint32
	Number  uint64
	Player  Player
	ID      string
	Name    string
	Why     string
	Ticket  uint64
	Body    []byte
	Kind    *Kind // of MailCreate
	Epoch   Epoch // of MailCreate: the first one
	Nonce   uint64
}

// ErrMailboxFull is a room that has not stepped for so long that it takes no more: nothing was applied, try again later.
var ErrMailboxFull = errors.New("rooms: mailbox full")

var eventOf = [...]EventType{
	MailJoin: Joined, MailReturn: Returned, MailDrop: Dropped, MailLeave: Left, MailInput: Input, MailSignal: Signal, MailDone: Done,
}

// Take gives one piece of mail to its room. ErrMailboxFull and ErrGone (no such room on this shard) refuse it.
func (s *Shard) Take(m *Mail, now time.Duration) error {
	if m.Type == MailCreate {
		s.create(m, now)
		return nil
	}
	c := s.rooms[m.Room]
	if c == nil {
		return ErrGone
	}
	switch m.Type {
	case MailAck:
		c.acknowledge(m.Seat, m.Session, m.Number)
		return nil
	case MailRelease:
		s.release(c, now)
		return nil
	}
	// Inputs may fill the mailbox; what keeps seats right gets in as long as it makes sense at all.
	limit := maxMailbox
	if m.Type != MailInput && m.Type != MailSignal {
		limit += maxSeats
	}
	if len(c.mail.list) >= limit {
		return ErrMailboxFull
	}
	why := m.Why
	if m.Type == MailLeave && why == "" {
		why = "left"
	}
	c.mail.add(pend{
		Type: eventOf[m.Type], Seat: m.Seat, Session: m.Session, Gen: m.Gen, Run: m.Run, Number: m.Number,
		ID: cmp.Or(m.ID, m.Player.ID), Name: clip(cmp.Or(m.Name, m.Player.Name)), Why: why, Body: m.Body, Ticket: m.Ticket,
	})
	if c.kind.RateHz == 0 {
		s.makeReady(c)
	}
	return nil
}

func (s *Shard) create(m *Mail, now time.Duration) {
	seed1, seed2 := s.seed()
	c := newCore(m.Room, m.Kind, s.log.With("room", m.Room, "kind", m.Kind.Name), seed1, seed2)
	c.epoch, c.nonce = m.Epoch, m.Nonce
	c.h.Key, c.h.Options = m.Name, slices.Clone(m.Body)
	c.mail.add(pend{Type: Created, Body: m.Body})
	s.place(c, now)
}

// place puts a room where it will be stepped.
func (s *Shard) place(c *core, now time.Duration) {
	c.alarmAt = -1
	c.started = now - c.h.Now
	s.rooms[c.id] = c
	if c.kind.RateHz > 0 {
		s.lanes.add(c, now)
		return
	}
	s.makeReady(c)
}

func (s *Shard) makeReady(c *core) {
	if !c.isReady {
		c.isReady = true
		s.ready = append(s.ready, c)
	}
}

// setAlarm has a room without a rate stepped at its next deadline.
func (s *Shard) setAlarm(c *core) {
	if c.alarmAt >= 0 {
		heap.Remove(&s.alarm, c.alarmAt)
		c.alarmAt = -1
	}
	if d, ok := c.h.nextDeadline(); ok && c.phase != phaseOver {
		c.wakeAt = c.started + d
		heap.Push(&s.alarm, c)
	}
}

// Adopt takes over a room from its journal, with the claim that was made for it. cold says that its players' connections are gone.
func (s *Shard) Adopt(id ID, kind *Kind, epoch Epoch, nonce uint64, entries []Entry, cold bool, now time.Duration) error {
	saved, err := replay(entries)
	if err != nil {
		return err
	}
	c := newCore(id, kind, s.log.With("room", id, "kind", kind.Name), 0, 0)
	c.epoch, c.nonce = epoch, nonce
	if err := c.resume(saved, cold); err != nil {
		return err
	}
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
	var from saved
	if err == nil {
		from, err = replay(entries)
	}
	if err == nil {
		c.epoch, c.nonce = epoch, nonce
		err = c.resume(from, false)
	}
	if err != nil {
		s.quarantine(c, err)
		return
	}
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
	c := s.rooms[e.Room]
	if c == nil || c.phase != phaseSent || c.sent.ID != e.ID {
		return // of a room that was restored or closed meanwhile
	}
	switch r.Outcome {
	case Confirmed:
		s.confirm(c, now)
	case Fenced:
		s.lose(c, ErrClaimLost)
	case Gone:
		s.lose(c, ErrGone)
	case Refused:
		c.phase, c.retryAt = phaseWaiting, now+retryPause
		s.retry = append(s.retry, c)
	default:
		s.ask(c)
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
		s.lose(c, err)
		return
	case err != nil:
		c.retryAt = now + retryPause
		s.retry = append(s.retry, c)
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
	c.phase, c.sentAt = phaseSent, now
	s.Out.Appends = append(s.Out.Appends, c.sent)
}

// retryRefused sends entries again that were refused, and asks again about those whose fate is unknown.
func (s *Shard) retryRefused(now time.Duration) {
	waiting := s.retry[:0]
	for _, c := range s.retry {
		switch {
		case s.rooms[c.id] != c:
		case c.retryAt > now:
			waiting = append(waiting, c)
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
		s.Out.Frames = append(s.Out.Frames, show)
	}
	for _, n := range jobs {
		if j := c.h.Jobs.Get(n); j != nil {
			s.Out.Jobs = append(s.Out.Jobs, JobRequest{c.id, c.kind, n, Job{ID: jobID(c.id, n), Name: j.Name, Room: c.id, raw: j.Body}})
		}
	}
	if c.paused {
		c.paused = false
		s.showStatus(c, StatusPlaying)
	}
	switch {
	case c.h.Ended && c.endShown:
		s.over(c, Ended{Room: c.id, Epoch: c.epoch, Why: c.h.Why, Result: c.h.Result})
		return
	case c.releasing && c.last.Tick >= c.h.Tick && c.sent.Kind == EntryRelease:
		s.over(c, Ended{Room: c.id, Epoch: c.epoch, Why: "released", Kept: true})
		return
	case c.changed || c.dirty || c.seal || c.releasing:
		s.run(c, now, opCommit)
		s.collect(c, now)
	}
	if c.kind.RateHz == 0 && len(c.mail.list) > 0 {
		s.makeReady(c)
	}
}

// release gives a room up: what is open becomes a last entry, after which nothing more is shown.
func (s *Shard) release(c *core, now time.Duration) {
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

// pause tells the players of a room that it waits for its journal, once it is as far ahead as it may be.
func (s *Shard) pause(c *core, now time.Duration) {
	if c.paused || c.phase == phaseOver || c.phase == phaseClaiming || c.h.Ended || now-c.sentAt < maxAhead {
		return
	}
	c.paused = true
	s.showStatus(c, StatusPaused)
}

// showStatus tells of a room's condition. It shows nothing of its state.
func (s *Shard) showStatus(c *core, st Status) {
	f := newFrame()
	f.Room, f.Epoch, f.Tick, f.Status = c.id, c.last.Epoch, c.last.Tick, st
	s.Out.Frames = append(s.Out.Frames, f)
}

// nextWake is when the earliest lane, alarm or retry is due.
func (s *Shard) nextWake(now time.Duration) time.Duration {
	wake := time.Duration(0)
	sooner := func(at time.Duration) {
		if at = max(at, now); wake == 0 || at < wake {
			wake = at
		}
	}
	for _, l := range s.lanes {
		sooner(l.due)
	}
	if len(s.alarm) > 0 {
		sooner(s.alarm[0].wakeAt)
	}
	for _, c := range s.retry {
		sooner(c.retryAt)
	}
	return wake
}

// Refusal makes the frame that answers mail which Take refused, or nil if it needs no answer.
func Refusal(m *Mail, err error) *Frame {
	n := Note{Session: m.Session, Gen: m.Gen, Request: m.Number, Seat: m.Seat}
	gone := errors.Is(err, ErrGone)
	switch {
	case m.Type == MailJoin && gone:
		n.Type, n.Code, n.Why = NoteRefused, netcode.CodeRoomEnded, "the room has ended"
	case m.Type == MailJoin:
		n.Type, n.Code, n.Why = NoteRefused, netcode.CodeOverloaded, "the room takes nothing just now"
	case m.Type == MailReturn && gone:
		n.Type, n.Why = NoteGone, "unknown"
	case m.Type == MailLeave && gone:
		n.Type, n.Why = NoteLeft, "left"
	case m.Type == MailInput && !gone:
		n.Type, n.Code, n.Why = NoteOverloaded, netcode.CodeOverloaded, "the room takes nothing just now: send again"
	case m.Type == MailSignal:
		n = Note{Type: NoteSignal, Request: m.Ticket, Code: netcode.CodeRoomEnded, Why: "the room has ended"}
		if !gone {
			n.Code, n.Why = netcode.CodeOverloaded, "the room takes nothing just now"
		}
		f := newFrame()
		f.Room, f.Answers = m.Room, append(f.Answers, n)
		return f
	default:
		return nil
	}
	f := newFrame()
	f.Room = m.Room
	f.Seats = append(f.Seats, SeatPart{Seat: m.Seat, Session: m.Session, Notes: []Note{n}})
	return f
}
