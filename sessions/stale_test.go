package sessions

import (
	"errors"
	"testing"
	"time"

	"tickover.dev/codec/statefile"
	"tickover.dev/netcode"
	"tickover.dev/rooms"
)

// greets says hello for the session of p over a connection of its own.
func (p *peer) greets(loop int, attempt uint64) *peer {
	p.rig.tb.Helper()
	q := p.rig.dial(loop)
	q.say(&netcode.Hello{Version: 1, Run: q.run, Session: p.secret.Session, Secret: p.secret.Secret, Attempt: attempt})
	p.rig.settle()
	return q
}

// A client that has given a connection up plays on over the next one. If the hello of the first, when it comes at last, were granted, the
// client would be closed for good, and its secret be worth nothing.
func TestAHelloThatWasGivenUpTakesNothing(t *testing.T) {
	for name, begin := range map[string]func(*testing.T) *rig{
		"one node":      func(t *testing.T) *rig { return newRig(t, 2, nil) },
		"several nodes": func(t *testing.T) *rig { return newPair(t).rig },
	} {
		t.Run(name, func(t *testing.T) {
			r := begin(t)
			ann := r.enter(0, "ann")
			seat := ann.sit("play", "lobby")
			ann.cut()
			if err := r.hub.saveAll(); err != nil {
				t.Fatal(err)
			}
			back := ann.greets(1, 12)
			back.welcomed()
			r.tick(2)
			if j := heard[*netcode.Joined](back); j.Seat != seat.Seat {
				t.Errorf("%+v", j)
			}
			for _, loop := range []int{0, 1} {
				ann.greets(loop, 11).wantClosed(netcode.CloseStale)
				ann.greets(loop, 12).wantClosed(netcode.CloseStale)
			}
			r.tick(2)
			back.wantClosed(0)
			stale := uint64(0)
			for _, h := range r.hubs {
				stale += h.config.Registry.Counts()["stale"]
			}
			if stale != 4 {
				t.Errorf("%d stale hellos are counted", stale)
			}

			again := ann.greets(0, 13) // as if the welcome had been lost
			again.welcomed()
			back.wantClosed(netcode.CloseSuperseded)
			ann.greets(1, 12).wantClosed(netcode.CloseStale)
			again.greets(1, 14).welcomed()
			ann.greets(0, 15).wantClosed(netcode.CloseBadSecret)
			r.tick(2)
			r.checkConsistent()
		})
	}
}

// Clients of an older version do not number their hellos. A lost welcome must not lock them out, or whoever was numbered before.
func TestAHelloWithoutANumberIsNeverStale(t *testing.T) {
	r := newRig(t, 1, nil)
	ann := r.enter(0, "ann")
	ann.greets(0, 12).welcomed()
	ann.greets(0, 0).welcomed()
	ann.greets(0, 12).wantClosed(netcode.CloseStale)
	last := ann.greets(0, 13)
	last.welcomed()
	last.greets(0, 0).welcomed()
	last.greets(0, 1).welcomed()
}

// A hello may be on its way while the node is started anew. And a file of a version that did not number them must stay good.
func TestAttemptsAreKeptOverARestart(t *testing.T) {
	path, now := t.TempDir()+"/s", time.Now()
	g := NewRegistry(0)
	o := g.open(rooms.Player{}, attachment{})
	if _, err := g.resume(o.id, o.secret, 12, attachment{}); err != nil {
		t.Fatal(err)
	}
	h := NewRegistry(0)
	if err := errors.Join(g.Save(path), h.Restore(path, now)); err != nil {
		t.Fatal(err)
	}
	if _, err := h.resume(o.id, o.secret, 12, attachment{}); !errors.Is(err, ErrStale) {
		t.Errorf("a hello that was answered before: %v", err)
	}
	if _, err := h.resume(o.id, o.secret, 13, attachment{}); err != nil {
		t.Error(err)
	}

	type oldSession struct {
		ID                string
		Player            rooms.Player
		Gen               uint64
		Current, Previous Hash
	}
	old := struct {
		Format   int
		Sessions []oldSession
	}{1, []oldSession{{ID: "s", Gen: 3, Current: hash("new"), Previous: hash("old")}}}
	i := NewRegistry(0)
	if err := errors.Join(statefile.Write(path, &old), i.Restore(path, now)); err != nil {
		t.Fatal(err)
	}
	if back, err := i.resume("s", "old", 1, attachment{}); err != nil || back.gen != 4 {
		t.Errorf("generation %d, %v", back.gen, err)
	}
}
