package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"go.uber.org/goleak"

	"tickover.dev/client"
	"tickover.dev/netcode"
	"tickover.dev/rooms"
)

func TestMain(m *testing.M) {
	if os.Getenv(asChild) != "" {
		os.Exit(Run(context.Background(), os.Args[1:], os.Stdout, os.Stderr, stage, count))
	}
	goleak.VerifyTestMain(m,
		// The engine's library makes a worker pool when it is loaded, and never ends it.
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"))
}

// asChild in the environment makes the test binary a node.
const asChild = "NODE_TEST_AS_CHILD"

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// The kinds of the tests: one to play undisturbed in, one to be nasty to.
var (
	count = rooms.Define(&counter{}, rooms.Config{Name: "count", RateHz: 20})
	stage = rooms.Define(&scene{}, rooms.Config{Name: "stage", RateHz: 20, Seats: 2, Empty: time.Minute})
)

// counter counts inputs, and does as signals say.
type counter struct{ Count int }

type one struct{}

func (c *counter) Public() any { return c }

func (c *counter) Step(t *rooms.Tick[one]) {
	for e := range t.Events() {
		switch e.Type {
		case rooms.Input:
			c.Count++
			t.Reply(e, c.Count)
		case rooms.Signal:
			c.heed(t, e)
		}
	}
}

func (c *counter) heed(t *rooms.Tick[one], e rooms.Event[one]) {
	var said struct {
		N    int    `msgpack:"n"`
		Text string `msgpack:"text"`
	}
	if err := e.Decode(&said); err != nil {
		t.Reject(e, "unreadable", err.Error())
		return
	}
	switch e.Name {
	case "add":
		c.Count += said.N
		t.Reply(e, map[string]any{"count": c.Count, "text": said.Text})
	case "close":
		t.Lock(true)
		t.Describe(map[string]string{"map": said.Text})
		t.Reply(e, nil)
	case "refuse":
		t.Reject(e, "not_now", "perhaps later")
	case "end":
		t.Reply(e, nil)
		t.End(map[int]string{3: "ann"})
	}
}

// scene does as it is told, and shows 8 KB that change with every tick.
type scene struct {
	Steps  int
	Shout  int // kilobytes that everybody is sent every tick
	Broken bool
	Show   [8 << 10]byte
}

type cue struct {
	Do string `msgpack:"do"`
	N  int    `msgpack:"n"`
}

func (s *scene) Public() any { return s }

func (s *scene) Step(t *rooms.Tick[cue]) {
	if s.Steps++; s.Broken {
		panic("broken for good")
	}
	s.Show[s.Steps%len(s.Show)]++
	if s.Shout > 0 {
		t.Broadcast("shout", make([]byte, s.Shout<<10))
	}
	for e := range t.Events() {
		if e.Type != rooms.Input {
			continue
		}
		switch e.Input.Do {
		case "ask":
			t.Reply(e, e.Input.N)
		case "lock":
			t.Lock(true)
		case "shout":
			s.Shout = e.Input.N
		case "end":
			t.End(e.Input.N)
		case "break":
			s.Broken = true
		}
	}
}

// start runs a node for the length of the test.
func start(t *testing.T, change func(*Config)) *Node {
	t.Helper()
	c := Config{
		GameAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", Loops: 2, Shards: 2, Drain: patience,
		Kinds: []rooms.Kind{count, stage},
	}
	if change != nil {
		change(&c)
	}
	n, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, n) })
	return n
}

func stop(t *testing.T, n *Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.Stop(ctx); err != nil {
		t.Errorf("stop: %v", err)
	}
}

// get asks an HTTP server for a page, with a Host header if there is one.
func get(t *testing.T, url, host string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host, r.Close = host, true
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

// game is where a raw client connects: a *Node, or one in another process.
type game interface{ GameAddr() netip.AddrPort }

// raw is a client that says whatever it likes.
type raw struct {
	net.Conn
	t      *testing.T
	parser netcode.Parser
	open   bool // a message is being parsed
}

// connect opens a TCP connection.
func connect(t *testing.T, n game) *raw {
	t.Helper()
	c, err := net.Dial("tcp", n.GameAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { c.Close() })
	return &raw{Conn: c, t: t}
}

// shake connects and shakes hands.
func shake(t *testing.T, n game) *raw {
	t.Helper()
	c := connect(t, n)
	d := ws.Dialer{
		Protocols: []string{netcode.Subprotocol},
		NetDial:   func(context.Context, string, string) (net.Conn, error) { return c.Conn, nil },
	}
	_, early, _, err := d.Dial(t.Context(), "ws://"+n.GameAddr().String()+"/")
	if err != nil {
		t.Fatal(err)
	}
	if early != nil {
		ws.PutReader(early) // the server never speaks first
	}
	return c
}

// enter opens a session.
func enter(t *testing.T, n game, name string) (*raw, *netcode.Welcome) {
	t.Helper()
	c := shake(t, n)
	c.say(&netcode.Hello{Version: 1, Run: 7, Token: name})
	return c, expect[*netcode.Welcome](c)
}

// write sends one binary message.
func (c *raw) write(payload []byte) {
	f := ws.MaskFrameInPlace(ws.NewBinaryFrame(bytes.Clone(payload)))
	if err := ws.WriteFrame(c.Conn, f); err != nil && !c.over(err) {
		c.t.Error(err)
	}
}

// over reports whether an error only means that the server has hung up already.
func (c *raw) over(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && !op.Timeout()
}

func (c *raw) say(ms ...netcode.Message) {
	var b []byte
	for _, m := range ms {
		b = m.Append(b)
	}
	c.write(b)
}

// next gives the next message of the server, or how it closed.
func (c *raw) next() (netcode.Message, error) {
	for {
		for c.open {
			t, err := c.parser.Next()
			if err != nil {
				c.open = false
				break
			}
			m := ofType(t)
			if m == nil {
				return nil, fmt.Errorf("the server sends type %d", t)
			}
			return m, c.parser.Read(m)
		}
		h, err := ws.ReadHeader(c.Conn)
		if err == nil && h.Length > 1<<20 {
			err = fmt.Errorf("the server sends %d bytes", h.Length)
		}
		if err != nil {
			return nil, err
		}
		payload := make([]byte, h.Length)
		if _, err := io.ReadFull(c.Conn, payload); err != nil {
			return nil, err
		}
		switch h.OpCode {
		case ws.OpClose:
			code, reason := ws.ParseCloseFrameData(payload)
			return nil, &client.Closed{Code: uint16(code), Reason: reason}
		case ws.OpBinary:
			c.open = true
			c.parser.Reset(payload)
		}
	}
}

func ofType(t netcode.Type) netcode.Message {
	for _, m := range []netcode.Message{
		&netcode.Welcome{}, &netcode.Joined{}, &netcode.Left{}, &netcode.Tick{}, &netcode.State{}, &netcode.Private{}, &netcode.Event{},
		&netcode.Reply{}, &netcode.Refusal{}, &netcode.Error{}, &netcode.Pong{}, &netcode.Resend{}, &netcode.Status{}, &netcode.Gone{},
		&netcode.Clock{},
	} {
		if m.Type() == t {
			return m
		}
	}
	return nil
}

// expect reads until a message of a type comes.
func expect[M netcode.Message](c *raw) M {
	c.t.Helper()
	for {
		m, err := c.next()
		if err != nil {
			var none M
			c.t.Fatalf("waiting for %T: %v", none, err)
		}
		if found, ok := m.(M); ok {
			return found
		}
	}
}

// refused reads until an error comes, which must be this one.
func (c *raw) refused(request uint64, code string) {
	c.t.Helper()
	if e := expect[*netcode.Error](c); e.Code != code || e.Request != request {
		c.t.Errorf("error %q for %d (%s), want %q for %d", e.Code, e.Request, e.Message, code, request)
	}
}

// closed reads until the server closes, which must be with this code.
func (c *raw) closed(code uint16) {
	c.t.Helper()
	for {
		_, err := c.next()
		if err == nil {
			continue
		}
		if how := (*client.Closed)(nil); !errors.As(err, &how) || how.Code != code {
			c.t.Errorf("closed with %v, want %d", err, code)
		}
		c.Close()
		return
	}
}

// sit joins a stage of its own and gives the number of the room.
func (c *raw) sit() *netcode.Joined {
	c.t.Helper()
	c.say(&netcode.Join{Request: 1, Mode: netcode.JoinCreate, Kind: "stage"})
	return expect[*netcode.Joined](c)
}

// cued is an input of a stage.
func cued(room, number uint64, what string, n int) *netcode.Input {
	value := []byte{0x82, 0xa2, 'd', 'o', 0xa0 | byte(len(what))}
	value = append(append(value, what...), 0xa1, 'n', 0xcd, byte(n>>8), byte(n))
	return &netcode.Input{Room: room, Number: number, Value: value}
}
