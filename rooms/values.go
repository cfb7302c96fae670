package rooms

import (
	"bytes"
	"fmt"
	"reflect"

	"github.com/vmihailenco/msgpack/v5"

	"tickover.dev/codec"
)

// seen remembers the codec of the type that a method like Public gave last: it is nearly always the same.
type seen struct {
	typ   reflect.Type
	codec *codec.Codec
}

// append appends any value as msgpack.
func (s *seen) append(dst []byte, v any) []byte {
	rv := reflect.ValueOf(v)
	if !rv.IsValid() {
		return codec.AppendNil(dst)
	}
	t := rv.Type()
	if t != s.typ {
		elem := t
		if t.Kind() == reflect.Pointer {
			elem = t.Elem()
		}
		c, err := codec.ForView(elem)
		if err != nil {
			c = nil // maps and the like: the library below takes them
		}
		s.typ, s.codec = t, c
	}
	switch {
	case s.codec == nil:
		return appendLoose(dst, v)
	case t.Kind() != reflect.Pointer:
		p := reflect.New(t)
		p.Elem().Set(rv)
		return s.codec.Append(dst, p.UnsafePointer())
	case rv.IsNil():
		return codec.AppendNil(dst)
	}
	return s.codec.Append(dst, rv.UnsafePointer())
}

// appendAny appends a value that a game or a program gave, as msgpack. It panics on what msgpack cannot hold.
func appendAny(dst []byte, v any) []byte {
	if raw, ok := v.(Raw); ok {
		return append(dst, raw...)
	}
	var s seen
	return s.append(dst, v)
}

// appendLoose encodes what the compiled codec does not take: maps, interfaces, pointers inside. Maps are sorted, so that equal
// values give equal bytes.
func appendLoose(dst []byte, v any) []byte {
	var buf bytes.Buffer
	e := msgpack.NewEncoder(&buf)
	e.SetSortMapKeys(true)
	e.UseCompactInts(true)
	if err := e.Encode(v); err != nil {
		panic(fmt.Errorf("rooms: encode %T: %w", v, err))
	}
	return append(dst, buf.Bytes()...)
}

// Raw is a value that is msgpack already.
type Raw []byte

// decodeAny decodes bytes that passed netcode.Check, or were written by this process, into v, a pointer to a type that the
// compiled codec takes. Empty and nil leave v as it is.
func decodeAny(raw []byte, v any) error {
	if len(raw) == 0 || len(raw) == 1 && raw[0] == 0xc0 {
		return nil
	}
	rv := reflect.ValueOf(v)
	if rv.Kind() != reflect.Pointer || rv.IsNil() {
		return fmt.Errorf("rooms: decode into %T: want a pointer", v)
	}
	if r, ok := v.(*Raw); ok {
		*r = append((*r)[:0], raw...)
		return nil
	}
	c, err := codec.For(rv.Type().Elem())
	if err != nil {
		return err
	}
	return c.DecodeOver(raw, rv.UnsafePointer())
}

// Encode appends v to dst as msgpack. It panics on what msgpack cannot hold.
func Encode(dst []byte, v any) []byte { return appendAny(dst, v) }

// Decode decodes msgpack into v, a pointer to a type that a state may hold. Empty bytes and nil leave v as it is, and
// so does a map every field that it does not name.
func Decode(raw []byte, v any) error { return decodeAny(raw, v) }
