package codec

import (
	"encoding/binary"
	"math"
	"unicode/utf8"
)

// Reader is a cursor over msgpack bytes, for one goroutine. Every method checks what it reads: none runs past the end,
// allocates for a claimed length or descends without bound. After an error the position is of no use.
type Reader struct {
	src   []byte
	pos   int
	depth int
	reuse bool
	keep  bool // fields that are missing keep what they hold
}

// NewReader gives a reader at the start of src, which it does not copy.
func NewReader(src []byte) *Reader { return &Reader{src: src} }

// Rest is what has not been read yet.
func (r *Reader) Rest() []byte { return r.src[r.pos:] }

// Reuse reports whether the memory of the value being decoded may be written to; see [Codec.DecodeReuse].
func (r *Reader) Reuse() bool { return r.reuse }

// PeekNil reports whether the next value is nil.
func (r *Reader) PeekNil() bool { return r.pos < len(r.src) && r.src[r.pos] == tagNil }

// Nil reads a nil, if there is one next, and reports whether there was.
func (r *Reader) Nil() bool {
	if !r.PeekNil() {
		return false
	}
	r.pos++
	return true
}

// Bool reads a boolean.
func (r *Reader) Bool() (bool, error) {
	if r.pos < len(r.src) {
		switch r.src[r.pos] {
		case tagFalse:
			r.pos++
			return false, nil
		case tagTrue:
			r.pos++
			return true, nil
		}
	}
	return false, r.mismatch("bool")
}

// Uint reads an integer of any width that is not negative.
func (r *Reader) Uint() (uint64, error) {
	u, negative, err := r.integer("int")
	if err == nil && negative {
		return 0, problem(ErrRange, "%d is negative", int64(u))
	}
	return u, err
}

// Int reads an integer of any width.
func (r *Reader) Int() (int64, error) {
	u, negative, err := r.integer("int")
	if err == nil && !negative && u > math.MaxInt64 {
		return 0, problem(ErrRange, "%d does not fit int64", u)
	}
	return int64(u), err
}

// integer reads an integer as its 64 bits and whether these are a negative int64.
func (r *Reader) integer(want string) (bits uint64, negative bool, err error) {
	if r.pos >= len(r.src) {
		return 0, false, errShort()
	}
	tag := r.src[r.pos]
	switch {
	case tag < 0x80:
		r.pos++
		return uint64(tag), false, nil
	case tag >= 0xe0:
		r.pos++
		return uint64(int64(int8(tag))), true, nil
	case tag < tagUint8 || tag > tagInt64:
		return 0, false, r.mismatch(want)
	}
	width := 1 << ((tag - tagUint8) & 3) // cc…cf and d0…d3 both count 1, 2, 4, 8 bytes
	b := r.src[r.pos+1:]
	if len(b) < width {
		return 0, false, errShort()
	}
	switch width {
	case 1:
		bits = uint64(b[0])
	case 2:
		bits = uint64(binary.BigEndian.Uint16(b))
	case 4:
		bits = uint64(binary.BigEndian.Uint32(b))
	default:
		bits = binary.BigEndian.Uint64(b)
	}
	r.pos += 1 + width
	if tag >= tagInt8 {
		unused := 64 - 8*width
		signed := int64(bits<<unused) >> unused
		return uint64(signed), signed < 0, nil
	}
	return bits, false, nil
}

// Float64 reads a float, or an integer, which some encoders write for whole numbers.
func (r *Reader) Float64() (float64, error) {
	if rest := r.src[r.pos:]; len(rest) > 0 {
		switch rest[0] {
		case tagFloat64:
			if len(rest) < 9 {
				return 0, errShort()
			}
			r.pos += 9
			return math.Float64frombits(binary.BigEndian.Uint64(rest[1:])), nil
		case tagFloat32:
			if len(rest) < 5 {
				return 0, errShort()
			}
			r.pos += 5
			return float64(math.Float32frombits(binary.BigEndian.Uint32(rest[1:]))), nil
		}
	}
	u, negative, err := r.integer("float")
	if negative {
		return float64(int64(u)), err
	}
	return float64(u), err
}

// Str reads a string, which must be UTF-8. The result is part of the bytes being read: copy it to keep it.
func (r *Reader) Str() ([]byte, error) {
	if r.pos >= len(r.src) {
		return nil, errShort()
	}
	var head, n int
	switch tag := r.src[r.pos]; {
	case tag&0xe0 == tagFixStr:
		head, n = 1, int(tag&0x1f)
	case tag >= tagStr8 && tag <= tagStr32:
		head = 1 + 1<<(tag-tagStr8)
		n = r.claim(head)
	default:
		return nil, r.mismatch("string")
	}
	b, err := r.take(head, n)
	if err == nil && !utf8.Valid(b) {
		return nil, problem(ErrUTF8, "string is not UTF-8")
	}
	return b, err
}

// Bin reads a byte string. The result is part of the bytes being read: copy it to keep it.
func (r *Reader) Bin() ([]byte, error) {
	if r.pos >= len(r.src) {
		return nil, errShort()
	}
	tag := r.src[r.pos]
	if tag < tagBin8 || tag > tagBin32 {
		return nil, r.mismatch("bytes")
	}
	head := 1 + 1<<(tag-tagBin8)
	return r.take(head, r.claim(head))
}

// ArrayLen reads the head of an array and gives the number of its elements, never more than bytes are left.
func (r *Reader) ArrayLen() (int, error) { return r.open("array", tagFixArray, tagArray16, 1) }

// MapLen reads the head of a map and gives the number of its pairs, never more than half as many as bytes are left.
func (r *Reader) MapLen() (int, error) { return r.open("map", tagFixMap, tagMap16, 2) }

// open reads the head of an array or map whose elements take at least least bytes.
func (r *Reader) open(want string, fix, wide byte, least int) (int, error) {
	if r.pos >= len(r.src) {
		return 0, errShort()
	}
	var head, n int
	switch tag := r.src[r.pos]; {
	case tag&0xf0 == fix:
		head, n = 1, int(tag&0x0f)
	case tag == wide || tag == wide+1:
		head = 1 + 2<<(tag-wide)
		n = r.claim(head)
	default:
		return 0, r.mismatch(want)
	}
	if left := len(r.src) - r.pos - head; n > left/least || left < 0 {
		return 0, errShort()
	}
	r.pos += head
	return n, nil
}

// claim reads the length in a head of that many bytes, its tag included; a head cut short claims more than there is.
func (r *Reader) claim(head int) int {
	b := r.src[r.pos:]
	if len(b) < head {
		return math.MaxInt32
	}
	switch head {
	case 2:
		return int(b[1])
	case 3:
		return int(binary.BigEndian.Uint16(b[1:]))
	default:
		return int(min(binary.BigEndian.Uint32(b[1:]), math.MaxInt32)) // no more would fit an int of 32 bits
	}
}

// take moves over a head and n bytes after it, and gives these.
func (r *Reader) take(head, n int) ([]byte, error) {
	if n > len(r.src)-r.pos-head {
		return nil, errShort()
	}
	start := r.pos + head
	r.pos = start + n
	return r.src[start:r.pos:r.pos], nil
}

// enter counts one array or map more that we are inside of; leave is its end.
func (r *Reader) enter() error {
	if r.depth++; r.depth > MaxDepth {
		return problem(ErrDepth, "nested deeper than %d", MaxDepth)
	}
	return nil
}

func (r *Reader) leave() { r.depth-- }

// Skip moves over one value of any kind, its elements included.
func (r *Reader) Skip() error {
	if r.pos >= len(r.src) {
		return errShort()
	}
	tag := r.src[r.pos]
	switch shape := shapes[tag]; shape.what {
	case isFixed:
		_, err := r.take(1, shape.size)
		return err
	case isSized:
		_, err := r.take(1+shape.size, r.claimed(shape))
		return err
	case isArray:
		n, err := r.ArrayLen()
		return r.skipAll(n, err)
	case isMap:
		n, err := r.MapLen()
		return r.skipAll(2*n, err)
	default:
		return problem(ErrMismatch, "%#x is not msgpack", tag)
	}
}

// skipAll moves over the n elements of an array or map whose head has been read.
func (r *Reader) skipAll(n int, err error) error {
	if err == nil {
		err = r.enter()
	}
	for ; n > 0 && err == nil; n-- {
		err = r.Skip()
	}
	r.leave()
	return err
}

// claimed is the length of the sized value at the cursor, its extension byte included.
func (r *Reader) claimed(s shape) int { return min(r.claim(1+s.size), math.MaxInt32-1) + s.extra }

func errShort() error { return problem(ErrShort, "bytes end before the value does") }

// mismatch is the error for a value that is not what was wanted, or for its absence.
func (r *Reader) mismatch(want string) error {
	if r.pos >= len(r.src) {
		return errShort()
	}
	return problem(ErrMismatch, "want %s, got %s", want, shapes[r.src[r.pos]].name)
}
