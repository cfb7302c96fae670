package rooms

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// A value that no connection can take must be the room's fault, told as such, and not have its players reconnect for ever.
func TestValuesBeyondTheBoundFaultTheRoom(t *testing.T) {
	for _, size := range []int{maxValueBytes - 100, maxValueBytes + 1} {
		big := false
		hook(t, func(p *puppet, _ *Tick[order]) {
			if big {
				p.Name = strings.Repeat("x", size)
			}
		})
		r := newRig(t)
		r.create(Config{RateHz: 20})
		r.join("ann")
		big = true
		for range maxTries + 1 {
			if r.step(); len(r.asks) > 0 {
				r.restore()
			}
		}
		if size <= maxValueBytes {
			if len(r.ended) != 0 || r.s.Counters.Panics.Load() != 0 {
				t.Errorf("%d bytes: %+v", size, r.ended)
			}
			continue
		}
		if len(r.ended) != 1 || r.ended[0].Why != "fault" || !strings.Contains(r.ended[0].Err.Error(), "public value of") {
			t.Errorf("%d bytes: ended %+v", size, r.ended)
		}
	}
}

// dealer shows everybody one value and each seat another.
type dealer struct{ Shown, Dealt string }

func (d *dealer) Public() any      { return d.Shown }
func (d *dealer) Private(Seat) any { return d.Dealt }
func (d *dealer) Step(t *Tick[order]) {
	each(t, Input, func(e Event[order]) {
		d.Shown, d.Dealt = strings.Repeat("x", e.Input.N), strings.Repeat("y", e.Input.N)
	})
}

// Each of the two values may fit alone: whoever comes gets both at once, and would be sent away for its backlog each time it comes back.
func TestPublicAndPrivateValuesTogetherAreBounded(t *testing.T) {
	for size, want := range map[int]string{maxValueBytes/2 - 10: "", maxValueBytes/2 + 10: "refused room_fault"} {
		var log strings.Builder
		r := newRig(t)
		r.s.log = slog.New(slog.NewTextHandler(&log, nil))
		kind := Define(&dealer{}, Config{Name: "dealer", RateHz: 20})
		r.mail(Mail{Type: MailCreate, Kind: &kind, Epoch: 1, Nonce: 5})
		ann := r.join("ann")
		r.input(ann, "ann", 1, order{N: size})
		for range 5 {
			if r.step(); len(r.asks) > 0 {
				r.restore()
			}
		}
		if got := strings.Join(r.events[ann], " "); got != want || len(r.ended) != 0 {
			t.Errorf("%d and %d bytes: ann was told %q, ended %+v", size, size, got, r.ended)
		}
		if said := strings.Contains(log.String(), "and a private one of"); said != (want != "") {
			t.Errorf("%d and %d bytes: logged %.300s", size, size, log.String())
		}
	}
}

// An input that makes such a value must be refused, as one that panics is, and the room must live.
func TestInputThatMakesTooMuchIsRefused(t *testing.T) {
	hook(t, func(p *puppet, t *Tick[order]) {
		each(t, Input, func(e Event[order]) { p.Name = strings.Repeat("x", e.Input.N) })
	})
	r := newRig(t)
	r.create(Config{RateHz: 20})
	ann := r.join("ann")
	r.input(ann, "ann", 1, order{N: maxValueBytes})
	for range 5 {
		if r.step(); len(r.asks) > 0 {
			r.restore()
		}
	}
	if got := r.events[ann]; len(got) != 1 || got[0] != "refused room_fault" || len(r.ended) != 0 {
		t.Errorf("ann was told %q, ended %+v", got, r.ended)
	}
}

// Large inputs must not fill the memory of a room that does not step, and what keeps seats right must still get in.
func TestMailboxIsBoundedByBytes(t *testing.T) {
	r := newRig(t)
	r.create(Config{RateHz: 20})
	ann := r.join("ann")
	m := Mail{Type: MailInput, Seat: ann, Session: "ann", Gen: 1, Run: 1, Body: make([]byte, 64<<10)}
	n := 0
	for ; r.mail(m) == nil; n++ {
		m.Number++
	}
	if err := r.mail(m); n < 60 || n > 64 || !errors.Is(err, ErrMailboxFull) {
		t.Errorf("%d inputs of 64 KiB were taken, then %v", n, err)
	}
	if err := r.mail(Mail{Type: MailDrop, Seat: ann, Session: "ann", Gen: 1}); err != nil {
		t.Errorf("a drop: %v", err)
	}
}

// An operator who sees no paused rooms, or too many, looks for the fault in the wrong place.
func TestCountersFollowTheJournal(t *testing.T) {
	r := newRig(t)
	r.create(Config{RateHz: 20})
	ann := r.join("ann")
	n := &r.s.Counters
	confirmed := n.Confirmed.Load()
	r.hold = true
	r.input(ann, "ann", 1, order{})
	r.step()
	for range 60 {
		r.step()
	}
	if n.Paused.Load() != 1 {
		t.Errorf("%d rooms are paused, want 1", n.Paused.Load())
	}
	r.answerHeld(Refused)
	r.hold = false
	r.wait(time.Second)
	if n.Paused.Load() != 0 || n.Refused.Load() != 1 || n.Confirmed.Load() <= confirmed {
		t.Errorf("paused %d, refused %d, confirmed %d", n.Paused.Load(), n.Refused.Load(), n.Confirmed.Load())
	}
}
