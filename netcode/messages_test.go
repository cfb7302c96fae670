package netcode_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
	"tickover.dev/netcode"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestBytesStayAsTheyAre: without it a change of a layout would go unnoticed as long as both ends are ours, and break every client
// out there.
func TestBytesStayAsTheyAre(t *testing.T) {
	for _, k := range kinds {
		var got strings.Builder
		for _, m := range []netcode.Message{blank(k.usual), k.usual, k.largest} { // an empty Raw field is nil
			fmt.Fprintf(&got, "%x\n", m.Append(nil))
		}
		path := filepath.Join("testdata", named(k.usual)+".golden")
		if *update {
			if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != string(want) {
			t.Errorf("%s is written differently; if that is meant, it is another protocol version.\ngot\n%swant\n%s", path, &got, want)
		}
	}
}

// TestGoldenBytesParse: without it a parser could stop reading what older programs still write.
func TestGoldenBytesParse(t *testing.T) {
	for _, k := range kinds {
		file, err := os.ReadFile(filepath.Join("testdata", named(k.usual)+".golden"))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Fields(string(file))
		for i, want := range []netcode.Message{zero(k.usual), k.usual, k.largest} {
			frame, err := hex.DecodeString(lines[i])
			if err != nil {
				t.Fatal(err)
			}
			got := blank(want)
			if err := parse(frame, got); err != nil {
				t.Fatalf("%s: %v", lines[i], err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s:\ngot  %+v\nwant %+v", lines[i], got, want)
			}
		}
	}
}

// TestEveryTypeIsTested: without it a new message kind could be forgotten in this file, and with it in all the others.
func TestEveryTypeIsTested(t *testing.T) {
	next := netcode.TypeHello
	for _, k := range kinds {
		if next > netcode.TypePing && next < netcode.TypeWelcome {
			next = netcode.TypeWelcome
		}
		if k.usual.Type() != next || k.largest.Type() != next {
			t.Fatalf("got %T of type %d, want type %d", k.usual, k.usual.Type(), next)
		}
		next++
	}
	if next != netcode.TypeClock+1 {
		t.Errorf("the last type tested is %d", next-1)
	}
}

// TestAnyMessageSurvivesTheWire: without it fields could be swapped, cut or shared between messages for values that no example has.
// A message is read into one that held another before, as parsers are reused.
func TestAnyMessageSurvivesTheWire(t *testing.T) {
	for _, k := range kinds {
		t.Run(named(k.usual), func(t *testing.T) {
			got := blank(k.usual)
			rapid.Check(t, func(t *rapid.T) {
				want := drawMessage(t, k.usual)
				frame := want.Append(nil)
				if err := parse(frame, got); err != nil {
					t.Fatalf("% x: %v", frame, err)
				}
				if !same(got, want) {
					t.Fatalf("got %+v, want %+v", got, want)
				}
				if again := got.Append(nil); !bytes.Equal(again, frame) {
					t.Fatalf("got % x, want % x", again, frame)
				}
			})
		})
	}
}

// TestAnotherLibraryAgrees: without it codec and parser could be wrong in the same way. The dumb encoder must write the same bytes,
// and its wide integers must read the same.
func TestAnotherLibraryAgrees(t *testing.T) {
	for _, k := range kinds {
		t.Run(named(k.usual), func(t *testing.T) {
			rapid.Check(t, func(r *rapid.T) {
				want := drawMessage(r, k.usual)
				frame := plain(t, want, true)
				if got := want.Append(nil); !bytes.Equal(got, frame) {
					r.Fatalf("got % x, want % x", got, frame)
				}
				got := blank(want)
				if err := parse(plain(t, want, false), got); err != nil || !same(got, want) {
					r.Fatalf("got %+v and %v, want %+v", got, err, want)
				}
			})
		})
	}
}

// same compares two messages; a Hello read into a used one has an empty list where a new one has none.
func same(a, b netcode.Message) bool {
	x, ok := a.(*netcode.Hello)
	y, _ := b.(*netcode.Hello)
	if !ok || y == nil || len(x.Rooms)+len(y.Rooms) > 0 {
		return reflect.DeepEqual(a, b)
	}
	p, q := *x, *y
	p.Rooms, q.Rooms = nil, nil
	return reflect.DeepEqual(p, q)
}

func drawMessage(t *rapid.T, like netcode.Message) netcode.Message {
	m := blank(like)
	for field, v := range reflect.ValueOf(m).Elem().Fields() {
		drawField(t, field.Name, v)
	}
	return m
}

func drawField(t *rapid.T, label string, f reflect.Value) {
	text := rapid.StringN(-1, -1, netcode.MaxNameBytes)
	number := rapid.OneOf(rapid.Uint64Max(netcode.MaxUint), rapid.Uint64Max(300))
	switch f.Interface().(type) {
	case bool:
		f.SetBool(rapid.Bool().Draw(t, label))
	case string:
		f.SetString(text.Draw(t, label))
	case []byte:
		f.SetBytes(drawValue(t, label, netcode.MaxDepth-1))
	case []netcode.Held:
		for range rapid.IntRange(0, 5).Draw(t, label) {
			h := netcode.Held{Room: text.Draw(t, "room"), Seat: number.Draw(t, "seat"), Reliable: number.Draw(t, "reliable")}
			f.Set(reflect.Append(f, reflect.ValueOf(h)))
		}
	case netcode.JoinMode:
		f.SetUint(rapid.Uint64Max(uint64(netcode.JoinKey)).Draw(t, label))
	case netcode.JoinOutcome, netcode.RoomStatus:
		f.SetUint(rapid.Uint64Max(255).Draw(t, label))
	case uint32:
		f.SetUint(rapid.Uint64Max(1<<32-1).Draw(t, label))
	default:
		f.SetUint(number.Draw(t, label))
	}
}

// drawValue draws one msgpack value that nests at most depth deep.
func drawValue(t *rapid.T, label string, depth int) []byte {
	leaves := []string{
		"\xc0", "\xc3", "\x07", "\xe1", "\xcd\x01\x00", "\xd3\xff\xff\xff\xff\xff\xff\xff\x00",
		"\xcb\x40\x04\x00\x00\x00\x00\x00\x00", "\xca\x40\x04\x00\x00", "\xa2\xc3\xa9", "\xd9\x01x", "\xc4\x02\xff\xff", "\x90", "\x80",
	}
	if depth == 0 {
		leaves = leaves[:len(leaves)-2]
	}
	if depth == 0 || rapid.IntRange(0, 2).Draw(t, label) > 0 {
		return []byte(rapid.SampledFrom(leaves).Draw(t, label))
	}
	n := rapid.IntRange(0, 4).Draw(t, "len")
	value, children := []byte{0x90 | byte(n)}, n
	if rapid.Bool().Draw(t, "map") {
		value, children = []byte{0x80 | byte(n)}, 2*n
	}
	for range children {
		value = append(value, drawValue(t, "child", depth-1)...)
	}
	return value
}
