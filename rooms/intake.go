package rooms

import (
	"cmp"
	"container/heap"
	"errors"
	"fmt"
	"slices"
	"time"

	"tickover.dev/netcode"
)

// This file is what reaches a shard from outside: mail for its rooms, and answers of the journal.

// MailType says what a Mail is.
type MailType uint8

const (
	MailCreate   MailType = iota + 1 // a new room; Kind, Name (its key), Body (options)
	MailJoin                         // Session, Gen, Run, Number (request), Player, Body (what Admit gave)
	MailReturn                       // Seat, Session, Gen, Run, Number (last reliable message seen)
	MailDrop                         // Seat, Session, Gen
	MailLeave                        // Seat, Session, Gen, Number (request)
	MailInput                        // Seat, Session, Gen, Run, Number, Body
	MailAck                          // Seat, Session, Gen, Number
	MailSignal                       // ID, Name, Body, Ticket
	MailDone                         // Number (of the job), Name, Why, Body
	MailRelease                      // give the room up: a last entry, then Ended with Kept
	MailRoster                       // Body (what AppendRoster made): all of Node's sessions with a connection in the room
	MailNodeGone                     // Node is no more: its sessions are dropped
)

// Mail is one thing that reaches a room from outside. Body is copied when it is taken.
type Mail struct {
	Type    MailType
	Room    ID
	Seat    Seat
	Session string
	Node    Node // the sender's
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
	MailRoster: eventRoster, MailNodeGone: eventNodeGone,
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
		if c.kind.Durability == Replay {
			c.waitAck(m)
			return nil
		}
		c.acknowledge(m.Seat, m.Session, m.Gen, m.Number)
		return nil
	case MailRelease:
		s.release(c, now)
		return nil
	case MailCreate, MailJoin, MailReturn, MailDrop, MailLeave, MailInput, MailSignal, MailDone, MailRoster, MailNodeGone:
	default:
		return fmt.Errorf("rooms: mail of type %d", m.Type)
	}
	// Inputs may fill the mailbox; what keeps seats right gets in as long as it makes sense at all.
	limit := maxMailbox
	switch m.Type {
	case MailInput, MailSignal:
	case MailDrop, MailRoster, MailNodeGone:
		limit += 8 * maxSeats // a drop that is lost is a seat that nobody gives up; there are few, each ends a connection
	default:
		limit += maxSeats
	}
	if len(c.mail.list) >= limit || m.mayBeLarge() && c.mail.bytes()+len(m.Body) > maxMailboxBytes {
		return ErrMailboxFull
	}
	why := m.Why
	if m.Type == MailLeave && why == "" {
		why = "left"
	}
	c.mail.add(pend{
		Type: eventOf[m.Type], Seat: m.Seat, Session: m.Session, Gen: m.Gen, Run: m.Run, Number: m.Number, Node: m.Node,
		ID: s.idOf(m, c), Name: clip(cmp.Or(m.Name, m.Player.Name)), Why: why, Body: m.Body, Ticket: m.Ticket,
	})
	if c.kind.RateHz == 0 {
		s.makeReady(c)
	}
	return nil
}

// mayBeLarge reports whether strangers choose how large the mail is. What a job gave is the program's own, and must not be lost.
func (m *Mail) mayBeLarge() bool {
	return m.Type == MailInput || m.Type == MailSignal || m.Type == MailJoin
}

// idOf gives a signal an id if it has none: it may be presented to the room again when that is restored.
func (s *Shard) idOf(m *Mail, c *core) string {
	id := cmp.Or(m.ID, m.Player.ID)
	if id == "" && m.Type == MailSignal {
		s.ids++
		id = fmt.Sprintf("%d.%d", c.epoch, s.ids)
	}
	return id
}

func (s *Shard) create(m *Mail, now time.Duration) {
	if s.rooms[m.Room] != nil {
		return
	}
	seed1, seed2 := s.seed()
	c := newCore(m.Room, m.Kind, s.log.With("room", m.Room, "kind", m.Kind.Name), seed1, seed2)
	c.epoch, c.nonce, c.seal = m.Epoch, m.Nonce, true
	c.h.Key, c.h.Options = m.Name, slices.Clone(m.Body)
	c.mail.add(pend{Type: Created, Body: m.Body})
	s.place(c, now)
}

// place puts a room where it will be stepped.
func (s *Shard) place(c *core, now time.Duration) {
	c.broken, c.rosterEpoch = s.broken, c.epoch
	c.started = now - c.h.Now
	s.rooms[c.id] = c
	if c.kind.RateHz > 0 {
		s.lanes.add(c, now, s.Phase)
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
	d, ok := c.deadline()
	may := c.mayStep()
	switch {
	case may && ok:
		c.wakeAt = c.started + d
	case !may && c.phase != phasePlaying && !c.paused: // to tell the players, see pause
		c.wakeAt = c.waitsSince + maxAhead
	default:
		return
	}
	heap.Push(&s.alarm, c)
}

// RefusedJoin makes the frame that refuses a join which did not get as far as its room.
func RefusedJoin(m *Mail, code, why string) *Frame {
	f := newFrame()
	f.Room = m.Room
	n := Note{Type: NoteRefused, Node: m.Node, Session: m.Session, Gen: m.Gen, Request: m.Number, Code: code, Why: why}
	f.Seats = append(f.Seats, SeatPart{Session: m.Session, Node: m.Node, Notes: []Note{n}})
	f.sendTo(m.Node)
	return f
}

// answerTo makes a frame that answers a node.
func answerTo(m *Mail, n Note) *Frame {
	f := newFrame()
	f.Room, f.Answers = m.Room, append(f.Answers, n)
	f.sendTo(m.Node)
	return f
}

// Refusal makes the frame that answers mail which Take refused, or nil if it needs no answer.
func Refusal(m *Mail, err error) *Frame {
	n := Note{Node: m.Node, Session: m.Session, Gen: m.Gen, Request: m.Number, Seat: m.Seat}
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
	case !gone && (m.Type == MailInput || m.Type == MailReturn || m.Type == MailLeave):
		n.Type, n.Code, n.Why = NoteOverloaded, netcode.CodeOverloaded, "the room takes nothing just now: send again"
		if m.Type != MailLeave {
			n.Request = 0
		}
	case m.Type == MailSignal:
		n = Note{Type: NoteSignal, Node: m.Node, Request: m.Ticket, Code: netcode.CodeRoomEnded, Why: "the room has ended"}
		if !gone {
			n.Code, n.Why = netcode.CodeOverloaded, "the room takes nothing just now"
		}
		return answerTo(m, n)
	case m.Type == MailRoster && !gone:
		return answerTo(m, Note{Type: NoteRoster, Node: m.Node})
	default:
		return nil
	}
	f := newFrame()
	f.Room = m.Room
	f.Seats = append(f.Seats, SeatPart{Seat: m.Seat, Session: m.Session, Node: m.Node, Notes: []Note{n}})
	f.sendTo(m.Node)
	return f
}
