package placement_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"tickover.dev/cluster"
	"tickover.dev/rooms"
)

// This file is what is looked at when all faults are over.

// everybodyServed waits until all who should be seated are, and all that they have sent is applied.
func (w *world) everybodyServed() bool {
	began := time.Now()
	ok := w.eventually(huntCalm, func() string {
		for _, p := range w.players {
			if what := p.unserved(); what != "" {
				return what
			}
		}
		return w.disunited()
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if ok {
		w.took = max(w.took, time.Since(began))
	}
	return ok
}

// unserved says what a player waits for.
func (p *player) unserved() string {
	c := p.current()
	if c == nil || c.Err() != nil || !c.Online() {
		return p.name + " is not connected"
	}
	w := p.w
	var s *stay
	for _, o := range c.all() {
		switch {
		case w.isOver(o):
		case s != nil:
			return p.name + " has two seats"
		default:
			s = o
		}
	}
	if s == nil || w.roomOf(s) == nil {
		return p.name + " has no seat"
	}
	waiting, attached := s.room.Unacknowledged(), s.room.Attached()
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case s.asked:
		return p.name + " is leaving"
	case !attached || waiting > 0 || s.next == 0:
		return fmt.Sprintf("%s waits in %s, seat %d, attached %v, for %d of %d inputs; %s", p.name, s.room.ID, s.room.Seat, attached, waiting, s.next, w.about(s.room.ID, c))
	case s.state == nil:
		return p.name + " has seen nothing"
	}
	a := s.state.Seats.Get(rooms.Seat(s.room.Seat))
	if a == nil || a.Stay != s.id || a.Last != s.next {
		return fmt.Sprintf("%s has sent %d inputs of stay %d, all acknowledged; %s counts %+v", p.name, s.next, s.id, s.room.ID, a)
	}
	return ""
}

// about says where a room is, for a complaint. w.mu is held.
func (w *world) about(room string, c *process) string {
	id := rooms.ID(room)
	top, err := w.journal.Top(context.Background(), id)
	at, err2 := w.store.Look(context.Background(), id)
	var what strings.Builder
	fmt.Fprintf(&what, "its client is at %s; top %s of %v kind %d (%v), directory %v %d (%v)", c.Node(), top.ID, cluster.BootOf(top.Nonce), top.Kind, err, at.Owner, at.Epoch, err2)
	for _, n := range w.nodes {
		if n != nil && !n.hasEnded() {
			epoch, has := n.host.Epoch(id)
			fmt.Fprintf(&what, "; %s runs it: %v %d, way: %s", n.boot, has, epoch, n.rooms.WayState(id))
		}
	}
	return what.String()
}

// disunited says which key has two rooms.
func (w *world) disunited() string {
	held := map[string]string{}
	for _, p := range w.players {
		c := p.current()
		for _, s := range c.all() {
			if w.isOver(s) || w.roomOf(s) == nil || s.room.Key == "" {
				continue
			}
			at := s.room.Kind + "/" + s.room.Key
			if old := held[at]; old != "" && old != s.room.ID {
				return fmt.Sprintf("%s is %s and %s", at, old, s.room.ID)
			}
			held[at] = s.room.ID
		}
	}
	return ""
}

// checkJournals folds every journal and compares the state with the newest that was shown (I5).
func (w *world) checkJournals() {
	for id := range w.inUse() {
		entries := w.journal.Entries(id)
		kindName, _, err := rooms.Identify(entries)
		i := slices.IndexFunc(w.kinds, func(k rooms.Kind) bool { return k.Name == kindName })
		if err != nil || i < 0 {
			w.fail("I5: journal of %s: kind %q, %v", id, kindName, err)
			return
		}
		s := rooms.NewShard(slog.New(slog.DiscardHandler), func() (uint64, uint64) { return 1, 2 })
		top := entries[len(entries)-1]
		claim := rooms.Entry{Room: id, ID: rooms.EntryID{Epoch: top.ID.Epoch + 1}, Prev: top.ID, Nonce: 1, Kind: rooms.EntryClaim}
		if err := s.Adopt(id, &w.kinds[i], claim.ID.Epoch, 1, append(entries, claim), func(rooms.Node) bool { return false }, time.Second); err != nil {
			w.fail("I5: journal of %s: %v", id, err)
			return
		}
		in, ok := s.Inspect(id)
		w.mu.Lock()
		at, shown := w.seen.newest[id]
		if w.counts["journal folded"]++; shown && (!ok || string(in.State) != w.seen.public[at]) {
			w.failLocked("I5: the journal of %s folds to %q, shown at tick %d was %q", id, in.State, at.tick, w.seen.public[at])
		}
		w.mu.Unlock()
	}
}

// inUse gives the rooms that players have seats in.
func (w *world) inUse() map[rooms.ID]bool {
	used := map[rooms.ID]bool{}
	for _, p := range w.players {
		for _, s := range p.current().all() {
			if !w.isOver(s) && w.roomOf(s) != nil {
				used[rooms.ID(s.room.ID)] = true
			}
		}
	}
	return used
}

// leftovers says what is left when everybody has gone.
func (w *world) leftovers() string {
	if all := w.journal.Rooms(); len(all) > 0 {
		w.mu.Lock()
		defer w.mu.Unlock()
		at, err := w.store.Look(context.Background(), all[0])
		return fmt.Sprintf("%d rooms have journals: %s, directory: %+v (%v)", len(all), all[0], at, err)
	}
	for boot := cluster.Boot(100); boot < 400; boot++ {
		if owned, _ := w.store.Owned(context.Background(), boot); len(owned) > 0 {
			return fmt.Sprintf("the directory has %d rooms of %s, one is %+v", len(owned), boot, owned[0])
		}
	}
	for _, n := range w.living() {
		var what strings.Builder
		what.WriteString(n.rooms.Leftovers())
		for _, h := range n.host.Handles() {
			fmt.Fprintf(&what, "the room %s; ", h.ID)
		}
		if s := n.hub.Stats(); s.Views.Load() > 0 || s.Connections.Load() > 0 {
			fmt.Fprintf(&what, "%d views, %d connections; ", s.Views.Load(), s.Connections.Load())
		}
		if open := n.hub.Registry().Len(); open > 0 {
			fmt.Fprintf(&what, "%d sessions; ", open)
		}
		if what.String() != "" {
			return n.boot.String() + " keeps " + what.String()
		}
	}
	return ""
}
