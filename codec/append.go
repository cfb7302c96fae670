package codec

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
	"unsafe"
)

// maxHiddenBytes bounds the buffer while a type that contains itself through a [Container] is written. One that really
// holds itself writes at least 5 bytes and uses about 500 bytes of stack per level, so the panic comes at some 30 MB:
// the stack's own limit of 1 GB would take down the whole process.
const maxHiddenBytes = 256 << 10

// header is a slice of any type as the runtime lays it out.
type header struct {
	data unsafe.Pointer
	len  int
	cap  int
}

// append writes the value at p, which lies inside depth arrays and maps of types that c does not know.
func (c *Codec) append(dst []byte, p unsafe.Pointer, depth int) []byte {
	switch c.kind {
	case kindBool:
		if *(*bool)(p) {
			return append(dst, tagTrue)
		}
		return append(dst, tagFalse)
	case kindInt8:
		return appendInt(dst, int64(*(*int8)(p)))
	case kindInt16:
		return appendInt(dst, int64(*(*int16)(p)))
	case kindInt32:
		return appendInt(dst, int64(*(*int32)(p)))
	case kindInt64:
		return appendInt(dst, *(*int64)(p))
	case kindUint8:
		return appendUint(dst, uint64(*(*uint8)(p)))
	case kindUint16:
		return appendUint(dst, uint64(*(*uint16)(p)))
	case kindUint32:
		return appendUint(dst, uint64(*(*uint32)(p)))
	case kindUint64:
		return appendUint(dst, *(*uint64)(p))
	case kindFloat32:
		return appendFloat32(dst, *(*float32)(p))
	case kindFloat64:
		return appendFloat64(dst, *(*float64)(p))
	case kindString:
		return appendString(dst, *(*string)(p))
	case kindBytes:
		return appendBytes(dst, *(*[]byte)(p))
	case kindBlob:
		return appendBytes(dst, unsafe.Slice((*byte)(p), c.len))
	}
	if depth >= MaxDepth {
		panic(fmt.Sprintf("codec: %s is nested deeper than %d: does it contain itself?", c.typ, MaxDepth))
	}
	if c.hidesDepth && len(dst) > maxHiddenBytes {
		panic(fmt.Sprintf("codec: %s takes over %d bytes: does it contain itself?", c.typ, maxHiddenBytes))
	}
	switch c.kind {
	case kindSlice:
		s := (*header)(p)
		if s.data == nil {
			return append(dst, tagNil)
		}
		return c.appendElems(dst, s.data, s.len, depth+1)
	case kindArray:
		return c.appendElems(dst, p, c.len, depth+1)
	case kindStruct:
		dst = append(dst, c.head...)
		for i := range c.fields {
			f := &c.fields[i]
			dst = append(dst, f.key...)
			dst = f.codec.append(dst, unsafe.Add(p, f.offset), depth+1)
		}
		return dst
	default:
		return c.funcs.Append(dst, p)
	}
}

// appendElems writes an array of the n values that start at p.
func (c *Codec) appendElems(dst []byte, p unsafe.Pointer, n, depth int) []byte {
	dst = AppendArrayLen(dst, n)
	for i := range n {
		dst = c.elem.append(dst, unsafe.Add(p, uintptr(i)*c.elem.size), depth)
	}
	return dst
}

// AppendArrayLen appends the head of an array of n elements, for a [Container].
func AppendArrayLen(dst []byte, n int) []byte { return appendLen(dst, n, tagFixArray, tagArray16) }

// AppendMapLen appends the head of a map of n pairs, for a [Container].
func AppendMapLen(dst []byte, n int) []byte { return appendLen(dst, n, tagFixMap, tagMap16) }

// AppendNil appends nil, for a [Container].
func AppendNil(dst []byte) []byte { return append(dst, tagNil) }

func appendLen(dst []byte, n int, fix, wide byte) []byte {
	switch {
	case n < 16:
		return append(dst, fix|byte(n))
	case n <= math.MaxUint16:
		return append(dst, wide, byte(n>>8), byte(n))
	default:
		return binary.BigEndian.AppendUint32(append(dst, wide+1), uint32(n))
	}
}

func appendInt(dst []byte, v int64) []byte {
	switch {
	case v >= 0:
		return appendUint(dst, uint64(v))
	case v >= -32:
		return append(dst, byte(v))
	case v >= math.MinInt8:
		return append(dst, tagInt8, byte(v))
	case v >= math.MinInt16:
		return append(dst, tagInt16, byte(v>>8), byte(v))
	case v >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(dst, tagInt32), uint32(v))
	default:
		return binary.BigEndian.AppendUint64(append(dst, tagInt64), uint64(v))
	}
}

func appendUint(dst []byte, v uint64) []byte {
	switch {
	case v < 128:
		return append(dst, byte(v))
	case v <= math.MaxUint8:
		return append(dst, tagUint8, byte(v))
	case v <= math.MaxUint16:
		return append(dst, tagUint16, byte(v>>8), byte(v))
	case v <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, tagUint32), uint32(v))
	default:
		return binary.BigEndian.AppendUint64(append(dst, tagUint64), v)
	}
}

// The one NaN of each size that is written. There are millions, and which of them an operation gives depends on the
// processor.
const (
	nan32 = 0x7fc00000
	nan64 = 0x7ff8000000000000
)

func appendFloat32(dst []byte, v float32) []byte {
	bits := math.Float32bits(v)
	if v != v {
		bits = nan32
	}
	return binary.BigEndian.AppendUint32(append(dst, tagFloat32), bits)
}

func appendFloat64(dst []byte, v float64) []byte {
	bits := math.Float64bits(v)
	if v != v {
		bits = nan64
	}
	return binary.BigEndian.AppendUint64(append(dst, tagFloat64), bits)
}

func appendString(dst []byte, s string) []byte {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, string(utf8.RuneError))
	}
	switch n := len(s); {
	case n < 32:
		dst = append(dst, tagFixStr|byte(n))
	case n <= math.MaxUint8:
		dst = append(dst, tagStr8, byte(n))
	case n <= math.MaxUint16:
		dst = append(dst, tagStr16, byte(n>>8), byte(n))
	default:
		dst = binary.BigEndian.AppendUint32(append(dst, tagStr32), uint32(n))
	}
	return append(dst, s...)
}

func appendBytes(dst, b []byte) []byte {
	if b == nil {
		return append(dst, tagNil)
	}
	switch n := len(b); {
	case n <= math.MaxUint8:
		dst = append(dst, tagBin8, byte(n))
	case n <= math.MaxUint16:
		dst = append(dst, tagBin8+1, byte(n>>8), byte(n))
	default:
		dst = binary.BigEndian.AppendUint32(append(dst, tagBin32), uint32(n))
	}
	return append(dst, b...)
}
