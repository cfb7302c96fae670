package netcode_test

import (
	"testing"

	"tickover.dev/codec"
	"tickover.dev/netcode"
)

// steer is a usual input: {"dx": 1, "dy": -1, "angle": 2.5, "fire": true}.
var steer = []byte("\x84\xa2dx\x01\xa2dy\xff\xa5angle\xcb\x40\x04\x00\x00\x00\x00\x00\x00\xa4fire\xc3")

// usualInput is an input some minutes into a game.
var usualInput = netcode.Input{Room: 1, Number: 5821, Reliable: 97, State: 40213, Value: steer}

// fleet is a state of about 4 KB: 40 ships with 12 fields each.
func fleet() []byte {
	dst := codec.AppendString(codec.AppendMapLen(nil, 1), "ships")
	dst = codec.AppendArrayLen(dst, 40)
	for i := range 40 {
		dst = codec.AppendString(codec.AppendMapLen(dst, 12), "name")
		dst = codec.AppendString(dst, "Captain Haddock")
		for k, name := range []string{"x", "y", "vx", "vy", "turn", "hp", "score", "bot", "fire", "ready", "target"} {
			dst = codec.AppendInt(codec.AppendString(dst, name), int64(1-k%3*2)*int64(37*i*k))
		}
	}
	return dst
}

func BenchmarkEncodeInput(b *testing.B) {
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = usualInput.Append(buf[:0])
	}
	b.ReportMetric(float64(len(buf)), "B/message")
}

func BenchmarkCheckInput(b *testing.B) {
	frame := usualInput.Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		if err := netcode.Check(frame); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEncodeCheckInput is the pair with a goal: under 150 ns.
func BenchmarkEncodeCheckInput(b *testing.B) {
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = usualInput.Append(buf[:0])
		if err := netcode.Check(buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckParseInput(b *testing.B) {
	frame := usualInput.Append(nil)
	var parser netcode.Parser
	var m netcode.Input
	b.ReportAllocs()
	for b.Loop() {
		if err := netcode.Check(frame); err != nil {
			b.Fatal(err)
		}
		parser.Reset(frame)
		if _, err := parser.Next(); err != nil {
			b.Fatal(err)
		}
		if err := parser.Read(&m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckState(b *testing.B) {
	frame := (&netcode.State{Value: fleet()}).Append(nil)
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		if err := netcode.Check(frame); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendTick(b *testing.B) {
	m := netcode.Tick{Room: 1, Epoch: 1_795_000_000_000, Tick: 40213, Applied: 5821}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = m.Append(buf[:0])
	}
	b.ReportMetric(float64(len(buf)), "B/message")
}
