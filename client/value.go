package client

import (
	"bytes"
	"fmt"
	"reflect"
	"sync"

	"github.com/vmihailenco/msgpack/v5"

	"tickover.dev/codec"
	"tickover.dev/netcode"
)

// Raw is a value that is msgpack already.
type Raw []byte

// maxValueBytes leaves room for the fields around a value in a message of 16 KiB.
const maxValueBytes = maxOutBytes - 1024

// foreign remembers the types that codec does not take, as looking at them again costs.
var foreign sync.Map // reflect.Type -> nothing

// Encode appends a value of the game's to dst as msgpack: with codec, as rooms do it, for the types that it knows, else (maps,
// interfaces) with github.com/vmihailenco/msgpack. The error wraps ErrTooLarge beyond 15 KiB.
func Encode(dst []byte, v any) ([]byte, error) {
	start := len(dst)
	out, err := appendValue(dst, v)
	if err != nil {
		return dst, err
	}
	if err := fits(out[start:]); err != nil {
		return dst, err
	}
	return out, nil
}

// Decode reads a value of the game's, with the same choice as Encode. Best is the type that the game encoded: Decode[View](f.State).
// Without it, Decode[map[string]any] has maps as map[string]any, with keys that are numbers (those of rooms.Seats) as decimal digits,
// integers as int64 (uint64 beyond it), and floats as float64.
func Decode[T any](value []byte) (T, error) {
	var v T
	t := reflect.TypeFor[T]()
	if c, ok := known(t); ok {
		return v, c.Decode(value, reflect.ValueOf(&v).UnsafePointer())
	}
	if err := netcode.CheckValue(value); err != nil {
		return v, err
	}
	return v, new(untyped).decode(value, &v)
}

func appendValue(dst []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return codec.AppendNil(dst), nil
	case Raw:
		return append(dst, v...), nil
	}
	at := reflect.ValueOf(v)
	if at.Kind() == reflect.Pointer {
		if at.IsNil() {
			return codec.AppendNil(dst), nil
		}
	} else {
		at = reflect.New(at.Type())
		at.Elem().Set(reflect.ValueOf(v))
	}
	if c, ok := known(at.Type().Elem()); ok {
		return c.Append(dst, at.UnsafePointer()), nil
	}
	b := bytes.NewBuffer(dst)
	e := msgpack.NewEncoder(b)
	e.UseCompactInts(true)
	if err := e.Encode(v); err != nil {
		return dst, fmt.Errorf("encode %T: %w", v, err)
	}
	return b.Bytes(), nil
}

// known gives the codec of t, if there is one.
func known(t reflect.Type) (*codec.Codec, bool) {
	if _, ok := foreign.Load(t); ok {
		return nil, false
	}
	c, err := codec.ForView(t)
	if err != nil {
		foreign.Store(t, nil)
		return nil, false
	}
	return c, true
}

// fits reports whether value is one that the server takes.
func fits(value []byte) error {
	if len(value) > maxValueBytes {
		return fmt.Errorf("%w: %d bytes", ErrTooLarge, len(value))
	}
	// The protocol allows values 12 levels of nesting, the check 16: four arrays around the value are the difference. Inputs are
	// small, so the copy stays on the stack.
	nested := append(make([]byte, 0, 256), 0x91, 0x91, 0x91, 0x91)
	if err := netcode.CheckValue(append(nested, value...)); err != nil {
		return fmt.Errorf("%w: %w", errNoValue, err)
	}
	return nil
}
