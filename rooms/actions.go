package rooms

import (
	"cmp"
	"strings"
	"time"

	"tickover.dev/netcode"
)

// This file is what a game's Step can do through its Tick.

func (c *core) send(to Seat, name string, v any) {
	if s := c.h.Seats.Get(to); s != nil && !s.Who.Bot {
		c.reliable(to, s, &netcode.Event{Name: clip(name), Value: appendAny(nil, v)})
	}
}

func (c *core) broadcast(name string, v any) {
	m := &netcode.Event{Name: clip(name), Value: appendAny(nil, v)}
	for seat, s := range c.h.Seats.All() {
		if !s.Who.Bot {
			c.reliable(seat, s, m)
		}
	}
}

func (c *core) reply(index int, v any) {
	switch p := c.list[index]; p.Type {
	case Input:
		c.answer(p, "", "", appendAny(nil, v))
	case Signal:
		c.answerSignal(p, "", "", appendAny(nil, v))
	}
}

func (c *core) reject(index int, code, why string) {
	p := c.list[index]
	code = cmp.Or(clip(code), "rejected") // "" would be an answer
	switch p.Type {
	case Input:
		c.answer(p, code, why, nil)
	case Signal:
		c.answerSignal(p, code, why, nil)
	case Joined:
		c.refused[index] = true
		if !p.Bot {
			c.note(Note{Type: NoteRefused, Node: p.Node, Session: p.Session, Gen: p.Gen, Request: p.Number, Seat: p.Seat, Code: code, Why: why})
		}
		c.vacate(p.Seat)
	case Created:
		c.refused[index] = true
		c.end("refused", nil)
		c.refusal = Note{Code: code, Why: why}
	}
}

// answer replies to an input, or refuses it if there is a code.
func (c *core) answer(p pend, code, why string, value []byte) {
	s := c.h.Seats.Get(p.Seat)
	if s == nil || s.Who.Bot {
		return
	}
	if code == "" {
		c.reliable(p.Seat, s, &netcode.Reply{Run: p.Run, Input: p.Number, Value: value})
		return
	}
	const maxWhyBytes = 1024
	c.reliable(p.Seat, s, &netcode.Refusal{Run: p.Run, Input: p.Number, Code: code, Message: clipTo(why, maxWhyBytes)})
}

func (c *core) answerSignal(p pend, code, why string, value []byte) {
	c.signals = append(c.signals, Note{Type: NoteSignal, Node: p.Node, Request: p.Ticket, Code: code, Why: why, Result: value})
	c.dirty = true
}

func (c *core) after(d time.Duration, name string) {
	name = clip(name)
	if c.h.Timers.Get(name) == nil && c.h.Timers.Len() >= maxTimers {
		panic("rooms: more than 256 timers in one room")
	}
	c.h.Timers.Put(name, c.h.Now+max(d, 0))
	c.dirty = true
}

func (c *core) cancel(name string) {
	if c.h.Timers.Get(clip(name)) != nil {
		c.h.Timers.Delete(clip(name))
		c.dirty = true
	}
}

func (c *core) addBot(name string) {
	c.wish(wish{Type: Joined, Name: clip(name)})
}

func (c *core) kick(seat Seat, why string) {
	if c.h.Seats.Get(seat) != nil {
		c.wish(wish{Type: Left, Seat: seat, Name: clip(why), Why: "kicked"})
	}
}

// wish keeps a request for the next step. There is no use in more wishes than twice the seats a room can have.
func (c *core) wish(w wish) {
	if len(c.h.Wishes) < 2*maxSeats {
		c.h.Wishes = append(c.h.Wishes, w)
		c.dirty = true
	}
}

func (c *core) lock(locked bool) {
	if c.h.Locked != locked {
		c.h.Locked, c.dirty = locked, true
	}
}

func (c *core) describe(metadata any) {
	c.h.Metadata = appendAny(nil, metadata)
	c.dirty = true
}

func (c *core) do(name string, body any) {
	c.h.NextJob++
	c.dirty = true
	if c.h.Jobs.Len() >= maxJobs {
		c.wish(wish{Type: Done, Number: c.h.NextJob, Name: clip(name), Why: "too many jobs"})
		return
	}
	c.h.Jobs.Put(c.h.NextJob, job{Name: clip(name), Body: appendAny(nil, body)})
	c.jobs = append(c.jobs, c.h.NextJob)
}

func (c *core) end(why string, result any) {
	if c.h.Ended {
		return
	}
	c.h.Ended, c.h.Why, c.dirty = true, why, true
	if result != nil {
		c.h.Result = appendAny(nil, result)
	}
}

// vacate empties a seat.
func (c *core) vacate(seat Seat) {
	c.h.Seats.Delete(seat)
	if o := c.outs.Get(seat); o != nil {
		o.ring, o.vacated = ring{}, true
	}
	c.dirty, c.rosterStale = true, true
}

// reliable numbers m for a seat, and queues it for the next frame and for resends.
func (c *core) reliable(seat Seat, s *seatState, m netcode.Message) {
	s.Issued++
	switch m := m.(type) {
	case *netcode.Event:
		m.Number = s.Issued
	case *netcode.Reply:
		m.Number = s.Issued
	case *netcode.Refusal:
		m.Number = s.Issued
	}
	o := c.out(seat)
	o.ring.add(s.Issued, m.Append(nil))
	c.dirty = true
	if o.ring.bytes > maxReliable {
		c.giveUp(seat, s, o)
	}
}

// giveUp drops what a session has not acknowledged. It is told so when it returns; until then it is sent nothing more, as there
// would be a gap before it.
func (c *core) giveUp(seat Seat, s *seatState, o *seatOut) {
	o.ring = ring{}
	s.Acked = s.Issued
	if s.Connected && !s.Lost {
		c.note(Note{Type: NoteOverflow, Node: s.Node, Session: s.Who.Session, Gen: s.Gen, Seat: seat})
	}
	s.Lost, c.dirty = true, true
}

// acknowledge forgets reliable messages that a session has seen. It is no change that needs journaling: a resumed room sends
// some of them again, and the client drops what it knows. (In Replay rooms it is an event all the same; see waitAck.) An acknowledgement of a former connection is void: the client object behind
// this one may not have seen them.
func (c *core) acknowledge(seat Seat, session string, gen, number uint64) {
	s := c.h.Seats.Get(seat)
	if s == nil || s.Who.Bot || s.Who.Session != session || gen < s.Gen || number <= s.Acked {
		return
	}
	s.Acked = min(number, s.Issued)
	if o := c.outs.Get(seat); o != nil {
		o.ring.trim(s.Acked)
	}
}

// clip bounds a name that goes into the state.
func clip(name string) string { return clipTo(name, maxNameBytes) }

// clipTo cuts s to at most limit bytes of whole characters.
func clipTo(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "")
}
