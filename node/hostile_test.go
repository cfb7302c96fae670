package node

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"tickover.dev/netcode"
)

// Everything that strangers may throw at the game socket gets its documented answer, costs nothing lasting, and does not disturb
// anybody in another room. Without this one hostile client is everybody's problem.
func TestHostileClientsHarmOnlyThemselves(t *testing.T) {
	n := start(t, nil)
	b := play(t, n)
	before := heap()
	t.Run("attacks", func(t *testing.T) {
		for name, attack := range map[string]func(*testing.T, *Node){
			"handshakes": attackHandshakes, "slow handshake": attackSlowly, "frames": attackFrames, "first messages": attackFirst,
			"cuts": attackCuts, "requests": attackRequests, "inputs": attackInputs, "rooms": attackRooms, "flood": attackFlood,
			"never reads": attackDeaf, "never acknowledges": attackMute, "secrets": attackSecrets, "no hello": attackSilent,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				attack(t, n)
			})
		}
	})
	b.undisturbed()
	eventually(t, "only the bystander is connected", func() bool {
		return n.hub.Stats().Connections.Load() == 1 && n.hub.Stats().Views.Load() == 1 && n.engine.Stats().Conns == 1
	})
	if grown := int64(heap()) - int64(before); grown > 24<<20 { // some rooms of 8 KB states, and what the tests themselves keep
		t.Errorf("%d MB more than before", grown>>20)
	}
	if p := n.engine.Stats().Panics; p > 0 {
		t.Errorf("%d panics", p)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

const upgrade = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

func attackHandshakes(t *testing.T, n *Node) {
	proto := "Sec-WebSocket-Protocol: tickover.v1\r\n"
	for name, c := range map[string]struct {
		request string
		status  int
	}{
		"good":             {upgrade + proto + "Sec-WebSocket-Version: 13\r\n\r\n", 101},
		"a page":           {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"wrong path":       {strings.Replace(upgrade, "/", "/game", 1) + proto + "Sec-WebSocket-Version: 13\r\n\r\n", 404},
		"wrong version":    {upgrade + proto + "Sec-WebSocket-Version: 8\r\n\r\n", 426},
		"no subprotocol":   {upgrade + "Sec-WebSocket-Version: 13\r\n\r\n", 400},
		"other protocol":   {upgrade + "Sec-WebSocket-Protocol: tickover.v9\r\nSec-WebSocket-Version: 13\r\n\r\n", 400},
		"rubbish":          {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", 400},
		"an endless line":  {"GET /" + strings.Repeat("a", 10<<10), 431},
		"endless headers":  {upgrade + strings.Repeat("A: b\r\n", 3000), 431},
		"a body, chunked":  {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 405},
		"a proxy's wishes": {"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n", 405},
	} {
		c2 := connect(t, n)
		fmt.Fprint(c2, c.request)
		resp, err := http.ReadResponse(bufio.NewReader(c2), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != c.status {
			t.Errorf("%s: status %d, want %d", name, resp.StatusCode, c.status)
		}
		c2.Close()
	}
}

func attackSlowly(t *testing.T, n *Node) {
	c := connect(t, n)
	fmt.Fprint(c, "GET / HT")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestTimeout {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func attackFrames(t *testing.T, n *Node) {
	ping := (&netcode.Ping{}).Append(nil)
	masked := func(f ws.Frame, change func(*ws.Header)) []byte {
		f = ws.MaskFrame(f)
		if change != nil {
			change(&f.Header)
		}
		return ws.MustCompileFrame(f)
	}
	for name, c := range map[string]struct {
		bytes []byte
		code  uint16
	}{
		"unmasked":           {ws.MustCompileFrame(ws.NewBinaryFrame(ping)), 1002},
		"reserved bit":       {masked(ws.NewBinaryFrame(ping), func(h *ws.Header) { h.Rsv = 4 }), 1002},
		"reserved opcode":    {masked(ws.NewBinaryFrame(ping), func(h *ws.Header) { h.OpCode = 5 }), 1002},
		"nothing to go on":   {masked(ws.NewBinaryFrame(ping), func(h *ws.Header) { h.OpCode = 0 }), 1002},
		"a part of a ping":   {masked(ws.NewPingFrame(ping), func(h *ws.Header) { h.Fin = false }), 1002},
		"a long ping":        {masked(ws.NewPingFrame(make([]byte, 126)), nil), 1002},
		"close of one byte":  {masked(ws.NewCloseFrame([]byte{3}), nil), 1002},
		"close that is none": {masked(ws.NewCloseFrame([]byte{3, 0xed}), nil), 1002}, // 1005
		"text":               {masked(ws.NewTextFrame([]byte("{}")), nil), 1003},
		"too long":           {masked(ws.NewBinaryFrame(make([]byte, 16<<10+1)), nil), 1009},
		"claims 4 GB":        {[]byte{0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4}, 1009},
		"too many parts": {bytes.Join([][]byte{
			masked(ws.NewBinaryFrame(make([]byte, 16<<10)), func(h *ws.Header) { h.Fin = false }),
			masked(ws.NewBinaryFrame(ping), func(h *ws.Header) { h.OpCode = 0 }),
		}, nil), 1009},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := enter(t, n, "frames")
			s.Write(c.bytes)
			s.closed(c.code)
		})
	}
}

func attackFirst(t *testing.T, n *Node) {
	deep := append(bytes.Repeat([]byte{0x91}, 17), 0xc0)
	for name, first := range map[string]string{
		"nothing": "", "no array": "\x06", "an empty array": "\x90", "a bomb": "\xdd\xff\xff\xff\xff", "a bomb of maps": "\x92\x01\xdf\xff\xff\xff\xff",
		"a bomb of bytes": "\x92\x01\xc6\xff\xff\xff\xff", "deep": string(deep), "an extension": "\x92\x01\xc7\x01\x01\x01", "0xc1": "\x92\x01\xc1",
		"no UTF-8": "\x94\x01\x01\x01\xa1\xff", "no type": "\x91\xc0", "type 0": "\x91\x00", "type 300": "\x91\xcd\x01\x2c", "type 15": "\x91\x0f",
		"the server's": "\x91\x10", "a join": "\x96\x02\x01\x00\xa0\xa0\xc0", "a ping": "\x92\x06\x01", "hello of strings": "\x92\x01\xa11",
		"a float for a version": "\x92\x01\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00", "a long token": "\x94\x01\x01\x01\xda\x10\x01" + strings.Repeat("x", 4097),
		"65 rooms": "\x97\x01\x01\x01\xa0\xa0\xa0\xdc\x00\x41" + strings.Repeat("\x93\xa1r\x01\x01", 65),
	} {
		t.Run(name, func(t *testing.T) {
			c := shake(t, n)
			c.write([]byte(first))
			c.closed(netcode.CloseViolation)
		})
	}
	c := shake(t, n)
	c.say(&netcode.Hello{Version: 99})
	c.closed(netcode.CloseVersion)
}

// attackCuts sends every message cut at every byte: none is whole, so none is a message.
func attackCuts(t *testing.T, n *Node) {
	hello := (&netcode.Hello{Version: 1, Run: 1 << 31, Token: "ann", Rooms: []netcode.Held{{Room: "r", Seat: 1}}}).Append(nil)
	for at := range len(hello) {
		c := shake(t, n)
		c.write(hello[:at])
		c.closed(netcode.CloseViolation)
	}
	for _, m := range []netcode.Message{
		&netcode.Join{Request: 1, Mode: netcode.JoinOrCreate, Kind: "stage", Target: "cut", Options: []byte{0x81, 0xa1, 'a', 0x01}},
		cued(1, 300, "ask", 1), &netcode.Leave{Request: 1, Room: 300}, &netcode.Ack{Room: 1, Reliable: 300}, &netcode.Ping{Time: 1 << 40},
	} {
		b := m.Append(nil)
		for at := range len(b) {
			c, _ := enter(t, n, "cut")
			c.write(b[:at])
			c.closed(netcode.CloseViolation)
		}
	}
}

func attackRequests(t *testing.T, n *Node) {
	c, _ := enter(t, n, "requests")
	for i, x := range []struct {
		m    netcode.Message
		code string
	}{
		{&netcode.Join{Mode: netcode.JoinID, Target: "nowhere"}, netcode.CodeUnknownRoom},
		{&netcode.Join{Mode: netcode.JoinCreate, Kind: "chess"}, netcode.CodeUnknownKind},
		{&netcode.Join{Mode: netcode.JoinKey, Kind: "stage", Target: "nobody"}, netcode.CodeUnknownKey},
		{&netcode.Join{Mode: netcode.JoinCreate, Kind: "stage", Target: strings.Repeat("x", 65)}, netcode.CodeBadOptions},
		{&netcode.Join{Mode: netcode.JoinCreate, Kind: "stage", Target: "a b/../c"}, netcode.CodeBadOptions},
		{&netcode.Leave{Room: 1}, netcode.CodeNotJoined},
		{&netcode.Leave{Room: netcode.MaxUint}, netcode.CodeNotJoined},
	} {
		request := uint64(i + 1)
		switch m := x.m.(type) {
		case *netcode.Join:
			m.Request = request
		case *netcode.Leave:
			m.Request = request
		}
		c.say(x.m)
		c.refused(request, x.code)
	}
	for _, x := range []struct {
		part, code string
	}{
		{"\x92\x06\xa0", netcode.CodeBadMessage},
		{"\x96\x02\x09\x04\xa0\xa0\xc0", netcode.CodeBadMessage},                 // join mode 4
		{"\x96\x04\x01\x01\x00\x00\xc0", netcode.CodeNotJoined},                  // input before any join
		{"\x94\x05\x01\x00\x00", netcode.CodeNotJoined},                          // and its acknowledgement
		{"\x92\x06\xcf\xff\xff\xff\xff\xff\xff\xff\xff", netcode.CodeBadMessage}, // more than 53 bits
	} {
		c.write([]byte(x.part))
		c.refused(0, x.code)
	}
	c.write([]byte("\x91\x3f"))
	c.closed(netcode.CloseViolation)
}

func attackInputs(t *testing.T, n *Node) {
	c, _ := enter(t, n, "inputs")
	room := c.sit().Room
	c.say(cued(room, 3, "ask", 1))
	if r := expect[*netcode.Resend](c); r.Number != 1 {
		t.Errorf("%+v", r)
	}
	c.say(cued(room, 1, "ask", 1), cued(room, 1, "ask", 1), cued(room, 2, "ask", 2), cued(room, 1, "ask", 1))
	if a, b := expect[*netcode.Reply](c), expect[*netcode.Reply](c); a.Input != 1 || b.Input != 2 || b.Number != 2 {
		t.Errorf("%+v, %+v", a, b)
	}
	c.say(cued(room, 300, "ask", 1))
	c.refused(0, netcode.CodeInputWindow)
	c.say(&netcode.Ack{Room: room, Reliable: 9})
	c.refused(0, netcode.CodeBadAck)
	c.say(&netcode.Ack{Room: room, State: netcode.MaxUint})
	c.refused(0, netcode.CodeBadAck)
	c.say(&netcode.Input{Room: room, Number: 3, Value: []byte("\x93\x01\x02\x03")})
	if r := expect[*netcode.Refusal](c); r.Code != netcode.CodeBadInput || r.Input != 3 {
		t.Errorf("%+v", r)
	}
	deep := append(bytes.Repeat([]byte{0x91}, 14), 0xc0)
	c.say(&netcode.Input{Room: room, Number: 4, Value: deep}, cued(room, 5, "ask", 5))
	if r := expect[*netcode.Reply](c); r.Input != 5 {
		t.Errorf("%+v", r)
	}
}

func attackRooms(t *testing.T, n *Node) {
	host, _ := enter(t, n, "host")
	room := host.sit()
	first, _ := enter(t, n, "first")
	first.say(&netcode.Join{Request: 1, Target: room.ID})
	expect[*netcode.Joined](first)
	late, _ := enter(t, n, "late")
	late.say(&netcode.Join{Request: 1, Target: room.ID})
	late.refused(1, netcode.CodeRoomFull)
	first.say(&netcode.Leave{Request: 2, Room: 1})
	if left := expect[*netcode.Left](first); left.Why != "left" || left.Request != 2 {
		t.Errorf("%+v", left)
	}
	host.say(cued(room.Room, 1, "lock", 0), cued(room.Room, 2, "ask", 0))
	expect[*netcode.Reply](host)
	late.say(&netcode.Join{Request: 2, Target: room.ID})
	late.refused(2, netcode.CodeRoomLocked)
	host.say(cued(room.Room, 3, "end", 5))
	if left := expect[*netcode.Left](host); left.Why != "ended" || string(left.Result) != "\x05" {
		t.Errorf("%+v", left)
	}
	late.say(&netcode.Join{Request: 3, Target: room.ID})
	late.refused(3, netcode.CodeRoomEnded)
	for i := range uint64(9) {
		late.say(&netcode.Join{Request: 10 + i, Mode: netcode.JoinCreate, Kind: "count"})
	}
	late.refused(18, netcode.CodeTooManyRooms)
}

func attackFlood(t *testing.T, n *Node) {
	c, _ := enter(t, n, "flood")
	room := c.sit().Room
	frame := slices.Repeat((&netcode.Input{Room: room, Number: 1, Value: []byte{0xc0}}).Append(nil), 2000)
	go func() { // the socket may be full of answers, so both ends move at once
		for range 1500 {
			if ws.WriteFrame(c.Conn, ws.MaskFrameInPlace(ws.NewBinaryFrame(bytes.Clone(frame)))) != nil {
				return
			}
		}
	}()
	limited := expect[*netcode.Error](c)
	for limited.Code != netcode.CodeRateLimited {
		limited = expect[*netcode.Error](c)
	}
	c.closed(netcode.CloseFlood)
}

// attackDeaf never reads: it is sent states for as long as the window lasts, and no more.
func attackDeaf(t *testing.T, n *Node) {
	c, _ := enter(t, n, "deaf")
	c.sit()
	skipped := n.hub.Stats().StatesSkip.Load()
	for range 30 { // three seconds of 8 KB at 20 Hz would be 480 KB
		c.say(&netcode.Ping{})
		pause(t, 100*time.Millisecond)
	}
	if n.hub.Stats().StatesSkip.Load() == skipped {
		t.Error("no state was skipped")
	}
	sent := 0
	for pongs := 0; pongs < 30; {
		switch m, err := c.next(); m := m.(type) {
		case *netcode.State:
			sent += len(m.Value)
		case *netcode.Pong:
			pongs++
		default:
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if sent > 200<<10 {
		t.Errorf("%d KB of states sent to a client that acknowledges none", sent>>10)
	}
}

// pause lets time pass while something is watched that must not happen.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// attackMute reads, but acknowledges nothing, in a room that says a lot.
func attackMute(t *testing.T, n *Node) {
	c, w := enter(t, n, "mute")
	room := c.sit()
	c.say(cued(room.Room, 1, "shout", 16))
	c.closed(netcode.CloseReliable)
	again := shake(t, n)
	again.say(&netcode.Hello{Version: 1, Run: 7, Session: w.Session, Secret: w.Secret, Rooms: []netcode.Held{{Room: room.ID, Seat: room.Seat, Reliable: 3}}})
	if j := expect[*netcode.Joined](again); j.Outcome != netcode.OutcomeSnapshot || j.Applied != 1 {
		t.Errorf("%+v", j)
	}
}

func attackSecrets(t *testing.T, n *Node) {
	a, first := enter(t, n, "secrets")
	resume := func(session, secret string) *raw {
		c := shake(t, n)
		c.say(&netcode.Hello{Version: 1, Run: 7, Session: session, Secret: secret})
		return c
	}
	resume(first.Session, "").closed(netcode.CloseBadSecret)
	resume(first.Session, first.Secret+"x").closed(netcode.CloseBadSecret)
	resume("x"+first.Session, first.Secret).closed(netcode.CloseBadSecret)
	b := resume(first.Session, first.Secret)
	second := expect[*netcode.Welcome](b)
	a.closed(netcode.CloseSuperseded)
	c := resume(first.Session, second.Secret)
	expect[*netcode.Welcome](c)
	b.closed(netcode.CloseSuperseded)
	resume(first.Session, first.Secret).closed(netcode.CloseBadSecret)
	c.say(&netcode.Ping{Time: 1})
	expect[*netcode.Pong](c) // whoever guesses does not disturb the owner
}

func attackSilent(t *testing.T, n *Node) {
	var all []*raw
	for range 50 {
		all = append(all, shake(t, n))
	}
	for _, c := range all {
		c.closed(netcode.CloseNoHello)
	}
}

// Whoever opens connections to the page and says nothing must not use up the descriptors that players need, nor the page for long.
func TestIdleHTTPConnectionsAreBounded(t *testing.T) {
	n := start(t, nil)
	b := play(t, n)
	for range maxHTTPConns + 50 {
		c, err := net.Dial("tcp", n.HTTPAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	if status, _ := get(t, "http://"+n.HTTPAddr().String()+"/", ""); status != 200 { // after the first ones were given up
		t.Errorf("status %d", status)
	}
	if open := len(n.page.net.open); open > maxHTTPConns {
		t.Errorf("%d connections are open", open)
	}
	b.undisturbed()
}
