package netcode

import (
	"errors"
	"fmt"
	"io"

	"tickover.dev/codec"
)

// MaxUint is the largest number on the wire: what a double holds exactly, as JavaScript clients have no other.
const MaxUint = 1<<53 - 1

// Bounds of single fields, in bytes.
const (
	MaxTokenBytes = 4096
	MaxNameBytes  = 256 // ids, keys, kinds, names, codes
	MaxHeldRooms  = 64
)

// ErrField is a field of the wrong type or beyond its bound.
var ErrField = errors.New("netcode: bad field")

// Parser walks the messages of one frame. It belongs to one goroutine and may be used again with Reset.
type Parser struct{ f fields }

// Reset starts on a frame, which should have passed Check and must not change while it is parsed. A frame that was not checked
// gives errors, never a panic, but its strings and Raw fields are as trustworthy as whoever sent them.
func (p *Parser) Reset(frame []byte) { p.f = fields{rest: frame} }

// Next moves to the next message and gives its type, io.EOF at the end of the frame, or ErrField for an array that does not
// start with a type. Fields of the message before that were not read are skipped.
func (p *Parser) Next() (Type, error) {
	f := &p.f
	f.skip()
	if f.err != nil {
		return 0, f.err
	}
	if len(f.rest) == 0 {
		return 0, io.EOF
	}
	r := codec.NewReader(f.rest)
	n, err := r.ArrayLen()
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%w: a message is [type, …]", ErrField)
	}
	t, err := r.Uint()
	if err != nil || t > 255 {
		return 0, fmt.Errorf("%w: type", ErrField)
	}
	f.rest, f.n = r.Rest(), n-1
	return Type(t), nil
}

// Read reads the fields of the message that Next found into m and replaces all that m held; it allocates for strings that are not
// empty and for Hello.Rooms. Raw fields refer to the frame and are always one value: nil, in msgpack, where the message has none.
// A field of the wrong type or beyond its bound is ErrField; the rest of the frame is lost with it, as Next repeats the error.
func (p *Parser) Read(m Message) error {
	m.read(&p.f)
	if p.f.err != nil {
		return fmt.Errorf("message %d: %w", m.Type(), p.f.err)
	}
	return nil
}

// fields reads a message's fields one after the other. Missing ones are zero. The first error sticks.
type fields struct {
	rest []byte
	n    int // still in the message
	err  error
}

// more moves to the next field and reports whether there is one.
func (f *fields) more() bool {
	if f.err != nil || f.n == 0 {
		return false
	}
	if len(f.rest) == 0 {
		f.err = ErrShort // only in a frame that nobody checked
		return false
	}
	f.n--
	return true
}

func (f *fields) uint() uint64 {
	if !f.more() {
		return 0
	}
	if b := f.rest[0]; b < 0x80 { // the common case, without a Reader
		f.rest = f.rest[1:]
		return uint64(b)
	}
	r := codec.NewReader(f.rest)
	u, err := r.Uint()
	if err != nil || u > MaxUint {
		f.err = fmt.Errorf("%w: want an unsigned integer of at most 53 bits", ErrField)
		return 0
	}
	f.rest = r.Rest()
	return u
}

func (f *fields) uint32() uint32 {
	u := f.uint()
	if u > 1<<32-1 {
		f.err = fmt.Errorf("%w: want an unsigned integer of at most 32 bits", ErrField)
		return 0
	}
	return uint32(u)
}

func (f *fields) uint8() uint8 {
	u := f.uint()
	if u > 255 {
		f.err = fmt.Errorf("%w: want an unsigned integer of at most 8 bits", ErrField)
		return 0
	}
	return uint8(u)
}

func (f *fields) string(limit int) string {
	if !f.more() {
		return ""
	}
	r := codec.NewReader(f.rest)
	if r.Nil() {
		f.rest = r.Rest()
		return ""
	}
	s, err := r.Str()
	if err != nil || len(s) > limit {
		f.err = fmt.Errorf("%w: want a string of at most %d bytes", ErrField, limit)
		return ""
	}
	f.rest = r.Rest()
	return string(s)
}

// raw gives the next value as it is. A missing one reads as nil, so that nobody behind us meets a value of no bytes.
func (f *fields) raw() []byte {
	if !f.more() {
		return codec.AppendNil(nil)
	}
	n, err := checkValue(f.rest)
	if err != nil {
		f.err = err
		return nil
	}
	raw := f.rest[:n:n]
	f.rest = f.rest[n:]
	return raw
}

// array reads the head of an array field and gives the number of its elements.
func (f *fields) array(limit int) int {
	if !f.more() {
		return 0
	}
	r := codec.NewReader(f.rest)
	if r.Nil() {
		f.rest = r.Rest()
		return 0
	}
	n, err := r.ArrayLen()
	if err != nil || n > limit {
		f.err = fmt.Errorf("%w: want an array of at most %d elements", ErrField, limit)
		return 0
	}
	f.rest = r.Rest()
	return n
}

// skip moves over what is left of the message.
func (f *fields) skip() {
	for f.n > 0 && f.err == nil {
		f.raw()
	}
}

func (m *Hello) read(f *fields) {
	m.Version, m.Run = f.uint(), f.uint32()
	m.Token, m.Session, m.Secret = f.string(MaxTokenBytes), f.string(MaxNameBytes), f.string(MaxNameBytes)
	m.Rooms = m.Rooms[:0]
	for range f.array(MaxHeldRooms) {
		inner := fields{rest: f.rest, n: 1, err: f.err}
		inner.n = inner.array(16)
		h := Held{Room: inner.string(MaxNameBytes), Seat: inner.uint(), Reliable: inner.uint()}
		inner.skip()
		f.rest, f.err = inner.rest, inner.err
		if f.err != nil {
			return
		}
		m.Rooms = append(m.Rooms, h)
	}
	m.Attempt = f.uint()
}

func (m *Join) read(f *fields) {
	m.Request = f.uint()
	if m.Mode = JoinMode(f.uint8()); m.Mode >= joinModesCount && f.err == nil {
		f.err = fmt.Errorf("%w: join mode %d", ErrField, m.Mode)
	}
	m.Kind, m.Target, m.Options = f.string(MaxNameBytes), f.string(MaxNameBytes), f.raw()
}

func (m *Leave) read(f *fields) { m.Request, m.Room = f.uint(), f.uint() }

func (m *Input) read(f *fields) {
	m.Room, m.Number, m.Reliable, m.State, m.Value = f.uint(), f.uint(), f.uint(), f.uint(), f.raw()
}

func (m *Ack) read(f *fields) { m.Room, m.Reliable, m.State = f.uint(), f.uint(), f.uint() }

func (m *Ping) read(f *fields) { m.Time = f.uint() }

func (m *Welcome) read(f *fields) {
	m.Version, m.Session, m.Secret = f.uint(), f.string(MaxNameBytes), f.string(MaxNameBytes)
	m.Player, m.Name = f.string(MaxNameBytes), f.string(MaxNameBytes)
	m.Time, m.Resumed, m.Kept, m.Node = f.uint(), f.uint() == 1, f.uint(), f.string(MaxNameBytes)
}

func (m *Joined) read(f *fields) {
	m.Request, m.Room = f.uint(), f.uint()
	m.ID, m.Kind, m.Key = f.string(MaxNameBytes), f.string(MaxNameBytes), f.string(MaxNameBytes)
	m.Seat, m.RateHz, m.Epoch, m.Tick = f.uint(), f.uint(), f.uint(), f.uint()
	m.Outcome, m.Reliable, m.Applied = JoinOutcome(f.uint8()), f.uint(), f.uint()
}

func (m *Left) read(f *fields) {
	m.Request, m.Room, m.Why, m.Result = f.uint(), f.uint(), f.string(MaxNameBytes), f.raw()
}

func (m *Tick) read(f *fields) {
	m.Room, m.Epoch, m.Tick, m.Applied = f.uint(), f.uint(), f.uint(), f.uint()
}

func (m *State) read(f *fields)   { m.Value = f.raw() }
func (m *Private) read(f *fields) { m.Value = f.raw() }

func (m *Event) read(f *fields) {
	m.Number, m.Name, m.Value = f.uint(), f.string(MaxNameBytes), f.raw()
}

func (m *Reply) read(f *fields) {
	m.Number, m.Run, m.Input, m.Value = f.uint(), f.uint32(), f.uint(), f.raw()
}

func (m *Refusal) read(f *fields) {
	m.Number, m.Run, m.Input = f.uint(), f.uint32(), f.uint()
	m.Code, m.Message = f.string(MaxNameBytes), f.string(MaxTokenBytes)
}

func (m *Error) read(f *fields) {
	m.Request, m.Code, m.Message, m.RetryMs = f.uint(), f.string(MaxNameBytes), f.string(MaxTokenBytes), f.uint()
}

func (m *Pong) read(f *fields)   { m.Time, m.Now = f.uint(), f.uint() }
func (m *Resend) read(f *fields) { m.Room, m.Number = f.uint(), f.uint() }

func (m *Status) read(f *fields) {
	m.Room, m.Status, m.Epoch, m.Tick = f.uint(), RoomStatus(f.uint8()), f.uint(), f.uint()
}

func (m *Gone) read(f *fields) {
	m.ID, m.Why, m.Result = f.string(MaxNameBytes), f.string(MaxNameBytes), f.raw()
}

func (m *Clock) read(f *fields) { m.Room, m.Tick, m.Time = f.uint(), f.uint(), f.uint() }
