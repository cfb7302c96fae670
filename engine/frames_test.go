package engine

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// clientFrame is a masked frame as a client sends it, in whatever form the test wants.
func clientFrame(fin bool, opcode ws.OpCode, payload []byte) []byte {
	h := ws.Header{Fin: fin, OpCode: opcode, Masked: true, Mask: [4]byte{7, 11, 13, 17}, Length: int64(len(payload))}
	var b bytes.Buffer
	if err := ws.WriteHeader(&b, h); err != nil {
		panic(err)
	}
	masked := bytes.Clone(payload)
	ws.Cipher(masked, h.Mask, 0)
	b.Write(masked)
	return b.Bytes()
}

func closeFrame(code uint16, reason string) []byte {
	return clientFrame(true, ws.OpClose, append(binary.BigEndian.AppendUint16(nil, code), reason...))
}

// parseAll feeds b in the pieces that cuts ask for and describes every event, then the error.
func parseAll(rules *frameRules, b []byte, cuts ...int) []string {
	p := frameParser{rules: rules}
	defer p.release()
	b = bytes.Clone(b) // it is unmasked in place
	var got []string
	last := 0
	for _, cut := range append(cuts, len(b)) {
		piece := bytes.Clone(b[last:cut])
		last = cut
		for {
			e, rest, err := p.next(piece)
			if err != nil {
				return append(got, fmt.Sprintf("%d %s", err.Code, err.Reason))
			}
			if e.kind == eventNone {
				break
			}
			got = append(got, fmt.Sprintf("%d %d %q", e.kind, e.code, e.payload))
			if e.kind == eventClose {
				return got
			}
			piece = rest
		}
		clear(piece) // what was handed out is over: nothing may still point there
	}
	return got
}

func joined(frames ...[]byte) []byte { return bytes.Join(frames, nil) }

// frameTest is a stream and what the parser makes of it.
type frameTest struct {
	name string
	in   []byte
	want []string
}

// frameLimit is the message limit of frame tests.
const frameLimit = 300

func raw(s string) []byte { return []byte(s) }

// check parses the stream whole, cut in two at every byte, and byte by byte.
func (test frameTest) check(t *testing.T) {
	rules := &frameRules{maxMessage: frameLimit}
	if got := parseAll(rules, test.in); !slices.Equal(got, test.want) {
		t.Fatalf("whole: got %q, want %q", got, test.want)
	}
	every := make([]int, len(test.in))
	for cut := range test.in {
		every[cut] = cut
		if got := parseAll(rules, test.in, cut); !slices.Equal(got, test.want) {
			t.Fatalf("cut at %d: got %q, want %q", cut, got, test.want)
		}
	}
	if got := parseAll(rules, test.in, every...); !slices.Equal(got, test.want) {
		t.Fatalf("byte by byte: got %q, want %q", got, test.want)
	}
}

func TestFramesBecomeEvents(t *testing.T) {
	// Without it, a message reaches the handler wrong, or only when the network cuts it kindly.
	long := strings.Repeat("x", 200)
	tests := []frameTest{
		{"binary", clientFrame(true, ws.OpBinary, raw("ab")), []string{`2 0 "ab"`}},
		{"text", clientFrame(true, ws.OpText, raw("é")), []string{`1 0 "é"`}},
		{"empty", clientFrame(true, ws.OpBinary, nil), []string{`2 0 ""`}},
		{
			"two in one", joined(clientFrame(true, ws.OpBinary, raw("a")), clientFrame(true, ws.OpText, raw("b"))),
			[]string{`2 0 "a"`, `1 0 "b"`},
		},
		{"16-bit length", clientFrame(true, ws.OpBinary, raw(long)), []string{fmt.Sprintf("2 0 %q", long)}},
		{"ping", clientFrame(true, ws.OpPing, raw("p")), []string{`3 0 "p"`}},
		{"pong", clientFrame(true, ws.OpPong, nil), []string{`4 0 ""`}},
		{"fragments", joined(clientFrame(false, ws.OpBinary, raw("a")), clientFrame(false, ws.OpContinuation, nil),
			clientFrame(true, ws.OpContinuation, raw("b"))), []string{`2 0 "ab"`}},
		{"empty fragments", joined(clientFrame(false, ws.OpText, nil), clientFrame(true, ws.OpContinuation, nil)), []string{`1 0 ""`}},
		{
			"rune over fragments", joined(clientFrame(false, ws.OpText, raw("\xe2\x82")), clientFrame(true, ws.OpContinuation, raw("\xac"))),
			[]string{`1 0 "€"`},
		},
		{"control between fragments", joined(clientFrame(false, ws.OpText, raw("a")), clientFrame(true, ws.OpPing, raw("p")),
			clientFrame(true, ws.OpContinuation, raw("b"))), []string{`3 0 "p"`, `1 0 "ab"`}},
		{"close", closeFrame(1000, "bye"), []string{`5 1000 "bye"`}},
		{"close, empty", clientFrame(true, ws.OpClose, nil), []string{`5 1005 ""`}},
		{"at the limit", clientFrame(true, ws.OpBinary, make([]byte, frameLimit)), []string{fmt.Sprintf("2 0 %q", make([]byte, frameLimit))}},
	}
	for _, test := range tests {
		t.Run(test.name, test.check)
	}
}

func TestBrokenFramesAreRefusedWithTheirCode(t *testing.T) {
	// Without it, a peer that breaks RFC 6455 goes unnoticed, or makes us wait for bytes we shall not take.
	tests := []frameTest{
		{"over the limit", clientFrame(true, ws.OpBinary, make([]byte, frameLimit+1))[:8], []string{"1009 message over the limit"}},
		{"fragments over the limit", joined(clientFrame(false, ws.OpBinary, make([]byte, frameLimit)),
			clientFrame(true, ws.OpContinuation, raw("x"))[:6]), []string{"1009 message over the limit"}},
		{"huge claim", raw("\x82\xff\x00\x00\x00\xff\x00\x00\x00\x00mask"), []string{"1009 message over the limit"}},
		{"highest bit of the length", raw("\x82\xff\x80\x00\x00\x00\x00\x00\x00\x01mask"), []string{"1002 length not in its shortest form"}},
		{"16-bit length of 125", raw("\x82\xfe\x00\x7dmask"), []string{"1002 length not in its shortest form"}},
		{"64-bit length of 65535", raw("\x82\xff\x00\x00\x00\x00\x00\x00\xff\xffmask"), []string{"1002 length not in its shortest form"}},
		{"unmasked", raw("\x82\x01a"), []string{"1002 frame not masked"}},
		{"reserved bit", raw("\xc2\x81"), []string{"1002 reserved bits set"}},
		{"reserved data opcode", raw("\x83\x80"), []string{"1002 reserved opcode"}},
		{"reserved control opcode", raw("\x8b\x80"), []string{"1002 reserved opcode"}},
		{"fragmented ping", raw("\x09\x80"), []string{"1002 fragmented control frame"}},
		{"long ping", raw("\x89\xfe"), []string{"1002 control frame over 125 bytes"}},
		{"stray continuation", clientFrame(true, ws.OpContinuation, raw("a")), []string{"1002 continuation of nothing"}},
		{
			"message in a message", joined(clientFrame(false, ws.OpText, raw("a")), clientFrame(true, ws.OpText, raw("b"))),
			[]string{"1002 new message inside a fragmented one"},
		},
		{"continuation after the end", joined(clientFrame(false, ws.OpText, raw("a")), clientFrame(true, ws.OpContinuation, raw("b")),
			clientFrame(true, ws.OpContinuation, raw("c"))), []string{`1 0 "ab"`, "1002 continuation of nothing"}},
		{"text not UTF-8", clientFrame(true, ws.OpText, raw("a\xff")), []string{"1007 text is not UTF-8"}},
		{"text cut in a rune", clientFrame(true, ws.OpText, raw("\xe2\x82")), []string{"1007 text is not UTF-8"}},
		{"surrogate", clientFrame(true, ws.OpText, raw("\xed\xa0\x80")), []string{"1007 text is not UTF-8"}},
		{
			"broken fragment, before its end", joined(clientFrame(false, ws.OpText, raw("\xffa")), clientFrame(true, ws.OpPing, nil)),
			[]string{"1007 text is not UTF-8"},
		},
		{
			"broken rune over fragments", joined(clientFrame(false, ws.OpText, raw("\xe2\x82")), clientFrame(true, ws.OpContinuation, raw("x"))),
			[]string{"1007 text is not UTF-8"},
		},
		{"close of one byte", clientFrame(true, ws.OpClose, raw("x")), []string{"1002 close payload of one byte"}},
		{"close reason not UTF-8", closeFrame(1000, "\xff"), []string{"1007 close reason is not UTF-8"}},
	}
	for _, test := range tests {
		t.Run(test.name, test.check)
	}
}

func TestOnlyCloseCodesThatMayBeSentAreAccepted(t *testing.T) {
	// Without it, a peer can make us echo a code that no frame may carry.
	valid := func(code int) bool {
		return code >= 1000 && code <= 1003 || code >= 1007 && code <= 1014 || code >= 3000 && code < 5000
	}
	rules := &frameRules{maxMessage: 1}
	for code := range 1 << 16 {
		_, _, err := (&frameParser{rules: rules}).next(closeFrame(uint16(code), ""))
		if valid(code) != (err == nil) {
			t.Fatalf("code %d: %v", code, err)
		}
	}
}

func TestRejectedTextIsRefusedAtItsHeader(t *testing.T) {
	// Without it, a binary protocol gets messages it cannot mean, or waits for their payload first.
	got := parseAll(&frameRules{maxMessage: 100, rejectText: true}, clientFrame(true, ws.OpText, []byte("hello"))[:6])
	if want := []string{"1003 text messages are not accepted"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWholeFramesAreNotCopied(t *testing.T) {
	// Without it, every message costs a copy and every connection a buffer.
	rules := &frameRules{maxMessage: 100}
	p := frameParser{rules: rules}
	b := clientFrame(true, ws.OpBinary, []byte("hello"))
	e, _, err := p.next(b)
	if err != nil || &e.payload[0] != &b[6] {
		t.Errorf("payload is not where it was received (%v)", err)
	}
	if p.part != nil {
		t.Error("the parser kept memory")
	}
}

func TestPartialMemoryIsGivenBack(t *testing.T) {
	// Without it, a connection that once sent a fragment holds a buffer for ever.
	rules := &frameRules{maxMessage: 1 << 20}
	p := frameParser{rules: rules}
	for _, b := range [][]byte{clientFrame(false, ws.OpBinary, make([]byte, 100)), clientFrame(true, ws.OpContinuation, make([]byte, 1<<19))} {
		for {
			e, rest, err := p.next(b)
			if err != nil {
				t.Fatal(err)
			}
			if b = rest; e.kind == eventNone {
				break
			}
		}
	}
	if p.part != nil {
		t.Error("the parser still holds a partial")
	}
	if len(rules.spare) != 1 || cap(rules.spare[0].message) > keepMessageBytes {
		t.Error("the partial was not kept for others, or kept with a large buffer")
	}
}

func TestACutHeaderHoldsNoMemoryOnceItIsWhole(t *testing.T) {
	// Without it, a connection whose header once came in two segments holds a spare buffer of a whole message for ever.
	rules := &frameRules{maxMessage: 100}
	for _, frame := range [][]byte{clientFrame(true, ws.OpBinary, []byte("hello")), clientFrame(true, ws.OpPing, nil)} {
		for cut := 1; cut < 6; cut++ {
			p := frameParser{rules: rules}
			if e, _, err := p.next(frame[:cut:cut]); e.kind != eventNone || err != nil {
				t.Fatalf("cut at %d: %v, %v", cut, e, err)
			}
			if e, _, err := p.next(bytes.Clone(frame[cut:])); e.kind == eventNone || err != nil || p.part != nil {
				t.Errorf("cut at %d: %v, %v, partial %v", cut, e, err, p.part)
			}
		}
	}
	fragmented := frameParser{rules: rules}
	for _, b := range [][]byte{
		clientFrame(false, ws.OpText, []byte("ti")), clientFrame(true, ws.OpPing, nil)[:1],
		clientFrame(true, ws.OpPing, nil)[1:],
	} {
		if _, _, err := fragmented.next(b); err != nil {
			t.Fatal(err)
		}
	}
	e, _, err := fragmented.next(clientFrame(true, ws.OpContinuation, []byte("ck")))
	if err != nil || string(e.payload) != "tick" {
		t.Errorf("message around a ping with a cut header: %q, %v", e.payload, err)
	}
}

func TestAClaimedLengthAllocatesNothing(t *testing.T) {
	// Without it, ten bytes per connection would make us reserve a whole message each.
	rules := &frameRules{maxMessage: 64 << 20}
	p := frameParser{rules: rules}
	head := []byte{0x82, 0xff, 0, 0, 0, 0, 3, 0, 0, 0, 1, 2, 3, 4, 5}
	if _, _, err := p.next(head); err != nil {
		t.Fatal(err)
	}
	if got := cap(p.part.message); got > 4096 {
		t.Errorf("%d bytes reserved for one received", got)
	}
}

// FuzzFrames checks that cutting the stream differently never changes what comes out of it.
func FuzzFrames(f *testing.F) {
	f.Add(joined(clientFrame(false, ws.OpText, []byte("\xe2\x82")), clientFrame(true, ws.OpPing, []byte("p")),
		clientFrame(true, ws.OpContinuation, []byte("\xac")), closeFrame(1000, "bye")), []byte{3, 1, 7})
	f.Add(clientFrame(true, ws.OpBinary, make([]byte, 300)), []byte{2, 200})
	f.Add([]byte("\x82\xff\x00\x00\x00\xff\x00\x00\x00\x00mask"), []byte{1, 1, 1, 1})
	f.Fuzz(func(t *testing.T, stream, steps []byte) {
		rules := &frameRules{maxMessage: 256}
		whole := parseAll(rules, stream)
		var cuts []int
		at := 0
		for i := range stream {
			if len(steps) == 0 {
				break
			}
			if at += int(steps[i%len(steps)]); at >= len(stream) {
				break
			}
			cuts = append(cuts, at)
		}
		if cut := parseAll(rules, stream, cuts...); !slices.Equal(whole, cut) {
			t.Errorf("whole %q, cut at %v %q", whole, cuts, cut)
		}
		if len(rules.spare) > keepPartials {
			t.Errorf("%d spare partials", len(rules.spare))
		}
	})
}

func TestUTF8IsCheckedAsFarAsItIsThere(t *testing.T) {
	// Without it, a rune that arrives in two pieces is refused, or a broken one accepted.
	tests := []struct {
		in string
		n  int
		ok bool
	}{
		{"", 0, true},
		{"abc", 3, true},
		{"ab\xe2", 2, true},
		{"ab\xe2\x82", 2, true},
		{"ab\xe2\x82\xac", 5, true},
		{"\xf0\x9f\x98", 0, true},
		{"\xf0\x9f\x98\x80", 4, true},
		{"\x80", 1, false},
		{"\xff", 1, false},
		{"\xf5\x80", 2, false},
		{"\xe2\x28", 2, false},
		{"\x80\x80\x80\x80", 4, false},
	}
	for _, test := range tests {
		if n, ok := validUTF8([]byte(test.in)); n != test.n || ok != test.ok {
			t.Errorf("%q: got %d %v, want %d %v", test.in, n, ok, test.n, test.ok)
		}
	}
}
