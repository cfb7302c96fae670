package rooms

import (
	"strings"
	"testing"
)

// Listings are read by many and change seldom: a room tells of itself when there is news, and a new owner once, whatever was told before.
func TestANoticeIsNews(t *testing.T) {
	hook(t, func(p *puppet, tick *Tick[order]) {
		each(tick, Input, func(e Event[order]) {
			switch e.Input.Do {
			case "lock":
				tick.Lock(true)
			case "describe":
				tick.Describe(strings.Repeat("x", e.Input.N))
			}
			p.N++
		})
	})
	r := newRig(t)
	c := r.create(Config{RateHz: 20, Seats: 4})
	seat := r.join("ann")
	at, number := c.noticed, uint64(0)
	input := func(o order) (news bool) {
		number++
		r.input(seat, "ann", number, o)
		r.step()
		before := at
		at = c.noticed
		return before != at
	}
	if at == nil || at.Taken != 1 || at.Seats != 4 || at.Locked || at.Metadata != nil {
		t.Fatalf("%+v", at)
	}
	if input(order{}) {
		t.Errorf("no news: %+v", at)
	}
	if !input(order{Do: "lock"}) || !at.Locked {
		t.Errorf("%+v", at)
	}
	if !input(order{Do: "describe", N: 5}) || string(at.Metadata) != "\xa5xxxxx" {
		t.Errorf("%+v", at)
	}
	if input(order{Do: "describe", N: 5}) {
		t.Errorf("no news: %+v", at)
	}
	if !input(order{Do: "describe", N: maxNoticed}) || at.Metadata != nil {
		t.Errorf("%+v", at)
	}
	again, err := DecodeNotice(at.Append(nil))
	if err != nil || again.Taken != 1 || again.Seats != 4 || !again.Locked {
		t.Errorf("%+v, %v", again, err)
	}
	next, err := r.moved(c.kind, false)
	if err != nil {
		t.Fatal(err)
	}
	if n := next.s.rooms["r"].noticed; n == nil || n.Taken != 1 || !n.Locked {
		t.Errorf("the new owner tells %+v", n)
	}
}
