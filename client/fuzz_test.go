package client

import (
	"net"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"tickover.dev/netcode"
)

// tape is a connection that plays bytes and then ends, in pieces as small as a network makes them.
type tape struct {
	net.Conn
	bytes []byte
	piece int
}

func (t *tape) Read(p []byte) (int, error) {
	if len(t.bytes) == 0 {
		return 0, net.ErrClosed
	}
	n := copy(p[:min(len(p), max(t.piece, 1))], t.bytes)
	t.bytes = t.bytes[n:]
	return n, nil
}

// FuzzServerBytes: whatever a server sends, the client neither panics nor keeps more than its limit, and messages come out of
// frames the same however the bytes are cut.
func FuzzServerBytes(f *testing.F) {
	tick := (&netcode.Tick{Room: 1, Epoch: 1, Tick: 11}).Append(nil)
	tick = (&netcode.State{Value: one}).Append(tick)
	tick = (&netcode.Event{Number: 1, Name: "e", Value: one}).Append(tick)
	for _, frame := range []ws.Frame{
		ws.NewBinaryFrame(tick), ws.NewFrame(ws.OpBinary, false, tick), ws.NewPingFrame([]byte("hi")), ws.NewCloseFrame(nil),
		ws.NewBinaryFrame(make([]byte, 200)), ws.NewBinaryFrame((&netcode.Left{Room: 1, Why: "ended"}).Append(nil)),
		ws.NewBinaryFrame((&netcode.Gone{ID: "r1"}).Append(nil)), ws.NewBinaryFrame((&netcode.Resend{Room: 1, Number: 1}).Append(nil)),
	} {
		b, err := ws.CompileFrame(frame)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, 3)
	}
	f.Fuzz(func(t *testing.T, bytes []byte, piece int) {
		now := time.Unix(1000, 0)
		const limit = 1 << 16
		c, _ := loose(t)
		whole := &link{conn: &tape{bytes: bytes, piece: len(bytes)}, limit: limit}
		cut := &link{conn: &tape{bytes: bytes, piece: piece}, limit: limit}
		for {
			op, payload, err := whole.next()
			op2, payload2, err2 := cut.next()
			if op != op2 || string(payload) != string(payload2) || (err == nil) != (err2 == nil) {
				t.Fatalf("%v %x %v, in pieces %v %x %v", op, payload, err, op2, payload2, err2)
			}
			if cap(whole.buf) > 4*limit || cap(whole.parts) > 4*limit {
				t.Fatalf("buffers of %d and %d bytes", cap(whole.buf), cap(whole.parts))
			}
			if err != nil || op != ws.OpBinary || c.receive(now, payload) != nil {
				return
			}
		}
	})
}
