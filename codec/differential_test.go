package codec_test

import (
	"bytes"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"
	"tickover.dev/codec"
)

// everything has each kind of field that is allowed and that another library knows too.
type everything struct {
	Base
	B              bool
	I              int
	I8             int8
	I16            int16
	I32            int32
	I64            int64
	U              uint
	U8             uint8
	U16            uint16
	U32            uint32
	U64            uint64
	F32            float32
	F64            float64
	S              string `msgpack:"text"`
	Raw            []byte
	Key            [3]byte
	D              time.Duration
	Ints           []int32
	Strs           []string
	Grid           [2][3]int16
	Rows           []motion
	Deep           [][]golden
	NilRaw, NilInt []uint8
}

// everythingGen draws values; floats are all but NaN, which is not equal to itself.
func everythingGen() *rapid.Generator[everything] {
	floats := rapid.Custom(func(t *rapid.T) float64 {
		f := math.Float64frombits(rapid.Uint64().Draw(t, "bits"))
		if math.IsNaN(f) {
			return math.Copysign(0, -1)
		}
		return f
	})
	motions := rapid.Custom(func(t *rapid.T) motion { return motion{floats.Draw(t, "dx"), floats.Draw(t, "dy")} })
	deep := rapid.Custom(func(t *rapid.T) golden {
		return golden{Small: rapid.Int8().Draw(t, "small"), Seat: seat(rapid.Uint16().Draw(t, "seat")), Path: rapid.SliceOfN(motions, 0, 3).Draw(t, "path")}
	})
	return rapid.Custom(func(t *rapid.T) everything {
		return everything{
			Base: Base{rapid.Uint32().Draw(t, "id"), rapid.String().Draw(t, "label")},
			B:    rapid.Bool().Draw(t, "b"),
			I:    rapid.Int().Draw(t, "i"), I8: rapid.Int8().Draw(t, "i8"), I16: rapid.Int16().Draw(t, "i16"),
			I32: rapid.Int32().Draw(t, "i32"), I64: rapid.Int64().Draw(t, "i64"),
			U: rapid.Uint().Draw(t, "u"), U8: rapid.Uint8().Draw(t, "u8"), U16: rapid.Uint16().Draw(t, "u16"),
			U32: rapid.Uint32().Draw(t, "u32"), U64: rapid.Uint64().Draw(t, "u64"),
			F32: rapid.Float32().Draw(t, "f32"), F64: floats.Draw(t, "f64"),
			S:    rapid.StringN(0, 300, 300).Draw(t, "s") + strings.Repeat("x", rapid.SampledFrom([]int{0, 31, 32, 255, 256, 65_536}).Draw(t, "more")),
			Raw:  rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "raw"),
			Key:  [3]byte{rapid.Byte().Draw(t, "key"), 1, 2},
			D:    time.Duration(rapid.Int64().Draw(t, "d")),
			Ints: rapid.SliceOfN(rapid.Int32(), 0, 40).Draw(t, "ints"),
			Strs: rapid.SliceOfN(rapid.String(), 0, 3).Draw(t, "strs"),
			Grid: [2][3]int16{{rapid.Int16().Draw(t, "grid"), -1}, {1}},
			Rows: rapid.SliceOfN(motions, 0, 20).Draw(t, "rows"),
			Deep: rapid.SliceOfN(rapid.SliceOfN(deep, 0, 2), 0, 3).Draw(t, "deep"),
		}
	})
}

// A codec that only understands itself may well be wrong twice; clients use other libraries.
func TestAgreesWithAnotherMsgpack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		want := everythingGen().Draw(rt, "value")
		ours := roundTrip(rt, &want, new(everything))

		var theirs everything
		if err := msgpack.Unmarshal(ours, &theirs); err != nil || !reflect.DeepEqual(theirs, want) {
			rt.Fatalf("they read %+v, %v\nwant %+v", theirs, err, want)
		}
		var untyped map[string]any
		if err := msgpack.Unmarshal(ours, &untyped); err != nil || untyped["text"] != want.S {
			rt.Fatalf("they read %v, %v", untyped, err)
		}
		for _, compact := range []bool{false, true} {
			var buf bytes.Buffer
			e := msgpack.NewEncoder(&buf)
			e.UseCompactInts(compact)
			if err := e.Encode(&want); err != nil {
				rt.Fatal(err)
			}
			var got everything
			if err := codec.Decode(buf.Bytes(), &got); err != nil || !reflect.DeepEqual(got, want) {
				rt.Fatalf("we read %+v, %v\nwant %+v", got, err, want)
			}
		}
	})
}

// fuzzed has containers and a recursive type besides.
type fuzzed struct {
	Every  everything
	Crew   crew
	Tree   tree
	Family family
}

// maxBytesPerByte bounds what decoding a fuzzed value may allocate for each byte of input: the largest element, a golden
// of some 250 bytes, may come as a single nil, and slices grow to at most twice what they need.
const maxBytesPerByte = 2 * 512

func FuzzDecode(f *testing.F) {
	f.Add([]byte{0xc0})
	f.Add([]byte("\xdf\xff\xff\xff\xff"))
	f.Add([]byte("\x81\xa5Every\x81\xa4Deep\xdd\x00\xff\xff\xff"))
	f.Add([]byte("\x81\xa4Tree\x81\xa4Kids\x91\x81\xa4Kids\x91\xc0"))
	v := fuzzed{Every: everything{Rows: make([]motion, 2), Deep: [][]golden{{{}}}}, Tree: tree{Kids: []tree{{}}}}
	v.Crew.Ships.put(1, ship{Name: "Ida"})
	v.Family.Kids.put(1, family{})
	f.Add(must(codec.Append(nil, &v)))
	c := mustFor[fuzzed](f)
	f.Fuzz(func(t *testing.T, src []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var got fuzzed
		err := c.Decode(src, unsafe.Pointer(&got))
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > uint64(1<<20+maxBytesPerByte*len(src)) {
			t.Fatalf("%d bytes allocated for %d", n, len(src))
		}
		if err != nil {
			return
		}
		// What was taken has one encoding, which gives itself back.
		b := c.Append(nil, unsafe.Pointer(&got))
		var again fuzzed
		if err := c.DecodeReuse(b, unsafe.Pointer(&again)); err != nil {
			t.Fatalf("decode %x: %v", b, err)
		}
		if b2 := c.Append(nil, unsafe.Pointer(&again)); !bytes.Equal(b, b2) {
			t.Fatalf("encoded again %x\nwant %x", b2, b)
		}
	})
}

func FuzzRoundTrip(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) {
		want := everythingGen().Draw(t, "value")
		roundTrip(t, &want, new(everything))
	}))
}
