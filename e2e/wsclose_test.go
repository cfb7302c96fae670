package e2e

import (
	"fmt"
	"strings"
)

// closings: data behind a close frame is ignored, and never costs the peer the answer to it.
func closings() []exchange {
	bye, code := closing(1000, "bye"), closing(1000, "")
	empty := frame{first: fin | opClose}
	large := strings.Repeat("BAsd7&jh23", 256*kib/10)
	cases := []exchange{
		says("message, then close", frames(text("t"), bye), text("t"), bye),
		says("close twice", frames(bye, bye), bye),
		says("close, then ping", frames(bye, ping("late")), bye),
		says("close, then text", frames(bye, text("late")), bye),
		says("close, then nonsense", frames(bye, frame{first: 0x7f, payload: "nonsense"}), bye),
		says("fragment, close, fragment", frames(textPart("t"), bye, last("late")), bye),
		says("256 KiB, text, close, ping", frames(text(large), text("t"), bye, ping("late")), text(large), text("t"), bye),
		says("close, then 4 MiB", append(frames(bye), bin(strings.Repeat("x", 4*mib))), bye),
		says("message, close, then 4 MiB", append(frames(text(large), bye), bin(strings.Repeat("x", 4*mib))), text(large), bye),
		says("without a payload", frames(empty), empty),
		says("payload of one octet", frames(frame{first: fin | opClose, payload: "a"}), failed(1002)),
		says("code alone", frames(code), code),
		says("code and reason", frames(closing(1000, "Hello World!")), closing(1000, "Hello World!")),
		says("reason of 123", frames(closing(1000, strings.Repeat("*", 123))), closing(1000, strings.Repeat("*", 123))),
		says("reason of 124", frames(closing(1000, strings.Repeat("*", 124))), failed(1002)),
		says("reason that is not UTF-8", frames(closing(1000, kosme+surrogate+"edited")), failed(1007)),
		says("reason that ends in a rune", frames(closing(1000, "\xe2\x82")), failed(1007)),
		says("code that is not allowed, reason that is not UTF-8", frames(closing(1005, "\xff")), failed(1002)),
	}
	// Those of RFC 6455 that may be sent, those registered since (1012 to 1014), and the ranges of libraries and applications.
	for _, c := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		cases = append(cases, says(fmt.Sprint("code ", c), frames(closing(c, "why")), closing(c, "why")))
	}
	for _, c := range []uint16{0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		cases = append(cases,
			says(fmt.Sprint("code ", c), frames(closing(c, "")), failed(1002)),
			says(fmt.Sprint("code ", c, " with a reason"), frames(closing(c, "why")), failed(1002)))
	}
	return cases
}
