package floor

import (
	"bytes"
	"fmt"
	"os/exec"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tickover.dev/netcode"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Without it, a node would refuse what the crowd sends, or the crowd would acknowledge what it has not seen.
func TestInputFramesAreInputs(t *testing.T) {
	for _, want := range []netcode.Input{{Number: 1, State: 1}, {Number: 300, State: 70_000}, {Number: 1 << 31, State: 1<<32 - 1}} {
		var f inputFrame
		f.put(uint32(want.Number), uint32(want.State), 0xa1b2c3d4)
		if f[0] != 0x82 || f[1] != 0x80|byte(len(f)-headBytes) {
			t.Fatalf("header % x", f[:2])
		}
		payload := bytes.Clone(f[headBytes:])
		for i := range payload {
			payload[i] ^= f[2+i%4]
		}
		if err := netcode.Check(payload); err != nil {
			t.Fatal(err)
		}
		var p netcode.Parser
		p.Reset(payload)
		if typ, err := p.Next(); err != nil || typ != netcode.TypeInput {
			t.Fatal(typ, err)
		}
		var got netcode.Input
		if err := p.Read(&got); err != nil {
			t.Fatal(err)
		}
		if got.Room != 1 || got.Number != want.Number || got.State != want.State || got.Reliable != 0 || len(got.Value) != 2+valueBytes {
			t.Errorf("%+v, want number %d and state %d", got, want.Number, want.State)
		}
	}
}

// Without it, states would be counted that did not arrive, or the wrong tick be acknowledged.
func TestTickNumberIsFound(t *testing.T) {
	for _, want := range []uint64{0, 1, 127, 128, 255, 256, 65535, 65536, 1<<32 - 1} {
		tick := netcode.Tick{Room: 1, Epoch: 1795000000000, Tick: want, Applied: 3}
		p := tick.Append(nil)
		p = append(p, 0x92, byte(netcode.TypeState), 0xc0)
		if got, ok := tickOf(p); !ok || uint64(got) != want {
			t.Errorf("tick %d read as %d, %v", want, got, ok)
		}
		for cut := range 10 {
			tickOf(p[:cut]) // must not panic
		}
	}
	joined := netcode.Joined{Request: 1, Room: 1}
	if _, ok := tickOf(joined.Append(nil)); ok {
		t.Error("a joined is taken for a tick")
	}
}

// Without it, a frame that comes in two parts would be lost, and with it all that follows.
func TestFramesAreTheSameHoweverCut(t *testing.T) {
	tick := netcode.Tick{Room: 1, Epoch: 1795000000000, Tick: 77}
	long := append(tick.Append(nil), make([]byte, stateBytes)...)
	var stream []byte
	for range 3 {
		stream = append(stream, 0x82, 126, byte(len(long)>>8), byte(len(long)))
		stream = append(stream, long...)
		short := tick.Append(nil) // without a state
		stream = append(stream, 0x82, byte(len(short)))
		stream = append(stream, short...)
	}
	for cut := range stream {
		c := &Crowd{players: []player{{stage: Joined}}}
		for _, part := range [][]byte{stream[:cut], stream[cut:]} {
			if err := c.take(0, part); err != nil {
				t.Fatal(err)
			}
		}
		if c.count.States != 3 || len(c.players[0].rest) != 0 {
			t.Fatalf("cut at %d: %d states, %d bytes left", cut, c.count.States, len(c.players[0].rest))
		}
	}
}

// Without it, the two servers would not be comparable, or the result not readable.
func TestFanoutMeasuresNodeAndFloor(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs servers")
	}
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("the floor needs a C compiler")
	}
	dir := t.TempDir()
	node, err := BuildNode(t.Context(), t.Output(), dir)
	if err != nil {
		t.Fatal(err)
	}
	bare, err := BuildFloor(t.Context(), t.Output(), dir)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	f := Fanout{
		Node: node, Floor: bare, Players: []int{45}, Rounds: 3, Warm: 200 * time.Millisecond, Measure: time.Second,
		Out: &out, Stderr: t.Output(),
	}
	if err := f.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	var conns int
	var rate, cost, least, ratio, memory float64
	if _, err := fmt.Sscanf(out.String(), "fanout: conns=%d out_per_s=%f cpu_us_per_out=%f floor_us_per_out=%f ratio_to_floor=%f rss_per_conn_kb=%f\n",
		&conns, &rate, &cost, &least, &ratio, &memory); err != nil {
		t.Fatalf("%q: %v", out.String(), err)
	}
	if conns != 45 || rate < 0.97*45*fanoutRateHz || least <= 0 || cost <= 0 {
		t.Errorf("%s", out.String())
	}
}

// Without it, idle sessions would be closed for their silence, or their cost not be seen.
func TestIdleCountsSessions(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs a node")
	}
	node, err := BuildNode(t.Context(), t.Output(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	d := Idle{Node: node, Sessions: 200, Settle: time.Second, Out: &out, Stderr: t.Output()}
	if err := d.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	var sessions int
	var each float64
	if _, err := fmt.Sscanf(out.String(), "idle: sessions=%d rss_per_session_kb=%f\n", &sessions, &each); err != nil || sessions != 200 {
		t.Fatalf("%q: %v", out.String(), err)
	}
}

// Without it, a server that ends at once would be waited for, or its end go unnoticed.
func TestServerThatDoesNotStartIsAnError(t *testing.T) {
	if _, err := Start(t.Context(), t.Output(), []string{"Game"}, "true"); err == nil {
		t.Fatal("a program that says nothing was taken for a server")
	}
}
