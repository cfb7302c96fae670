package e2e

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// Kosme, the Greek word that UTF-8 tests begin with, and what makes it invalid: a surrogate, and the first code point too many.
const (
	kosme     = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"
	surrogate = "\xed\xa0\x80"
	tooHigh   = "\xf4\x90\x80\x80"
)

// sequences are those of Markus Kuhn's UTF-8 decoder capability and stress test, and the non-characters of Unicode, which are valid.
var sequences = []struct {
	name  string
	valid bool
	of    []string
}{
	{"valid text", true, []string{"hello$world", "hello\xc2\xa2world", "hello\xe2\x82\xacworld", "hello\xf0\xa4\xad\xa2world", kosme}},
	{"first of a length", true, []string{"\x00", "\xc2\x80", "\xe0\xa0\x80", "\xf0\x90\x80\x80"}},
	{"last of a length", true, []string{"\x7f", "\xdf\xbf", "\xef\xbf\xbf", "\xf4\x8f\xbf\xbf"}},
	{"beside the holes", true, []string{"\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbd", "\xf4\x8f\xbf\xbf"}},
	{"specials", true, []string{"\xef\xbf\xb9", "\xef\xbf\xba", "\xef\xbf\xbb", "\xef\xbf\xbc", "\xef\xbf\xbd", "\xef\xbf\xbe", "\xef\xbb\xbf"}},
	{"five and six bytes", false, []string{
		"\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80", "\xf7\xbf\xbf\xbf", "\xfb\xbf\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf\xbf",
	}},
	{"beyond Unicode", false, []string{tooHigh, "\xf5\x80\x80\x80"}},
	{"stray continuations", false, []string{"\x80", "\xbf", "\x80\xbf", "\x80\xbf\x80", "\x80\xbf\x80\xbf", "\x80\xbf\x80\xbf\x80\xbf"}},
	{"last byte missing", false, []string{
		"\xc0", "\xe0\x80", "\xf0\x80\x80", "\xf8\x80\x80\x80", "\xfc\x80\x80\x80\x80",
		"\xdf", "\xef\xbf", "\xf7\xbf\xbf", "\xfb\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf",
		"\xc0\xe0\x80\xf0\x80\x80\xdf\xef\xbf\xf7\xbf\xbf",
	}},
	{"impossible bytes", false, []string{"\xfe", "\xff", "\xfe\xfe\xff\xff"}},
	{"overlong", false, []string{
		"\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xf8\x80\x80\x80\xaf", "\xfc\x80\x80\x80\x80\xaf",
		"\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf8\x87\xbf\xbf\xbf", "\xfc\x83\xbf\xbf\xbf\xbf",
		"\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\xf8\x80\x80\x80\x80", "\xfc\x80\x80\x80\x80\x80",
	}},
	{"surrogates", false, []string{
		surrogate, "\xed\xad\xbf", "\xed\xae\x80", "\xed\xaf\xbf", "\xed\xb0\x80", "\xed\xbe\x80", "\xed\xbf\xbf",
		"\xed\xa0\x80\xed\xb0\x80", "\xed\xa0\x80\xed\xbf\xbf", "\xed\xad\xbf\xed\xb0\x80", "\xed\xaf\xbf\xed\xbf\xbf",
	}},
}

func texts() []exchange {
	cases := append(fragmentedTexts(), failFast()...)
	one := func(s string, valid bool) {
		want := failed(1007)
		if valid {
			want = text(s)
		}
		cases = append(cases, says(fmt.Sprintf("%x", s), frames(text(s)), want))
	}
	for _, group := range sequences {
		for _, s := range group.of {
			one(s, group.valid)
		}
	}
	for end := range kosme { // cut in a rune: complete as a message, incomplete as text
		one(kosme[:end+1], false)
	}
	for _, plane := range []rune{0, 1, 2, 3, 4, 7, 8, 11, 12, 15, 16} {
		one(string(plane<<16|0xfffe)+string(plane<<16|0xffff), true)
	}
	for _, starts := range [][2]byte{{0xc0, 0xdf}, {0xe0, 0xef}, {0xf0, 0xf7}, {0xf8, 0xfb}, {0xfc, 0xfd}} {
		var lonely strings.Builder
		for b := int(starts[0]); b <= int(starts[1]); b++ {
			lonely.Write([]byte{byte(b), ' '})
		}
		one(lonely.String(), false)
	}
	return cases
}

// fragmentedTexts are texts whose frames end inside of runes.
func fragmentedTexts() []exchange {
	octets := func(s string) (fragmented []frame) {
		for i := range len(s) {
			fragmented = append(fragmented, more(s[i:i+1]))
		}
		fragmented[0].first |= opText
		fragmented[len(s)-1].first |= fin
		return fragmented
	}
	mixed := "Hello-µ@ßöäüàá-UTF-8!!"
	return []exchange{
		says("empty text", frames(text("")), text("")),
		says("three empty fragments", frames(textPart(""), more(""), last("")), text("")),
		says("two fragments, whole runes", frames(textPart("Hello-µ@ß"), last("öäüàá-UTF-8!!")), text(mixed)),
		says("fragments of an octet", octets(mixed), text(mixed)),
		says("Greek in fragments of an octet", octets(kosme), text(kosme)),
		says("fragments of an octet, control frames between", frames(textPart("\xf0"), ping("1"), more("\x9f"), ping("2"),
			more("\x98"), ping("3"), last("\x80")), pong("1"), pong("2"), pong("3"), text("\U0001f600")),
		says("invalid text", frames(text(kosme+surrogate+"edited")), failed(1007)),
		says("invalid text in fragments of an octet", octets(kosme+surrogate+"edited"), failed(1007)),
		says("rune unfinished in the last fragment", frames(textPart("\xe2\x82"), last("")), failed(1007)),
		says("rune unfinished over a ping", frames(textPart("\xe2\x82"), ping("p"), last("x")), pong("p"), failed(1007)),
		says("the same bytes are fine as binary", frames(bin(kosme+surrogate+"edited"), frame{first: opBinary, payload: "\xff"}, last("\xfe")),
			bin(kosme+surrogate+"edited"), bin("\xff\xfe")),
	}
}

// failFast are texts that are refused while most of them is still to come: at the first octet that no other can make right.
func failFast() (cases []exchange) {
	for _, bad := range []string{surrogate, tooHigh, "\xff", "\xc0\x80", "\xe0\x80\x80", "\x80", "\xe2\x28"} {
		whole := text(kosme + bad + strings.Repeat("edited", 100)).wire()
		wrong := len(kosme) // the octet in question
		for wrong < len(kosme+bad) && canBecomeText(kosme+bad[:wrong+1-len(kosme)]) {
			wrong++
		}
		header := len(whole) - len(kosme+bad) - 600
		cases = append(cases,
			exchange{fmt.Sprintf("%x in the second fragment", bad), []step{
				{stream(textPart(kosme), ping("so far")), frames(pong("so far"))},
				{stream(more(bad)), frames(failed(1007))}, // nothing behind it
			}},
			exchange{fmt.Sprintf("%x in the middle of a frame", bad), []step{
				{whole[:header+len(kosme)], nil},
				{whole[header+len(kosme) : header+wrong], nil},
				{whole[header+wrong : header+wrong+1], frames(failed(1007))},
			}})
	}
	return cases
}

// canBecomeText tries whether any rune's bytes could still follow, with Go's own decoder and brute force.
func canBecomeText(s string) bool {
	if utf8.ValidString(s) {
		return true
	}
	for r := rune(0x80); r <= utf8.MaxRune; r += 0x3f { // every start and second byte occurs
		b := string(r)
		for n := 1; n < len(b); n++ {
			if strings.HasSuffix(s, b[:n]) && utf8.ValidString(s[:len(s)-n]) {
				return true
			}
		}
	}
	return false
}

func TestCanBecomeTextKnowsWhereTextBreaks(t *testing.T) {
	// Without it, the fail-fast cases may ask for less than they say.
	for s, want := range map[string]bool{
		"\xe2": true, "\xe2\x82": true, "\xed": true, "\xed\x9f": true, "\xed\xa0": false, "\xf4": true, "\xf4\x8f": true, "\xf4\x90": false,
		"\xf0\x90": true, "\xf0\x8f": false, "\xe0\x9f": false, "\xe0\xa0": true, "\xc0": false, "\xc2": true, "\x80": false, "\xff": false, "a": true,
	} {
		if canBecomeText("a"+s) != want {
			t.Errorf("%x: want %v", s, want)
		}
	}
}
