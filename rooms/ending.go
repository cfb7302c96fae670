package rooms

import (
	"container/heap"
	"fmt"

	"tickover.dev/netcode"
)

// This file is how rooms leave a shard.

// quarantine closes a room because of a fault of its own. It is over for good: it would only fail again. Whoever buries it may keep
// its last entries for those who look for the cause.
func (s *Shard) quarantine(c *core, err error) {
	s.dropFrames(c)
	c.callRoll()
	s.Out.Frames = append(s.Out.Frames, c.farewell("fault"))
	s.over(c, Ended{Room: c.id, Epoch: c.epoch, Why: "fault", Err: err})
}

// over takes a room off the shard.
func (s *Shard) over(c *core, e Ended) {
	for _, w := range []*window{&c.flyingMail, &c.open, &c.mail} { // requests that will never be answered by a step
		for _, p := range w.list {
			s.turnAway(c, p, e)
		}
	}
	c.phase = phaseOver
	s.forget(c)
	s.Out.Ended = append(s.Out.Ended, e)
}

// forget takes a room out of everything that would step it.
func (s *Shard) forget(c *core) {
	delete(s.rooms, c.id)
	s.lanes.remove(c)
	s.unpause(c)
	if c.alarmAt >= 0 {
		heap.Remove(&s.alarm, c.alarmAt)
		c.alarmAt = -1
	}
}

// turnAway answers a request that came too late for its room.
func (s *Shard) turnAway(c *core, p pend, e Ended) {
	if moved := e.Why == "released" || e.Why == "lost"; moved && (p.Type == Returned || p.Type == Joined && p.Node != 0) {
		return // the seat is still there, elsewhere: to be asked for again, as a node does that knows of others
	}
	code, why := e.refusal(c.refusal)
	f := newFrame()
	at := c.newest()
	f.Room, f.Epoch, f.Tick = c.id, at.Epoch, at.Tick
	n := Note{Node: p.Node, Session: p.Session, Gen: p.Gen, Code: code, Why: why}
	switch p.Type {
	case Joined:
		n.Type, n.Request = NoteRefused, p.Number
	case Returned:
		n.Type, n.Seat, n.Request, n.Code, n.Why, n.Result = NoteGone, p.Seat, p.Ticket, "", e.Why, e.Result
	case Signal:
		f.Answers = append(f.Answers, Note{Type: NoteSignal, Node: p.Node, Request: p.Ticket, Code: code, Why: why})
	default:
		f.Release()
		return
	}
	f.sendTo(p.Node)
	if p.Type != Signal {
		f.Seats = append(f.Seats, SeatPart{Session: p.Session, Node: p.Node, Notes: []Note{n}})
	}
	s.Out.Frames = append(s.Out.Frames, f)
}

// refusal is how requests are refused that came too late. byGame is set if the game refused the room's creation.
func (e *Ended) refusal(byGame Note) (code, why string) {
	switch {
	case byGame.Code != "":
		return byGame.Code, byGame.Why
	case e.Why == "fault":
		return netcode.CodeRoomFault, "the room was closed because of a fault"
	case e.Why == "released":
		return netcode.CodeShuttingDown, "the room moves to another node: ask again"
	case e.Why == "lost":
		return netcode.CodeUnknownRoom, "this node has the room no more: ask again"
	}
	return netcode.CodeRoomEnded, "the room has ended"
}

// Dispossess is called by the goroutine that takes the shard over from one that is stuck in a room's game: the room is closed and
// the shard goes on. The room's memory and the workspace are left to the stuck code, which may still write to them: from the core,
// only what the game's code never touches is read here. A room whose Migrate is stuck as it is adopted keeps its journal, as one whose
// Migrate fails does: other rules may yet be able to read it.
func (s *Shard) Dispossess(room ID) {
	s.space = new(workspace)
	c := s.rooms[room]
	if c == nil {
		return
	}
	err := fmt.Errorf("a step took longer than %s", c.kind.StepLimit)
	s.log.Error("room stuck", "room", c.id, "kind", c.kind.Name, "error", err)
	s.forget(c)
	s.Out.Frames = append(s.Out.Frames, c.farewell("fault"))
	s.Out.Ended = append(s.Out.Ended, Ended{Room: c.id, Epoch: c.rosterEpoch, Why: "fault", Kept: c.adopting, Err: err})
}
