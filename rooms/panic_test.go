package rooms

import (
	"slices"
	"testing"
	"time"
)

// I9, and exactly once: only the input that the room cannot take is refused, and nobody else's.
func TestOnlyTheInputsOfTheFailedStepAreRefused(t *testing.T) {
	hook(t, func(p *puppet, t *Tick[order]) {
		each(t, Input, func(e Event[order]) {
			if e.Input.Do == "panic" {
				panic("as asked")
			}
			p.N += e.Input.N
		})
	})
	for _, rate := range []int{0, 20} {
		r := newRig(t)
		c := r.create(Config{RateHz: rate})
		ann, bob := r.join("ann"), r.join("bob")
		if rate > 0 { // a good step that is not in the journal yet when the bad one comes
			r.hold = true
		}
		r.input(ann, "ann", 1, order{N: 1})
		r.step()
		r.input(bob, "bob", 1, order{Do: "panic"})
		r.step()
		r.hold, r.held = false, nil
		r.input(ann, "ann", 2, order{N: 10})
		r.restore() // it is tried again as it was
		for len(r.asks) == 0 {
			r.step()
		}
		r.input(ann, "ann", 3, order{N: 100})
		r.restore() // without its inputs
		for range 4 {
			r.step()
		}
		got := c.game.(*room[*puppet, order]).game.N
		if len(r.ended) != 0 || got != 111 || slices.Contains(r.events[ann], "refused room_fault") {
			t.Errorf("rate %d: ended %+v, counted %d of 111, ann was told %q", rate, r.ended, got, r.events[ann])
		}
		if !slices.Equal(r.events[bob], []string{"refused room_fault"}) {
			t.Errorf("rate %d: bob was told %q", rate, r.events[bob])
		}
		if c.attempts != 0 {
			t.Errorf("rate %d: %d panics are not forgiven", rate, c.attempts)
		}
	}
}

// A room that always fails is closed at the third try, its players are told, and it is over: nobody is to resume it.
func TestThirdPanicQuarantines(t *testing.T) {
	broken := false
	hook(t, func(*puppet, *Tick[order]) {
		if broken {
			panic("for good")
		}
	})
	r := newRig(t)
	r.create(Config{RateHz: 20})
	r.join("ann")
	broken = true
	for range maxTries {
		r.step()
		r.restore()
	}
	r.mail(Mail{Type: MailJoin, Session: "bob", Gen: 1, Run: 1, Number: 1})
	r.step()
	if len(r.ended) != 1 || r.ended[0].Kept || r.ended[0].Why != "fault" || r.ended[0].Err == nil {
		t.Fatalf("ended %+v", r.ended)
	}
	if n, _ := r.noted(NoteLeft, "ann"); n.Why != "fault" || r.status[len(r.status)-1] != StatusFaulted {
		t.Errorf("ann was told %+v, %v", n, r.status)
	}
	if n, _ := r.noted(NoteRefused, "bob"); n.Code != "room_fault" {
		t.Errorf("bob was told %+v", n)
	}
	if r.s.Len() != 0 || r.s.Advance(r.now+time.Hour) != 0 {
		t.Error("the shard still has work with the room")
	}
}

// A room that fails in its first step was seen by nobody: it is closed at once, and its creator told.
func TestRoomThatFailsAtItsCreationIsClosed(t *testing.T) {
	hook(t, func(*puppet, *Tick[order]) { panic("at once") })
	r := newRig(t)
	r.mail(Mail{Type: MailCreate, Kind: puppetKind(Config{RateHz: 20}), Epoch: 1, Nonce: 5})
	r.mail(Mail{Type: MailJoin, Session: "ann", Gen: 1, Run: 1, Number: 1})
	r.step()
	if n, ok := r.noted(NoteRefused, "ann"); !ok || n.Code != "room_fault" || len(r.ended) != 1 {
		t.Errorf("ann was told %+v, ended %+v", n, r.ended)
	}
}

// A lost or closed room must answer what it had taken in and never shown.
func TestLostRoomAnswersWhatWasOnItsWay(t *testing.T) {
	r := newRig(t)
	r.create(Config{RateHz: 20})
	r.join("ann")
	r.hold = true
	r.mail(Mail{Type: MailJoin, Session: "bob", Gen: 1, Run: 1, Number: 1})
	r.mail(Mail{Type: MailSignal, Ticket: 4})
	r.step()
	r.answerHeld(Fenced)
	if n, ok := r.noted(NoteRefused, "bob"); !ok || n.Code != "unknown_room" {
		t.Errorf("bob was told %+v", n)
	}
	if len(r.answers) != 1 || len(r.ended) != 1 || r.ended[0].Why != "lost" {
		t.Errorf("answers %+v, ended %+v", r.answers, r.ended)
	}
	if _, joined := r.noted(NoteJoined, "bob"); joined {
		t.Error("a join was shown that no entry holds")
	}
}

// A signal that was applied before the room was restored must not be applied again, also one without an id.
func TestSignalIsAppliedOnceAcrossARestore(t *testing.T) {
	poison := true
	hook(t, func(p *puppet, t *Tick[order]) {
		each(t, Signal, func(Event[order]) { p.N++ })
		each(t, Input, func(Event[order]) {
			if poison {
				poison = false
				panic("once")
			}
		})
	})
	r := newRig(t)
	c := r.create(Config{RateHz: 20})
	ann := r.join("ann")
	r.hold = true
	r.mail(Mail{Type: MailSignal, Ticket: 4})
	r.step()
	r.input(ann, "ann", 1, order{})
	r.step()
	r.stored = append(r.stored, r.held...) // it was stored, but the answer comes too late
	r.hold, r.held = false, nil
	r.restore()
	r.step()
	r.step()
	if n := c.game.(*room[*puppet, order]).game.N; n != 1 || len(r.answers) != 1 {
		t.Errorf("applied %d times, answered %+v", n, r.answers)
	}
}

// One rate-0 room that wants a step after every step must not keep the others from theirs.
func TestRoomThatAlwaysWantsAStepDoesNotHoldTheShard(t *testing.T) {
	always := false
	hook(t, func(_ *puppet, t *Tick[order]) {
		if always {
			t.AddBot("again")
		}
	})
	r := newRig(t)
	c := r.create(Config{Durability: Periodic, Seats: 1})
	seat := r.join("ann")
	always = true
	r.input(seat, "ann", 1, order{})
	before := c.h.Tick
	if wake := r.s.Advance(r.now); c.h.Tick != before+1 || wake != r.now {
		t.Errorf("%d steps in one call, the next at %s", c.h.Tick-before, wake)
	}
}
