package sessions

import (
	"errors"

	"tickover.dev/engine"
	"tickover.dev/netcode"
	"tickover.dev/rooms"
)

// This file is what happens when a loop is so far behind that its mailbox is full. Its views then miss something that cannot be
// skipped, so all its connections are closed, to resume. What must not get lost all the same are the answers of rooms: a seat that
// was given to a connection of this loop is dropped only if the loop learns of it.

// accept posts a task, from any goroutine. What the mailbox does not take any more is kept aside, frames reduced to the answers in
// them: at most one per request, task and room, all of which the loop itself has caused.
func (l *Loop) accept(t engine.Task) {
	err := l.post(t)
	if err == nil {
		return
	}
	stopped := errors.Is(err, engine.ErrStopped)
	if d, ok := t.(*delivery); ok {
		t = nil
		if a := d.drop(); !stopped && len(a.notes) > 0 {
			t = a
		}
	}
	if stopped {
		return
	}
	l.mu.Lock()
	if t != nil {
		l.missed = append(l.missed, t)
	}
	first := !l.overrun.Swap(true)
	l.mu.Unlock()
	if first {
		l.hub.stats.Overruns.Add(1)
		l.hub.config.Log.Error("loop too far behind: its connections are closed", "loop", l.index)
	}
}

// recover closes all connections of a loop that has missed something, and makes up for what it has missed.
func (l *Loop) recover() {
	l.mu.Lock()
	missed := l.missed
	l.missed = nil
	l.overrun.Store(false)
	l.mu.Unlock()
	for k := range l.conns {
		k.hangUp(netcode.CloseOverloaded, "the node is overloaded")
	}
	for _, t := range missed {
		t.Run(nil)
	}
}

// answers is what remains of frames that were not delivered.
type answers struct {
	loop  *Loop
	notes []lateNote
}

type lateNote struct {
	room rooms.ID
	note rooms.Note
}

// Run implements engine.Task.
func (a *answers) Run(*engine.Loop) {
	for _, n := range a.notes {
		if r := a.loop.replicas[n.room]; r != nil {
			a.loop.note(r, &rooms.Frame{Room: n.room}, n.note)
			a.loop.trim(r)
		}
	}
}

// drop gives the frames back unseen, but for the answers to requests in them.
func (d *delivery) drop() *answers {
	a := &answers{loop: d.loop}
	for _, f := range d.frames {
		for i := range f.Seats {
			for _, n := range f.Seats[i].Notes {
				switch n.Type {
				case rooms.NoteJoined, rooms.NoteReturned, rooms.NoteRefused, rooms.NoteGone:
					a.notes = append(a.notes, lateNote{f.Room, n})
				}
			}
		}
		f.Release()
	}
	d.recycle()
	return a
}
