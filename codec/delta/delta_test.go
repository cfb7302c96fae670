package delta_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
	"tickover.dev/codec"
	"tickover.dev/codec/delta"
)

type ship struct {
	Name               string
	X, Y, VX, VY, Turn float64
	HP, Score          int
	Bot, Fire          bool
	Target             uint16
}

type arena struct {
	Ships []ship
	Tick  int
}

// newArena is a state of about 130 bytes per ship.
func newArena(ships int) *arena {
	rnd := rand.New(rand.NewPCG(1, 2))
	a := &arena{Tick: 126}
	for i := range ships {
		a.Ships = append(a.Ships, ship{
			Name: "Captain " + string(rune('A'+i%26)), X: rnd.Float64() * 2000, Y: rnd.Float64() * 2000,
			VX: rnd.NormFloat64(), VY: rnd.NormFloat64(), Turn: rnd.Float64(), HP: 100, Score: 120 + i, Target: uint16(i),
		})
	}
	return a
}

func encode(tb testing.TB, a *arena) []byte {
	tb.Helper()
	b, err := codec.Append(nil, a)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// check makes a program, applies it, and gives its length.
func check(tb testing.TB, s *delta.Scratch, old, new []byte) int {
	tb.Helper()
	program := delta.Append([]byte("head"), old, new, s)[len("head"):]
	if len(program) > len(new)+16 {
		tb.Fatalf("program of %d bytes for %d", len(program), len(new))
	}
	got, err := delta.Apply([]byte("head"), old, program)
	if err != nil {
		tb.Fatalf("apply: %v", err)
	}
	if !bytes.Equal(got[len("head"):], new) {
		tb.Fatalf("got %x\nwant %x\nfrom %x", got, new, old)
	}
	return len(program)
}

// Without a good search a journal entry is as large as the whole state.
func TestProgramIsAsSmallAsTheChange(t *testing.T) {
	var s delta.Scratch
	old := encode(t, newArena(20))
	for _, c := range []struct {
		name   string
		change func(a *arena)
		most   int // bytes
	}{
		{"nothing", func(*arena) {}, 8},
		{"one float", func(a *arena) { a.Ships[7].X += 0.5 }, 24},
		{"an integer grows by a byte", func(a *arena) { a.Tick += 10 }, 24},
		{"integers grow in the middle", func(a *arena) { a.Ships[3].Score = 300; a.Ships[9].Score = 70_000 }, 60},
		{"everybody moves", func(a *arena) {
			for i := range a.Ships {
				a.Ships[i].X += a.Ships[i].VX
				a.Ships[i].Y += a.Ships[i].VY
			}
		}, 20 * 28},
		{"the first ship leaves", func(a *arena) { a.Ships = a.Ships[1:] }, 200},
		{"a ship leaves the middle", func(a *arena) { a.Ships = slices.Delete(a.Ships, 10, 11) }, 300},
		{"a ship joins at the end", func(a *arena) { a.Ships = append(a.Ships, newArena(1).Ships...) }, 160},
		{"a ship joins in the middle", func(a *arena) { a.Ships = slices.Insert(a.Ships, 10, ship{Name: "Ida"}) }, 300},
	} {
		a := newArena(20)
		c.change(a)
		n := check(t, &s, old, encode(t, a))
		t.Logf("%-30s %4d of %d bytes", c.name, n, len(old))
		if n > c.most {
			t.Errorf("%s: program of %d bytes, want at most %d", c.name, n, c.most)
		}
	}
}

// Edits of every sort and size must come back exactly; the sizes reach over the ends of old, of windows, of the table.
func TestApplyTurnsOldIntoNew(t *testing.T) {
	var s delta.Scratch // shared by all runs: entries of earlier strings must not be believed
	rapid.Check(t, func(rt *rapid.T) {
		old := rapid.SliceOfN(rapid.ByteRange(0, 3), 0, 400).Draw(rt, "old")
		if rapid.Bool().Draw(rt, "large") {
			old = bytes.Repeat(append(old, "all that is solid melts into air"...), rapid.IntRange(1, 300).Draw(rt, "times"))
		}
		new := slices.Clone(old)
		for range rapid.IntRange(0, 8).Draw(rt, "edits") {
			from := rapid.IntRange(0, len(new)).Draw(rt, "from")
			to := rapid.IntRange(from, min(len(new), from+200)).Draw(rt, "to")
			new = slices.Replace(new, from, to, rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(rt, "by")...)
		}
		check(t, &s, old, new)
	})
}

// The table keeps entries of earlier strings; they must not be taken for places in this one when the count wraps.
func TestScratchSurvivesItsCounterWrapping(t *testing.T) {
	var s delta.Scratch
	delta.SetNext(&s, 1<<32-5000)
	old, moved := encode(t, newArena(20)), newArena(20)
	moved.Ships = slices.Delete(moved.Ships, 10, 11)
	for range 4 {
		check(t, &s, old, encode(t, moved))
		check(t, &s, old[:100], encode(t, moved))
	}
}

// A damaged journal entry must be an error, not a crash, and not a state that nobody ever had.
func TestApplyRefusesBadPrograms(t *testing.T) {
	old := []byte("0123456789")
	program := func(parts ...int64) []byte { // length, then head and, of copies, distance
		b := binary.AppendUvarint(nil, uint64(parts[0]))
		for i := 1; i < len(parts); i++ {
			b = binary.AppendUvarint(b, uint64(parts[i]))
			if parts[i]&1 == 1 {
				i++
				b = binary.AppendVarint(b, parts[i])
			}
		}
		return b
	}
	for _, c := range []struct {
		name    string
		program []byte
		want    error
	}{
		{"empty", nil, delta.ErrProgram},
		{"endless varint", bytes.Repeat([]byte{0xff}, 20), delta.ErrProgram},
		{"copy without distance", []byte{4, 4<<1 | 1}, delta.ErrProgram},
		{"insert beyond the program", []byte{4, 4 << 1, 'a'}, delta.ErrProgram},
		{"copy before old", program(4, 4<<1|1, -1), delta.ErrBounds},
		{"copy after old", program(4, 4<<1|1, 7), delta.ErrBounds},
		{"copy far before old", program(4, 4<<1|1, -1<<63), delta.ErrBounds},
		{"copy far after old", program(4, 4<<1|1, 1<<63-1), delta.ErrBounds},
		{"copy longer than old", program(11, 11<<1|1, 0), delta.ErrBounds},
		{"copy past the end after a copy", program(12, 8<<1|1, 0, 3<<1|1, 0), delta.ErrBounds},
		{"longer than it says", program(4, 5<<1|1, 0), delta.ErrLength},
		{"shorter than it says", program(4, 3<<1|1, 0), delta.ErrLength},
		{"enormous", program(delta.MaxBytes + 1), delta.ErrLength},
		{"enormous instruction", program(delta.MaxBytes, -1, 0), delta.ErrLength},
	} {
		got, err := delta.Apply([]byte("dst"), old, c.program)
		if !errors.Is(err, c.want) || string(got) != "dst" {
			t.Errorf("%s: %q, %v; want %v", c.name, got, err, c.want)
		}
	}
}

// Every room's tick makes one; garbage of it would be the journal's whole garbage.
func TestAppendDoesNotAllocate(t *testing.T) {
	var s delta.Scratch
	old, moved := encode(t, newArena(20)), newArena(20)
	moved.Ships = slices.Delete(moved.Ships, 10, 11)
	new := encode(t, moved)
	dst := make([]byte, 0, 8192)
	if n := testing.AllocsPerRun(100, func() { dst = delta.Append(dst[:0], old, new, &s) }); n != 0 {
		t.Errorf("%v allocations per Append", n)
	}
	out := make([]byte, 0, 8192)
	if n := testing.AllocsPerRun(100, func() { out, _ = delta.Apply(out[:0], old, dst) }); n != 0 {
		t.Errorf("%v allocations per Apply", n)
	}
}

func FuzzDelta(f *testing.F) {
	f.Add([]byte("the state before"), []byte("the state after it"))
	f.Add([]byte{}, []byte{4, 9, 0})
	f.Add(encode(f, newArena(3)), encode(f, newArena(2)))
	f.Add(bytes.Repeat([]byte("ab"), 100), bytes.Repeat([]byte("ba"), 101))
	var s delta.Scratch
	f.Fuzz(func(t *testing.T, a, b []byte) {
		check(t, &s, a, b)
		// b as a program for a: whatever it is, Apply keeps to its bounds.
		out, err := delta.Apply(nil, a, b)
		if len(out) > delta.MaxBytes || err != nil && out != nil {
			t.Fatalf("%d bytes, %v", len(out), err)
		}
	})
}

func benchmarkAppend(b *testing.B, change func(a *arena)) {
	old, changed := encode(b, newArena(30)), newArena(30)
	change(changed)
	benchmarkBytes(b, old, encode(b, changed))
}

func benchmarkBytes(b *testing.B, old, new []byte) {
	var s delta.Scratch
	var dst []byte
	b.ReportAllocs()
	b.SetBytes(int64(len(new)))
	for b.Loop() {
		dst = delta.Append(dst[:0], old, new, &s)
	}
	b.ReportMetric(float64(len(dst)), "B/program")
}

func BenchmarkAppendFewFields(b *testing.B) {
	benchmarkAppend(b, func(a *arena) { a.Ships[3].X++; a.Ships[11].Y++; a.Ships[20].Score++ })
}

// Nothing of the numbers is in the state before: what there is to find is found by not looking for long.
func BenchmarkAppendEveryNumberDiffers(b *testing.B) {
	state := func(seed uint64) (state []byte) {
		r := rand.New(rand.NewPCG(seed, 1))
		for range 100 {
			state = append(state, 0x82, 0xa1, 'x', 0xcb)
			state = binary.BigEndian.AppendUint64(state, math.Float64bits(r.Float64()))
			state = append(state, 0xa1, 'y', 0xcb)
			state = binary.BigEndian.AppendUint64(state, math.Float64bits(r.Float64()))
		}
		return state
	}
	benchmarkBytes(b, state(1), state(2))
}

func BenchmarkAppendIntegerGrows(b *testing.B) {
	benchmarkAppend(b, func(a *arena) { a.Ships[3].X++; a.Ships[11].Score = 70_000 })
}

func BenchmarkAppendEverybodyMoves(b *testing.B) {
	benchmarkAppend(b, func(a *arena) {
		for i := range a.Ships {
			a.Ships[i].X += a.Ships[i].VX
			a.Ships[i].Y += a.Ships[i].VY
		}
	})
}

func BenchmarkAppendShipLeaves(b *testing.B) {
	benchmarkAppend(b, func(a *arena) { a.Ships = slices.Delete(a.Ships, 10, 11) })
}

func BenchmarkApplyEverybodyMoves(b *testing.B) {
	var s delta.Scratch
	old, moved := encode(b, newArena(30)), newArena(30)
	for i := range moved.Ships {
		moved.Ships[i].X++
		moved.Ships[i].Y++
	}
	program := delta.Append(nil, old, encode(b, moved), &s)
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if dst, err = delta.Apply(dst[:0], old, program); err != nil {
			b.Fatal(err)
		}
	}
}
