package codec_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"tickover.dev/codec"
)

type keys struct {
	DX   float64
	Fire bool
}

type input struct {
	Keys  keys
	Name  string
	Small int8
	Count uint16
	Fine  float32
	List  []keys
	Pair  [2]uint8
	Pairs [2]int
	Raw   []byte
}

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// Whoever writes a client in another language has only this text to go by.
func TestDecodeErrorsSayWhereAndWhat(t *testing.T) {
	for _, c := range []struct {
		src, want string
		is        error
	}{
		{"", "bytes end before the value does", codec.ErrShort},
		{"93 01 02 03", "want map, got array", codec.ErrMismatch},
		{"81 01 02", "want string, got int", codec.ErrMismatch},
		{"80 c0", "1 bytes after the value", codec.ErrTrailing},
		{"81 a4 4b657973 81 a2 4458 a1 78", "Keys.DX: want float, got string", codec.ErrMismatch},
		{"81 a4 4b657973 81 a2 4458 cb 00", "Keys.DX: bytes end before the value does", codec.ErrShort},
		{"81 a4 4b657973 81 a4 46697265 01", "Keys.Fire: want bool, got int", codec.ErrMismatch},
		{"81 a4 4e616d65 a2 c328", "Name: string is not UTF-8", codec.ErrUTF8},
		{"81 a4 4e616d65 c4 01 41", "Name: want string, got bytes", codec.ErrMismatch},
		{"81 a5 536d616c6c cc 80", "Small: 128 does not fit int8", codec.ErrRange},
		{"81 a5 536d616c6c d1 ff7f", "Small: -129 does not fit int8", codec.ErrRange},
		{"81 a5 536d616c6c cf ffffffffffffffff", "Small: 18446744073709551615 does not fit int64", codec.ErrRange},
		{"81 a5 536d616c6c cb 3ff0000000000000", "Small: want int, got float", codec.ErrMismatch},
		{"81 a5 436f756e74 ff", "Count: -1 is negative", codec.ErrRange},
		{"81 a5 436f756e74 ce 00010000", "Count: 65536 does not fit uint16", codec.ErrRange},
		{"81 a4 46696e65 cb 7fefffffffffffff", "Fine: 1.7976931348623157e+308 does not fit float32", codec.ErrRange},
		{"81 a4 4c697374 92 80 81 a2 4458 c3", "List[1].DX: want float, got bool", codec.ErrMismatch},
		{"81 a4 4c697374 dd ffffffff 80", "List: bytes end before the value does", codec.ErrShort},
		{"81 a4 4c697374 92 80", "List: bytes end before the value does", codec.ErrShort},
		{"81 a4 50616972 c4 03 010203", "Pair: want 2 bytes, got 3", codec.ErrLength},
		{"81 a5 5061697273 93 010203", "Pairs: want 2 elements, got 3", codec.ErrLength},
		{"81 a3 526177 c6 ffffffff 00", "Raw: bytes end before the value does", codec.ErrShort},
		{"81 a1 3f c1", `"?": 0xc1 is not msgpack`, codec.ErrMismatch},
		{"81 a1 3f c9 ffffffff 00", `"?": bytes end before the value does`, codec.ErrShort},
		{"df ffffffff a2", "bytes end before the value does", codec.ErrShort},
	} {
		var v input
		err := codec.Decode(unhex(t, c.src), &v)
		if err == nil || err.Error() != "codec: "+c.want || !errors.Is(err, c.is) {
			t.Errorf("%s:\n got %v\nwant codec: %s", c.src, err, c.want)
		}
	}
}

// Old and new builds, and clients in other languages, write the same value in other forms.
func TestDecodeTakesEveryFormThatFits(t *testing.T) {
	for _, c := range []struct {
		name, src string
		want      input
	}{
		{"nil for everything", "c0", input{}},
		{"nil for fields", "82 a4 4e616d65 c0 a4 4b657973 c0", input{}},
		{"unknown fields", "82 a1 3f 83 a1 61 93 01 c0 a1 78 c2 d6 01 00000000 ca 00000000 c7 02 05 0000 a4 4e616d65 a1 41", input{Name: "A"}},
		{"the last of two", "82 a4 4e616d65 a1 41 a4 4e616d65 a1 42", input{Name: "B"}},
		{"another order", "82 a4 4e616d65 a1 41 a4 4b657973 81 a4 46697265 c3", input{Name: "A", Keys: keys{Fire: true}}},
		{"long forms", "df 00000002 d9 04 4e616d65 db 00000001 41 da 0005 436f756e74 d3 0000000000000007", input{Name: "A", Count: 7}},
		{"a uint64 in an int8", "81 a5 536d616c6c cf 000000000000007f", input{Small: 127}},
		{"an int as float", "82 a4 46696e65 ff a4 4b657973 81 a2 4458 cc c8", input{Fine: -1, Keys: keys{DX: 200}}},
		{"a float64 in a float32", "81 a4 46696e65 cb 3fe0000000000000", input{Fine: 0.5}},
		{"a float32 in a float64", "81 a4 4b657973 81 a2 4458 ca 3f000000", input{Keys: keys{DX: 0.5}}},
		{"infinity", "81 a4 46696e65 ca 7f800000", input{Fine: float32(math.Inf(1))}},
	} {
		got := input{
			Name: "old", Keys: keys{1, true}, Small: 1, Count: 1, Fine: 1, List: []keys{{}}, Pair: [2]uint8{1, 1}, Pairs: [2]int{1, 1},
			Raw: []byte("old"),
		}
		if err := codec.Decode(unhex(t, c.src), &got); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, %v", c.name, got, err)
		}
	}
}

// Network buffers are used again: a state that refers to one changes under the game's hands.
func TestDecodeCopiesWhatItKeeps(t *testing.T) {
	src := must(codec.Append(nil, &input{Name: "Ida", Raw: []byte("raw")}))
	var got input
	if err := codec.Decode(src, &got); err != nil {
		t.Fatal(err)
	}
	clear(src)
	if got.Name != "Ida" || string(got.Raw) != "raw" {
		t.Errorf("got %+v", got)
	}
}

// A game may let two slices share an array; to decode into it would make one overwrite the other.
func TestDecodeLeavesOldMemoryAlone(t *testing.T) {
	type twin struct{ A, B []int }
	shared := []int{1, 2, 3}
	v := twin{A: shared, B: shared}
	if err := codec.Decode(must(codec.Append(nil, &twin{A: []int{4, 5}, B: []int{6, 7}})), &v); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(v, twin{A: []int{4, 5}, B: []int{6, 7}}) || shared[0] != 1 {
		t.Errorf("got %+v, old %v", v, shared)
	}
}

// A replica decodes a state per tick into the same value: it must give what a fresh one would, without garbage.
func TestDecodeReuseGivesTheSameAsDecode(t *testing.T) {
	c := mustFor[input](t)
	var reused input
	for _, want := range []input{
		{Name: "A", List: []keys{{DX: 1}, {DX: 2, Fire: true}, {}}, Raw: []byte{1, 2, 3}},
		{List: []keys{{DX: 5}}, Raw: []byte{}},
		{List: []keys{}, Raw: nil},
		{List: []keys{{}, {}, {Fire: true}, {}}, Raw: []byte{9}},
		{},
	} {
		src := c.Append(nil, unsafe.Pointer(&want))
		if err := c.DecodeReuse(src, unsafe.Pointer(&reused)); err != nil || !reflect.DeepEqual(reused, want) {
			t.Errorf("got %+v, %v, want %+v", reused, err, want)
		}
	}
	f, fc := newFleet(), mustFor[fleet](t)
	src, got := fc.Append(nil, unsafe.Pointer(f)), fleet{}
	decode := func() { _ = fc.DecodeReuse(src, unsafe.Pointer(&got)) }
	decode()
	if n := testing.AllocsPerRun(100, decode); n >= 1 { // the pool may lose its reader
		t.Errorf("%v allocations per DecodeReuse", n)
	}
}

// A message is cut anywhere by a dying node; no part of one may pass for a whole.
func TestEveryCutIsShort(t *testing.T) {
	whole := must(codec.Append(nil, &input{
		Keys: keys{DX: 1}, Name: strings.Repeat("n", 300), Small: -100, Count: 1000, Fine: 2, List: make([]keys, 20), Raw: make([]byte, 300),
	}))
	for i := range whole {
		var v input
		if err := codec.Decode(whole[:i], &v); !errors.Is(err, codec.ErrShort) {
			t.Fatalf("cut at %d of %d: %v", i, len(whole), err)
		}
		if err := codec.NewReader(whole[:i]).Skip(); !errors.Is(err, codec.ErrShort) {
			t.Fatalf("skip of %d of %d: %v", i, len(whole), err)
		}
	}
	r := codec.NewReader(append(bytes.Clone(whole), 7))
	if err := r.Skip(); err != nil || len(r.Rest()) != 1 {
		t.Errorf("skip: %v, rest %x", err, r.Rest())
	}
}

// Wire messages are read by hand; the reader must hold for them what Decode holds for types.
func TestReaderReadsEveryShape(t *testing.T) {
	r := codec.NewReader(unhex(t, "93 c0 c3 ff 81 a1 61 c4 01 62 ca 3fc00000 cc ff"))
	check := func(got, want any, err error) {
		t.Helper()
		if err != nil || got != want {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
	}
	n, err := r.ArrayLen()
	check(n, 3, err)
	check(r.PeekNil() && r.Nil() && !r.Nil(), true, nil)
	b, err := r.Bool()
	check(b, true, err)
	i, err := r.Int()
	check(i, int64(-1), err)
	n, err = r.MapLen()
	check(n, 1, err)
	s, err := r.Str()
	check(string(s), "a", err)
	s, err = r.Bin()
	check(string(s), "b", err)
	f, err := r.Float64()
	check(f, 1.5, err)
	u, err := r.Uint()
	check(u, uint64(255), err)
	check(len(r.Rest()), 0, nil)
	for name, read := range map[string]func() error{
		"Int":      func() error { _, err := r.Int(); return err },
		"Uint":     func() error { _, err := r.Uint(); return err },
		"Bool":     func() error { _, err := r.Bool(); return err },
		"Float64":  func() error { _, err := r.Float64(); return err },
		"Str":      func() error { _, err := r.Str(); return err },
		"Bin":      func() error { _, err := r.Bin(); return err },
		"ArrayLen": func() error { _, err := r.ArrayLen(); return err },
		"MapLen":   func() error { _, err := r.MapLen(); return err },
		"Skip":     r.Skip,
	} {
		if err := read(); !errors.Is(err, codec.ErrShort) {
			t.Errorf("%s at the end: %v", name, err)
		}
	}
}

func TestDecodeOverKeepsWhatIsMissing(t *testing.T) {
	// Without it, defaults that a program sets before it decodes options are lost as soon as one option is given.
	type inner struct{ A, B int }
	type options struct {
		Bots int
		Name string
		In   inner
	}
	v := options{Bots: 12, Name: "x", In: inner{A: 1, B: 2}}
	c, err := codec.For(reflect.TypeFor[options]())
	if err != nil {
		t.Fatal(err)
	}
	src := codec.AppendMapLen(nil, 2)
	src = codec.AppendString(codec.AppendString(src, "Name"), "y")
	src = codec.AppendUint(codec.AppendString(codec.AppendMapLen(codec.AppendString(src, "In"), 1), "B"), 7)
	if err := c.DecodeOver(src, unsafe.Pointer(&v)); err != nil {
		t.Fatal(err)
	}
	if want := (options{Bots: 12, Name: "y", In: inner{A: 1, B: 7}}); v != want {
		t.Errorf("%+v, want %+v", v, want)
	}
}
