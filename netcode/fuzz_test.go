package netcode_test

import (
	"bytes"
	"runtime"
	"testing"

	"tickover.dev/netcode"
)

// FuzzCheck holds Check against the dumb checker and against what another library decodes.
func FuzzCheck(f *testing.F) {
	for _, r := range refused {
		f.Add([]byte(r.frame))
	}
	for _, k := range kinds {
		f.Add(k.usual.Append(nil))
	}
	f.Fuzz(func(t *testing.T, frame []byte) { agree(t, frame) })
}

// FuzzParser gives the parser frames that nobody checked. It must not panic, and allocate little.
func FuzzParser(f *testing.F) {
	for _, r := range refused {
		f.Add([]byte(r.frame))
	}
	var all []byte
	for _, k := range kinds {
		f.Add(k.usual.Append(nil))
		all = k.usual.Append(all)
	}
	f.Add(all)
	f.Add([]byte("\x97\x01\x01\x07\xa0\xa1s\xa1k\x90\x92\x06\x07")) // a hello of before it had an attempt
	f.Fuzz(func(t *testing.T, frame []byte) {
		parseAnything(t, frame)
		readAgain(t, frame)
	})
}

// FuzzMessage gives the parser fields of each kind; index is that of kinds, and n how many elements the message claims.
func FuzzMessage(f *testing.F) {
	for i, k := range kinds {
		for _, m := range []netcode.Message{zero(k.usual), k.usual, k.largest} {
			message := m.Append(nil)
			f.Add(uint8(i), message[0]&0x0f, message[2:])
		}
	}
	f.Fuzz(func(t *testing.T, index, n uint8, fields []byte) {
		typ := kinds[int(index)%len(kinds)].usual.Type()
		readAgain(t, append([]byte{0x90 | n&0x0f, byte(typ)}, fields...))
	})
}

// TestBombsCostTheParserNothing: without it a node would rest on nobody ever forgetting to call Check.
func TestBombsCostTheParserNothing(t *testing.T) {
	bombs := []string{"\xdd\xff\xff\xff\xff", "\xdf\xff\xff\xff\xff", "\xc6\xff\xff\xff\xff", "\xdb\xff\xff\xff\xff", "\xdc\xff\xff\x90\x90"}
	for _, r := range refused {
		parseAnything(t, []byte(r.frame))
	}
	for _, k := range kinds {
		frame := k.usual.Append(nil)
		for i := range frame {
			for _, bomb := range bombs {
				parseAnything(t, append(bytes.Clone(frame[:i]), bomb...))
			}
		}
	}
}

// parseAnything walks a frame that was not checked, and sees to it that this costs little memory.
func parseAnything(t *testing.T, frame []byte) {
	t.Helper()
	reused := make([]netcode.Message, netcode.TypeClock+1)
	for _, k := range kinds {
		reused[k.usual.Type()] = blank(k.usual)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	walk(frame, reused)
	runtime.ReadMemStats(&after)
	// 64 times: an empty element of Hello.Rooms takes 1 byte and becomes a Held of 32, in a slice that grows by copying.
	// 8 KiB: the error, and whatever the runtime does meanwhile.
	if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(64*len(frame)+8<<10); got > limit {
		t.Fatalf("%d bytes made the parser allocate %d", len(frame), got)
	}
}

// readAgain reads a frame. If Check accepts it, what was read must survive another round.
func readAgain(t *testing.T, frame []byte) {
	t.Helper()
	sound := netcode.Check(frame) == nil
	var parser netcode.Parser
	parser.Reset(frame)
	for {
		typ, err := parser.Next()
		if err != nil {
			return
		}
		m := blankOf(typ)
		if m == nil {
			continue
		}
		if err := parser.Read(m); err == nil && sound {
			roundTrip(t, m)
		}
	}
}

// walk reads all messages of a frame, each type into the same message again and again.
func walk(frame []byte, reused []netcode.Message) {
	var parser netcode.Parser
	parser.Reset(frame)
	for {
		typ, err := parser.Next()
		if err != nil {
			return
		}
		if int(typ) < len(reused) && reused[typ] != nil && parser.Read(reused[typ]) != nil {
			return
		}
	}
}

// roundTrip checks that a message which was read is written as the dumb encoder writes it, and then read and written the same.
func roundTrip(t *testing.T, m netcode.Message) {
	first := m.Append(nil)
	if want := plain(t, m, true); !bytes.Equal(first, want) {
		t.Fatalf("%+v: got % x, want % x", m, first, want)
	}
	again := blank(m)
	if err := parse(first, again); err != nil {
		t.Fatalf("%+v: its own bytes % x: %v", m, first, err)
	}
	if !same(again, m) {
		t.Fatalf("got %+v, want %+v", again, m)
	}
	if second := again.Append(nil); !bytes.Equal(second, first) {
		t.Fatalf("got % x, want % x", second, first)
	}
}
