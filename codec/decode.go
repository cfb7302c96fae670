package codec

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"unsafe"
)

// Read replaces the value at p, which must be of c's type, by the next one of r. It is [Codec.Decode] for a
// [Container] that reads its elements.
func (c *Codec) Read(r *Reader, p unsafe.Pointer) error { return c.read(r, p) }

// Zero sets the value at p, which must be of c's type, to its zero value.
func (c *Codec) Zero(p unsafe.Pointer) { reflect.NewAt(c.typ, p).Elem().SetZero() }

func (c *Codec) read(r *Reader, p unsafe.Pointer) error {
	if c.kind != kindContainer && r.Nil() {
		c.Zero(p)
		return nil
	}
	switch c.kind {
	case kindBool:
		v, err := r.Bool()
		*(*bool)(p) = v
		return err
	case kindInt8, kindInt16, kindInt32, kindInt64:
		return c.readInt(r, p)
	case kindUint8, kindUint16, kindUint32, kindUint64:
		return c.readUint(r, p)
	case kindFloat32:
		return readFloat32(r, p)
	case kindFloat64:
		v, err := r.Float64()
		*(*float64)(p) = v
		return err
	case kindString:
		return readString(r, p)
	case kindBytes:
		return readBytes(r, p)
	case kindBlob:
		return c.readBlob(r, p)
	}
	if err := r.enter(); err != nil {
		return err
	}
	defer r.leave()
	switch c.kind {
	case kindSlice:
		return c.readSlice(r, p)
	case kindArray:
		return c.readArray(r, p)
	case kindStruct:
		return c.readStruct(r, p)
	default:
		return c.funcs.Decode(r, p)
	}
}

func (c *Codec) readInt(r *Reader, p unsafe.Pointer) error {
	v, err := r.Int()
	if err != nil {
		return err
	}
	unused := 64 - 8*c.size
	if v<<unused>>unused != v {
		return problem(ErrRange, "%d does not fit %s", v, c.typ.Kind())
	}
	switch c.kind {
	case kindInt8:
		*(*int8)(p) = int8(v)
	case kindInt16:
		*(*int16)(p) = int16(v)
	case kindInt32:
		*(*int32)(p) = int32(v)
	default:
		*(*int64)(p) = v
	}
	return nil
}

func (c *Codec) readUint(r *Reader, p unsafe.Pointer) error {
	v, err := r.Uint()
	if err != nil {
		return err
	}
	unused := 64 - 8*c.size
	if v<<unused>>unused != v {
		return problem(ErrRange, "%d does not fit %s", v, c.typ.Kind())
	}
	switch c.kind {
	case kindUint8:
		*(*uint8)(p) = uint8(v)
	case kindUint16:
		*(*uint16)(p) = uint16(v)
	case kindUint32:
		*(*uint32)(p) = uint32(v)
	default:
		*(*uint64)(p) = v
	}
	return nil
}

func readFloat32(r *Reader, p unsafe.Pointer) error {
	v, err := r.Float64()
	if err != nil {
		return err
	}
	if math.IsInf(float64(float32(v)), 0) && !math.IsInf(v, 0) {
		return problem(ErrRange, "%g does not fit float32", v)
	}
	*(*float32)(p) = float32(v)
	return nil
}

func readString(r *Reader, p unsafe.Pointer) error {
	b, err := r.Str()
	if s := (*string)(p); err == nil && *s != string(b) { // names seldom change: keep the string there is
		*s = string(b)
	}
	return err
}

func readBytes(r *Reader, p unsafe.Pointer) error {
	b, err := r.Bin()
	if err != nil {
		return err
	}
	s := (*[]byte)(p)
	if r.reuse && *s != nil {
		*s = append((*s)[:0], b...)
	} else {
		*s = append(make([]byte, 0, len(b)), b...)
	}
	return nil
}

func (c *Codec) readBlob(r *Reader, p unsafe.Pointer) error {
	b, err := r.Bin()
	if err != nil {
		return err
	}
	if len(b) != c.len {
		return problem(ErrLength, "want %d bytes, got %d", c.len, len(b))
	}
	copy(unsafe.Slice((*byte)(p), c.len), b)
	return nil
}

// firstBytes is about how much a slice gets before its first element has arrived; from there it doubles.
const firstBytes = 4096

func (c *Codec) readSlice(r *Reader, p unsafe.Pointer) error {
	n, err := r.ArrayLen()
	if err != nil {
		return err
	}
	slice := reflect.NewAt(c.typ, p).Elem()
	s := (*header)(p)
	switch {
	case r.reuse && s.data != nil:
		slice.SetLen(0)
	case n == 0:
		slice.Set(reflect.MakeSlice(c.typ, 0, 0)) // empty, not nil
	default:
		slice.SetZero()
		slice.Grow(min(n, 1+firstBytes/int(max(1, c.elem.size))))
	}
	for i := range n {
		if i == s.cap {
			slice.Grow(min(n-i, max(i, 1)))
		}
		slice.SetLen(i + 1)
		if err := c.elem.read(r, unsafe.Add(s.data, uintptr(i)*c.elem.size)); err != nil {
			return Within(fmt.Sprintf("[%d]", i), err)
		}
	}
	return nil
}

func (c *Codec) readArray(r *Reader, p unsafe.Pointer) error {
	n, err := r.ArrayLen()
	if err != nil {
		return err
	}
	if n != c.len {
		return problem(ErrLength, "want %d elements, got %d", c.len, n)
	}
	for i := range n {
		if err := c.elem.read(r, unsafe.Add(p, uintptr(i)*c.elem.size)); err != nil {
			return Within(fmt.Sprintf("[%d]", i), err)
		}
	}
	return nil
}

func (c *Codec) readStruct(r *Reader, p unsafe.Pointer) error {
	n, err := r.MapLen()
	if err != nil {
		return err
	}
	var seen [MaxFields / 64]uint64
	for next := 0; n > 0; n-- {
		i, err := c.readName(r, next)
		if err != nil {
			return err
		}
		if i < 0 {
			continue
		}
		f := &c.fields[i]
		if err := f.codec.read(r, unsafe.Add(p, f.offset)); err != nil {
			return Within(f.name, err)
		}
		seen[i/64] |= 1 << (i % 64)
		next = i + 1
	}
	for i := range c.fields {
		if !r.keep && seen[i/64]&(1<<(i%64)) == 0 {
			f := &c.fields[i]
			f.codec.Zero(unsafe.Add(p, f.offset))
		}
	}
	return nil
}

// readName reads the name of a field and gives its index. When there is no such field it moves over the value too, and
// gives -1. It looks at next first: encoders keep the order.
func (c *Codec) readName(r *Reader, next int) (int, error) {
	if next < len(c.fields) && bytes.HasPrefix(r.Rest(), c.fields[next].key) {
		r.pos += len(c.fields[next].key)
		return next, nil
	}
	name, err := r.Str()
	if err != nil {
		return -1, err
	}
	if i, ok := c.byName[string(name)]; ok {
		return i, nil
	}
	if err := r.Skip(); err != nil {
		return -1, Within(fmt.Sprintf("%.40q", name), err) // a stranger's name: neither long nor raw into a log
	}
	return -1, nil
}
