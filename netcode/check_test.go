package netcode_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"
	"tickover.dev/netcode"
)

// refused are frames that are not well-formed, each with what Check must say.
var refused = []struct {
	name  string
	frame string
	want  error
}{
	{"nothing", "", netcode.ErrEmpty},
	{"a number", "\x01", netcode.ErrNoArray},
	{"nil", "\xc0", netcode.ErrNoArray},
	{"a map", "\x81\x01\x01", netcode.ErrNoArray},
	{"a huge map", "\xdf\xff\xff\xff\xff", netcode.ErrNoArray},
	{"a number behind a message", "\x92\x06\x00\x00", netcode.ErrNoArray},

	{"array of 4 G", "\xdd\xff\xff\xff\xff", netcode.ErrShort},
	{"array of 64 K", "\xdc\xff\xff", netcode.ErrShort},
	{"array of 15", "\x9f", netcode.ErrShort},
	{"array one too long", "\x93\x01\x02", netcode.ErrShort},
	{"map of 4 G", "\x91\xdf\xff\xff\xff\xff", netcode.ErrShort},
	{"map of 2 G, doubled to 0 in 32 bits", "\x91\xdf\x80\x00\x00\x00", netcode.ErrShort},
	{"map of 2 G, doubled to -2", "\x91\xdf\x7f\xff\xff\xff\x01", netcode.ErrShort},
	{"map of 64 K", "\x91\xde\xff\xff", netcode.ErrShort},
	{"map without its last value", "\x91\x81\x01", netcode.ErrShort},
	{"bin of 4 G", "\x91\xc6\xff\xff\xff\xff", netcode.ErrShort},
	{"bin of 64 K", "\x91\xc5\xff\xff", netcode.ErrShort},
	{"bin of 255", "\x91\xc4\xff", netcode.ErrShort},
	{"str of 4 G", "\x91\xdb\xff\xff\xff\xff", netcode.ErrShort},
	{"str of 64 K", "\x91\xda\xff\xff", netcode.ErrShort},
	{"str of 255", "\x91\xd9\xff", netcode.ErrShort},
	{"str of 31", "\x91\xbf", netcode.ErrShort},
	{"a tag without its length", "\x91\xdd", netcode.ErrShort},
	{"a tag with half its length", "\x91\xc6\x00\x00", netcode.ErrShort},
	{"a number without its bytes", "\x91\xcf\x00\x00\x00\x00\x00\x00\x00", netcode.ErrShort},
	{"a float without its bytes", "\x91\xcb", netcode.ErrShort},
	{"3 KB of arrays that claim nearly 3 KB each", strings.Repeat("\xdc\x0b\x00", 1000), netcode.ErrDepth},
	{"a second message that claims too much", "\x92\x06\x00\xdd\xff\xff\xff\xff", netcode.ErrShort},

	{"17 arrays", strings.Repeat("\x91", 17) + "\xc0", netcode.ErrDepth},
	{"16 arrays and an empty one", strings.Repeat("\x91", 16) + "\x90", netcode.ErrDepth},
	{"16 arrays and an empty map", strings.Repeat("\x91", 16) + "\x80", netcode.ErrDepth},
	{"17 maps", "\x91" + strings.Repeat("\x81\x00", 16) + "\xc0", netcode.ErrDepth},
	{"17 maps as keys", "\x91" + strings.Repeat("\x81", 16) + strings.Repeat("\x00", 17), netcode.ErrDepth},
	{"3 KB of arrays", strings.Repeat("\x91", 3000), netcode.ErrDepth},
	{"3 KB of wide arrays", strings.Repeat("\xdd\x00\x00\x00\x01", 600), netcode.ErrDepth},

	{"fixext 1", "\x91\xd4\x01\x01", netcode.ErrExtension},
	{"fixext 16", "\x91\xd8\x01" + strings.Repeat("\x00", 16), netcode.ErrExtension},
	{"a timestamp", "\x91\xd6\xff\x00\x00\x00\x00", netcode.ErrExtension},
	{"ext 8", "\x91\xc7\x00\x01", netcode.ErrExtension},
	{"ext 16 of 64 K", "\x91\xc8\xff\xff\x01", netcode.ErrExtension},
	{"ext 32 of 4 G", "\x91\xc9\xff\xff\xff\xff\x01", netcode.ErrExtension},
	{"an extension as a key", "\x91\x81\xd4\x01\x01\x00", netcode.ErrExtension},

	{"0xc1", "\x91\xc1", netcode.ErrReserved},
	{"0xc1 inside", "\x92\x14\x81\xa1x\xc1", netcode.ErrReserved},

	{"a stray byte in a string", "\x91\xa1\xff", netcode.ErrUTF8},
	{"half a rune", "\x91\xa1\xc3", netcode.ErrUTF8},
	{"a surrogate", "\x91\xa3\xed\xa0\x80", netcode.ErrUTF8},
	{"an overlong rune", "\x91\xd9\x02\xc0\x80", netcode.ErrUTF8},
	{"a bad key", "\x91\x81\xa1\xff\x00", netcode.ErrUTF8},
}

// TestCheckRefusesBombs: without it a few bytes from a stranger could make a decoder allocate gigabytes or overflow the stack.
func TestCheckRefusesBombs(t *testing.T) {
	for _, r := range refused {
		if err := netcode.Check([]byte(r.frame)); !errors.Is(err, r.want) {
			t.Errorf("%s: got %v, want %v", r.name, err, r.want)
		}
	}
}

// TestCheckAcceptsAllOfMsgpack: without it a game's values could be refused though they are within the bounds.
func TestCheckAcceptsAllOfMsgpack(t *testing.T) {
	for name, frame := range map[string]string{
		"16 arrays":                    strings.Repeat("\x91", 16) + "\xc0",
		"15 arrays and an empty one":   strings.Repeat("\x91", 15) + "\x90",
		"15 arrays and an empty map":   strings.Repeat("\x91", 15) + "\x80",
		"15 maps":                      "\x91" + strings.Repeat("\x81\x00", 15) + "\xc0",
		"many deep siblings":           "\x9f" + strings.Repeat(strings.Repeat("\x91", 15)+"\xc0", 15),
		"every kind of integer":        "\x9a\x00\x7f\xe0\xff\xcc\xff\xcd\xff\xff\xd0\xff\xd1\xff\xff\xd2\xff\xff\xff\xff\xce\xff\xff\xff\xff",
		"64 bits":                      "\x92\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xd3\xff\xff\xff\xff\xff\xff\xff\xff",
		"floats, NaN included":         "\x92\xca\x7f\xc0\x00\x00\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00",
		"constants":                    "\x93\xc0\xc2\xc3",
		"strings":                      "\x95\xa0\xa2\xc3\xa9\xd9\x01x\xda\x00\x01y\xdb\x00\x00\x00\x01z",
		"bytes that are no UTF-8":      "\x93\xc4\x01\xff\xc5\x00\x01\xff\xc6\x00\x00\x00\x01\xff",
		"wide heads of short things":   "\xdd\x00\x00\x00\x03\xdc\x00\x00\xde\x00\x00\xdf\x00\x00\x00\x01\x00\x00",
		"keys that are arrays":         "\x91\x82\x90\x00\x91\x01\x00",
		"the same key twice":           "\x91\x82\xa1x\x00\xa1x\x01",
		"an empty message":             "\x90",
		"two messages":                 "\x92\x06\x00\x92\x06\x01",
		"a type that is not known yet": "\x92\x3f\x00",
	} {
		if err := netcode.Check([]byte(frame)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCheckValueWantsExactlyOne: without it bytes could hide behind a value that is passed on.
func TestCheckValueWantsExactlyOne(t *testing.T) {
	for value, want := range map[string]error{
		"\x01": nil, "\x81\x01\x02": nil, "": netcode.ErrShort, "\x01\x01": netcode.ErrTrailing, "\x90\x90": netcode.ErrTrailing,
		"\xa2x": netcode.ErrShort, "\xc1": netcode.ErrReserved,
	} {
		if err := netcode.CheckValue([]byte(value)); !errors.Is(err, want) {
			t.Errorf("% x: got %v, want %v", value, err, want)
		}
	}
}

// TestCutMessagesAreRefused: without it a parser could run past the end of a message that lost its tail.
func TestCutMessagesAreRefused(t *testing.T) {
	for _, k := range kinds {
		for _, m := range []netcode.Message{zero(k.usual), k.usual, k.largest} {
			frame := m.Append(nil)
			for cut := range len(frame) {
				want := netcode.ErrShort
				if cut == 0 {
					want = netcode.ErrEmpty
				}
				if err := netcode.Check(slices.Clip(frame[:cut])); !errors.Is(err, want) {
					t.Fatalf("%T cut at %d of %d: got %v, want %v", m, cut, len(frame), err, want)
				}
			}
		}
	}
}

// TestCheckAgreesWithADumbOne: without it Check could be fast and wrong. Frames are real messages with a few bytes changed.
func TestCheckAgreesWithADumbOne(t *testing.T) {
	var accepted, denied int
	rapid.Check(t, func(t *rapid.T) {
		k := rapid.SampledFrom(kinds).Draw(t, "kind")
		frame := drawMessage(t, k.usual).Append(nil)
		for range rapid.IntRange(0, 3).Draw(t, "changes") {
			frame[rapid.IntRange(0, len(frame)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		if agree(t, frame) {
			accepted++
		} else {
			denied++
		}
	})
	for _, r := range refused {
		agree(t, []byte(r.frame))
	}
	if accepted == 0 || denied == 0 {
		t.Errorf("%d accepted, %d denied: one side was never tried", accepted, denied)
	}
}

// agree holds Check against the dumb checker, and what it accepts against another library's decoder. It reports whether the frame
// was accepted.
func agree(t interface {
	Helper()
	Fatalf(string, ...any)
}, frame []byte,
) bool {
	t.Helper()
	err := netcode.Check(frame)
	if dumb := dumbCheck(frame); (err == nil) != dumb {
		t.Fatalf("% x: got %v, the dumb one says %v", frame, err, dumb)
	}
	if err != nil {
		return false
	}
	src := bytes.NewReader(frame)
	d := msgpack.NewDecoder(src)
	d.SetMapDecoder(decodePairs)
	for src.Len() > 0 {
		before := frame[len(frame)-src.Len():]
		v, err := d.DecodeInterface()
		if _, ok := v.([]any); err != nil || !ok {
			t.Fatalf("% x: Check accepts it, msgpack gives %v and %v", frame, v, err)
		}
		if message := before[:len(before)-src.Len()]; netcode.CheckValue(message) != nil {
			t.Fatalf("% x: msgpack takes % x for a message", frame, message)
		}
	}
	return true
}

// decodePairs decodes a map into a list, as Go maps cannot have all the keys that msgpack can.
func decodePairs(d *msgpack.Decoder) (any, error) {
	n, err := d.DecodeMapLen()
	var all []any
	for i := 0; i < 2*n && err == nil; i++ {
		var v any
		v, err = d.DecodeInterface()
		all = append(all, v)
	}
	return all, err
}

// dumbCheck is Check as the specification of msgpack tells it, by recursion and without a thought for speed.
func dumbCheck(p []byte) bool {
	for first := true; len(p) > 0 || first; first = false {
		if len(p) == 0 || p[0]>>4 != 9 && p[0] != 0xdc && p[0] != 0xdd {
			return false
		}
		rest, ok := dumbValue(p, 0)
		if !ok {
			return false
		}
		p = rest
	}
	return true
}

// dumbValue gives what is behind the value at the start of p, which lies inside depth others.
func dumbValue(p []byte, depth int) (rest []byte, ok bool) {
	r := bytes.NewReader(p)
	t, err := r.ReadByte()
	number := func(bytes int) uint64 {
		var b [8]byte
		if _, e := io.ReadFull(r, b[8-bytes:]); e != nil {
			err = e
		}
		return binary.BigEndian.Uint64(b[:])
	}
	var body, children uint64
	isText, isNest := false, false
	switch {
	case t <= 0x7f, t >= 0xe0, t == 0xc0, t == 0xc2, t == 0xc3:
	case t <= 0x8f:
		children, isNest = 2*uint64(t-0x80), true
	case t <= 0x9f:
		children, isNest = uint64(t-0x90), true
	case t <= 0xbf:
		body, isText = uint64(t-0xa0), true
	case t == 0xc4, t == 0xc5, t == 0xc6:
		body = number(map[byte]int{0xc4: 1, 0xc5: 2, 0xc6: 4}[t])
	case t == 0xd9, t == 0xda, t == 0xdb:
		body, isText = number(map[byte]int{0xd9: 1, 0xda: 2, 0xdb: 4}[t]), true
	case t == 0xca, t == 0xcb, t >= 0xcc && t <= 0xd3:
		body = map[byte]uint64{0xca: 4, 0xcb: 8, 0xcc: 1, 0xcd: 2, 0xce: 4, 0xcf: 8, 0xd0: 1, 0xd1: 2, 0xd2: 4, 0xd3: 8}[t]
	case t == 0xdc, t == 0xdd:
		children, isNest = number(map[byte]int{0xdc: 2, 0xdd: 4}[t]), true
	case t == 0xde, t == 0xdf:
		children, isNest = 2*number(map[byte]int{0xde: 2, 0xdf: 4}[t]), true
	default:
		return nil, false
	}
	if err != nil || body > uint64(r.Len()) || isNest && depth == netcode.MaxDepth {
		return nil, false
	}
	p = p[len(p)-r.Len():]
	if isText && !utf8.Valid(p[:body]) {
		return nil, false
	}
	p = p[body:]
	for range children {
		if p, ok = dumbValue(p, depth+1); !ok {
			return nil, false
		}
	}
	return p, true
}
