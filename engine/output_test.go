package engine

import (
	"bytes"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"pgregory.net/rapid"
)

// readFrames reads the frames in b.
func readFrames(t interface{ Fatalf(string, ...any) }, b []byte) []ws.Frame {
	r := bytes.NewReader(b)
	var frames []ws.Frame
	for r.Len() > 0 {
		h, err := ws.ReadHeader(r)
		if err != nil {
			t.Fatalf("header: %v", err)
		}
		payload := make([]byte, h.Length)
		if _, err := r.Read(payload); err != nil && h.Length > 0 {
			t.Fatalf("payload: %v", err)
		}
		frames = append(frames, ws.Frame{Header: h, Payload: payload})
	}
	return frames
}

func TestOutputHoldsTheFramesThatWereAsked(t *testing.T) {
	// Without it, a header written into its room late overwrites a neighbour, or leaves a gap that the peer reads
	// as a frame.
	rapid.Check(t, func(t *rapid.T) {
		type frame struct {
			opcode  ws.OpCode
			payload string
		}
		var want []frame
		open := -1 // index in want of the open frame
		o := &output{open: noOpenFrame}
		payload := rapid.Custom(func(t *rapid.T) string {
			n := rapid.SampledFrom([]int{0, 1, 3, 125, 126, 127, 1000, 65535, 65536}).Draw(t, "length")
			return strings.Repeat(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "letter"), n)
		})
		for range rapid.IntRange(0, 8).Draw(t, "steps") {
			p := payload.Draw(t, "payload")
			switch rapid.IntRange(0, 2).Draw(t, "what") {
			case 0:
				if open < 0 {
					open = len(want)
					want = append(want, frame{opcode: ws.OpBinary})
				}
				want[open].payload += p
				o.append([]byte(p))
			case 1:
				open = -1
				want = append(want, frame{ws.OpText, p})
				o.appendFrame(ws.OpText, []byte(p))
			case 2:
				p = p[:min(len(p), maxControlBytes)]
				pong := frame{ws.OpPong, p}
				if open >= 0 {
					want = append(want[:open], pong, want[open])
					open++
				} else {
					want = append(want, pong)
				}
				o.insertControl(ws.OpPong, []byte(p))
			}
		}
		atLeast := o.size()
		o.seal()
		if got := len(o.bytes()); got > atLeast {
			t.Fatalf("%d bytes to send, %d announced", got, atLeast)
		}
		got := readFrames(t, o.bytes())
		if len(got) != len(want) {
			t.Fatalf("%d frames, want %d", len(got), len(want))
		}
		for i, f := range got {
			if f.Header.OpCode != want[i].opcode || string(f.Payload) != want[i].payload || f.Header.Masked || !f.Header.Fin {
				t.Fatalf("frame %d: %+v, want %v with %d bytes", i, f.Header, want[i].opcode, len(want[i].payload))
			}
		}
	})
}

func TestOutputPoolKeepsWhatIsNeededAndNoMore(t *testing.T) {
	// Without it, one busy moment is paid for in memory for ever, or every turn allocates.
	var p outputPool
	use := func(n, size int) {
		var taken []*output
		for range n {
			o := p.get()
			o.append(make([]byte, size))
			taken = append(taken, o)
		}
		for _, o := range taken {
			p.put(o)
		}
	}
	use(100, 1000)
	if len(p.spare) != 100 {
		t.Fatalf("%d spares after 100 were used", len(p.spare))
	}
	p.trim()
	use(10, 1000)
	p.trim()
	if got := len(p.spare); got != 55 {
		t.Errorf("%d spares, want 55: half of the 90 that nobody needed are gone", got)
	}
	for range 10 {
		p.trim()
		p.trim()
	}
	if got := len(p.spare); got != 0 {
		t.Errorf("%d spares left that nobody needs", got)
	}
	use(1, maxSpareSize+1)
	if len(p.spare) != 0 {
		t.Error("a large buffer was kept")
	}
	use(2*spareBytes/maxSpareSize, maxSpareSize/2)
	if p.bytes > spareBytes {
		t.Errorf("%d bytes kept, at most %d are allowed", p.bytes, spareBytes)
	}
}

func TestReasonsAreCutAtARune(t *testing.T) {
	// Without it, a long reason makes our own close frame invalid.
	if got := cutReason(strings.Repeat("é", 100)); len(got) != 122 {
		t.Errorf("%d bytes, want 122", len(got))
	}
	if got := cutReason("short"); got != "short" {
		t.Errorf("got %q", got)
	}
	if got := cutReason("\xff"); got != "" {
		t.Errorf("got %q", got)
	}
}
