package rooms

import (
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"

	"tickover.dev/netcode"
)

// frame gathers what the present tick shows. The caller sees to it that nobody gets it before the tick is confirmed.
func (c *core) frame() *Frame {
	f := newFrame()
	f.Room, f.Epoch, f.Tick, f.Status = c.id, c.epoch, c.h.Tick, c.status
	c.status, f.Notice = StatusNone, c.notice()
	if c.kind.RateHz > 0 {
		f.Due = c.due - c.kind.period() // the next tick is due at c.due
	}
	c.shownAt, c.framed = c.h.Now, c.h.Tick
	if c.h.Ended && !c.endShown {
		c.noteEnd()
	}
	f.Answers = append(f.Answers, c.signals...)
	c.signals = c.signals[:0]
	f.To = c.audience()
	for i := range f.Answers {
		f.sendTo(f.Answers[i].Node)
	}
	public := c.framePublic(f)
	for i := 0; i < c.outs.Len(); i++ {
		seat, o := c.outs.At(i)
		c.frameSeat(f, seat, o, public)
	}
	f.Public = f.cut(0)
	for i := range f.Seats {
		p := &f.Seats[i]
		p.Private, p.Reliable = f.cut(2*i+1), f.cut(2*i+2)
	}
	c.forgetVacated()
	return f
}

// maxValueBytes bounds a public value and the private one that a seat gets with it, together. A connection's backlog is 1 MiB, and a
// client that has just come gets both at once, behind 64 KiB that may wait already and before 256 KiB of reliable messages: what does not
// fit would close its connection each time it comes back, for ever.
const maxValueBytes = 640 << 10

// checkValue fails the step, as a panic of the game's own would, if the values that it made can never reach anybody.
func checkValue(public, private int) {
	if public+private > maxValueBytes {
		panic(fmt.Errorf("rooms: a public value of %d and a private one of %d bytes: at most %d together reach a client", public, private, maxValueBytes))
	}
}

// isEmpty reports whether a frame says nothing but that its tick was reached.
func (f *Frame) isEmpty() bool {
	return f.Public == nil && len(f.Seats) == 0 && len(f.Answers) == 0 && f.Status == StatusNone
}

func (f *Frame) cut(i int) []byte {
	s := f.spans[i]
	if s.from == s.to {
		return nil
	}
	return f.buf[s.from:s.to:s.to]
}

// framePublic puts the public value into the frame, if it changed or somebody is new, and gives its size in any case.
func (c *core) framePublic(f *Frame) (size int) {
	f.spans = append(f.spans, span{})
	from := len(f.buf)
	var shows bool
	if f.buf, shows = c.game.appendPublic(f.buf); !shows {
		return 0
	}
	size = len(f.buf) - from
	checkValue(size, 0)
	hash := xxhash.Sum64(f.buf[from:]) | 1
	needed := false
	for _, o := range c.outs.All() {
		needed = needed || o.whole
	}
	if hash == c.public && !needed {
		f.buf = f.buf[:from]
		return size
	}
	c.public = hash
	f.spans[0] = span{from, len(f.buf)}
	return size
}

// frameSeat adds a seat's part, if there is anything for it. public is the size of the public value.
func (c *core) frameSeat(f *Frame, seat Seat, o *seatOut, public int) {
	s := c.h.Seats.Get(seat)
	private := c.framePrivate(f, seat, s, o, public)
	if !o.touched && private.from == private.to {
		return
	}
	p := SeatPart{Seat: seat, Resend: o.resend, Notes: o.notes}
	reliable := span{len(f.buf), len(f.buf)}
	if s != nil {
		p.Session, p.Node, p.Applied, p.Run = s.Who.Session, s.Node, s.Applied, s.Run
		p.Last = s.Issued
		for _, m := range o.ring.after(max(o.ring.shown, s.Acked)) {
			if s.Lost {
				break
			}
			if p.First == 0 {
				p.First = m.Number
			}
			f.buf = append(f.buf, m.Wire...)
			o.ring.shown = m.Number
		}
		reliable.to = len(f.buf)
	}
	for i := range p.Notes {
		f.sendTo(p.Notes[i].Node)
	}
	f.Seats = append(f.Seats, p)
	f.spans = append(f.spans, private, reliable)
	o.touched, o.resend, o.notes, o.whole = false, 0, nil, false
}

// framePrivate encodes what only this seat sees, if it changed.
func (c *core) framePrivate(f *Frame, seat Seat, s *seatState, o *seatOut, public int) span {
	at := span{len(f.buf), len(f.buf)}
	if s == nil || s.Who.Bot || !s.Connected {
		return at
	}
	var dealt bool
	if f.buf, dealt = c.game.appendPrivate(f.buf, seat); !dealt {
		return at
	}
	checkValue(public, len(f.buf)-at.from)
	hash := xxhash.Sum64(f.buf[at.from:])
	if hash == o.private && !o.whole {
		f.buf = f.buf[:at.from]
		return at
	}
	o.private, at.to = hash, len(f.buf)
	return at
}

// noteEnd tells every seat that the room is over.
func (c *core) noteEnd() {
	for seat, s := range c.h.Seats.All() {
		if s.Who.Bot {
			continue
		}
		o := c.out(seat)
		o.notes = append(o.notes, Note{Type: NoteLeft, Node: s.Node, Session: s.Who.Session, Gen: s.Gen, Seat: seat, Why: c.h.Why, Result: c.h.Result})
	}
}

func (c *core) forgetVacated() {
	for seat, o := range c.outs.All() {
		if o.vacated || seat == 0 {
			c.outs.Delete(seat)
		}
	}
}

// resendAll has every seat sent all it may have missed, as after a take-over.
func (c *core) resendAll() {
	c.public = 0
	for seat, s := range c.h.Seats.All() {
		if s.Who.Bot {
			continue
		}
		o := c.out(seat)
		o.whole, o.ring.shown = true, s.Acked
		if s.Lost && s.Connected { // it may not have been told
			c.note(Note{Type: NoteOverflow, Node: s.Node, Session: s.Who.Session, Gen: s.Gen, Seat: seat})
		}
	}
}

// Wire is s as clients read it; not for StatusNone.
func (s Status) Wire() netcode.RoomStatus { return netcode.RoomStatus(s - StatusPlaying) }

// ring holds a seat's unacknowledged reliable messages, as they go over the wire.
type ring struct {
	list  []reliable
	bytes int
	saved uint64 // up to this number they are in the journal
	shown uint64 // up to this number they were put into a frame
}

type reliable struct {
	Number uint64
	Wire   []byte
}

func (r *ring) add(number uint64, wire []byte) {
	r.list = append(r.list, reliable{number, wire})
	r.bytes += len(wire)
}

func (r *ring) trim(acked uint64) {
	n := 0
	for n < len(r.list) && r.list[n].Number <= acked {
		r.bytes -= len(r.list[n].Wire)
		n++
	}
	r.list = slices.Delete(r.list, 0, n)
}

// after gives the messages behind a number.
func (r *ring) after(number uint64) []reliable {
	i, _ := slices.BinarySearchFunc(r.list, number+1, func(m reliable, n uint64) int {
		if m.Number < n {
			return -1
		}
		return 1
	})
	return r.list[i:]
}
