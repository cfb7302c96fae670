package placement

import (
	"fmt"

	"tickover.dev/rooms"
)

// Types of messages between nodes, for tests that lose some of them.
const (
	CarryMail      = carryMail
	CarryFrame     = carryFrame
	CarryElsewhere = carryElsewhere
	CarryLost      = carryLost
	CarryReplaced  = carryReplaced
	CarryOffer     = carryOffer
	CarryObituary  = carryObituary
)

// Leftovers says what the rooms of a node keep; "" if that is nothing.
func (r *Rooms) Leftovers() (what string) {
	r.mu.Lock()
	for id, w := range r.ways {
		at := w.at.Load()
		what += fmt.Sprintf("a way to %s in state %d, owner %v, epoch %d; ", id, at.state, at.owner, at.epoch)
	}
	if n := len(r.sought); n > 0 {
		what += fmt.Sprintf("%d searches; ", n)
	}
	r.mu.Unlock()
	r.audienceMu.Lock()
	if n := len(r.audience) + len(r.askers); n > 0 {
		what += fmt.Sprintf("the audience of %d rooms; ", n)
	}
	r.audienceMu.Unlock()
	r.Local.mu.Lock()
	if n := len(r.Local.opening); n > 0 {
		what += fmt.Sprintf("%d rooms being opened; ", n)
	}
	r.Local.mu.Unlock()
	if n := len(r.desks); n > 0 {
		what += fmt.Sprintf("%d requests; ", n)
	}
	return what
}

// WayState tells how a node's way to a room is: 0 sought, 1 mustering, 2 open.
func (r *Rooms) WayState(id rooms.ID) string {
	w := r.known(id)
	if w == nil {
		return "none"
	}
	at := w.at.Load()
	return fmt.Sprintf("state %d, owner %v, epoch %d, here %v", at.state, at.owner, at.epoch, at.local != nil)
}
