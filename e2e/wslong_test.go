package e2e

import (
	"fmt"
	"strings"
	"testing"
)

const kib, mib = 1 << 10, 1 << 20

// playLarge plays messages as long as those of the Autobahn suite, one at a time: together they would fill the memory. Text is of
// runes that frames and fragments cut; binary is written in pieces besides.
func playLarge(t *testing.T, addr string) {
	both := func(name string, s string, wire func(op byte) []byte) {
		t.Run(name, func(t *testing.T) {
			exchange{"text", []step{{wire(opText), frames(text(s))}}}.play(t, addr, false)
			exchange{"binary", []step{{wire(opBinary), frames(bin(s))}}}.play(t, addr, true)
		})
	}
	for _, n := range []int{64 * kib, 256 * kib, mib, 4 * mib, 8 * mib, 16 * mib} {
		s := sample(n)
		both(fmt.Sprintf("%d KiB", n/kib), s, func(op byte) []byte { return cut(op, s, n) })
	}
	s := sample(4 * mib)
	for _, size := range []int{64, 256, kib, 4 * kib, 16 * kib, 64 * kib, 256 * kib, mib} {
		both(fmt.Sprintf("4 MiB in fragments of %d", size), s, func(op byte) []byte { return cut(op, s, size) })
	}
}

// sample is n bytes of UTF-8, the same again only after a prime number of bytes.
func sample(n int) string {
	const unit = "αβγ€𝄞 tick over, and over and over: 012345678" // 53 bytes
	s := strings.Repeat(unit, n/len(unit))
	return s + strings.Repeat(".", n-len(s))
}

// cut is a message in fragments of so many bytes.
func cut(op byte, s string, size int) []byte {
	var b []byte
	for at := 0; ; at += size {
		f := frame{first: opContinuation, payload: s[at:min(at+size, len(s))]}
		if at == 0 {
			f.first = op
		}
		if at+size >= len(s) {
			f.first |= fin
			return append(b, f.wire()...)
		}
		b = append(b, f.wire()...)
	}
}

func autoFragments() []exchange {
	s := sample(64 * kib)
	return []exchange{{"64 KiB in fragments of 1300", []step{{cut(opText, s, 1300), frames(text(s))}}}}
}

// playLong plays what is about many writes rather than about frames.
func playLong(t *testing.T, addr string) {
	s := sample(mib)
	for _, chop := range []int{64, 128, 256, 512, kib, 2 * kib} {
		t.Run(fmt.Sprintf("1 MiB in writes of %d", chop), func(t *testing.T) {
			for _, f := range frames(text(s), bin(s)) {
				p := openPeer(t, addr)
				wait := p.writing(f.wire(), chop)
				p.want(f)
				wait()
			}
		})
	}
	for _, n := range []int{0, 16, 64, 256, kib, 4 * kib, 16 * kib} {
		t.Run(fmt.Sprintf("1000 round trips of %d", n), func(t *testing.T) {
			for _, f := range frames(text(sample(n)), bin(sample(n))) {
				p := openPeer(t, addr)
				b := f.wire()
				for range 1000 {
					p.write(b, 0)
					p.want(f)
				}
			}
		})
	}
}
