package sessions

import (
	"testing"

	"tickover.dev/netcode"
)

// A store that comes back empty has lost the sessions of players who notice nothing: they would find out when their node dies, and lose
// their seats. So all are stored again, when the node is told that the store was started anew, or when one session is found missing.
func TestSessionsAreStoredAgainInAnEmptyStore(t *testing.T) {
	for _, c := range []struct {
		name  string
		learn func(p *pair, bob *peer, round int)
	}{
		{"the node is told", func(p *pair, _ *peer, _ int) { p.a.Resave(); p.a.Resave() }},
		{"one is found missing", func(_ *pair, bob *peer, round int) { bob.say(join(uint64(2+round), netcode.JoinCreate, "play", "")) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPair(t)
			ann, bob := p.enter(0, "ann"), p.enter(0, "bob")
			seat := ann.sit("play", "a")
			bob.sit("play", "b")
			gone := p.enter(0, "carl")
			p.save()
			gone.cut()
			p.save()
			for round := range 2 { // the second time is as the first
				p.tick(25)
				p.now = p.now.Add(resaveEvery)
				p.store.Memory = NewMemory()
				c.learn(p, bob, round)
				p.tick(2)
				for range 2 {
					p.save()
				}
				for _, o := range []*peer{ann, bob} {
					if r := p.store.record(o.secret.Session); !r.Connected || len(r.Seats) == 0 || r.Node != "a" {
						t.Fatalf("the store has %+v", r)
					}
				}
				if n := p.a.config.Registry.Unsaved(); n != 0 {
					t.Errorf("%d sessions are saved for ever", n)
				}
			}
			if r := p.store.record(gone.secret.Session); r.Gen != 0 {
				t.Errorf("one whose player is gone is stored as %+v", r)
			}
			p.crash()
			back := p.again(ann, 0)
			back.welcomed()
			p.tick(2)
			if j := heard[*netcode.Joined](back); j.Seat != seat.Seat {
				t.Errorf("%+v", j)
			}
		})
	}
}
