package sessions

import (
	"testing"

	"tickover.dev/netcode"
	"tickover.dev/rooms"
)

// A loop that is too far behind has missed something that cannot be made up for: its clients must come back, its seats must not get
// stuck, and what waits for it must not grow.
func TestAnOverrunLoopSendsItsClientsBack(t *testing.T) {
	r := newRig(t, 2, nil)
	ann, bob, eve := r.enter(0, "ann"), r.enter(0, "bob"), r.enter(1, "eve")
	seat := ann.sit("play", "a")
	eve.sit("play", "a")
	bob.say(join(1, netcode.JoinKey, "play", "a")) // the answer will be lost
	ann.do(1, 1, "ask", 1)
	r.loops[0].limit = 0
	for range 50 {
		r.step()
	}
	if n := len(r.loops[0].missed); n != 1 {
		t.Errorf("%d things are kept for a loop that does not take them", n)
	}
	r.loops[0].limit = 1 << 20
	eve.do(1, 1, "hit", 0)
	r.step()
	r.settle()
	ann.wantClosed(netcode.CloseOverloaded)
	bob.wantClosed(netcode.CloseOverloaded)
	silent[*netcode.Reply](ann, "it is behind a hole")
	eve.wantClosed(0)
	if len(r.loops[0].replicas) != 0 {
		t.Error("replicas remain")
	}
	back, bob2 := ann.again(0, netcode.Held{Room: seat.ID, Seat: seat.Seat}), bob.again(1)
	r.tick(2)
	if j := heard[*netcode.Joined](back); j.Outcome != netcode.OutcomeResumed || j.Applied != 1 {
		t.Errorf("%+v", j)
	}
	heard[*netcode.Reply](back)
	heard[*netcode.Joined](bob2)
	r.checkConsistent()
	if n := r.hub.stats.Overruns.Load(); n != 1 {
		t.Errorf("%d overruns", n)
	}
}

// After the engine's end nothing is delivered any more, which is no overrun, and no frame is kept.
func TestDeliveryAfterTheEnd(t *testing.T) {
	r := newRig(t, 1, nil)
	p := r.enter(0, "ann")
	p.sit("play", "a")
	r.loops[0].stopped = true
	f := &rooms.Frame{Room: "r-1", Epoch: 1000, Tick: 99}
	f.Retain()
	r.hub.Deliver([]*rooms.Frame{f})
	r.hub.RoomEnded(rooms.Ended{Room: "r-1"})
	if f.Room != "" || len(r.loops[0].missed) != 0 || r.hub.stats.Overruns.Load() != 0 {
		t.Error("something is kept for a loop that has stopped")
	}
}
