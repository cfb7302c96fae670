package rooms

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// bereft has the next entry of a room meet a journal that is gone, and waits for the room to ask for another one.
func (r *rig) bereft(o Outcome) {
	r.Helper()
	r.stored = nil
	r.answerHeld(o)
	if o == Unknown {
		r.s.TakeTop("r", Top{}, ErrGone, r.now)
		r.carryOut()
	}
	if len(r.asks) == 0 {
		r.Fatalf("it asks for nothing, and ended %+v", r.ended)
	}
	if a := r.asks[len(r.asks)-1]; a.Type != AskRenew || a.Room != "r" || a.Seen != 1 {
		r.Fatalf("asked %+v, want a renewal of epoch 1", a)
	}
}

// renewed gives the room its new journal.
func (r *rig) renewed(key string) {
	r.hold = false
	r.s.TakeRenewed("r", Renewal{Epoch: 9, Nonce: 11, Key: key}, nil, r.now)
	r.carryOut()
}

// A store that comes back empty takes with it what nobody needs: the rooms live in their owners' memory. Without this they end.
func TestARoomOutlivesItsJournal(t *testing.T) {
	for _, c := range []struct {
		name string
		Config
		outcome Outcome
	}{
		{"every change", Config{RateHz: 20}, Gone},
		{"every change, found out by the top", Config{RateHz: 20}, Unknown},
		{"without a rate", Config{}, Gone},
		{"replay", Config{RateHz: 20, Durability: Replay}, Gone},
		{"replay, without a rate", Config{Durability: Replay}, Unknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			hook(t, func(p *puppet, t *Tick[order]) {
				each(t, Input, func(e Event[order]) { p.N += e.Input.N; t.Send(e.Seat, e.Input.Do, p.N) })
			})
			r := newRig(t)
			room := r.create(c.Config)
			ann := r.join("ann")
			r.input(ann, "ann", 1, order{"first", 10})
			r.step()
			r.hold = true
			r.input(ann, "ann", 2, order{"second", 100})
			r.step()
			r.bereft(c.outcome)
			r.input(ann, "ann", 3, order{"third", 1000})
			shown := r.tick
			r.step()
			if got := r.parts[ann].Applied; got != 1 {
				t.Fatalf("input %d is acknowledged, of which no journal knows", got)
			}
			r.renewed("key")
			first := r.all[slices.IndexFunc(r.all, func(e Entry) bool { return e.ID.Epoch == 9 })]
			if first.Kind != EntryCreate || first.Nonce != 11 || first.Prev != (EntryID{}) || first.ID.Tick <= shown {
				t.Errorf("the new journal begins with %+v; tick %d was shown", first, shown)
			}
			r.input(ann, "ann", 4, order{"fourth", 10000})
			r.step()
			if got := r.parts[ann].Applied; got != 4 {
				t.Errorf("input %d is the last that is acknowledged", got)
			}
			if len(r.ended) > 0 || !slices.Contains(r.status, StatusResumed) {
				t.Errorf("ended %+v, told %v", r.ended, r.status)
			}
			next, err := r.moved(room.kind, false)
			if err != nil {
				t.Fatal(err)
			}
			moved := next.s.rooms["r"]
			if n := moved.game.(*room2).game.N; n != 11110 {
				t.Errorf("%d was lost with the store", 11110-n)
			}
			if got := next.events[ann]; !slices.Equal(got, []string{"first", "second", "third", "fourth"}) {
				t.Errorf("the next owner still has to tell %v", got)
			}
		})
	}
}

type room2 = room[*puppet, order]

// A Periodic room has most of what it shows in its memory only. It must not go back to a snapshot when even that is lost.
func TestAPeriodicRoomGoesOnWithoutItsJournal(t *testing.T) {
	hook(t, func(p *puppet, t *Tick[order]) { each(t, Input, func(e Event[order]) { p.N += e.Input.N }) })
	r := newRig(t)
	c := r.create(Config{RateHz: 20, Durability: Periodic})
	ann := r.join("ann")
	r.hold = true
	r.input(ann, "ann", 1, order{"", 7})
	for len(r.held) == 0 {
		r.step()
	}
	r.bereft(Gone)
	r.renewed("key")
	r.step()
	if c.phase != phasePlaying || slices.Contains(r.status, StatusRolledBack) || c.game.(*room2).game.N != 7 {
		t.Errorf("phase %d, told %v, %+v", c.phase, r.status, c.game)
	}
}

// goneAgain makes a room whose journal is gone, with an input of ann that is not acknowledged, and whose new creation is answered Gone, too.
func goneAgain(t *testing.T) (r *rig, ann Seat) {
	t.Helper()
	r = newRig(t)
	r.create(Config{RateHz: 20})
	ann = r.join("ann")
	r.hold = true
	r.input(ann, "ann", 1, order{})
	r.step()
	r.bereft(Gone)
	r.s.TakeRenewed("r", Renewal{Epoch: 9, Nonce: 11}, nil, r.now)
	r.carryOut()
	r.asks = nil
	r.answerHeld(Gone)
	return r, ann
}

// A room that has ended leaves a tombstone. An owner that slept through that must not bring the room back, and must not ask for ever.
func TestATombstoneIsNotOverwritten(t *testing.T) {
	r, _ := goneAgain(t)
	if len(r.asks) != 1 || len(r.ended) > 0 {
		t.Fatalf("asked %+v, ended %+v", r.asks, r.ended)
	}
	r.asks = nil
	r.s.TakeRenewed("r", Renewal{}, ErrGone, r.now)
	r.carryOut()
	if len(r.asks) > 0 || len(r.ended) != 1 || r.ended[0].Why != "lost" || !errors.Is(r.ended[0].Err, ErrGone) || r.s.Len() > 0 {
		t.Errorf("asked %+v, ended %+v", r.asks, r.ended)
	}
}

// A renewed room that is given up before its creation arrives, as its owner was taken for dead, has to go on in a newer epoch: it lived.
func TestARenewedRoomThatIsForestalledIsRenewedAgain(t *testing.T) {
	r, ann := goneAgain(t)
	if want := (Ask{AskRenew, "r", 9}); len(r.asks) != 1 || r.asks[0] != want {
		t.Fatalf("asked %+v, want %+v", r.asks, want)
	}
	r.hold = false
	r.s.TakeRenewed("r", Renewal{Epoch: 12, Nonce: 13}, nil, r.now)
	r.carryOut()
	if len(r.ended) > 0 || len(r.stored) == 0 || r.stored[0].Kind != EntryCreate || r.stored[0].ID.Epoch != 12 {
		t.Fatalf("ended %+v, stored %+v", r.ended, r.stored)
	}
	if r.parts[ann].Applied != 1 {
		t.Error("the input is not acknowledged")
	}
}

// A room that was given up before it began must not be entered again: its key may be another's.
func TestARoomThatIsForestalledBeforeItBeginsIsOver(t *testing.T) {
	r := newRig(t)
	r.hold = true
	r.create(Config{RateHz: 20})
	r.answerHeld(Gone)
	if len(r.asks) > 0 || len(r.ended) != 1 || r.ended[0].Why != "lost" || !errors.Is(r.ended[0].Err, ErrGone) {
		t.Errorf("asked %+v, ended %+v", r.asks, r.ended)
	}
}

// Whoever is not to have the room lets go of it, and its players look for it elsewhere.
func TestARoomThatIsNotRenewedIsLost(t *testing.T) {
	for _, why := range []error{ErrGone, ErrClaimLost} {
		r := newRig(t)
		r.create(Config{RateHz: 20})
		ann := r.join("ann")
		r.hold = true
		r.input(ann, "ann", 1, order{})
		r.step()
		r.bereft(Gone)
		r.s.TakeRenewed("r", Renewal{}, why, r.now)
		r.carryOut()
		if len(r.ended) != 1 || r.ended[0].Why != "lost" || !r.ended[0].Kept || !errors.Is(r.ended[0].Err, why) || r.s.Len() > 0 {
			t.Errorf("ended %+v", r.ended)
		}
		if r.parts[ann].Applied != 0 {
			t.Error("what no journal knows was acknowledged")
		}
	}
}

// A key that another room has by now would, at the next move, keep one of the two from being run.
func TestARoomWithoutItsKeySaysSoInItsJournal(t *testing.T) {
	r := newRig(t)
	r.create(Config{RateHz: 20})
	ann := r.join("ann")
	r.hold = true
	r.input(ann, "ann", 1, order{})
	r.step()
	r.bereft(Gone)
	r.renewed("")
	if _, key, err := Identify(r.stored); key != "" || err != nil {
		t.Errorf("key %q, %v", key, err)
	}
}

// A room that is stopped while its journal is lost is released into its new one, or nobody could resume it.
func TestARoomIsReleasedIntoItsNewJournal(t *testing.T) {
	r := newRig(t)
	r.create(Config{RateHz: 20})
	ann := r.join("ann")
	r.hold = true
	r.input(ann, "ann", 1, order{})
	r.step()
	r.bereft(Gone)
	r.mail(Mail{Type: MailRelease})
	r.wait(time.Second)
	r.renewed("key")
	if len(r.ended) != 1 || r.ended[0].Why != "released" || r.stored[len(r.stored)-1].Kind != EntryRelease {
		t.Errorf("ended %+v, %d entries", r.ended, len(r.stored))
	}
}
