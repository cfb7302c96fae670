package engine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

func TestMessagesComeBackInTheirKind(t *testing.T) {
	// Without it, nothing works.
	s := start(t, echoing(), nil)
	c := dial(t, s)
	for _, n := range []int{0, 1, 125, 126, 4096, 16 << 10} {
		want := strings.Repeat("x", n)
		c.send(clientFrame(true, ws.OpText, []byte(want)))
		c.wantFrame(ws.OpText, want)
		c.send(clientFrame(true, ws.OpBinary, []byte(want)))
		c.wantFrame(ws.OpBinary, want)
	}
	c.send(closeFrame(1000, "bye"))
	c.wantClose(1000)
	c.wantEnd()
	eventually(t, "connection gone", func() bool { return s.Stats().Conns == 0 })
	if st := s.Stats(); st.MessagesIn != 12 || st.MessagesOut != 12 || st.Closed[1000] != 1 || st.Upgraded != 1 || st.Open != 0 {
		t.Errorf("stats: %+v", st)
	}
}

func TestBytesBehindTheHandshakeAreFrames(t *testing.T) {
	// Without it, a client that does not wait for the answer loses its first messages.
	s := start(t, echoing(), nil)
	c := connect(t, s)
	second := clientFrame(true, ws.OpText, []byte("second"))
	c.send([]byte(goodRequest), clientFrame(true, ws.OpText, []byte("first")), second[:4])
	c.upgraded()
	c.wantFrame(ws.OpText, "first")
	c.send(second[4:])
	c.wantFrame(ws.OpText, "second")
}

func TestAStreamMayArriveInAnyPieces(t *testing.T) {
	// Without it, the result depends on how the network cuts the stream, handshake included.
	s := start(t, echoing(), nil)
	stream := joined([]byte(goodRequest), clientFrame(false, ws.OpText, []byte("a")), clientFrame(true, ws.OpPing, []byte("p")),
		clientFrame(true, ws.OpContinuation, []byte("b")), clientFrame(true, ws.OpBinary, make([]byte, 130)), closeFrame(3000, ""))
	expect := func(c *client) {
		c.upgraded()
		c.wantFrame(ws.OpPong, "p")
		c.wantFrame(ws.OpText, "ab")
		c.wantFrame(ws.OpBinary, string(make([]byte, 130)))
		c.wantClose(3000)
		c.wantEnd()
	}
	for cut := 1; cut < len(stream); cut++ {
		before := s.Loops()[0].turns.Load()
		c := connect(t, s)
		c.send(stream[:cut])
		// The two halves must not be read together: one turn for the connection, one for the first half.
		eventually(t, "first half", func() bool { return s.Loops()[0].turns.Load() >= before+2 })
		c.send(stream[cut:])
		expect(c)
	}
}

func TestManySmallMessagesKeepTheirOrder(t *testing.T) {
	// Without it, a burst is reordered or lost where read buffers end.
	const n = 10_000
	next := uint32(0)
	h := &hooks{message: func(c *Conn, _ bool, p []byte) {
		if binary.BigEndian.Uint32(p) != next {
			c.Close(3001, fmt.Sprintf("got %d, want %d", binary.BigEndian.Uint32(p), next))
		}
		next++
		c.Send(false, p)
	}}
	s := start(t, h, nil)
	c := dial(t, s)
	go func() {
		var b []byte
		for i := range n {
			b = append(b, clientFrame(true, ws.OpBinary, binary.BigEndian.AppendUint32(nil, uint32(i)))...)
		}
		_, _ = c.Write(b)
	}()
	for i := range n {
		c.wantFrame(ws.OpBinary, string(binary.BigEndian.AppendUint32(nil, uint32(i))))
	}
}

func TestATurnsAppendsAreOneMessageAndOneWrite(t *testing.T) {
	// Without it, a client pays a frame and the server a system call for every part of a tick.
	h := &hooks{message: func(c *Conn, _ bool, p []byte) { c.Append(p) }}
	s := start(t, h, nil)
	c := dial(t, s)
	before := s.Stats()
	c.send(clientFrame(true, ws.OpBinary, []byte("a")), clientFrame(true, ws.OpPing, []byte("p")),
		clientFrame(true, ws.OpBinary, []byte("b")), clientFrame(true, ws.OpBinary, []byte("c")))
	c.wantFrame(ws.OpPong, "p")
	c.wantFrame(ws.OpBinary, "abc")
	eventually(t, "turn counted", func() bool { // its counters one after the other
		st := s.Stats()
		return st.MessagesIn == before.MessagesIn+3 && st.MessagesOut > before.MessagesOut && st.Flushes > before.Flushes
	})
	after := s.Stats()
	if after.Flushes-before.Flushes != 1 || after.MessagesOut-before.MessagesOut != 1 {
		t.Errorf("%d writes and %d messages for one turn", after.Flushes-before.Flushes, after.MessagesOut-before.MessagesOut)
	}
}

func TestSendKeepsItsPlaceAmongAppends(t *testing.T) {
	// Without it, a message overtakes what was said before it.
	h := &hooks{message: func(c *Conn, _ bool, _ []byte) {
		c.Append([]byte("a"))
		c.Append([]byte("b"))
		c.Send(true, []byte("text"))
		c.Append([]byte("c"))
		c.Append(nil)
		c.Send(false, nil)
	}}
	c := dial(t, start(t, h, nil))
	c.send(clientFrame(true, ws.OpBinary, nil))
	c.wantFrame(ws.OpBinary, "ab")
	c.wantFrame(ws.OpText, "text")
	c.wantFrame(ws.OpBinary, "c")
	c.wantFrame(ws.OpBinary, "")
}

func TestATurnReachesOtherConnectionsToo(t *testing.T) {
	// Without it, what one player's message causes for others waits until they say something themselves.
	var conns []*Conn
	h := &hooks{open: func(c *Conn) {
		conns = append(conns, c)
		c.Append([]byte("welcome"))
		if len(conns) == 3 {
			c.Close(4000, "two are enough")
		}
	}}
	h.message = func(_ *Conn, _ bool, p []byte) {
		for _, c := range conns {
			c.Append(p)
		}
		conns[1].Close(4001, "enough")
	}
	s := start(t, h, nil)
	first, second, third := dial(t, s), dial(t, s), dial(t, s)
	for _, c := range []*client{first, second, third} {
		c.wantFrame(ws.OpBinary, "welcome")
	}
	third.wantClose(4000)
	first.send(clientFrame(true, ws.OpBinary, []byte("hi")))
	first.wantFrame(ws.OpBinary, "hi")
	second.wantFrame(ws.OpBinary, "hi")
	second.wantClose(4001)
}

func TestProtocolErrorsAreAnsweredWithTheirCode(t *testing.T) {
	// Without it, a broken client is cut off without learning why: the close frame must survive the bytes that
	// are still coming.
	tests := []struct {
		name string
		sent []byte
		code uint16
	}{
		{"unmasked", []byte("\x82\x01a"), 1002},
		{"too big", clientFrame(true, ws.OpBinary, make([]byte, 1<<20)), 1009},
		{"huge", []byte("\x82\xff\x00\x00\x00\xff\x00\x00\x00\x00mask"), 1009},
		{"bad text", clientFrame(true, ws.OpText, []byte("\xff")), 1007},
		{"bad close code", closeFrame(1005, ""), 1002},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			causes := make(chan error, 1)
			h := echoing()
			h.closed = func(_ *Conn, err error) { causes <- err }
			s := start(t, h, nil)
			c := dial(t, s)
			go c.Write(test.sent) // fails half-way if the server hangs up early
			c.wantClose(test.code)
			c.wantEnd()
			c.Close()
			wantCause(t, await(t, "Closed", causes), test.code, false)
		})
	}
}

func TestAWrongClientThatStaysIsCutOff(t *testing.T) {
	// Without it, a peer that ignores our close frame keeps its place.
	s := start(t, echoing(), func(c *Config) { c.CloseTimeout = 50 * time.Millisecond })
	c := dial(t, s)
	c.send([]byte("\x82\x01a"))
	c.wantClose(1002)
	eventually(t, "cut off", func() bool { return s.Stats().Conns == 0 })
}

func TestBothSidesCanClose(t *testing.T) {
	// Without it, one of the two orders of the closing handshake hangs, or Closed comes twice or not at all.
	opened, causes := make(chan *Conn, 1), make(chan error, 2)
	h := &hooks{open: func(c *Conn) { opened <- c }, closed: func(_ *Conn, err error) { causes <- err }}
	s := start(t, h, nil)

	c := dial(t, s)
	c.send(closeFrame(4321, "enough"), clientFrame(true, ws.OpText, []byte("behind the close")))
	c.wantClose(4321)
	c.wantEnd()
	err := await(t, "Closed", causes)
	wantCause(t, err, 4321, true)
	await(t, "Open", opened)

	c = dial(t, s)
	conn := await(t, "Open", opened)
	onLoop(t, s.Loops()[0], func() {
		conn.Append([]byte("last words"))
		conn.Close(4000, "moved")
		conn.Close(4001, "second")
		conn.Append([]byte("too late"))
		conn.Send(false, []byte("too late"))
		if conn.Open() {
			t.Error("open after Close")
		}
	})
	c.wantFrame(ws.OpBinary, "last words")
	c.wantClose(4000)
	c.send(closeFrame(4000, ""))
	c.wantEnd()
	wantCause(t, await(t, "Closed", causes), 4000, false)
	onLoop(t, s.Loops()[0], func() {
		conn.Append([]byte("x"))
		conn.Close(4002, "")
		if conn.Backlog() != 0 || !conn.RemoteAddr().IsValid() || conn.Loop() != s.Loops()[0] {
			t.Error("a closed connection does not answer as one")
		}
	})
	if len(causes) > 0 {
		t.Errorf("Closed twice: %v", <-causes)
	}
}

func TestACloseWithoutACodeIsAnsweredInKind(t *testing.T) {
	// Without it, we put code 1005 on the wire, which no frame may carry, or invent a code of our own.
	causes, opened := make(chan error, 1), make(chan *Conn, 1)
	h := &hooks{open: func(c *Conn) { opened <- c }, closed: func(_ *Conn, err error) { causes <- err }}
	s := start(t, h, nil)
	c := dial(t, s)
	c.send(clientFrame(true, ws.OpClose, nil))
	c.wantFrame(ws.OpClose, "")
	c.wantEnd()
	err := await(t, "Closed", causes)
	wantCause(t, err, CodeNoStatus, true)
	if got := err.Error(); got != "engine: closed by peer: code 1005" {
		t.Errorf("error reads %q", got)
	}
	await(t, "Open", opened)

	c = dial(t, s)
	conn := await(t, "Open", opened)
	onLoop(t, s.Loops()[0], func() { conn.Close(1006, "not a code to send") })
	c.wantFrame(ws.OpClose, "")
	c.send(clientFrame(true, ws.OpClose, nil))
	err = await(t, "Closed", causes)
	wantCause(t, err, CodeNoStatus, false)
}

func TestBytesBehindACloseDoNotCostItsAnswer(t *testing.T) {
	// Without it, a client that says a word too many is reset: on the way, that overtakes our close frame and all before it.
	for _, test := range []struct {
		name  string
		close func(*client, *Conn)
	}{
		{"peer closes", func(c *client, _ *Conn) { c.send(closeFrame(4321, "")) }},
		{"both close", func(c *client, conn *Conn) {
			onLoop(t, conn.Loop(), func() { conn.Close(4321, "") })
			c.send(closeFrame(4321, ""))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			causes, opened := make(chan error, 2), make(chan *Conn, 1)
			s := start(t, &hooks{open: func(c *Conn) { opened <- c }, closed: func(_ *Conn, err error) { causes <- err }},
				func(c *Config) { c.CloseTimeout = patience })
			c := dial(t, s)
			test.close(c, await(t, "Open", opened))
			await(t, "Closed", causes) // at once, not when the peer ends its half
			late := clientFrame(true, ws.OpText, []byte("late"))
			c.send(late)
			c.send(late)
			c.wantClose(4321)
			c.wantEnd()
			c.send(late)
			if st := s.Stats(); st.Conns != 1 || st.Open != 0 || st.Closed[4321] != 1 || st.MessagesIn != 0 {
				t.Errorf("stats: %+v", st)
			}
			c.Close()
			eventually(t, "connection gone", func() bool { return s.Stats().Conns == 0 })
			if len(causes) > 0 {
				t.Errorf("Closed twice: %v", <-causes)
			}
		})
	}
}

func TestAPeerThatStaysBehindItsCloseIsCutOff(t *testing.T) {
	// Without it, a client that has said goodbye and does not hang up keeps its place.
	s := start(t, echoing(), func(c *Config) { c.CloseTimeout = 50 * time.Millisecond })
	c := dial(t, s)
	c.send(closeFrame(1000, ""))
	c.wantClose(1000)
	eventually(t, "cut off", func() bool { return s.Stats().Conns == 0 })
}

func TestAPeerThatJustGoesIsReportedSo(t *testing.T) {
	// Without it, a lost connection looks like a farewell.
	for _, reset := range []bool{false, true} {
		causes := make(chan error, 1)
		c := dial(t, start(t, &hooks{closed: func(_ *Conn, err error) { causes <- err }}, nil))
		if reset {
			if err := c.Conn.(*net.TCPConn).SetLinger(0); err != nil {
				t.Fatal(err)
			}
		}
		c.Close()
		err := await(t, "Closed", causes)
		if _, ok := errors.AsType[*CloseError](err); ok || err == nil {
			t.Errorf("closed because of %v, want an I/O error", err)
		}
	}
}

func TestAClientThatNeverReadsIsClosedAtItsBound(t *testing.T) {
	// Without it, one client that stopped reading takes all memory.
	const limit = 128 << 10
	causes, opened := make(chan error, 1), make(chan *Conn, 1)
	h := &hooks{open: func(c *Conn) { opened <- c }, closed: func(_ *Conn, err error) { causes <- err }}
	s := start(t, h, func(c *Config) {
		c.MaxBacklogBytes, c.BacklogCode, c.CloseTimeout = limit, 4100, 100*time.Millisecond
	})
	c := dial(t, s)
	conn := await(t, "Open", opened)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	most, sent := 0, 0
	part := make([]byte, 4096)
	for open := true; open; {
		onLoop(t, s.Loops()[0], func() {
			conn.Append(part)
			most, open, sent = max(most, conn.Backlog()), conn.Open(), sent+len(part)
		})
		if sent > 64<<20 {
			t.Fatal("never closed")
		}
	}
	runtime.ReadMemStats(&after)
	if most > limit+headRoom+maxControlBytes {
		t.Errorf("backlog reached %d, limit %d", most, limit)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 16*limit {
		t.Errorf("heap grew by %d", grown)
	}
	wantCause(t, await(t, "Closed", causes), 4100, false)
	c.Close()
}

func TestASlowReaderStillLearnsWhy(t *testing.T) {
	// Without it, a client that fell behind sees a reset and reconnects into the same trouble.
	opened := make(chan *Conn, 1)
	s := start(t, &hooks{open: func(c *Conn) { opened <- c }}, func(c *Config) { c.CloseTimeout = patience })
	c := dial(t, s)
	conn := await(t, "Open", opened)
	for open := true; open; {
		onLoop(t, s.Loops()[0], func() {
			conn.Append(make([]byte, 4096))
			open = conn.Open()
		})
	}
	c.wantClose(CodeBacklog) // all frames before it are whole
	c.send(closeFrame(CodeBacklog, ""))
	c.wantEnd()
}

func TestAPingFloodIsBoundedByTheBacklog(t *testing.T) {
	// Without it, pings are a way to make us hold any number of pongs.
	causes := make(chan error, 1)
	s := start(t, &hooks{closed: func(_ *Conn, err error) { causes <- err }},
		func(c *Config) {
			c.MaxBacklogBytes, c.MaxExtraFrames, c.CloseTimeout = 64<<10, -1, 100*time.Millisecond
		})
	c := dial(t, s)
	flood := bytes.Repeat(clientFrame(true, ws.OpPing, make([]byte, 125)), 1000)
	go func() {
		for {
			if _, err := c.Write(flood); err != nil {
				return
			}
		}
	}()
	wantCause(t, await(t, "Closed", causes), CodeBacklog, false)
	c.Close()
}

func TestSilenceIsEndedAndPingsAreNoSilence(t *testing.T) {
	// Without it, a client that vanished without a word stays a player for ever.
	s := start(t, echoing(), func(c *Config) { c.SilenceTimeout = 300 * time.Millisecond })
	quiet, pinging := dial(t, s), dial(t, s)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		quiet.wantClose(CodeSilence)
	}()
	pings := time.NewTicker(50 * time.Millisecond)
	defer pings.Stop()
	for silent := true; silent; {
		select {
		case <-ended:
			silent = false
		case <-pings.C:
			pinging.send(clientFrame(true, ws.OpPing, nil))
			pinging.wantFrame(ws.OpPong, "")
		}
	}
	pinging.send(clientFrame(true, ws.OpText, []byte("still here")))
	pinging.wantFrame(ws.OpText, "still here")
}

func TestATrickledFrameIsSilence(t *testing.T) {
	// Without it, a byte now and then holds a place and a buffer for ever.
	s := start(t, echoing(), func(c *Config) { c.SilenceTimeout = 200 * time.Millisecond })
	c := dial(t, s)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.wantClose(CodeSilence)
	}()
	trickle := time.NewTicker(20 * time.Millisecond)
	defer trickle.Stop()
	frame := clientFrame(true, ws.OpBinary, make([]byte, 1000))
	for i := 0; ; i++ {
		select {
		case <-ended:
			return
		case <-trickle.C:
			if i < len(frame) {
				_, _ = c.Write(frame[i : i+1])
			}
		}
	}
}

func TestLargeMessagesPassInBothDirections(t *testing.T) {
	// Without it, what does not fit one read or one write is damaged.
	s := start(t, echoing(), func(c *Config) { c.MaxMessageBytes, c.MaxBacklogBytes = 8<<20, 16<<20 })
	c := dial(t, s)
	want := bytes.Repeat([]byte("0123456789abcde"), 4<<20/15)
	go c.Write(joined(clientFrame(false, ws.OpBinary, want[:1<<20]), clientFrame(true, ws.OpPing, nil), clientFrame(true, ws.OpContinuation, want[1<<20:])))
	c.wantFrame(ws.OpPong, "")
	if op, got := c.frame(); op != ws.OpBinary || got != string(want) {
		t.Errorf("got %v with %d bytes, want %d", op, len(got), len(want))
	}
}

func TestTheLibrarysClientIsUnderstood(t *testing.T) {
	// Without it, both ends of these tests could share one misunderstanding.
	s := start(t, echoing(), func(c *Config) { c.Path, c.Subprotocol = "/play", "game.v1" })
	d := ws.Dialer{Protocols: []string{"game.v1"}}
	conn, early, hs, err := d.Dial(t.Context(), "ws://"+s.Addr().String()+"/play")
	if err != nil || hs.Protocol != "game.v1" {
		t.Fatalf("dial: %v, subprotocol %q", err, hs.Protocol)
	}
	defer conn.Close()
	var r io.Reader = conn
	if early != nil {
		r = early
	}
	if err := wsutil.WriteClientText(conn, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	got, op, err := wsutil.ReadServerData(struct {
		io.Reader
		io.Writer
	}{r, conn})
	if err != nil || string(got) != "hello" || op != ws.OpText {
		t.Errorf("got %v %q, %v", op, got, err)
	}
}
