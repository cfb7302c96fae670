package rooms

import (
	"cmp"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"unsafe"

	"tickover.dev/codec"
)

// Table is a map with an order: it is walked by key, so that every node sees the same sequence. The zero value is ready.
// Pointers it gives stay valid until their row is deleted; a row's pointer must not be kept from one step to the next.
// Encoded it is a msgpack map. Get is O(log n), Put and Delete of a new key O(n): made for hundreds of rows.
type Table[K cmp.Ordered, V any] struct{ rows []row[K, V] }

type row[K cmp.Ordered, V any] struct {
	key K
	val *V
}

// Seats is what a game keeps per player.
type Seats[V any] = Table[Seat, V]

func (t *Table[K, V]) find(k K) (int, bool) {
	return slices.BinarySearchFunc(t.rows, k, func(r row[K, V], k K) int { return cmp.Compare(r.key, k) })
}

// Len is the number of rows.
func (t *Table[K, V]) Len() int { return len(t.rows) }

// Get gives the row of k, or nil.
func (t *Table[K, V]) Get(k K) *V {
	if i, ok := t.find(k); ok {
		return t.rows[i].val
	}
	return nil
}

// Put sets the row of k to v and gives it.
func (t *Table[K, V]) Put(k K, v V) *V {
	i, ok := t.find(k)
	if !ok {
		t.rows = slices.Insert(t.rows, i, row[K, V]{k, new(V)})
	}
	*t.rows[i].val = v
	return t.rows[i].val
}

// Delete removes the row of k, if there is one.
func (t *Table[K, V]) Delete(k K) {
	if i, ok := t.find(k); ok {
		t.rows = slices.Delete(t.rows, i, i+1)
	}
}

// Clear removes all rows.
func (t *Table[K, V]) Clear() { clear(t.rows); t.rows = t.rows[:0] }

// At gives the i-th row in key order, 0 <= i < Len.
func (t *Table[K, V]) At(i int) (K, *V) { return t.rows[i].key, t.rows[i].val }

// All walks the rows in key order. Rows may be put and deleted meanwhile.
func (t *Table[K, V]) All() iter.Seq2[K, *V] {
	return func(yield func(K, *V) bool) {
		for i := 0; i < len(t.rows); {
			k := t.rows[i].key
			if !yield(k, t.rows[i].val) {
				return
			}
			if i < len(t.rows) && t.rows[i].key == k {
				i++
				continue
			}
			var still bool
			if i, still = t.find(k); still {
				i++
			}
		}
	}
}

// CompileCodec makes a Table part of a coded state; see codec.Container.
func (t *Table[K, V]) CompileCodec(compile func(reflect.Type) (*codec.Codec, error)) (codec.Funcs, error) {
	key, err := compile(reflect.TypeFor[K]())
	if err != nil {
		return codec.Funcs{}, err
	}
	val, err := compile(reflect.TypeFor[V]())
	if err != nil {
		return codec.Funcs{}, err
	}
	return codec.Funcs{
		Elem: []reflect.Type{reflect.TypeFor[K](), reflect.TypeFor[V]()},
		Append: func(dst []byte, p unsafe.Pointer) []byte {
			rows := (*Table[K, V])(p).rows
			dst = codec.AppendMapLen(dst, len(rows))
			for i := range rows {
				dst = key.Append(dst, unsafe.Pointer(&rows[i].key))
				dst = val.Append(dst, unsafe.Pointer(rows[i].val))
			}
			return dst
		},
		Decode: func(r *codec.Reader, p unsafe.Pointer) error {
			t := (*Table[K, V])(p)
			t.rows = nil
			if r.Nil() {
				return nil
			}
			n, err := r.MapLen()
			if err != nil {
				return err
			}
			for range n {
				var k K
				if err := key.Read(r, unsafe.Pointer(&k)); err != nil {
					return err
				}
				var v V
				if err := val.Read(r, unsafe.Pointer(&v)); err != nil {
					return codec.Within(fmt.Sprintf("[%v]", k), err)
				}
				t.Put(k, v)
			}
			return nil
		},
	}, nil
}

// Maybe is a value that may be absent: what a pointer would be, without its aliasing. Encoded it is the value or nil.
type Maybe[T any] struct {
	V  T
	OK bool
}

// Some is a Maybe that has v.
func Some[T any](v T) Maybe[T] { return Maybe[T]{v, true} }

// Get gives the value and whether there is one.
func (m Maybe[T]) Get() (T, bool) { return m.V, m.OK }

// CompileCodec makes a Maybe part of a coded state; see codec.Container.
func (m *Maybe[T]) CompileCodec(compile func(reflect.Type) (*codec.Codec, error)) (codec.Funcs, error) {
	val, err := compile(reflect.TypeFor[T]())
	if err != nil {
		return codec.Funcs{}, err
	}
	return codec.Funcs{
		Elem: []reflect.Type{reflect.TypeFor[T]()},
		Append: func(dst []byte, p unsafe.Pointer) []byte {
			if m := (*Maybe[T])(p); m.OK {
				return val.Append(dst, unsafe.Pointer(&m.V))
			}
			return codec.AppendNil(dst)
		},
		Decode: func(r *codec.Reader, p unsafe.Pointer) error {
			m := (*Maybe[T])(p)
			*m = Maybe[T]{}
			if r.Nil() {
				return nil
			}
			m.OK = true
			return val.Read(r, unsafe.Pointer(&m.V))
		},
	}, nil
}
