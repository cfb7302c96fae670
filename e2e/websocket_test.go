package e2e

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// exchange is one conformance case: what the peer sends, step by step, and what must come back before the next step. Unless the
// last thing that must come is a close frame, the peer closes with 1000 in the end and must get that back.
type exchange struct {
	name  string
	steps []step
}

type step struct {
	send []byte
	want []frame
}

// says is an exchange of one step.
func says(name string, send []frame, want ...frame) exchange {
	return exchange{name, []step{{stream(send...), want}}}
}

func frames(f ...frame) []frame { return f }

// run plays the exchange with every step written at once, and again in pieces.
func (e exchange) run(t *testing.T, addr string) {
	t.Run(e.name, func(t *testing.T) {
		e.play(t, addr, false)
		e.play(t, addr, true)
	})
}

// play plays the exchange once. Pieces are single octets where that is soon done.
func (e exchange) play(t *testing.T, addr string, inPieces bool) {
	p := openPeer(t, addr)
	closed := false
	for _, s := range e.steps {
		pieces := 0
		switch {
		case inPieces && len(s.send) > 1000:
			pieces = 997
		case inPieces:
			pieces = 1
		}
		wait := p.writing(s.send, pieces)
		p.want(s.want...)
		wait()
		closed = len(s.want) > 0 && s.want[len(s.want)-1].isClose()
	}
	if !closed {
		p.write(closing(1000, "done").wire(), 0)
		p.want(closing(1000, "done"))
	}
	p.wantEnd()
	p.c.Close()
}

// The families are those of the Autobahn test suite, by number, so that its report can be read beside this one. Sections 12 and 13
// are about compression, which is never negotiated.
var families = []struct {
	name  string
	cases func() []exchange
}{
	{"1 framing", framing},
	{"2 pings and pongs", pings},
	{"3 reserved bits", reservedBits},
	{"4 reserved opcodes", reservedOpcodes},
	{"5 fragments", fragments},
	{"6 text", texts},
	{"7 closing", closings},
	{"10 auto-fragmentation", autoFragments},
	{"lengths and masks", headers},
}

// Without it, whoever points a protocol test suite at the echo server finds what we did not.
func TestEchoConformsToRFC6455(t *testing.T) {
	addr := startEcho(t)
	for _, family := range families {
		t.Run(family.name, func(t *testing.T) {
			for _, e := range family.cases() {
				e.run(t, addr)
			}
		})
	}
	t.Run("9 large messages", func(t *testing.T) { playLarge(t, addr) })
	t.Run("9 chops and round trips", func(t *testing.T) { playLong(t, addr) })
	t.Run("opening handshake", func(t *testing.T) { playOpenings(t, addr) })
	t.Run("npm ws", func(t *testing.T) {
		node := needs(t, "node", "node")
		needs(t, "ws (npm ci in client/ts)", "../client/ts/node_modules/ws/package.json")
		if out, err := exec.CommandContext(t.Context(), node, "ws.mjs", "ws://"+addr+"/").CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
}

func framing() (cases []exchange) {
	for _, n := range []int{0, 1, 125, 126, 127, 128, 65535, 65536, 65537} {
		s := strings.Repeat("*", n)
		cases = append(cases,
			says(fmt.Sprint("text of ", n), frames(text(s)), text(s)),
			says(fmt.Sprint("binary of ", n), frames(bin(strings.Repeat("\xfe", n))), bin(strings.Repeat("\xfe", n))))
	}
	return cases
}

func pings() []exchange {
	var ten, answers []frame
	for i := range 10 {
		ten, answers = append(ten, ping(fmt.Sprint("payload ", i))), append(answers, pong(fmt.Sprint("payload ", i)))
	}
	octets, long := "\x00\xff\xfe\xfd\xfc\xfb\x00\xff", strings.Repeat("\xfe", 125)
	return []exchange{
		says("empty ping", frames(ping("")), pong("")),
		says("small text in a ping", frames(ping("Hello, world!")), pong("Hello, world!")),
		says("octets in a ping", frames(ping(octets)), pong(octets)),
		says("ping of 125", frames(ping(long)), pong(long)),
		says("ping of 126", frames(ping(long+"\xfe")), failed(1002)),
		says("unsolicited pongs", frames(pong(""), pong("payload"), ping("p"), pong(long), text("t")), pong("p"), text("t")),
		says("pong of 126", frames(pong(long+"\xfe")), failed(1002)),
		says("ten pings", ten, answers...),
	}
}

func reservedBits() (cases []exchange) {
	with := func(f frame, bits byte) frame {
		f.first |= bits << 4
		return f
	}
	for bits := byte(1); bits < 8; bits++ {
		for _, f := range frames(text("t"), bin("b"), ping("p"), pong("p"), closing(1000, ""), text("")) {
			cases = append(cases, says(fmt.Sprintf("rsv %d of %v", bits, f), frames(with(f, bits), ping("late")), failed(1002)))
		}
		cases = append(cases,
			says(fmt.Sprintf("rsv %d behind a message", bits), frames(text("first"), with(text("t"), bits), ping("late")),
				text("first"), failed(1002)),
			says(fmt.Sprintf("rsv %d in a continuation", bits), frames(textPart("a"), with(last("b"), bits)), failed(1002)))
	}
	return cases
}

func reservedOpcodes() (cases []exchange) {
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		for _, payload := range []string{"", "reserved"} {
			odd := frame{first: fin | op, payload: payload}
			cases = append(cases,
				says(fmt.Sprintf("%d with %q", op, payload), frames(odd, ping("late")), failed(1002)),
				says(fmt.Sprintf("%d with %q behind a message", op, payload), frames(text("first"), odd, ping("late")),
					text("first"), failed(1002)))
		}
	}
	return cases
}

func fragments() (cases []exchange) {
	for _, f := range frames(ping("p"), pong("p"), closing(1000, "")) {
		f.first &^= fin
		cases = append(cases, says(fmt.Sprintf("control frame in fragments: %v", f), frames(f, last("p")), failed(1002)))
	}
	for _, first := range []byte{opText, opBinary} {
		whole := func(s string) frame { return frame{first: fin | first, payload: s} }
		name := func(s string) string { return fmt.Sprintf("%s, opcode %d", s, first) }
		cases = append(cases,
			says(name("two fragments"), frames(part(first), last("two")), whole("parttwo")),
			says(name("empty fragments"), frames(frame{first: first}, more(""), last("")), whole("")),
			says(name("only the middle has a payload"), frames(frame{first: first}, more("middle"), last("")), whole("middle")),
			says(name("ping between"), frames(part(first), ping("p"), last("two")), pong("p"), whole("parttwo")),
			// A ping is answered at once, not when the message around it is whole.
			exchange{name("pings between, step by step"), []step{
				{stream(part(first), more(" 1 "), ping("a")), frames(pong("a"))},
				{stream(more("2 "), more("3 "), ping("b")), frames(pong("b"))},
				{stream(last("end")), frames(whole("part 1 2 3 end"))},
			}},
			says(name("pong between"), frames(part(first), pong("p"), last("two")), whole("parttwo")),
			says(name("close between"), frames(part(first), closing(1000, "enough"), last("two")), closing(1000, "enough")),
			says(name("whole message in a fragmented one"), frames(part(first), whole("inner"), last("x")), failed(1002)),
			says(name("first fragment twice"), frames(part(first), part(first), last("x")), failed(1002)),
			says(name("continuation behind a whole message"), frames(whole("a"), more("b"), whole("c")), whole("a"), failed(1002)),
			says(name("continuation behind a fragmented one"), frames(part(first), last("two"), more("b"), whole("c")),
				whole("parttwo"), failed(1002)),
		)
	}
	return append(cases,
		says("last of nothing", frames(last("x"), text("late")), failed(1002)),
		says("more of nothing", frames(more("x"), text("late")), failed(1002)),
		says("more of nothing, empty", frames(more(""), last("")), failed(1002)))
}

func headers() []exchange {
	raw := func(name, bytes string, want ...frame) exchange { return exchange{name, []step{{[]byte(bytes), want}}} }
	return []exchange{
		raw("unmasked text", "\x81\x01a", failed(1002)),
		raw("unmasked ping", "\x89\x00", failed(1002)),
		raw("unmasked close", "\x88\x02\x03\xe8", failed(1002)),
		raw("mask of zeros", "\x81\x81\x00\x00\x00\x00a", text("a")),
		raw("125 in 16 bits", "\x82\xfe\x00\x7dmask"+strings.Repeat("x", 125), failed(1002)),
		raw("65535 in 64 bits", "\x82\xff\x00\x00\x00\x00\x00\x00\xff\xffmask", failed(1002)),
		raw("highest bit of the length", "\x82\xff\x80\x00\x00\x00\x00\x00\x00\x01mask", failed(1002)),
		// Told before any of the payload has come.
		raw("more than is taken", "\x82\xff\x00\x00\x00\x00\x02\x00\x00\x01mask", failed(1009)),
		{"fragments of more than is taken", []step{
			{stream(frame{first: opBinary, payload: strings.Repeat("x", 1<<20)}), nil},
			{[]byte("\x80\xff\x00\x00\x00\x00\x01\xf0\x00\x01mask"), frames(failed(1009))},
		}},
	}
}
