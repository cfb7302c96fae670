package engine

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/gobwas/ws"
)

const (
	finBit       = 0x80
	headRoom     = 10 // the longest header of a server's frame: 2 and 8 of length; never a mask
	noOpenFrame  = -1
	maxReason    = maxControlBytes - 2 // a close payload starts with the code
	spareBytes   = 4 << 20             // what a loop may keep for its next turn
	maxSpareSize = 64 << 10            // larger buffers are rare: left to the garbage collector
)

// output collects the frames that one connection is sent in one turn. The last frame may be open: more is
// appended to it, and its header is written, into room kept before it, only when it is sealed.
//
//	start              open-headRoom    open
//	  │ whole frames ...      │ room │    │ payload of the open frame ...
type output struct {
	b     []byte
	ahead int // bytes that gnet still held for the connection when the turn began to write to it
	start int // first byte to send: a sealed first frame may not need all of its room
	open  int // where the open frame's payload starts; noOpenFrame if there is none
}

// append adds p to the open binary frame, opening one if there is none.
func (o *output) append(p []byte) {
	if o.open == noOpenFrame {
		o.b = append(o.b, make([]byte, headRoom)...)
		o.open = len(o.b)
	}
	o.b = append(o.b, p...)
}

// appendFrame seals the open frame and adds a whole one.
func (o *output) appendFrame(opcode ws.OpCode, p []byte) {
	o.seal()
	o.b = appendHeader(o.b, opcode, len(p))
	o.b = append(o.b, p...)
}

// insertControl adds a control frame before the open frame, which stays open: the peer may get it earlier than
// what the turn has yet to say, and the turn's message stays one.
func (o *output) insertControl(opcode ws.OpCode, p []byte) {
	if o.open == noOpenFrame {
		o.appendFrame(opcode, p)
		return
	}
	var frame [2 + maxControlBytes]byte
	whole := append(appendHeader(frame[:0], opcode, len(p)), p...)
	o.b = slices.Insert(o.b, o.open-headRoom, whole...)
	o.open += len(whole)
}

// seal writes the open frame's header.
func (o *output) seal() {
	if o.open == noOpenFrame {
		return
	}
	var room [headRoom]byte
	head := appendHeader(room[:0], ws.OpBinary, len(o.b)-o.open)
	at := o.open - headRoom
	if at == o.start {
		o.start = o.open - len(head)
		copy(o.b[o.start:], head)
	} else { // frames before it: close the gap
		n := copy(o.b[at:], head)
		n += copy(o.b[at+n:], o.b[o.open:])
		o.b = o.b[:at+n]
	}
	o.open = noOpenFrame
}

// bytes are the whole frames. Call seal first.
func (o *output) bytes() []byte { return o.b[o.start:] }

// size is the number of bytes to send, up to headRoom too many while a frame is open.
func (o *output) size() int { return len(o.b) - o.start }

// reset forgets everything, keeping the memory.
func (o *output) reset() { o.b, o.start, o.open = o.b[:0], 0, noOpenFrame }

// appendHeader adds the header of a final, unmasked frame.
func appendHeader(dst []byte, opcode ws.OpCode, length int) []byte {
	first := finBit | byte(opcode)
	switch {
	case length <= maxControlBytes:
		return append(dst, first, byte(length))
	case length <= math.MaxUint16:
		return append(dst, first, 126, byte(length>>8), byte(length))
	default:
		return binary.BigEndian.AppendUint64(append(dst, first, 127), uint64(length))
	}
}

// closePayload writes a close frame's payload into room: nothing for CodeNoStatus, otherwise code and reason.
func closePayload(room *[maxControlBytes]byte, code uint16, reason string) []byte {
	if code == CodeNoStatus {
		return nil
	}
	p := binary.BigEndian.AppendUint16(room[:0], code)
	return append(p, reason...)
}

// cutReason shortens a reason to what a close frame holds, at a rune's end.
func cutReason(reason string) string {
	if len(reason) > maxReason {
		reason = reason[:maxReason]
	}
	n, ok := validUTF8([]byte(reason))
	if !ok {
		return ""
	}
	return reason[:n]
}

// outputPool keeps a loop's output buffers from turn to turn, as many as recent turns needed.
type outputPool struct {
	spare []*output
	bytes int // capacity of spare together, at most spareBytes
	idle  int // the fewest spares there were since the last trim: nobody needed those
}

// get returns an empty output.
func (p *outputPool) get() *output {
	n := len(p.spare) - 1
	if n < 0 {
		return &output{open: noOpenFrame}
	}
	o := p.spare[n]
	p.spare[n] = nil
	p.spare = p.spare[:n]
	p.bytes -= cap(o.b)
	p.idle = min(p.idle, n)
	return o
}

// put takes an output back, or drops it where keeping it would cost too much.
func (p *outputPool) put(o *output) {
	if size := cap(o.b); size > maxSpareSize || p.bytes+size > spareBytes {
		return
	}
	o.reset()
	p.spare = append(p.spare, o)
	p.bytes += cap(o.b)
}

// trim lets half of the spares go that nobody needed since the last trim.
func (p *outputPool) trim() {
	for range (p.idle + 1) / 2 {
		p.get()
	}
	p.idle = len(p.spare)
}
