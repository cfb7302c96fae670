package codec_test

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
	"tickover.dev/codec"
)

// table and maybe stand for the containers of package rooms.
type (
	table[K cmp.Ordered, V any] struct{ rows []row[K, V] }
	row[K cmp.Ordered, V any]   struct {
		key K
		val *V
	}
	maybe[T any] struct {
		val T
		ok  bool
	}
)

func (t *table[K, V]) put(k K, v V) { t.rows = append(t.rows, row[K, V]{k, &v}) }

func (*table[K, V]) CompileCodec(compile func(reflect.Type) (*codec.Codec, error)) (codec.Funcs, error) {
	elem := []reflect.Type{reflect.TypeFor[K](), reflect.TypeFor[V]()}
	keys, err1 := compile(elem[0])
	vals, err2 := compile(elem[1])
	if err := errors.Join(err1, err2); err != nil {
		return codec.Funcs{}, err
	}
	appendTable := func(dst []byte, p unsafe.Pointer) []byte {
		t := (*table[K, V])(p)
		dst = codec.AppendArrayLen(dst, 2*len(t.rows))
		for i := range t.rows {
			dst = keys.Append(dst, unsafe.Pointer(&t.rows[i].key))
			dst = vals.Append(dst, unsafe.Pointer(t.rows[i].val))
		}
		return dst
	}
	decodeTable := func(r *codec.Reader, p unsafe.Pointer) error {
		t := (*table[K, V])(p)
		t.rows = nil
		if r.Nil() {
			return nil
		}
		n, err := r.ArrayLen()
		if err != nil {
			return err
		}
		for i := range n / 2 {
			next := row[K, V]{val: new(V)}
			if err := keys.Read(r, unsafe.Pointer(&next.key)); err != nil {
				return codec.Within(fmt.Sprintf("[key %d]", i), err)
			}
			if err := vals.Read(r, unsafe.Pointer(next.val)); err != nil {
				return codec.Within(fmt.Sprintf("[%v]", next.key), err)
			}
			t.rows = append(t.rows, next)
		}
		return nil
	}
	return codec.Funcs{Append: appendTable, Decode: decodeTable, Elem: elem}, nil
}

func (*maybe[T]) CompileCodec(compile func(reflect.Type) (*codec.Codec, error)) (codec.Funcs, error) {
	elem, err := compile(reflect.TypeFor[T]())
	if err != nil {
		return codec.Funcs{}, err
	}
	return codec.Funcs{
		Append: func(dst []byte, p unsafe.Pointer) []byte {
			m := (*maybe[T])(p)
			if !m.ok {
				return codec.AppendNil(dst)
			}
			return elem.Append(dst, unsafe.Pointer(&m.val))
		},
		Decode: func(r *codec.Reader, p unsafe.Pointer) error {
			m := (*maybe[T])(p)
			if r.Nil() {
				*m = maybe[T]{}
				return nil
			}
			m.ok = true
			return elem.Read(r, unsafe.Pointer(&m.val))
		},
		Elem: []reflect.Type{reflect.TypeFor[T]()},
	}, nil
}

type crew struct {
	Ships  table[int, ship]
	Flag   maybe[string]
	Empty  maybe[string]
	Nested table[string, table[int8, maybe[bool]]]
}

// The state of nearly every game is a table: if containers do not take part, nothing moves.
func TestContainersDescribeThemselves(t *testing.T) {
	var want crew
	want.Ships.put(3, ship{Name: "Ida", X: 1})
	want.Ships.put(400, ship{Name: "Bo", HP: -7})
	want.Flag = maybe[string]{"jolly", true}
	want.Nested.put("a", table[int8, maybe[bool]]{})
	want.Nested.rows[0].val.put(-1, maybe[bool]{true, true})

	var got crew
	got.Empty = maybe[string]{"left over", true}
	roundTrip(t, &want, &got)

	c := mustFor[crew](t)
	if ships := mustFor[table[int, ship]](t); len(ships.Contains()) != 2 || c.Contains() != nil {
		t.Errorf("contains %v and %v", ships.Contains(), c.Contains())
	}
	bad := codec.AppendArrayLen(nil, 2)
	bad = append(bad, 7, 0x81, 0xa2, 'H', 'P', 0xa1, 'x')
	err := codec.Decode(append([]byte{0x81, 0xa5, 'S', 'h', 'i', 'p', 's'}, bad...), &got)
	if want := "codec: Ships[7].HP: want int, got string"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

type (
	chain  []chain
	tree   struct{ Kids []tree }
	family struct{ Kids table[int, family] }
	odd    struct{ table[int, int] } // has its CompileCodec by promotion
)

// A type that contains itself must not hang For, and bytes or values without end must not exhaust the stack.
func TestRecursiveTypesAreBounded(t *testing.T) {
	leaf := tree{Kids: []tree{}}
	for range codec.MaxDepth/2 - 2 {
		leaf = tree{Kids: []tree{leaf}}
	}
	roundTrip(t, &leaf, new(tree))

	var f family
	f.Kids.put(1, family{})
	roundTrip(t, &f, new(family))

	deep := []byte(strings.Repeat("\x91", 1_000_000) + "\x90")
	if err := codec.Decode(deep, new(chain)); !errors.Is(err, codec.ErrDepth) {
		t.Errorf("deep array: %v", err)
	}
	unknown := append([]byte{0x81, 0xa1, '?'}, deep...)
	if err := codec.Decode(unknown, new(tree)); !errors.Is(err, codec.ErrDepth) {
		t.Errorf("deep array in an unknown field: %v", err)
	}

	cycle := tree{Kids: make([]tree, 1)}
	cycle.Kids[0] = cycle
	mustPanic(t, "a slice that contains itself", func() { _, _ = codec.Append(nil, &cycle) })
	f.Kids.rows[0].val = &f
	mustPanic(t, "a table that contains itself", func() { _, _ = codec.Append(nil, &f) })
}

// A container whose CompileCodec fails, or is only there by embedding, must not yield a codec that loses data.
func TestBadContainersAreRefused(t *testing.T) {
	_, err := codec.For(reflect.TypeFor[struct {
		A table[int, func()]
		B broken
		C hollow
	}]())
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{".A[] is a func: ", ".B: out of order", ".C is a container without Append or Decode: "} {
		if strings.Count(err.Error(), want) != 1 {
			t.Errorf("want one %q in:\n%v", want, err)
		}
	}
	if _, err := codec.For(reflect.TypeFor[odd]()); err == nil {
		t.Error("a struct that embeds a container was taken for one")
	}
}

type (
	broken int
	hollow int
)

func (*broken) CompileCodec(func(reflect.Type) (*codec.Codec, error)) (codec.Funcs, error) {
	return codec.Funcs{}, errors.New("out of order")
}

func (*hollow) CompileCodec(func(reflect.Type) (*codec.Codec, error)) (codec.Funcs, error) {
	return codec.Funcs{}, nil
}

func mustPanic(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s: no panic", what)
		}
	}()
	f()
}

// roundTrip encodes want, decodes it into got, compares, and encodes again to the same bytes.
func roundTrip[T any](tb rapid.TB, want, got *T) []byte {
	tb.Helper()
	b, err := codec.Append(nil, want)
	if err != nil {
		tb.Fatal(err)
	}
	if err := codec.Decode(b, got); err != nil {
		tb.Fatalf("decode %x: %v", b, err)
	}
	if !reflect.DeepEqual(got, want) {
		tb.Fatalf("got  %+v\nwant %+v", got, want)
	}
	if again, _ := codec.Append(nil, got); string(again) != string(b) {
		tb.Fatalf("encoded again %x\nwant %x", again, b)
	}
	return b
}
