package client

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"strconv"

	"github.com/vmihailenco/msgpack/v5"
)

// This file decodes values whose type is not written down: into any, map[string]any and what contains them.

// untyped decodes with msgpack, for types with maps and interfaces in them. Maps inside an any become map[string]any.
type untyped struct{ numbers bool } // numbers: a map with number keys was met inside an any

// decode decodes a value that passed netcode.CheckValue into v, a pointer.
func (u *untyped) decode(value []byte, v any) error {
	d := msgpack.NewDecoder(bytes.NewReader(value))
	d.SetMapDecoder(u.textMap)
	switch v := v.(type) {
	case *any:
		return into(d, v)
	case *map[string]any:
		return into(d, v)
	case *[]any:
		return into(d, v)
	}
	err := d.Decode(v)
	if err == nil {
		return nil
	}
	var whole any
	if u.decode(value, &whole) == nil && u.numbers {
		return fmt.Errorf("decode %s: %w (a map whose keys are numbers, as those of rooms.Seats are, is a map[uint64]V in a Go type, or an any)", reflect.TypeOf(v).Elem(), err)
	}
	return fmt.Errorf("decode %s: %w", reflect.TypeOf(v).Elem(), err)
}

// into decodes a value of any type into v, if it is of v's.
func into[V any](d *msgpack.Decoder, v *V) error {
	got, err := d.DecodeInterface()
	if err != nil || got == nil {
		return err
	}
	got = widened(got)
	fits, ok := got.(V)
	if !ok {
		return fmt.Errorf("decode %T: got %T", *v, got)
	}
	*v = fits
	return nil
}

// textMap decodes a map as JSON would have it: keys that are numbers become their decimal digits.
func (u *untyped) textMap(d *msgpack.Decoder) (any, error) {
	n, err := d.DecodeMapLen()
	if err != nil {
		return nil, err
	}
	m := make(map[string]any)
	for range n {
		key, err := d.DecodeInterface()
		if err != nil {
			return nil, err
		}
		value, err := d.DecodeInterface()
		if err != nil {
			return nil, err
		}
		switch key := widened(key).(type) {
		case string:
			m[key] = value
		case int64:
			u.numbers = true
			m[strconv.FormatInt(key, 10)] = value
		case uint64:
			u.numbers = true
			m[strconv.FormatUint(key, 10)] = value
		default:
			return nil, fmt.Errorf("a key is a %T, want a string or an integer", key)
		}
	}
	return m, nil
}

// widened gives v with its numbers as int64, or uint64 if they are larger, and float64: on the wire each has the shortest form it
// fits into, which would be another type from one moment to the next.
func widened(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			v[key] = widened(value)
		}
		return v
	case []any:
		for i := range v {
			v[i] = widened(v[i])
		}
		return v
	}
	switch n := reflect.ValueOf(v); {
	case n.CanInt():
		return n.Int()
	case n.CanUint() && n.Uint() <= math.MaxInt64:
		return int64(n.Uint())
	case n.CanUint():
		return n.Uint()
	case n.CanFloat():
		return n.Float()
	}
	return v
}
