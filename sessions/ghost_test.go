package sessions

import (
	"testing"

	"tickover.dev/netcode"
)

// A seat given to a connection that is gone would sit there for ever, and keep its room alive.
func TestASeatGivenToAClosedConnectionIsDropped(t *testing.T) {
	r := newRig(t, 1, nil)
	p := r.enter(0, "ann")
	p.say(join(1, netcode.JoinCreate, "play", ""))
	p.cut()
	r.tick(3)
	if len(r.hub.routes) != 0 || len(r.loops[0].replicas) != 0 {
		t.Error("the loop still waits")
	}
	q := p.again(0)
	r.tick(1)
	if j := heard[*netcode.Joined](q); j.Seat != 1 || j.Outcome != netcode.OutcomeResumed {
		t.Errorf("the seat is not the session's: %+v", j)
	}
	q.cut()
	r.tick(int(play.Grace/period) + 5)
	r.tick(int(play.Empty/period) + 5)
	if len(r.rooms.ended) != 1 {
		t.Error("the ghost keeps the room alive")
	}
}

// The same for a return: its connection closes before the room has answered.
func TestAReturnOfAClosedConnectionIsDropped(t *testing.T) {
	r := newRig(t, 1, nil)
	p := r.enter(0, "ann")
	p.sit("play", "a")
	p.cut()
	r.tick(2)
	q := p.again(0)
	q.cut()
	r.tick(int((play.Grace+play.Empty)/period) + 10)
	if len(r.rooms.ended) != 1 {
		t.Error("the ghost keeps the room alive")
	}
	r.checkConsistent()
	if len(r.hub.routes) != 0 {
		t.Error("the loop still waits")
	}
}

// A drop that finds the room's shard full must not be forgotten: the seat would never be given up.
func TestADropIsTriedUntilItIsTaken(t *testing.T) {
	r := newRig(t, 1, nil)
	p := r.enter(0, "ann")
	p.sit("play", "a")
	r.rooms.full = true
	p.cut()
	r.loops[0].Tick(r.now)
	r.rooms.full = false
	r.loops[0].Tick(r.now)
	if len(r.loops[0].drops) != 0 {
		t.Error("still not taken")
	}
	r.tick(int((play.Grace+play.Empty)/period) + 10)
	if len(r.rooms.ended) != 1 {
		t.Error("the ghost keeps the room alive")
	}
}

// Resuming has three honest outcomes, and an ended room tells its result.
func TestWhatBecomesOfKeptSeats(t *testing.T) {
	r := newRig(t, 2, nil)
	ann, bob := r.enter(0, "ann"), r.enter(1, "bob")
	a, b, c := ann.sit("play", "a"), ann.sit2("play", "b", 2), ann.sit2("duel", "c", 3)
	bob.sit("duel", "c")
	ann.do(a.Room, 1, "say", 1)
	ann.do(b.Room, 1, "say", 1)
	r.tick(2)
	ann.say(&netcode.Ack{Room: b.Room, Reliable: 1})
	ann.cut()
	bob.do(1, 1, "end", 7)
	r.tick(2)
	held := []netcode.Held{
		{Room: a.ID, Seat: a.Seat, Reliable: 0}, // has not seen the event: it comes again
		{Room: b.ID, Seat: b.Seat, Reliable: 0}, // claims not to have seen what it acknowledged: that is lost
		{Room: c.ID, Seat: c.Seat},              // is over
		{Room: "r-99", Seat: 1},                 // never was
		{Room: a.ID, Seat: 1 << 40},             // of another stay
	}
	back := ann.again(1, held...)
	r.tick(2)
	outcomes, gone, events := map[string]netcode.JoinOutcome{}, map[string]*netcode.Gone{}, 0
	for _, m := range back.hear() {
		switch m := m.(type) {
		case *netcode.Joined:
			outcomes[m.ID] = m.Outcome
			if want := uint64(1); m.ID == b.ID && m.Reliable != want || m.ID == a.ID && m.Reliable != 0 {
				t.Errorf("the stream of %s continues from %d", m.ID, m.Reliable)
			}
		case *netcode.Gone:
			gone[m.ID+m.Why] = m
		case *netcode.Event:
			events++
		}
	}
	if len(outcomes) != 2 || outcomes[a.ID] != netcode.OutcomeResumed || outcomes[b.ID] != netcode.OutcomeSnapshot || events != 1 {
		t.Errorf("outcomes %v, %d events", outcomes, events)
	}
	if kept := back.secret.Kept; kept != 5 {
		t.Errorf("%d answers are announced", kept)
	}
	if over := gone[c.ID+"ended"]; len(gone) != 3 || over == nil || string(over.Result) != "\x07" || gone["r-99unknown"] == nil {
		t.Errorf("gone %v", gone)
	}
	back.cut()
	r.tick(int(play.Grace/period) + 5)
	late := back.again(0)
	r.tick(1)
	if g := heard[*netcode.Gone](late); g.Why == "ended" {
		t.Errorf("%+v", g)
	}
	r.checkConsistent()
}

func (p *peer) sit2(kind, key string, request uint64) *netcode.Joined {
	p.rig.tb.Helper()
	p.say(join(request, netcode.JoinOrCreate, kind, key))
	p.rig.tick(2)
	return heard[*netcode.Joined](p)
}

// A late leave of a replaced connection must not take the view of the one that replaced it.
func TestALateLeaveOfAnOldConnectionIsIgnored(t *testing.T) {
	r := newRig(t, 2, nil)
	old := r.enter(0, "ann")
	seat := old.sit("play", "a")
	young := old.again(1)
	r.step() // the room knows the new connection, the old one lives on
	old.say(&netcode.Leave{Request: 5, Room: seat.Room})
	r.tick(3)
	joined := heard[*netcode.Joined](young)
	silent[*netcode.Left](young, "the leave came from a connection that was replaced")
	young.do(joined.Room, 1, "hit", 0)
	r.tick(1)
	heard[*netcode.State](young)
	third := young.again(0)
	r.tick(2)
	heard[*netcode.Joined](third)
}

// A join may hang in a game's Admit until long after its connection was replaced and its seat given up. The seat that it then gets
// is nobody's (simulation, seed 235).
func TestAJoinThatOutlivesItsConnectionLeavesNoGhost(t *testing.T) {
	r := newRig(t, 2, nil)
	ann, bob := r.enter(0, "ann"), r.enter(1, "bob")
	seat := ann.sit("play", "a")
	bob.sit("play", "a")
	r.rooms.admit = true
	ann.say(join(2, netcode.JoinID, "", seat.ID))
	young := ann.again(0)
	r.tick(2)
	young.cut()
	r.tick(int(play.Grace/period) + 5) // the seat is given up
	r.rooms.admitting[0]("", "")
	r.tick(2)
	bob.cut()
	r.tick(int((play.Grace+play.Empty)/period) + 10)
	if len(r.rooms.ended) != 1 {
		t.Error("a ghost keeps the room alive")
	}
	r.checkConsistent()
}
