package sessions

import (
	"slices"
	"testing"
	"time"

	"tickover.dev/netcode"
)

// 60 messages a second after a burst of 120; the rest is dropped, told of sparsely, and in the end cut off.
func TestMessagesAreLimited(t *testing.T) {
	r := newRig(t, 1, nil)
	p := r.enter(0, "ann")
	p.hear()
	ping := &netcode.Ping{}
	answers := func() (pongs, errors int) {
		for _, m := range p.hear() {
			switch m := m.(type) {
			case *netcode.Pong:
				pongs++
			case *netcode.Error:
				errors++
				if m.Code != netcode.CodeRateLimited || m.RetryMs == 0 {
					t.Errorf("%+v", m)
				}
			}
		}
		return pongs, errors
	}
	for range 130 {
		p.say(ping)
	}
	if pongs, errors := answers(); pongs != 119 || errors != 1 { // hello was one of 120
		t.Errorf("%d pongs and %d errors in a burst", pongs, errors)
	}
	for range 60 { // 100 a second for a minute
		for range 100 {
			r.now = r.now.Add(10 * time.Millisecond)
			p.say(ping)
		}
		if p.sock.code != 0 {
			break
		}
		if pongs, _ := answers(); pongs < 59 || pongs > 61 {
			t.Fatalf("%d pongs in a second", pongs)
		}
	}
	p.wantClosed(netcode.CloseFlood)

	calm := r.enter(0, "bob")
	for range 3 {
		for range 200 {
			calm.say(ping)
		}
		r.now = r.now.Add(time.Minute) // makes up for it
	}
	calm.wantClosed(0)
}

// A message may hold thousands of parts: they are limited as well.
func TestPartsOfAMessageAreLimited(t *testing.T) {
	r := newRig(t, 1, nil)
	p := r.enter(0, "ann")
	p.hear()
	bomb := slices.Repeat([]netcode.Message{&netcode.Ping{}}, 5000)
	pongs := 0
	for range 10 {
		p.say(bomb...)
		for _, m := range p.hear() {
			if m.Type() == netcode.TypePong {
				pongs++
			}
		}
	}
	if pongs >= partsBurst {
		t.Errorf("%d pongs for 10 messages", pongs)
	}
}

// A clock that is set back must not punish anybody, and one that is set forward must not give anything away.
func TestTheTimeOfDayMayJump(t *testing.T) {
	h := New(Config{})
	before := h.nowMs()
	h.now = func() time.Time { return time.Now() } // with its monotonic reading, as always
	if d := h.nowMs() - before; d < 0 || d > 1000 {
		t.Errorf("the clock has moved by %d ms", d)
	}
	a := allowance{messages: 5, refilledMs: 1000}
	a.refill(500, 60, 120)
	if a.messages != 5 {
		t.Errorf("%v messages left", a.messages)
	}
	if err := h.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// One part with a wrong field must not take the next ones with it, nor the connection.
func TestABadPartIsLeftOutAlone(t *testing.T) {
	r := newRig(t, 1, nil)
	p := r.enter(0, "ann")
	p.hear()
	var b []byte
	b = (&netcode.Ping{Time: 1}).Append(b)
	b = append(b, 0x92, 0x06, 0xa1, 'x')                    // ping with a string for a time
	b = append(b, 0x94, 0x06, 0x02, 0x91, 0xc0, 0xc0)       // ping with fields of a later version
	b = append(b, 0x96, 0x02, 0x01, 0x09, 0xa0, 0xa0, 0xc0) // join with mode 9
	b = (&netcode.Ping{Time: 3}).Append(b)
	r.loops[0].message(p.conn, b)
	if got, want := names(p.hear()), []string{"Pong", "Error", "Pong", "Error", "Pong"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	p.wantClosed(0)
	for _, broken := range []string{"", "\x06", "\x91\x3f", "\x90", "\x92\x06", "\x91\xc1", "\x91\xc0", "\x91\x10", "\xc7\x01\x01\x01"} {
		q := r.enter(0, "bob")
		q.loop.message(q.conn, []byte(broken))
		q.wantClosed(netcode.CloseViolation)
	}
	hello := r.dial(0)
	hello.loop.message(hello.conn, []byte("\x92\x01\xa0"))
	hello.wantClosed(netcode.CloseViolation)
}

// A message of bad parts must not cost more than its length: walking it anew for each of them would.
func TestBadPartsAreSkippedInLinearTime(t *testing.T) {
	r := newRig(t, 1, nil)
	p := r.enter(0, "ann")
	p.hear()
	bomb := slices.Repeat([]byte{0x92, 0x06, 0xa0}, 5000)
	began := time.Now()
	r.loops[0].message(p.conn, bomb)
	if d := time.Since(began); d > time.Second {
		t.Errorf("took %s", d)
	}
}
