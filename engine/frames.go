package engine

import (
	"encoding/binary"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// What a peer can do wrong. Shared values: never change them.
var (
	errReservedBits    = &CloseError{Code: CodeProtocolError, Reason: "reserved bits set"}
	errReservedOpcode  = &CloseError{Code: CodeProtocolError, Reason: "reserved opcode"}
	errUnmasked        = &CloseError{Code: CodeProtocolError, Reason: "frame not masked"}
	errControlSplit    = &CloseError{Code: CodeProtocolError, Reason: "fragmented control frame"}
	errControlLong     = &CloseError{Code: CodeProtocolError, Reason: "control frame over 125 bytes"}
	errLengthForm      = &CloseError{Code: CodeProtocolError, Reason: "length not in its shortest form"}
	errStray           = &CloseError{Code: CodeProtocolError, Reason: "continuation of nothing"}
	errInterleaved     = &CloseError{Code: CodeProtocolError, Reason: "new message inside a fragmented one"}
	errClosePayload    = &CloseError{Code: CodeProtocolError, Reason: "close payload of one byte"}
	errCloseCode       = &CloseError{Code: CodeProtocolError, Reason: "close code not allowed"}
	errTextRejected    = &CloseError{Code: CodeUnsupported, Reason: "text messages are not accepted"}
	errTextInvalid     = &CloseError{Code: CodeInvalidData, Reason: "text is not UTF-8"}
	errReasonInvalid   = &CloseError{Code: CodeInvalidData, Reason: "close reason is not UTF-8"}
	errTooManyFrames   = &CloseError{Code: CodePolicy, Reason: "too many pings, pongs or fragments"}
	errMessageTooLarge = &CloseError{Code: CodeTooBig, Reason: "message over the limit"}
)

const (
	maxControlBytes = 125 // RFC 6455, section 5.5
	maxHeaderBytes  = 14  // 2, 8 of length, 4 of mask

	// A spare partial keeps its buffer up to this size; most messages fit, and 64 of them cost a loop 1 MiB.
	keepMessageBytes = 16 << 10
	keepPartials     = 64
)

// eventKind says what the parser found.
type eventKind uint8

const (
	eventNone eventKind = iota // needs more bytes
	eventText
	eventBinary
	eventPing
	eventPong
	eventClose
)

// event is a whole message or control frame. Its payload is valid until the parser is used again.
type event struct {
	kind    eventKind
	payload []byte // eventClose: the reason
	code    uint16 // eventClose only
}

// frameRules are what the parsers of one loop share: limits, and spare memory.
type frameRules struct {
	maxMessage int
	rejectText bool
	spare      []*partial
}

// frameParser turns the bytes of one client into events. Cutting the bytes differently never changes the events.
// A frame that lies whole in the bytes given is unmasked where it lies; anything else is collected in a partial,
// which exists only meanwhile.
type frameParser struct {
	rules *frameRules
	part  *partial
	extra uint16 // frames since the caller last looked that were no whole message
}

// partial is an unfinished header, frame or fragmented message.
//
//	      header cut                header whole, payload cut
//	none ───────────► nhead > 0 ──────────────────────────────► inFrame
//	 ▲                                                             │ payload whole
//	 └──────── message delivered ◄─────────── opcode ≠ 0 ◄─────────┘ (a fragment waits for its continuation)
type partial struct {
	head  [maxHeaderBytes]byte
	nhead int // bytes of an unfinished header in head

	inFrame bool
	frame   header // valid while inFrame
	got     int    // payload bytes of frame received so far

	opcode  byte   // of the unfinished message; 0 if there is none
	message []byte // its payload so far, at most rules.maxMessage
	checked int    // how much of message is known to be UTF-8

	control [maxControlBytes]byte // payload of an unfinished control frame
	spent   bool                  // its message was delivered: free at the next call
}

// header is a frame's header, checked as far as it can be without knowing the frames before it.
type header struct {
	fin    bool
	opcode byte
	length uint64
	mask   [4]byte
}

func (h header) isControl() bool { return h.opcode >= byte(ws.OpClose) }

// parseHeader reads a header off the front of b. size is 0 if b does not hold all of it.
//
//	fin(1) rsv(3) opcode(4) | mask(1) length(7) | length 0, 2 or 8 bytes, big endian | mask 4 bytes
func parseHeader(b []byte) (h header, size int, err *CloseError) {
	if len(b) < 2 {
		return h, 0, nil
	}
	h.fin, h.opcode = b[0]&0x80 != 0, b[0]&0x0f
	short := b[1] & 0x7f
	switch {
	case b[0]&0x70 != 0:
		return h, 0, errReservedBits
	case ws.OpCode(h.opcode).IsReserved():
		return h, 0, errReservedOpcode
	case b[1]&0x80 == 0:
		return h, 0, errUnmasked
	case h.isControl() && !h.fin:
		return h, 0, errControlSplit
	case h.isControl() && short > maxControlBytes:
		return h, 0, errControlLong
	}
	least := uint64(0)
	switch short {
	case 126:
		size, least = 2+2+4, maxControlBytes+1
	case 127:
		size, least = 2+8+4, math.MaxUint16+1
	default:
		size = 2 + 4
	}
	if len(b) < size {
		return h, 0, nil
	}
	switch short {
	case 126:
		h.length = uint64(binary.BigEndian.Uint16(b[2:]))
	case 127:
		h.length = binary.BigEndian.Uint64(b[2:])
	default:
		h.length = uint64(short)
	}
	if h.length < least || h.length > math.MaxInt64 { // the highest bit must be 0
		return h, 0, errLengthForm
	}
	copy(h.mask[:], b[size-4:])
	return h, size, nil
}

// next takes one event off the front of b and returns what is left. It returns eventNone once b is used up, and
// an error as soon as the bytes received prove one; after an error the parser is of no more use.
func (p *frameParser) next(b []byte) (event, []byte, *CloseError) {
	if p.part != nil && p.part.spent {
		p.release()
	}
	for {
		if p.part != nil && p.part.inFrame {
			e, rest, err := p.payload(b)
			if err != nil || e.kind != eventNone || p.part.inFrame {
				return e, rest, err
			}
			b = rest
		}
		h, rest, whole, err := p.header(b)
		if err != nil || !whole {
			return event{}, nil, err
		}
		if err := p.admit(h); err != nil {
			return event{}, nil, err
		}
		b = rest
		if h.length <= uint64(len(b)) && (h.isControl() || h.fin && !p.fragmented()) {
			if p.part != nil && !p.fragmented() {
				p.release() // it held no more than the beginning of the header
			}
			payload := b[:h.length]
			ws.Cipher(payload, h.mask, 0)
			e, err := finish(h.opcode, payload, 0)
			return e, b[h.length:], err
		}
		part := p.take()
		part.inFrame, part.frame, part.got = true, h, 0
		if !h.isControl() && h.opcode != byte(ws.OpContinuation) {
			part.opcode = h.opcode
		}
	}
}

// header completes the header at the front of b, or keeps the piece of it that is there.
func (p *frameParser) header(b []byte) (h header, rest []byte, whole bool, err *CloseError) {
	held := 0
	src := b
	if p.part != nil && p.part.nhead > 0 {
		held = p.part.nhead
		src = p.part.head[:held+copy(p.part.head[held:], b)]
	}
	h, size, err := parseHeader(src)
	switch {
	case err != nil:
		return h, nil, false, err
	case size > 0:
		if held > 0 {
			p.part.nhead = 0
		}
		return h, b[size-held:], true, nil
	case len(b) > 0:
		part := p.take()
		part.nhead = held + copy(part.head[held:], b)
	}
	return h, nil, false, nil
}

// admit checks h against the frames before it and against the limits, before a byte of payload is waited for.
func (p *frameParser) admit(h header) *CloseError {
	if (h.isControl() || !h.fin || h.opcode == byte(ws.OpContinuation)) && p.extra < math.MaxUint16 {
		p.extra++
	}
	if h.isControl() {
		return nil
	}
	had := 0
	continues := h.opcode == byte(ws.OpContinuation)
	switch {
	case continues && !p.fragmented():
		return errStray
	case !continues && p.fragmented():
		return errInterleaved
	case h.opcode == byte(ws.OpText) && p.rules.rejectText:
		return errTextRejected
	case continues:
		had = len(p.part.message)
	}
	if h.length > uint64(p.rules.maxMessage-had) {
		return errMessageTooLarge
	}
	return nil
}

// payload takes what b holds of the current frame's payload.
func (p *frameParser) payload(b []byte) (event, []byte, *CloseError) {
	part := p.part
	n := int(min(uint64(len(b)), part.frame.length-uint64(part.got)))
	chunk, rest := b[:n], b[n:]
	ws.Cipher(chunk, part.frame.mask, part.got)
	done := uint64(part.got+n) == part.frame.length
	if part.frame.isControl() {
		copy(part.control[part.got:], chunk)
		part.got += n
		if !done {
			return event{}, nil, nil
		}
		part.inFrame = false
		e, err := finish(part.frame.opcode, part.control[:part.got], 0)
		part.spent = part.opcode == 0
		return e, rest, err
	}
	part.got += n
	part.grow(n, p.rules.maxMessage)
	part.message = append(part.message, chunk...)
	if part.opcode == byte(ws.OpText) {
		// Checked as it comes: a broken text is refused at its first broken byte.
		valid, ok := validUTF8(part.message[part.checked:])
		if !ok {
			return event{}, nil, errTextInvalid
		}
		part.checked += valid
	}
	if !done {
		return event{}, nil, nil
	}
	part.inFrame = false
	if !part.frame.fin {
		return event{}, rest, nil
	}
	part.spent = true
	e, err := finish(part.opcode, part.message, part.checked)
	return e, rest, err
}

// grow makes room for n more bytes, doubling, but never beyond what a message may have. It trusts bytes received,
// not lengths claimed.
func (part *partial) grow(n, limit int) {
	need := len(part.message) + n
	if need <= cap(part.message) {
		return
	}
	size := min(max(need, 2*cap(part.message), 512), max(need, limit))
	part.message = slices.Grow(part.message, size-len(part.message))
}

func (p *frameParser) fragmented() bool { return p.part != nil && p.part.opcode != 0 }

// take returns the parser's partial, a spare one if it has none.
func (p *frameParser) take() *partial {
	if p.part != nil {
		return p.part
	}
	if n := len(p.rules.spare); n > 0 {
		p.part = p.rules.spare[n-1]
		p.rules.spare = p.rules.spare[:n-1]
	} else {
		p.part = new(partial)
	}
	return p.part
}

// release gives the partial back. Payloads handed out before are no longer valid.
func (p *frameParser) release() {
	part := p.part
	p.part = nil
	if part == nil || len(p.rules.spare) >= keepPartials {
		return
	}
	message := part.message[:0]
	if cap(message) > keepMessageBytes {
		message = nil
	}
	*part = partial{message: message}
	p.rules.spare = append(p.rules.spare, part)
}

// finish turns a whole payload into its event. Its first checked bytes are known to be UTF-8.
func finish(opcode byte, payload []byte, checked int) (event, *CloseError) {
	switch ws.OpCode(opcode) {
	case ws.OpText:
		if !utf8.Valid(payload[checked:]) {
			return event{}, errTextInvalid
		}
		return event{kind: eventText, payload: payload}, nil
	case ws.OpBinary:
		return event{kind: eventBinary, payload: payload}, nil
	case ws.OpPing:
		return event{kind: eventPing, payload: payload}, nil
	case ws.OpPong:
		return event{kind: eventPong, payload: payload}, nil
	default:
		return parseClose(payload)
	}
}

// parseClose reads a close frame's payload: nothing, or a code and a reason.
func parseClose(payload []byte) (event, *CloseError) {
	if len(payload) == 0 {
		return event{kind: eventClose, code: CodeNoStatus}, nil
	}
	if len(payload) == 1 {
		return event{}, errClosePayload
	}
	code, reason := binary.BigEndian.Uint16(payload), payload[2:]
	if !validCloseCode(code) {
		return event{}, errCloseCode
	}
	if !utf8.Valid(reason) {
		return event{}, errReasonInvalid
	}
	return event{kind: eventClose, code: code, payload: reason}, nil
}

// validCloseCode reports whether code may appear in a close frame: those of RFC 6455 that are not for local use
// only, those registered with IANA since (1012-1014), and the ranges for libraries and applications.
func validCloseCode(code uint16) bool {
	return code >= 1000 && code <= 1003 || code >= 1007 && code <= 1014 || code >= 3000 && code <= 4999
}

// validUTF8 reports how much of p is whole runes; false if no continuation could make p UTF-8.
func validUTF8(p []byte) (n int, ok bool) {
	n = len(p)
	for i := 1; i <= min(len(p), utf8.UTFMax-1); i++ {
		if last := p[len(p)-i:]; utf8.RuneStart(last[0]) {
			if !utf8.FullRune(last) {
				n = len(p) - i
			}
			break
		}
	}
	return n, utf8.Valid(p[:n])
}
