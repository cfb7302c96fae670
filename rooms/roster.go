package rooms

import (
	"slices"

	"tickover.dev/codec"
)

// This file is how a room and the nodes that have its players agree on who is there: whatever was lost between them, a roster settles
// it (FAILOVER.md R15, R16).

// RosterEntry is one session that a node has a connection of, or that asks for a seat: then Seat is 0.
type RosterEntry struct {
	Seat     Seat   `msgpack:"s"`
	Session  string `msgpack:"i"`
	Gen      uint64 `msgpack:"g"`
	Run      uint32 `msgpack:"r"`
	Reliable uint64 `msgpack:"n"` // last reliable message that was sent on to the client
}

// roster is the body of a MailRoster.
type roster struct {
	Entries []RosterEntry `msgpack:"e"`
}

var rosterCodec = mustCompile[roster]()

// AppendRoster makes the body of a MailRoster: all sessions that a node has in a room.
func AppendRoster(dst []byte, entries []RosterEntry) []byte {
	return rosterCodec.Append(dst, pointerTo(&roster{entries}))
}

// What waits in a mailbox and is shown to no game.
const (
	eventRoster EventType = 128 + iota
	eventNodeGone
	eventAck // of a Replay room: see waitAck
)

// takeRoster takes what a node says of its sessions in the room. It speaks for itself alone, and for the moment when it was sent:
// between a node and a room mail keeps its order, so what is not in it is dropped, and what is in it is connected, also if it had been
// taken for dropped. Everybody in it is shown everything that it may have missed.
func (c *core) takeRoster(p pend) {
	var r roster
	if err := codec.Decode(p.Body, &r); err != nil {
		c.log.Error("roster cannot be read", "room", c.id, "node", p.Node, "error", err)
		return
	}
	c.dropOf(func(s *seatState) bool {
		return s.Node == p.Node && !slices.ContainsFunc(r.Entries, func(e RosterEntry) bool { return e.Session == s.Who.Session })
	})
	for _, e := range r.Entries {
		c.takePresent(p.Node, e)
	}
}

// takePresent takes one session of a roster.
func (c *core) takePresent(from Node, e RosterEntry) {
	asks := e.Seat == 0
	if asks { // it may have been given one, and not been told
		if e.Seat = c.h.seatOf(e.Session); e.Seat == 0 {
			return
		}
	}
	s := c.h.Seats.Get(e.Seat)
	switch {
	case s == nil || s.Who.Bot || s.Who.Session != e.Session: // it has lost the seat meanwhile
		c.note(Note{Type: NoteLeft, Node: from, Session: e.Session, Gen: e.Gen, Seat: e.Seat, Why: "unknown"})
		return
	case e.Gen < s.Gen: // a newer connection has the seat
		if from != s.Node {
			c.noteSuperseded(e.Seat, s, e.Gen, from, s.Gen)
		}
		return
	}
	c.occupy(e.Seat, s, pend{Session: e.Session, Gen: e.Gen, Run: e.Run, Node: from})
	o := c.out(e.Seat)
	o.whole = true
	if asks {
		return // the answer to what it asks tells the rest
	}
	if e.Reliable < s.Acked || e.Reliable > s.Issued { // what it needs next was given up
		c.note(Note{Type: NoteOverflow, Node: from, Session: e.Session, Gen: e.Gen, Seat: e.Seat})
		return
	}
	o.ring.shown = e.Reliable
}

// dropOf drops the connected players for whom gone holds.
func (c *core) dropOf(gone func(*seatState) bool) {
	for seat, s := range c.h.Seats.All() {
		if !s.Who.Bot && s.Connected && gone(s) {
			c.take(pend{Type: Dropped, Seat: seat, Session: s.Who.Session, Gen: s.Gen, Node: s.Node})
		}
	}
}

// audience lists the nodes that have connected players of the room. The slice is shared by frames, and made anew when it changes.
func (c *core) audience() []Node {
	if !c.audienceStale {
		return c.nodes
	}
	c.audienceStale = false
	var nodes []Node
	for _, s := range c.h.Seats.All() {
		if !s.Who.Bot && s.Connected && !slices.Contains(nodes, s.Node) {
			nodes = append(nodes, s.Node)
		}
	}
	if !slices.Equal(nodes, c.nodes) {
		c.nodes = nodes
	}
	return c.nodes
}
