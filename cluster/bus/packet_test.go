package bus

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// The bytes are between nodes of different versions: a change that is not a new version number breaks a rolling update.
func TestPacketsHaveTheseBytes(t *testing.T) {
	for _, c := range []struct {
		header   header
		messages []string
		want     string
	}{
		{
			header{kindBatch, 0x01020304, 0x1112131415161718, 5, 0x2122232425262728},
			[]string{"ab", ""},
			"01" + "01" + "01020304" + "1112131415161718" + "0000000000000005" + "2122232425262728" + "026162" + "00",
		},
		{header{kindPulse, 7, 1, 0, 2}, nil, "01" + "02" + "00000007" + "0000000000000001" + "0000000000000000" + "0000000000000002"},
		{header{kindPing, 7, 0, 9, 2}, nil, "01" + "03" + "00000007" + "0000000000000000" + "0000000000000009" + "0000000000000002"},
	} {
		packet := appendHeader(nil, c.header)
		for _, m := range c.messages {
			packet = appendMessage(packet, []byte(m))
		}
		if got := hex.EncodeToString(packet); got != c.want {
			t.Errorf("%+v is\n%s, want\n%s", c.header, got, c.want)
		}
		h, messages, err := parse(packet)
		if err != nil || h != c.header {
			t.Errorf("%s is %+v, %v", c.want, h, err)
		}
		for _, want := range c.messages {
			m, rest, ok := nextMessage(messages)
			if !ok || string(m) != want {
				t.Errorf("message %q, %t, want %q", m, ok, want)
			}
			messages = rest
		}
		// A packet that was cut must not be taken for a shorter one; between two messages it cannot be told.
		for cut := range packet {
			if _, _, err := parse(packet[:cut]); err == nil && cut != len(packet)-1 {
				t.Errorf("cut to %d of %d bytes it is still a packet", cut, len(packet))
			}
		}
	}
}

// One node with a bug, or of another version, must not take others down.
func FuzzPacket(f *testing.F) {
	f.Add(appendMessage(appendHeader(nil, header{kindBatch, 1, 2, 3, 4}), []byte("hello")))
	f.Add(appendHeader(nil, header{kindPulse, 1, 2, 3, 4}))
	f.Fuzz(func(t *testing.T, packet []byte) {
		h, messages, err := parse(packet)
		if err != nil {
			return
		}
		again := appendHeader(nil, h)
		for len(messages) > 0 {
			var m []byte
			var ok bool
			if m, messages, ok = nextMessage(messages); !ok {
				t.Fatal("a message ends early")
			}
			again = appendMessage(again, m)
		}
		h2, m2, err := parse(again)
		if err != nil || h2 != h || len(again) > len(packet) || len(again) == len(packet) && !bytes.Equal(again, packet) {
			t.Fatalf("%x came back as %x, %v (%x)", packet, again, err, m2)
		}
		l := newLedger(2)
		l.take(h)
		if v := l.take(h); h.kind == kindBatch && v.deliver {
			t.Fatal("delivered twice")
		}
	})
}
