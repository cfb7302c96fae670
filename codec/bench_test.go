package codec_test

import (
	"bytes"
	"reflect"
	"testing"
	"time"
	"unsafe"

	"github.com/vmihailenco/msgpack/v5"
	"tickover.dev/codec"
)

// body is about the smallest useful state: six numbers.
type body struct {
	X, Y, VX, VY float64
	HP, Score    int
}

// ship has the twelve fields of an arena ship.
type ship struct {
	Name               string
	X, Y, VX, VY, Turn float64
	HP, Score          int
	Bot, Fire          bool
	Ready              time.Duration
	Target             uint16
}

type fleet struct{ Ships []ship }

func newFleet() *fleet {
	f := &fleet{}
	for i := range 20 {
		f.Ships = append(f.Ships, ship{
			Name: "Captain Haddock", X: 1.5 * float64(i), Y: 700.25, VX: -3, VY: 1e-3, Turn: 0.7, HP: 100 - i, Score: 1000 * i,
			Bot: i%2 == 0, Ready: time.Duration(i) * time.Second, Target: uint16(i),
		})
	}
	return f
}

func mustFor[T any](tb testing.TB) *codec.Codec {
	tb.Helper()
	c, err := codec.For(reflect.TypeFor[T]())
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func benchmarkAppend[T any](b *testing.B, v *T) {
	c := mustFor[T](b)
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = c.Append(buf[:0], unsafe.Pointer(v))
	}
	b.ReportMetric(float64(len(buf)), "B/value")
}

func benchmarkDecode[T any](b *testing.B, v *T, decode func(c *codec.Codec, src []byte, p unsafe.Pointer) error) {
	c := mustFor[T](b)
	src := c.Append(nil, unsafe.Pointer(v))
	var got T
	b.ReportAllocs()
	for b.Loop() {
		if err := decode(c, src, unsafe.Pointer(&got)); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkOther[T any](b *testing.B, v *T) {
	var buf bytes.Buffer
	e := msgpack.NewEncoder(&buf)
	e.UseCompactInts(true)
	b.ReportAllocs()
	for b.Loop() {
		buf.Reset()
		if err := e.Encode(v); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkOtherDecode[T any](b *testing.B, v *T) {
	src, err := codec.Append(nil, v)
	if err != nil {
		b.Fatal(err)
	}
	var got T
	d := msgpack.NewDecoder(nil)
	b.ReportAllocs()
	for b.Loop() {
		d.Reset(bytes.NewReader(src))
		if err := d.Decode(&got); err != nil {
			b.Fatal(err)
		}
	}
}

var theBody = &body{X: 12.5, Y: 700, VX: -1, VY: 0.25, HP: 100, Score: 70000}

func BenchmarkAppendBody(b *testing.B)            { benchmarkAppend(b, theBody) }
func BenchmarkAppendFleet(b *testing.B)           { benchmarkAppend(b, newFleet()) }
func BenchmarkVmihailencoEncodeBody(b *testing.B) { benchmarkOther(b, theBody) }
func BenchmarkVmihailencoEncodeFleet(b *testing.B) {
	benchmarkOther(b, newFleet())
}
func BenchmarkDecodeBody(b *testing.B)  { benchmarkDecode(b, theBody, (*codec.Codec).Decode) }
func BenchmarkDecodeFleet(b *testing.B) { benchmarkDecode(b, newFleet(), (*codec.Codec).Decode) }
func BenchmarkDecodeReuseFleet(b *testing.B) {
	benchmarkDecode(b, newFleet(), (*codec.Codec).DecodeReuse)
}
func BenchmarkVmihailencoDecodeBody(b *testing.B)  { benchmarkOtherDecode(b, theBody) }
func BenchmarkVmihailencoDecodeFleet(b *testing.B) { benchmarkOtherDecode(b, newFleet()) }
