package netcode

import (
	"encoding/binary"
	"errors"
	"unicode/utf8"
)

// MaxDepth bounds how many arrays and maps lie inside each other in a frame, the message itself and empty ones included.
const MaxDepth = 16

// What Check refuses. Each is a reason to close the sender with CloseViolation.
var (
	ErrShort     = errors.New("netcode: a value claims more bytes than there are")
	ErrDepth     = errors.New("netcode: nested deeper than 16")
	ErrExtension = errors.New("netcode: msgpack extensions are not used")
	ErrReserved  = errors.New("netcode: 0xc1 is not msgpack")
	ErrUTF8      = errors.New("netcode: a string is not UTF-8")
	ErrNoArray   = errors.New("netcode: a frame is a sequence of arrays")
	ErrEmpty     = errors.New("netcode: empty frame")
)

// ErrTrailing is refused by CheckValue alone: in a frame, what follows a message is the next one.
var ErrTrailing = errors.New("netcode: bytes behind the value")

// Check reports whether p is a well-formed frame: msgpack arrays back to back, every claimed length covered by bytes that are
// there, nothing nested deeper than MaxDepth, no extensions, strings in UTF-8. It reads each byte once, allocates nothing, and is
// the only code that meets bytes in their raw form: a frame that passed holds no claim that could make a decoder allocate.
func Check(p []byte) error {
	if len(p) == 0 {
		return ErrEmpty
	}
	for len(p) > 0 {
		if tags[p[0]].class != array {
			return ErrNoArray
		}
		n, err := checkValue(p)
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// CheckValue reports whether p is exactly one well-formed value, by the rules of Check; else it gives one of the errors of Check,
// or ErrTrailing.
func CheckValue(p []byte) error {
	n, err := checkValue(p)
	if err == nil && n != len(p) {
		return ErrTrailing
	}
	return err
}

// checkValue measures the value at the start of p. It descends without recursion: open holds, per level, how many values are
// still to come. Nothing is believed: every count is held against the bytes that are left, a child taking at least one.
func checkValue(p []byte) (size int, err error) {
	var open [MaxDepth]int
	depth, pos := 0, 0
	for {
		if pos >= len(p) {
			return 0, ErrShort
		}
		t := tags[p[pos]]
		pos++
		n := uint64(t.count)
		if t.width > 0 {
			if int(t.width) > len(p)-pos {
				return 0, ErrShort
			}
			n = claim(p[pos:], t.width)
			pos += int(t.width)
		}
		if t.class == dict {
			n *= 2
		}
		if n > uint64(len(p)-pos) {
			return 0, ErrShort
		}
		switch t.class {
		case plain:
			pos += int(n)
		case text:
			end := pos + int(n)
			if !utf8.Valid(p[pos:end]) {
				return 0, ErrUTF8
			}
			pos = end
		case array, dict:
			if depth == MaxDepth {
				return 0, ErrDepth
			}
			if n > 0 {
				open[depth] = int(n)
				depth++
				continue
			}
		case extension:
			return 0, ErrExtension
		default:
			return 0, ErrReserved
		}
		for ; depth > 0; depth-- {
			if open[depth-1]--; open[depth-1] > 0 {
				break
			}
		}
		if depth == 0 {
			return pos, nil
		}
	}
}

// claim reads the count of width bytes, all of them there, that stands behind a tag.
func claim(p []byte, width uint8) uint64 {
	switch width {
	case 1:
		return uint64(p[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(p))
	default:
		return uint64(binary.BigEndian.Uint32(p))
	}
}

// class says what a tag's count counts.
type class uint8

const (
	reserved  class = iota
	plain           // bytes that may be anything
	text            // bytes that must be UTF-8
	array           // values
	dict            // pairs of values
	extension       // not used
)

// tag is what the first byte of a value says: its class, and either the count itself or how many bytes behind it hold the count.
type tag struct {
	class class
	count uint8
	width uint8
}

// tags is indexed by the first byte of a value: https://github.com/msgpack/msgpack/blob/master/spec.md.
var tags = func() (tags [256]tag) {
	for i := range 0x80 {
		tags[i] = tag{class: plain} // positive fixint
	}
	for i := range 16 {
		tags[0x80|i] = tag{class: dict, count: uint8(i)}
		tags[0x90|i] = tag{class: array, count: uint8(i)}
	}
	for i := range 32 {
		tags[0xa0|i] = tag{class: text, count: uint8(i)}
		tags[0xe0|i] = tag{class: plain} // negative fixint
	}
	for _, i := range []int{0xc0, 0xc2, 0xc3} { // nil, false, true
		tags[i] = tag{class: plain}
	}
	for i := range 3 { // lengths of 8, 16 and 32 bits
		tags[0xc4+i] = tag{class: plain, width: 1 << i} // bin
		tags[0xc7+i] = tag{class: extension}
		tags[0xd9+i] = tag{class: text, width: 1 << i}
	}
	for i := range 2 {
		tags[0xca+i] = tag{class: plain, count: 4 << i} // float 32, 64
		tags[0xdc+i] = tag{class: array, width: 2 << i}
		tags[0xde+i] = tag{class: dict, width: 2 << i}
	}
	for i := range 4 {
		tags[0xcc+i] = tag{class: plain, count: 1 << i} // uint 8 to 64
		tags[0xd0+i] = tag{class: plain, count: 1 << i} // int 8 to 64
	}
	for i := range 5 {
		tags[0xd4+i] = tag{class: extension} // fixext 1 to 16
	}
	return tags // 0xc1 stays reserved
}()
