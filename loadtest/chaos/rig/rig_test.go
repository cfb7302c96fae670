package rig

import (
	"io"
	"maps"
	"net"
	"os"
	"regexp"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Who is where decides whose silence counts.
func TestSessionsOfTheBalancerAreRead(t *testing.T) {
	const text = `0x5581: proto=tcpv4 src=127.0.0.1:50000 fe=game be=game_nodes srv=node-1 ts=00 epoch=0 age=2s
0x5582: proto=tcpv4 src=127.0.0.1:50002 fe=game be=game_nodes srv=node-3 ts=00 epoch=0
0x5583: proto=tcpv4 src=127.0.0.1:50004 fe=game be=game_nodes srv=<none> ts=02
0x5584: proto=unix_stream src=unix:1 fe=GLOBAL be=<NONE> srv=<none> ts=00
`
	want := map[string]string{"127.0.0.1:50000": "node-1", "127.0.0.1:50002": "node-3"}
	if got := parseSessions(text); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// A variable that is misspelt leaves the balancer with an address of the example: it would balance nothing.
func TestEveryVariableOfTheBalancerIsSet(t *testing.T) {
	text, err := os.ReadFile("../../../deploy/haproxy.cfg")
	if err != nil {
		t.Fatal(err)
	}
	var nodes []*Node
	for range 3 {
		nodes = append(nodes, &Node{Game: "g", HTTP: "h"})
	}
	set := map[string]bool{}
	for _, pair := range balancerEnv("a", "b", "c", nodes) {
		set[regexp.MustCompile(`^\w+`).FindString(pair)] = true
	}
	used := map[string]bool{}
	for _, m := range regexp.MustCompile(`"\$(\w+)"`).FindAllStringSubmatch(string(text), -1) {
		used[m[1]] = true
	}
	if !maps.Equal(set, used) {
		t.Errorf("set are %v, used %v", set, used)
	}
}

// echo is a server that says everything again.
func echo(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

func startWire(t *testing.T) *Wire {
	w, err := newWire(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func call(t *testing.T, w *Wire) net.Conn {
	c, err := net.Dial("tcp", w.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// say sends a word and waits for it, for so long at most.
func say(c net.Conn, limit time.Duration) (took time.Duration, err error) {
	start := time.Now()
	c.SetDeadline(start.Add(limit))
	if _, err := c.Write([]byte("word")); err != nil {
		return 0, err
	}
	_, err = io.ReadFull(c, make([]byte, 4))
	return time.Since(start), err
}

// Chaos that cuts nothing finds nothing.
func TestWireDoesWhatItIsTold(t *testing.T) {
	w := startWire(t)
	c := call(t, w)
	if _, err := say(c, 5*time.Second); err != nil {
		t.Fatal("a sound wire: ", err)
	}

	w.Delay(60 * time.Millisecond)
	if took, err := say(c, 5*time.Second); err != nil || took < 120*time.Millisecond {
		t.Errorf("60 ms each way took %s, %v", took, err)
	}

	w.Stall()
	if _, err := say(c, 100*time.Millisecond); err == nil {
		t.Error("a stalled wire passes something on")
	}
	w.Mend()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
		t.Error("what was stalled is lost: ", err)
	}

	w.Cut()
	if _, err := say(c, 5*time.Second); err == nil {
		t.Error("a cut wire passes something on")
	}
	if fresh, err := net.Dial("tcp", w.Addr()); err == nil {
		if _, err := say(fresh, 5*time.Second); err == nil {
			t.Error("a cut wire takes a new connection")
		}
		fresh.Close()
	}
	w.Mend()
	if _, err := say(call(t, w), 5*time.Second); err != nil {
		t.Error("a mended wire: ", err)
	}
}

// A delay that holds up one thing behind the other would be a narrow way, not a long one.
func TestDelaysDoNotAddUp(t *testing.T) {
	w := startWire(t)
	c := call(t, w)
	w.Delay(50 * time.Millisecond)
	start := time.Now()
	c.SetDeadline(start.Add(10 * time.Second))
	go func() {
		for range 50 {
			c.Write([]byte("word"))
		}
	}()
	if _, err := io.ReadFull(c, make([]byte, 4*50)); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("50 words took %s", took)
	}
}
