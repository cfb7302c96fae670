package sessions

import (
	"testing"
	"time"

	"tickover.dev/netcode"
	"tickover.dev/rooms"
)

// someValue is any value of a game.
var someValue = []byte{0xc0}

// bench is a room with some views on one loop, whose door counts.
type bench struct {
	*rig
	loop  *fakeLoop
	door  countingDoor
	peers []*peer

	tick   uint64
	number uint64
	parts  []rooms.SeatPart
	frames [2]*rooms.Frame // one is the replica's newest
	batch  []*rooms.Frame
	wire   []byte
}

func newBench(tb testing.TB) *bench {
	b := &bench{rig: newRig(tb, 1, func(c *Config) { c.MessagesPerSec, c.MessageBurst = 1e9, 1e9 })}
	b.loop = b.loops[0]
	for range play.Seats {
		p := b.enter(0, "ann")
		seat := p.sit("play", "a")
		p.sock.deaf = true
		b.peers = append(b.peers, p)
		b.parts = append(b.parts, rooms.SeatPart{Seat: rooms.Seat(seat.Seat), Session: p.conn.id, Run: p.run, Private: someValue})
	}
	r := b.loop.replicas["r-1"]
	r.room.Door = &b.door
	b.tick = r.tick
	b.frames = [2]*rooms.Frame{{}, {}}
	b.batch = make([]*rooms.Frame, 1)
	return b
}

// input is a message with an input and an acknowledgement.
func (b *bench) input() {
	b.now = b.now.Add(time.Millisecond)
	p := b.peers[0]
	v := p.conn.views[0]
	b.number++
	v.applied, v.handed = b.number-1, 0
	in, ack := &b.loop.input, &b.loop.ack // any memory that is there
	*in = netcode.Input{Room: 1, Number: b.number, Value: someValue}
	b.wire = in.Append(b.wire[:0])
	*ack = netcode.Ack{Room: 1}
	b.wire = ack.Append(b.wire)
	b.loop.message(p.conn, b.wire)
}

// fanOut shows a tick with a public value, and something private for everybody.
func (b *bench) fanOut() {
	b.tick++
	b.now = b.now.Add(period)
	b.frames[0], b.frames[1] = b.frames[1], b.frames[0]
	f := b.frames[0]
	f.Room, f.Epoch, f.Tick, f.Public, f.Seats = "r-1", 1000, b.tick, someValue, b.parts
	f.Retain()
	f.Retain() // once more than it is released, as it is used again here
	b.batch[0] = f
	b.hub.Deliver(b.batch)
	b.loop.tasks[0].Run(nil)
	b.loop.tasks = b.loop.tasks[:0]
	for _, p := range b.peers {
		p.conn.views[0].window.acknowledged(b.tick, b.hub.nowMs())
	}
}

// countingDoor takes mail and counts inputs.
type countingDoor struct{ inputs int }

func (d *countingDoor) Post(m *rooms.Mail) error {
	if m.Type == rooms.MailInput {
		d.inputs++
	}
	return nil
}

func (d *countingDoor) Join(rooms.Mail, []byte, func(code, why string)) {}

// The steady path must not allocate: at 20 Hz and thousands of players the collector would be what the node mostly does.
func TestTheSteadyPathAllocatesNothing(t *testing.T) {
	b := newBench(t)
	if n := testing.AllocsPerRun(1000, b.input); n != 0 {
		t.Errorf("%v allocations per input", n)
	}
	if b.door.inputs < 1000 {
		t.Errorf("%d inputs have reached the room", b.door.inputs)
	}
	if n := testing.AllocsPerRun(1000, b.fanOut); n != 0 {
		t.Errorf("%v allocations per frame", n)
	}
	for _, p := range b.peers {
		if p.sock.bytes < 1000 || p.sock.code != 0 {
			t.Errorf("%d bytes were sent; closed: %d %q", p.sock.bytes, p.sock.code, p.sock.reason)
		}
	}
}

func BenchmarkInput(b *testing.B) {
	x := newBench(b)
	b.ReportAllocs()
	for b.Loop() {
		x.input()
	}
}

// One operation is one tick of a room with four views.
func BenchmarkFanOut(b *testing.B) {
	x := newBench(b)
	b.ReportAllocs()
	for b.Loop() {
		x.fanOut()
	}
}
