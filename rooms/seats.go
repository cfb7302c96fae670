package rooms

import (
	"time"

	"tickover.dev/netcode"
)

// This file is how sessions come to seats and lose them. Every request may arrive twice, late, or from a connection that has
// been replaced since (FAILOVER.md R9): joins are idempotent, the rest names its seat and connection generation.

func (c *core) takeJoin(p pend) {
	if p.Bot {
		c.takeBot(p)
		return
	}
	if seat := c.h.seatOf(p.Session); seat != 0 {
		c.rejoin(seat, p)
		return
	}
	if c.h.departed(p.Session, p.Run, p.Number) {
		c.refuseJoin(p, netcode.CodeNotJoined, "this join was done, and the seat has been given up since")
		return
	}
	if code, why := c.closedTo(); code != "" {
		c.refuseJoin(p, code, why)
		return
	}
	c.h.NextSeat++
	p.Seat = c.h.NextSeat
	c.h.Seats.Put(p.Seat, seatState{
		Who: occupant{person: person{Session: p.Session, ID: p.ID, Name: p.Name}},
		Gen: p.Gen, Connected: true, Run: p.Run, Request: p.Number, Node: p.Node,
	})
	c.rosterStale, c.audienceStale = true, true
	c.show(p)
}

// rejoin answers a session that asks for a seat it has: its request was repeated, or it forgot.
func (c *core) rejoin(seat Seat, p pend) {
	s := c.h.Seats.Get(seat)
	if s.isPast(p.Gen) { // answered all the same: sessions wait for every join that reached a room, also of connections that are gone
		c.refuseJoin(p, netcode.CodeNotJoined, "a newer connection has this seat, or this one was lost")
		return
	}
	p.Seat = seat
	c.occupy(seat, s, p)
	s.Request = max(s.Request, p.Number)
	c.out(seat).ring.shown = s.Acked
	c.noteSeated(p)
	if s.Lost { // this may be a late copy: only a return tells what its client has seen
		c.note(Note{Type: NoteOverflow, Node: s.Node, Session: s.Who.Session, Gen: s.Gen, Seat: seat})
	}
}

func (c *core) takeBot(p pend) {
	if c.h.Seats.Len() >= c.kind.Seats {
		return
	}
	c.h.NextSeat++
	p.Seat = c.h.NextSeat
	c.h.Seats.Put(p.Seat, seatState{Who: occupant{person: person{Name: p.Name, Bot: true}}, Connected: true})
	c.show(p)
}

// closedTo says why nobody may enter, if so.
func (c *core) closedTo() (code, why string) {
	switch {
	case c.h.Ended:
		return netcode.CodeRoomEnded, "the room has ended"
	case c.h.Locked:
		return netcode.CodeRoomLocked, "the room takes no more players"
	case c.h.Seats.Len() >= c.kind.Seats:
		return netcode.CodeRoomFull, "all seats are taken"
	}
	return "", ""
}

func (c *core) refuseJoin(p pend, code, why string) {
	c.note(Note{Type: NoteRefused, Node: p.Node, Session: p.Session, Gen: p.Gen, Request: p.Number, Code: code, Why: why})
}

// isPast reports whether a join or return comes from a connection that was replaced or lost since.
func (s *seatState) isPast(gen uint64) bool { return gen < s.Gen || gen == s.Gen && !s.Connected }

// occupy connects a seat to the session's connection of generation p.Gen, and to its run of inputs.
func (c *core) occupy(seat Seat, s *seatState, p pend) {
	back := !s.Connected
	if !back && s.Gen < p.Gen && s.Node != p.Node {
		c.noteSuperseded(seat, s, s.Gen, s.Node, p.Gen)
	}
	s.Gen, s.Node, s.Connected, s.GraceEnd = p.Gen, p.Node, true, 0
	if s.Run != p.Run {
		s.Run, s.Applied, s.Request = p.Run, 0, 0
	}
	c.dirty, c.rosterStale, c.audienceStale = true, true, true
	if back {
		c.show(pend{Type: Returned, Seat: seat, Session: s.Who.Session})
	}
}

// noteSuperseded tells a node that one of its connections is not the session's any more. It should know, but the store that sessions are
// kept in knows only of one node before the present one.
func (c *core) noteSuperseded(seat Seat, s *seatState, gen uint64, at Node, newest uint64) {
	c.note(Note{Type: NoteSuperseded, Node: at, Session: s.Who.Session, Gen: gen, Seat: seat, Request: newest})
}

func (c *core) takeReturn(p pend) {
	s := c.h.Seats.Get(p.Seat)
	if s == nil || s.Who.Bot || s.Who.Session != p.Session {
		c.note(Note{Type: NoteGone, Node: p.Node, Session: p.Session, Gen: p.Gen, Seat: p.Seat, Why: "unknown"})
		return
	}
	switch {
	case p.Gen < s.Gen:
		return // nobody waits for an answer: whoever got the newer generation has closed the connection of this one
	case s.isPast(p.Gen):
		// Most likely a late copy, which must not bring a dead connection back. But the drop may have been wrong, as of a node that was
		// taken for dead: then somebody waits. Over another connection, of a newer generation, the seat is theirs.
		c.note(Note{
			Type: NoteOverloaded, Node: p.Node, Session: p.Session, Gen: p.Gen, Seat: p.Seat,
			Code: netcode.CodeOverloaded, Why: "this connection was taken for lost: reconnect",
		})
		return
	}
	c.occupy(p.Seat, s, p)
	resumed := p.Number >= s.Acked && p.Number <= s.Issued
	s.Lost = false
	if resumed {
		c.acknowledge(p.Seat, p.Session, p.Gen, p.Number)
	}
	o := c.out(p.Seat)
	o.ring.shown = s.Acked
	c.note(Note{
		Type: NoteReturned, Node: s.Node, Session: s.Who.Session, Gen: p.Gen, Seat: p.Seat, Request: p.Ticket,
		Resumed: resumed, Reliable: s.Acked, Applied: s.Applied,
	})
	c.out(p.Seat).whole = true
}

func (c *core) takeDrop(p pend) {
	s := c.h.Seats.Get(p.Seat)
	if s == nil || s.Who.Bot || s.Who.Session != p.Session || p.Gen < s.Gen || !s.Connected {
		return
	}
	s.Connected, c.audienceStale = false, true
	s.GraceEnd = c.h.Now + max(c.kind.Grace, time.Nanosecond)
	p.Body = nil
	c.show(p)
}

func (c *core) takeLeave(p pend) {
	s := c.h.Seats.Get(p.Seat)
	if s != nil && s.Who.Session == p.Session && p.Gen < s.Gen {
		return // of a connection that was replaced: the newer one keeps the seat
	}
	if s == nil || s.Who.Session != p.Session {
		if p.Why == "left" { // asked for twice: it is gone all the same
			c.note(Note{Type: NoteLeft, Node: p.Node, Session: p.Session, Gen: p.Gen, Request: p.Number, Seat: p.Seat, Why: "left"})
		}
		return
	}
	if !s.Who.Bot {
		c.note(Note{Type: NoteLeft, Node: s.Node, Session: s.Who.Session, Gen: s.Gen, Request: p.Number, Seat: p.Seat, Why: p.Why})
	}
	p.leaver = s.player()
	if !s.Who.Bot {
		c.h.depart(s, p.Number)
	}
	c.vacate(p.Seat)
	c.show(p)
}
