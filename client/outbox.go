package client

import "time"

const (
	// Window is how many inputs of a room may wait to be applied; the server refuses more.
	Window = 256

	// resendAfter: inputs that are out and not acknowledged for so long go out again, whatever the reason.
	resendAfter = 2 * time.Second

	// askedAgain: a burst of inputs behind a gap makes the server ask for the same number many times; once is enough.
	askedAgain = 100 * time.Millisecond
)

// outbox numbers the inputs of one run in one room and keeps them until the room has consumed them.
//
//	1 … applied │ applied+1 … sent │ sent+1 … last
//	forgotten   │ out, not known   │ to go out next
//
// Invariant: applied <= sent <= last <= applied+Window.
type outbox struct {
	ring    [][]byte // by number modulo its length, a power of two that grows up to Window; buffers are used again
	applied uint64   // the room consumed everything up to here
	sent    uint64   // written to the present connection up to here
	last    uint64   // given out up to here

	everSent uint64    // written to any connection up to here
	progress time.Time // when applied last grew, or sending began
	asked    uint64    // the number of the last rewind that the server asked for
	askedAt  time.Time
}

// newOutbox starts behind the last number that the room has of this run.
func newOutbox(applied uint64) outbox {
	return outbox{applied: applied, sent: applied, last: applied}
}

// push takes a copy of value and gives its number, or ErrWindow.
func (o *outbox) push(now time.Time, value []byte) (uint64, error) {
	waiting := o.last - o.applied
	if waiting >= Window {
		return 0, ErrWindow
	}
	if int(waiting) == len(o.ring) {
		o.grow()
	}
	if waiting == 0 {
		o.progress = now
	}
	o.last++
	slot := o.slot(o.last)
	*slot = append((*slot)[:0], value...)
	return o.last, nil
}

func (o *outbox) slot(number uint64) *[]byte { return &o.ring[number&uint64(len(o.ring)-1)] }

func (o *outbox) grow() {
	bigger := make([][]byte, max(8, 2*len(o.ring)))
	for n := o.applied + 1; n <= o.last; n++ {
		bigger[n&uint64(len(bigger)-1)] = *o.slot(n)
	}
	o.ring = bigger
}

// consumed forgets everything up to number. Numbers that were never given out are the server's mistake.
func (o *outbox) consumed(now time.Time, number uint64) error {
	if number > o.last {
		return violation("input %d of %d is acknowledged", number, o.last)
	}
	if number > o.applied {
		o.applied = number
		o.sent = max(o.sent, number)
		o.progress = now
	}
	return nil
}

// rewind makes everything that is not acknowledged go out again, from number on.
func (o *outbox) rewind(now time.Time, number uint64) {
	o.sent = min(o.sent, max(o.applied, number-min(number, 1)))
	o.progress = now
}

// gap is rewind at the server's request.
func (o *outbox) gap(now time.Time, number uint64) {
	if number == o.asked && now.Sub(o.askedAt) < askedAgain {
		return
	}
	o.asked, o.askedAt = number, now
	o.rewind(now, number)
}

// next gives the input to go out next, if there is one; the caller says sentNext once it is written.
func (o *outbox) next() (number uint64, value []byte, ok bool) {
	if o.sent == o.last {
		return 0, nil, false
	}
	return o.sent + 1, *o.slot(o.sent + 1), true
}

// sentNext notes that the next input was written, and reports whether it had been before.
func (o *outbox) sentNext() (again bool) {
	o.sent++
	again = o.sent <= o.everSent
	o.everSent = max(o.everSent, o.sent)
	return again
}

// tick makes inputs go out again that have been out for too long.
func (o *outbox) tick(now time.Time) {
	if o.sent > o.applied && now.Sub(o.progress) >= resendAfter {
		o.rewind(now, 0)
	}
}

// due is when the outbox next has something to do; the zero time is never.
func (o *outbox) due(now time.Time) time.Time {
	switch {
	case o.sent < o.last:
		return now
	case o.sent > o.applied:
		return o.progress.Add(resendAfter)
	default:
		return time.Time{}
	}
}

func (o *outbox) waiting() int { return int(o.last - o.applied) }
