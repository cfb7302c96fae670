package rooms

import (
	"fmt"
	"time"

	"tickover.dev/codec"
)

// This file is the steps of a Replay room as its entries hold them: what each was given, and nothing of what it made of it.

// eventsBody is the body of a Replay room's EntryDelta.
//
// Steps are msgpack values back to back, for each step that was given something (of a room without a rate: for each step)
//
//	silent   steps before it, since the one before or the entry before, that were given nothing
//	[later]  only of rooms without a rate: by how much its t.Now is later than that of the step before, in nanoseconds
//	count    of what it was given, and then each of those as appendGiven writes it
//
// Behind the last of them, steps that were given nothing lead up to the entry's tick.
type eventsBody struct {
	Format int    `msgpack:"f"`
	Rules  uint64 `msgpack:"u"` // see Kind.fingerprint
	Hash   uint64 `msgpack:"h"` // of the state that the last step left, xxHash64
	Steps  []byte `msgpack:"t"`
}

var eventsCodec = mustCompile[eventsBody]()

// recording is the steps since the newest entry that was built.
type recording struct {
	steps  []byte
	silent uint64 // steps behind those, which were given nothing
}

func (r *recording) forget() { r.steps, r.silent = r.steps[:0], 0 }

// record notes what the step that comes next is given.
func (c *core) record(now time.Duration, given []pend) {
	if len(given) == 0 && c.kind.RateHz > 0 {
		c.silent++
		return
	}
	b := codec.AppendUint(c.steps, c.silent)
	c.silent = 0
	if c.kind.RateHz == 0 {
		later := max(now-c.h.Now, 0)
		if c.broken.nowLost {
			later = 0
		}
		b = codec.AppendUint(b, uint64(later))
	}
	b = codec.AppendUint(b, uint64(len(given)))
	for i := range given {
		p := given[i]
		if c.broken.eventsLost && p.Type == Dropped {
			p = pend{Type: eventNodeGone, Node: 1 << 20}
		}
		b = c.appendGiven(b, &p)
	}
	c.steps = b
}

// What an event has beside what all have.
const (
	givenStranger = 1 << iota // Session: another one than the seat's
	givenNames                // ID, Name, Why
	givenTries                // Tries: it may have been refused because of them
)

// appendGiven appends one event: type, flags, seat, node, generation, run, number, [session], [id, name, why], [tries], body. The
// session is left out if it is that of the seat, which never changes. Strings are written as bytes, as they may not be UTF-8. Ticket stays
// behind: answers are not given again.
func (c *core) appendGiven(b []byte, p *pend) []byte {
	flags := uint64(0)
	if s := c.h.Seats.Get(p.Seat); s == nil || s.Who.Session != p.Session {
		flags |= givenStranger
	}
	if p.ID != "" || p.Name != "" || p.Why != "" {
		flags |= givenNames
	}
	if p.Tries > 0 {
		flags |= givenTries
	}
	for _, n := range [...]uint64{uint64(p.Type), flags, uint64(p.Seat), uint64(p.Node), p.Gen, uint64(p.Run), p.Number} {
		b = codec.AppendUint(b, n)
	}
	if flags&givenStranger != 0 {
		b = appendText(b, p.Session)
	}
	if flags&givenNames != 0 {
		b = appendText(appendText(appendText(b, p.ID), p.Name), p.Why)
	}
	if flags&givenTries != 0 {
		b = codec.AppendUint(b, uint64(p.Tries))
	}
	return codec.AppendBytes(b, p.Body)
}

func appendText(b []byte, s string) []byte { return codec.AppendBytes(b, []byte(s)) }

// stepReader reads recorded steps.
type stepReader struct {
	carried
	given []pend // to the step read last; bodies are parts of what is read
}

func newStepReader(steps []byte) *stepReader {
	return &stepReader{carried: carried{r: codec.NewReader(steps)}}
}

// silent reads how many silent steps come next, and reports whether another step is behind them.
func (r *stepReader) silent() (n uint64, more bool) {
	if r.err != nil || len(r.r.Rest()) == 0 {
		return 0, false
	}
	n = r.uint()
	return n, r.err == nil
}

// read reads what the step was given that c, which has done the silent ones, does next, and its t.Now (at rate 0).
func (r *stepReader) read(c *core) (now time.Duration, given []pend, err error) {
	if c.kind.RateHz == 0 {
		now = c.h.Now + time.Duration(r.uint())
	}
	r.given = r.given[:0]
	for n := r.uint(); n > 0 && r.err == nil; n-- {
		r.given = append(r.given, r.event(c))
	}
	return now, r.given, r.err
}

func (r *stepReader) event(c *core) pend {
	p := pend{Type: EventType(r.uint())}
	flags := r.uint()
	p.Seat, p.Node, p.Gen, p.Run, p.Number = Seat(r.uint()), Node(r.uint()), r.uint(), uint32(r.uint()), r.uint()
	if flags&givenStranger != 0 {
		p.Session = string(r.bin())
	} else if s := c.h.Seats.Get(p.Seat); s != nil {
		p.Session = s.Who.Session
	} else if r.err == nil {
		r.err = fmt.Errorf("nobody sits on seat %d", p.Seat)
	}
	if flags&givenNames != 0 {
		p.ID, p.Name, p.Why = string(r.bin()), string(r.bin()), string(r.bin())
	}
	if flags&givenTries != 0 {
		p.Tries = uint8(r.uint())
	}
	p.Body = r.bin()
	return p
}
