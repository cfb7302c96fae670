package codec

import (
	"reflect"
	"sync"
	"unsafe"
)

const (
	// MaxDepth is how many arrays and maps may lie inside each other. Real states have 3 to 6; the bound keeps
	// hostile bytes from exhausting the stack.
	MaxDepth = 64

	// MaxFields is how many fields one struct may have, those of embedded structs included.
	MaxFields = 256
)

// kind says how a type is written; integers and floats go by their size in bits.
type kind uint8

const (
	kindBool kind = iota
	kindInt8
	kindInt16
	kindInt32
	kindInt64
	kindUint8
	kindUint16
	kindUint32
	kindUint64
	kindFloat32
	kindFloat64
	kindString
	kindBytes // []byte
	kindBlob  // [N]byte
	kindSlice
	kindArray
	kindStruct
	kindContainer
)

// Codec encodes and decodes one Go type. It is made by [For], and from then on read-only: any goroutine may use it.
// Inside [Container.CompileCodec] it may be kept but not used yet, as a recursive type is still being worked out.
type Codec struct {
	typ  reflect.Type
	kind kind
	size uintptr // of one value, in bytes

	// hidesDepth marks a type that contains itself through a [Container], so that Append cannot count its depth. Every
	// such cycle of types passes through one that is marked.
	hidesDepth bool

	elem *Codec // of a slice or an array
	len  int    // of an array

	head   []byte // of a struct: the map header
	fields []field
	byName map[string]int

	funcs Funcs // of a container
}

// field is one field of a struct, in the order of declaration.
type field struct {
	key    []byte // the name as it is written
	name   string
	offset uintptr
	codec  *Codec
}

// Container is implemented, on the pointer type, by generic types of other packages that have a form of their own:
// ordered maps, optional values. CompileCodec is called once per type, with compile to get the codecs of what it
// contains. A struct that embeds a container is an ordinary struct, with a field for it.
type Container interface {
	CompileCodec(compile func(reflect.Type) (*Codec, error)) (Funcs, error)
}

// Funcs is how a [Container] is written and read. The functions are called from many goroutines at the same time.
type Funcs struct {
	// Append appends exactly one msgpack value for the container at p. It must give the same bytes for equal values.
	Append func(dst []byte, p unsafe.Pointer) []byte
	// Decode reads exactly one value into the container at p, whatever it held before; nil gives the zero value.
	// Elements are read with [Codec.Read], and their errors get their place by [Within].
	Decode func(r *Reader, p unsafe.Pointer) error
	// Elem lists the types that it contains, for checks that walk types.
	Elem []reflect.Type
}

// cacheKey tells the codecs of one type apart.
type cacheKey struct {
	typ  reflect.Type
	view bool
}

var cache sync.Map // cacheKey -> *Codec

// For gives the codec of t for a state or an input: every field counts. The error joins one complaint per field that
// cannot be coded, each with its path and what to use instead. Codecs are kept for the life of the process.
func For(t reflect.Type) (*Codec, error) { return lookup(cacheKey{typ: t}) }

// ForView is [For] for what is only ever shown: fields with the tag `msgpack:"-"` are left out, where For refuses
// them because a state would lose them. Decoding does not touch them.
func ForView(t reflect.Type) (*Codec, error) { return lookup(cacheKey{typ: t, view: true}) }

func lookup(key cacheKey) (*Codec, error) {
	if c, ok := cache.Load(key); ok {
		return c.(*Codec), nil
	}
	c, err := compile(key)
	if err != nil {
		return nil, err
	}
	kept, _ := cache.LoadOrStore(key, c)
	return kept.(*Codec), nil
}

// Type is the type that c codes.
func (c *Codec) Type() reflect.Type { return c.typ }

// Contains lists the element types of a [Container], as it gave them, or nil for everything else.
func (c *Codec) Contains() []reflect.Type { return c.funcs.Elem }

// Append appends the encoding of the value at p, which must be of c's type, and returns the extended buffer. It
// allocates only to grow dst. It panics on a value that contains itself: on one nested deeper than [MaxDepth] and, where
// a type contains itself through a [Container], on a buffer over 256 KiB.
func (c *Codec) Append(dst []byte, p unsafe.Pointer) []byte {
	return c.append(dst, p, 0)
}

// Decode replaces the value at p, which must be of c's type, by the one in src. All of src must be one value. Nothing
// of the old value is kept or written to, nor is any part of src referred to afterwards; strings that stay equal may
// be shared. After an error, which is a [*DecodeError], the value at p is valid Go but its content is arbitrary.
func (c *Codec) Decode(src []byte, p unsafe.Pointer) error { return c.decode(src, p, false, false) }

// DecodeReuse is [Codec.Decode] into the memory that the value at p already has: slices keep their arrays where these
// are large enough. It is only for values that nothing but the codec has ever written and nobody else refers to, since
// of two slices that share an array one would overwrite the other.
func (c *Codec) DecodeReuse(src []byte, p unsafe.Pointer) error { return c.decode(src, p, true, false) }

// DecodeOver is [Codec.Decode] for options: fields of structs that are missing in src keep the values that they have, so that a
// caller can set defaults first.
func (c *Codec) DecodeOver(src []byte, p unsafe.Pointer) error { return c.decode(src, p, false, true) }

// readers keeps a Reader from being allocated for every call: it escapes through Funcs.Decode.
var readers = sync.Pool{New: func() any { return new(Reader) }}

func (c *Codec) decode(src []byte, p unsafe.Pointer, reuse, keep bool) error {
	r := readers.Get().(*Reader)
	*r = Reader{src: src, reuse: reuse, keep: keep}
	err := c.read(r, p)
	if err == nil && r.pos < len(src) {
		err = problem(ErrTrailing, "%d bytes after the value", len(src)-r.pos)
	}
	*r = Reader{}
	readers.Put(r)
	return err
}

// Append appends the encoding of *v to dst, by the codec of its type.
func Append[T any](dst []byte, v *T) ([]byte, error) {
	c, err := For(reflect.TypeFor[T]())
	if err != nil {
		return dst, err
	}
	return c.Append(dst, unsafe.Pointer(v)), nil
}

// Decode replaces *v by the value in src, by the codec of its type; see [Codec.Decode].
func Decode[T any](src []byte, v *T) error {
	c, err := For(reflect.TypeFor[T]())
	if err != nil {
		return err
	}
	return c.Decode(src, unsafe.Pointer(v))
}
