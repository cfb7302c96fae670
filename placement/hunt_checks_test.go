package placement_test

import (
	"context"
	"fmt"
	"slices"

	"tickover.dev/client"
	"tickover.dev/cluster"
	"tickover.dev/codec"
	"tickover.dev/netcode"
	"tickover.dev/rooms"
)

// This file is what is looked at all the time.

// history is what everybody has seen. Guarded by the world's mu.
type history struct {
	stays  uint32
	public map[moment]string
	newest map[rooms.ID]moment
	nonces map[ownership]uint64
	flying map[rooms.ID]map[cluster.Boot]int // appends
	ending map[string]bool                   // rooms that a player has asked to end
}

type moment struct {
	room rooms.ID
	tick uint64
}

type ownership struct {
	room  rooms.ID
	epoch rooms.Epoch
}

func newHistory() history {
	return history{
		public: map[moment]string{}, newest: map[rooms.ID]moment{}, nonces: map[ownership]uint64{},
		flying: map[rooms.ID]map[cluster.Boot]int{}, ending: map[string]bool{},
	}
}

func (w *world) isCalm() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calm
}

func (w *world) isLosing() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.losing
}

func (w *world) isOver(s *stay) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return s.left != ""
}

// roomOf gives a seat's room; nil: it is being joined. A room that is there stays.
func (w *world) roomOf(s *stay) *client.Room {
	w.mu.Lock()
	defer w.mu.Unlock()
	return s.room
}

// keyOf is the key under which players meet after so many joins.
func (w *world) keyOf(joins int) string {
	if w.isCalm() {
		return "calm"
	}
	return fmt.Sprint("party-", joins%3)
}

func (w *world) count(s client.Stats) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.Resent > 0 && s.Reconnects > 0 {
		w.counts["resend across a drop"] += s.Resent
	}
	if s.Violations > 0 {
		w.failLocked("a client was sent what breaks the protocol, %d times", s.Violations)
	}
}

// flies notes appends under way.
func (w *world) flies(batch []rooms.Entry, from cluster.Boot, by int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range batch {
		if w.seen.flying[e.Room] == nil {
			w.seen.flying[e.Room] = map[cluster.Boot]int{}
		}
		w.seen.flying[e.Room][from] += by
	}
}

// appended checks an entry that has reached its journal (I1).
func (w *world) appended(n *node, e rooms.Entry, outcome rooms.Outcome) {
	gone := false
	if e.Kind == rooms.EntryRelease && outcome == rooms.Confirmed {
		heir, ok := n.cluster.Heir(huntKinds[0].Name, e.Room)
		gone = ok && !slices.ContainsFunc(w.living(), func(o *node) bool { return o.boot == heir })
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.noteLocked("append "+outcome.String(), n.boot, e.Room, e.ID)
	if gone {
		w.noteLocked("release with the peer gone", e.Room)
	}
	if outcome != rooms.Confirmed {
		return
	}
	at := ownership{e.Room, e.ID.Epoch}
	if old, ok := w.seen.nonces[at]; ok && old != e.Nonce || cluster.BootOf(e.Nonce) != n.boot {
		w.failLocked("I1: entry %s of %s is of %x, epoch of %x, written by %s", e.ID, e.Room, e.Nonce, old, n.boot)
	}
	w.seen.nonces[at] = e.Nonce
}

func (w *world) claimed(n *node, room rooms.ID, epoch rooms.Epoch, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.noteLocked("claim lost", n.boot, room, err)
		return
	}
	w.noteLocked("take-over", n.boot, room, epoch)
	for boot, flying := range w.seen.flying[room] {
		if boot != n.boot && flying > 0 {
			w.noteLocked("take-over with an append in flight", room)
		}
	}
}

func (w *world) topOf(room rooms.ID) rooms.EntryID {
	top, err := w.journal.Top(context.Background(), room)
	if err != nil {
		return rooms.EntryID{}
	}
	return top.ID
}

// handler checks what a player is shown on a seat.
func (p *player) handler(s *stay) client.Handler {
	w := p.w
	return client.Handler{
		OnFrame: func(f client.Frame) { w.shown(p, s, f) },
		OnEvent: func(_ uint64, _ string, value []byte) { w.heard(p, s, value) },
		OnResumed: func(o netcode.JoinOutcome) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.noteLocked(fmt.Sprint("returned: outcome ", o), p.name)
			s.holed = s.holed || o == netcode.OutcomeSnapshot
		},
		OnStatus: func(status netcode.RoomStatus) { w.note(fmt.Sprint("status ", status), p.name) },
		OnLeft:   func(why string, _ []byte) { w.left(p, s, why) },
	}
}

// shown checks a frame: I4, and that no tick goes back.
func (w *world) shown(p *player, s *stay, f client.Frame) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts["frame"]++
	if f.Tick < s.tick || f.Epoch < s.epoch {
		w.failLocked("%s: tick %d-%d behind %d-%d", p.name, f.Epoch, f.Tick, s.epoch, s.tick)
	}
	s.tick, s.epoch, s.applied = f.Tick, f.Epoch, max(s.applied, f.Applied)
	if s.room == nil || f.State == nil {
		return // it is just being given
	}
	at := moment{rooms.ID(s.room.ID), f.Tick}
	if old, ok := w.seen.public[at]; ok && old != string(f.State) {
		w.failLocked("I4: two histories of tick %d of %s", f.Tick, s.room.ID)
	}
	w.seen.public[at] = string(f.State)
	if f.Tick >= w.seen.newest[at.room].tick {
		w.seen.newest[at.room] = at
	}
	var g table
	if err := codec.Decode(f.State, &g); err != nil {
		w.failLocked("state of %s: %v", s.room.ID, err)
		return
	}
	s.state = &g
	if g.Wrong != "" {
		w.failLocked("I2, I3: room %s: %s", s.room.ID, g.Wrong)
	}
	if a := g.Seats.Get(rooms.Seat(s.room.Seat)); a == nil && !s.asked && !s.late && !w.seen.ending[s.room.ID] {
		w.failLocked("%s sits nowhere in %s: seat %d of %d, stay %d, frame %d-%d", p.name, s.room.ID, s.room.Seat, g.Seats.Len(), s.id, f.Epoch, f.Tick)
	} else if a != nil && a.Stay == s.id && a.Last < f.Applied {
		w.failLocked("I2: input %d of %s is acknowledged; the room knows %d", f.Applied, p.name, a.Last)
	}
}

// heard checks a reliable message: none is missing, none comes twice.
func (w *world) heard(p *player, s *stay, value []byte) {
	var n uint64
	err := codec.Decode(value, &n)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil || n != s.heard+1 && !s.holed {
		w.failLocked("%s hears message %d behind %d (%v)", p.name, n, s.heard, err)
	}
	s.heard, s.holed = n, false
}

// left checks why a seat is over.
func (w *world) left(p *player, s *stay, why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.noteLocked("left: "+why, p.name)
	s.left = why
	switch {
	case s.asked, s.late, s.room == nil, why == "ended" && w.seen.ending[s.room.ID]:
	default:
		w.failLocked("%s lost the seat in %s: %s", p.name, s.room.ID, why)
	}
}
