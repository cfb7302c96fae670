package rooms

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Frame is what one confirmed tick of one room shows: everything of it is in the journal. A frame is shared by the loops that
// have the room's players: read it, do not change it, Release it once per Retain and once for the receiver.
type Frame struct {
	Room   ID
	Epoch  Epoch
	Tick   uint64
	Public []byte // the newest public value as msgpack, if it changed or somebody new needs it; else nil
	Seats  []SeatPart
	Status Status // a change of the room's condition, for every seat; 0 = none

	// Due is when the tick was due by its owner's clock, as time since 1970: the ticks behind it follow at the room's rate. A late room
	// slides, so that this changes. 0: the room has no rate, or the frame shows no tick.
	Due time.Duration

	Notice *Notice // what listings show from now on; nil: as before. It stays on the node

	Answers []Note // to signals, and to rosters that were refused

	// To lists the nodes that the frame is for: those of connected players, and of whoever gets an answer. In no order, without
	// doubles; shared with other frames, so never to be changed.
	To []Node

	buf   []byte
	spans []span // of the seats' parts in buf, as it may move while it grows
	refs  atomic.Int32
}

// span is a part of a frame's buffer.
type span struct{ from, to int }

// SeatPart is what a frame holds for one seat.
type SeatPart struct {
	Seat     Seat
	Session  string
	Node     Node   // where the session is connected
	Applied  uint64 // last input number of the seat's run that was applied or refused
	Run      uint32
	Private  []byte // msgpack; nil if unchanged
	Reliable []byte // wire arrays, back to back, in order
	First    uint64 // number of the first reliable message in Reliable; 0 if there is none
	Last     uint64 // number of the newest reliable message ever sent to this seat
	Resend   uint64 // not 0: a gap was seen, inputs are wanted again from this number
	Notes    []Note // what became of requests of this seat, in order
}

// Node is where a session is connected: one run of a server process. 0 is the only one there is, in a program that knows of no others.
type Node uint32

// sendTo adds a node to those that the frame is for.
func (f *Frame) sendTo(n Node) {
	if !slices.Contains(f.To, n) {
		f.To = append(slices.Clip(f.To), n) // clipped: the rest of the array is others'
	}
}

// NoteType says what a Note is about.
type NoteType uint8

const (
	NoteJoined     NoteType = iota + 1 // the seat was taken (or was the session's already)
	NoteReturned                       // the session is back on its seat
	NoteRefused                        // a join was refused: Code, Why
	NoteLeft                           // the seat is given up: Why, Result
	NoteGone                           // a return to a seat that is no more: Why, Result
	NoteOverflow                       // unacknowledged reliable messages passed the bound and were dropped: close the connection
	NoteOverloaded                     // an input, a leave or a return was dropped: Request is the leave's
	NoteSignal                         // a signal's answer: Code, Why, Result; Request is its ticket
	NoteRoster                         // a node's roster was dropped as the mailbox is full: to be sent anew, among Frame.Answers
	NoteSuperseded                     // the session has its seat at another node by now, in generation Request: close the connection
)

// Note answers a request of a session or tells it of a change of its seat.
type Note struct {
	Type     NoteType
	Node     Node // where the session, or whoever waits for a signal's answer, is
	Session  string
	Gen      uint64 // the connection generation that asked
	Request  uint64
	Seat     Seat
	Resumed  bool   // for NoteReturned: nothing reliable is missing
	Reliable uint64 // for NoteJoined and NoteReturned: the stream continues behind this number
	Applied  uint64 // likewise: last input number of the run
	Code     string
	Why      string
	Result   []byte // msgpack
}

// Status is a room's condition as players are told it; the values are those of the wire.
type Status uint8

const (
	StatusNone Status = iota
	StatusPlaying
	StatusPaused     // waits for its journal
	StatusResumed    // goes on from its journal in a new epoch
	StatusFaulted    // closed because of a fault
	StatusRolledBack // goes on in a new epoch from a state that is older than what was shown: a Periodic room, or one that cannot be replayed
)

var framePool = sync.Pool{New: func() any { return new(Frame) }}

func newFrame() *Frame {
	f := framePool.Get().(*Frame)
	f.refs.Store(1)
	return f
}

// Retain adds a receiver.
func (f *Frame) Retain() { f.refs.Add(1) }

// Release gives the frame back; after the last Release its bytes are used again.
func (f *Frame) Release() {
	switch left := f.refs.Add(-1); {
	case left > 0:
		return
	case left < 0:
		panic("rooms: frame released once too often")
	}
	const keepBytes = 64 << 10 // larger buffers are left to the collector, so that one big room does not swell the pool
	clear(f.Seats)
	clear(f.spans)
	buf, seats, spans := f.buf[:0], f.Seats[:0], f.spans[:0]
	if cap(buf) > keepBytes {
		buf = nil
	}
	*f = Frame{buf: buf, Seats: seats, spans: spans}
	framePool.Put(f)
}
