package codec

// First bytes of msgpack values, from https://github.com/msgpack/msgpack/blob/master/spec.md.
const (
	tagFixMap   = 0x80
	tagFixArray = 0x90
	tagFixStr   = 0xa0
	tagNil      = 0xc0
	tagFalse    = 0xc2
	tagTrue     = 0xc3
	tagBin8     = 0xc4
	tagBin32    = 0xc6
	tagFloat32  = 0xca
	tagFloat64  = 0xcb
	tagUint8    = 0xcc
	tagUint16   = 0xcd
	tagUint32   = 0xce
	tagUint64   = 0xcf
	tagInt8     = 0xd0
	tagInt16    = 0xd1
	tagInt32    = 0xd2
	tagInt64    = 0xd3
	tagStr8     = 0xd9
	tagStr16    = 0xda
	tagStr32    = 0xdb
	tagArray16  = 0xdc
	tagArray32  = 0xdd
	tagMap16    = 0xde
	tagMap32    = 0xdf
)

// shape is what a first byte says about the rest of its value.
type shape struct {
	what  what
	size  int    // isFixed: bytes after the tag; isSized: bytes of the length after the tag
	extra int    // isSized: bytes beyond the length, which is the type of an extension
	name  string // for error texts
}

type what uint8

const (
	isNothing what = iota // c1, which msgpack never uses
	isFixed
	isSized
	isArray
	isMap
)

// shapes is indexed by the first byte of a value.
var shapes = func() (s [256]shape) {
	fill := func(first, last int, sh shape) {
		for tag := first; tag <= last; tag++ {
			s[tag] = sh
		}
	}
	sized := func(first int, name string, extra int) {
		for i := range 3 {
			s[first+i] = shape{isSized, 1 << i, extra, name}
		}
	}
	fill(0x00, 0x7f, shape{isFixed, 0, 0, "int"})
	fill(0x80, 0x8f, shape{isMap, 0, 0, "map"})
	fill(0x90, 0x9f, shape{isArray, 0, 0, "array"})
	for n := range 32 {
		s[tagFixStr+n] = shape{isFixed, n, 0, "string"}
	}
	s[tagNil] = shape{isFixed, 0, 0, "nil"}
	s[0xc1].name = "an unused byte"
	fill(tagFalse, tagTrue, shape{isFixed, 0, 0, "bool"})
	sized(tagBin8, "bytes", 0)
	sized(0xc7, "extension", 1)
	s[tagFloat32] = shape{isFixed, 4, 0, "float"}
	s[tagFloat64] = shape{isFixed, 8, 0, "float"}
	for i := range 4 {
		s[tagUint8+i] = shape{isFixed, 1 << i, 0, "int"}
		s[tagInt8+i] = shape{isFixed, 1 << i, 0, "int"}
	}
	for i := range 5 {
		s[0xd4+i] = shape{isFixed, 1 + 1<<i, 0, "extension"}
	}
	sized(tagStr8, "string", 0)
	fill(tagArray16, tagArray32, shape{isArray, 0, 0, "array"})
	fill(tagMap16, tagMap32, shape{isMap, 0, 0, "map"})
	fill(0xe0, 0xff, shape{isFixed, 0, 0, "int"})
	return s
}()
