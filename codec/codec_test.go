package codec_test

import (
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"tickover.dev/codec"
)

type (
	seat   uint16
	colour byte
	motion struct{ DX, DY float64 }
	Base   struct {
		ID    uint32
		Label string `msgpack:"label"`
	}
	golden struct {
		Base
		On     bool
		Small  int8
		Big    int64
		Seat   seat
		Angle  float32
		X      float64
		Blob   []byte
		Key    [3]byte
		Path   []motion
		Pair   [2]int
		Absent []int
		None   []int
		_      [4]byte
		Wait   time.Duration
		Hue    colour `msgpack:"hue"`
	}
)

// These bytes are in journals: a build that writes others cannot take over rooms from one that is being replaced.
func TestBytesAreAsDocumented(t *testing.T) {
	v := golden{
		Base: Base{ID: 70_000, Label: "né"}, On: true, Small: -33, Big: math.MinInt64, Seat: 300, Angle: -0.5, X: math.Copysign(0, -1),
		Blob: []byte{1, 2}, Key: [3]byte{7, 8, 9}, Path: []motion{{DX: 1}}, Pair: [2]int{-1, 128}, None: []int{},
		Wait: time.Second, Hue: 200,
	}
	want := "de0010" +
		"a24944" + "ce00011170" + // ID 70000
		"a56c6162656c" + "a36ec3a9" + // label
		"a24f6e" + "c3" + // On
		"a5536d616c6c" + "d0df" + // Small -33
		"a3426967" + "d38000000000000000" + // Big
		"a453656174" + "cd012c" + // Seat 300
		"a5416e676c65" + "cabf000000" + // Angle
		"a158" + "cb8000000000000000" + // X -0
		"a4426c6f62" + "c4020102" + // Blob
		"a34b6579" + "c403070809" + // Key
		"a450617468" + "9182" + "a24458" + "cb3ff0000000000000" + "a24459" + "cb0000000000000000" + // Path
		"a450616972" + "92ffcc80" + // Pair
		"a6416273656e74" + "c0" + // Absent
		"a44e6f6e65" + "90" + // None
		"a457616974" + "ce3b9aca00" + // Wait
		"a3687565" + "ccc8" // hue
	if got := hex.EncodeToString(roundTrip(t, &v, new(golden))); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// An author who is told one field at a time gives up at the third.
func TestForNamesEveryFieldThatCannotBeCoded(t *testing.T) {
	type inner struct {
		Scores map[string]int
		secret int
	}
	type bad struct {
		Where   *motion
		Rows    []inner
		Born    time.Time
		Any     any
		Call    func()
		Pipe    chan int
		Wave    complex64
		Raw     uintptr
		Lock    sync.Mutex
		Skipped int `msgpack:"-"`
		Listed  int `msgpack:",as_array"`
		Base
		Label string `msgpack:"label"`
		Maps  [2]map[int]int
	}
	_ = inner{}.secret
	_, err := codec.For(reflect.TypeFor[bad]())
	want := strings.Join([]string{
		`bad.Where is a pointer: two pointers to one thing become two things; keep its Seat or index`,
		`bad.Rows[].Scores is a map: its order differs between machines; use rooms.Table`,
		`bad.Rows[].secret is unexported: it would be lost; export it, or compute it from the rest`,
		`bad.Born is a time.Time: wall clocks differ between nodes; keep t.Now(), a time.Duration`,
		`bad.Any is an interface: what is in it cannot be known before it is read; use one field per type, or rooms.Maybe`,
		`bad.Call is a func: it cannot be saved; keep the data that it works on`,
		`bad.Pipe is a chan: it cannot be saved; keep the data that it works on`,
		`bad.Wave is a complex number: msgpack has none; keep two floats`,
		`bad.Raw is an address: it means nothing on another node; keep an index`,
		`bad.Lock is a sync.Mutex: one goroutine at a time steps a room; it needs no locks`,
		`bad.Skipped is excluded by its tag: it would be lost; keep it, or compute it from the rest`,
		`bad.Listed: tag option "as_array" is not supported: every field is written, by name`,
		`bad.Label is the second field named "label": rename one with a tag msgpack:"…"`,
		`bad.Maps[] is a map: its order differs between machines; use rooms.Table`,
	}, "\n")
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}

// What is only shown may keep secrets back; what is saved may not.
func TestViewsLeaveExcludedFieldsOut(t *testing.T) {
	type hand struct {
		Count int
		Cards []int `msgpack:"-"`
	}
	c, err := codec.ForView(reflect.TypeFor[hand]())
	if err != nil {
		t.Fatal(err)
	}
	v := hand{Count: 2, Cards: []int{1, 2}}
	if got := hex.EncodeToString(c.Append(nil, unsafe.Pointer(&v))); got != "81a5436f756e7402" {
		t.Errorf("got %s", got)
	}
	if _, err := codec.For(reflect.TypeFor[hand]()); err == nil {
		t.Error("a state may leave a field out")
	}
	if again, _ := codec.ForView(reflect.TypeFor[hand]()); again != c {
		t.Error("compiled twice")
	}
}

// The limit is of the decoder's bookkeeping; beyond it fields would be zeroed or not at random.
func TestStructsHaveAtMostMaxFields(t *testing.T) {
	var fields []reflect.StructField
	for i := range codec.MaxFields + 1 {
		name := "F" + string(rune('A'+i/26)) + string(rune('A'+i%26))
		fields = append(fields, reflect.StructField{Name: name, Type: reflect.TypeFor[int]()})
	}
	if _, err := codec.For(reflect.StructOf(fields)); err == nil {
		t.Error("accepted")
	}
	most, err := codec.For(reflect.StructOf(fields[1:]))
	if err != nil {
		t.Fatal(err)
	}
	v := reflect.New(most.Type())
	for i := range codec.MaxFields {
		v.Elem().Field(i).SetInt(int64(i))
	}
	got := reflect.New(most.Type())
	if err := most.Decode(most.Append(nil, v.UnsafePointer()), got.UnsafePointer()); err != nil || !reflect.DeepEqual(got.Interface(), v.Interface()) {
		t.Errorf("%v, %v", got, err)
	}
}

// Equal values must hash alike on every processor, and nothing may be written that no decoder takes back.
func TestOneValueHasOneEncoding(t *testing.T) {
	enc := func(v float64) string { return string(must(codec.Append(nil, &v))) }
	enc32 := func(v float32) string { return string(must(codec.Append(nil, &v))) }
	negative := math.Float64frombits(0xfff8000000000001)
	if enc(negative) != enc(math.NaN()) || enc32(float32(negative)) != enc32(float32(math.NaN())) {
		t.Error("two NaNs differ")
	}
	if enc(math.Copysign(0, -1)) == enc(0) {
		t.Error("-0 was lost")
	}
	broken := "caf\xc3" // a name cut within a letter
	b := must(codec.Append(nil, &broken))
	var got string
	if err := codec.Decode(b, &got); err != nil || got != "caf\uFFFD" {
		t.Errorf("got %q, %v", got, err)
	}
}

// Two goroutines that first use a type at the same time must both get a whole codec.
func TestForIsSafeFromManyGoroutines(t *testing.T) {
	type fresh struct {
		A []struct{ B [3]struct{ C, D []motion } }
		E tree
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			v := fresh{E: tree{Kids: []tree{{}}}}
			v.A = append(v.A, struct{ B [3]struct{ C, D []motion } }{})
			v.A[0].B[1].D = []motion{{DX: 4}}
			var got fresh
			if err := codec.Decode(must(codec.Append(nil, &v)), &got); err != nil || !reflect.DeepEqual(got, v) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	wg.Wait()
}

// Every tick of every room encodes its whole state; what it allocates is collected at the cost of all rooms.
func TestAppendDoesNotAllocate(t *testing.T) {
	f, c := newFleet(), mustFor[fleet](t)
	dst := c.Append(nil, unsafe.Pointer(f))
	if n := testing.AllocsPerRun(100, func() { dst = c.Append(dst[:0], unsafe.Pointer(f)) }); n != 0 {
		t.Errorf("%v allocations per Append", n)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = codec.Append(dst[:0], f) }); n != 0 {
		t.Errorf("%v allocations per generic Append", n)
	}
	in, got := must(codec.Append(nil, &motion{DX: 1})), motion{}
	if n := testing.AllocsPerRun(100, func() { _ = codec.Decode(in, &got) }); n >= 1 { // the pool may lose its reader
		t.Errorf("%v allocations per Decode of numbers", n)
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(errors.Join(errors.New("must"), err))
	}
	return b
}
