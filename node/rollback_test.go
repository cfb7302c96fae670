package node

import (
	"sync/atomic"
	"testing"
	"time"

	"tickover.dev/netcode"
	"tickover.dev/rooms"
)

// casual is saved now and then only, and panics in its next step when it is told to.
type casual struct{ Steps int }

var tripCasual atomic.Bool

func (c *casual) Public() any { return c }

func (c *casual) Step(t *rooms.Tick[one]) {
	c.Steps++
	for e := range t.Events() {
		if e.Type == rooms.Input {
			t.Reply(e, c.Steps)
		}
	}
	if tripCasual.CompareAndSwap(true, false) {
		panic("once")
	}
}

// Players of a room that went back must learn that it did, come back to their seats, and be able to play on: without being told, a
// client waits for ticks that it has seen already.
func TestARoomThatGoesBackSaysSo(t *testing.T) {
	n := start(t, func(c *Config) {
		c.Kinds = []rooms.Kind{rooms.Define(&casual{}, rooms.Config{Name: "casual", RateHz: 50, Durability: rooms.Periodic, Empty: time.Minute})}
	})
	c, w := enter(t, n, "ann")
	c.say(&netcode.Join{Request: 1, Mode: netcode.JoinCreate, Kind: "casual"})
	seat := expect[*netcode.Joined](c)
	if at := expect[*netcode.Clock](c); at.Room != seat.Room || at.Time+5000 < w.Time || at.Time > w.Time+5000 {
		t.Errorf("%+v, the server's clock was at %d", at, w.Time)
	}
	newest := uint64(0)
	for newest < seat.Tick+120 { // two snapshots on
		newest = expect[*netcode.Tick](c).Tick
		c.say(&netcode.Ack{Room: seat.Room, State: newest})
	}
	tripCasual.Store(true)
	s := expect[*netcode.Status](c)
	if s.Status != netcode.StatusRolledBack || s.Epoch <= seat.Epoch || s.Tick >= newest {
		t.Errorf("%+v behind tick %d of epoch %d", s, newest, seat.Epoch)
	}
	c.closed(netcode.CloseReliable)

	c = shake(t, n)
	c.say(&netcode.Hello{Version: 1, Run: 7, Session: w.Session, Secret: w.Secret, Rooms: []netcode.Held{{Room: seat.ID, Seat: seat.Seat}}})
	j := expect[*netcode.Joined](c)
	if j.Seat != seat.Seat || j.Outcome != netcode.OutcomeSnapshot || j.Epoch != s.Epoch || j.Tick < s.Tick {
		t.Errorf("%+v after %+v", j, s)
	}
	if at := expect[*netcode.Clock](c); at.Room != j.Room {
		t.Errorf("%+v", at)
	}
	c.say(&netcode.Input{Room: j.Room, Number: j.Applied + 1, Value: []byte{0x80}})
	if r := expect[*netcode.Reply](c); r.Input != j.Applied+1 || r.Number != j.Reliable+1 {
		t.Errorf("%+v after %+v", r, j)
	}
}
