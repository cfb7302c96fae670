package sessions

import (
	"testing"
	"time"

	"tickover.dev/netcode"
	"tickover.dev/rooms"
)

// A client that draws between ticks, or counts down to one, must know when they are due: whenever it comes, and after each change.
func TestClientsLearnWhenTicksAreDue(t *testing.T) {
	r := newRig(t, 2, nil)
	r.rooms.shard.Unix = 1000 * time.Hour
	right := func(what string, p *peer, room uint64) {
		t.Helper()
		c := heard[*netcode.Clock](p)
		newest, _ := r.rooms.shard.Inspect("r-1") // each step of the rig is on time
		want := r.rooms.shard.Unix + r.rooms.now() - time.Duration(newest.Tick-c.Tick)*period
		if c.Room != room || time.Duration(c.Time)*time.Millisecond != want {
			t.Errorf("%s: tick %d of room %d was due at %d, want %d", what, c.Tick, c.Room, c.Time, want.Milliseconds())
		}
		silent[*netcode.Clock](p, what+", told twice")
	}
	ann := r.enter(0, "ann")
	ann.say(join(1, netcode.JoinOrCreate, "play", "a"))
	r.tick(1)
	right("joined", ann, 1)
	r.tick(100)
	silent[*netcode.Clock](ann, "nothing has changed")

	bob := r.enter(1, "bob")
	bob.sit("duel", "b") // no rate, no clock
	silent[*netcode.Clock](bob, "a room without a rate")
	bob.say(join(2, netcode.JoinOrCreate, "play", "a"))
	r.tick(1)
	right("joined on another loop", bob, 2)

	r.now = r.now.Add(time.Minute) // the schedule slides
	r.tick(10)                     // until the room has something to show
	right("slid", ann, 1)
	right("slid", bob, 2)

	ann.cut()
	ann = ann.again(1)
	r.tick(1)
	right("resumed", ann, 1)

	rep := ann.loop.replicas["r-1"]
	f := &rooms.Frame{Room: "r-1", Epoch: rep.epoch + 1, Tick: rep.tick, Due: rep.clock.due, Status: rooms.StatusResumed, Public: someValue}
	f.Retain()
	r.hub.Deliver([]*rooms.Frame{f})
	r.settle()
	if s := heard[*netcode.Status](ann); s.Status != netcode.StatusResumed {
		t.Errorf("%+v", s)
	}
	if c := heard[*netcode.Clock](ann); c.Tick != f.Tick || time.Duration(c.Time)*time.Millisecond != f.Due.Truncate(time.Millisecond) {
		t.Errorf("in a new epoch: %+v", c)
	}
}

// A third of a second is no whole number of nanoseconds: what rounding leaves out must not add up unnoticed.
func TestTheClockFollowsSlowDrift(t *testing.T) {
	var c clock
	for tick := range uint64(4 << 20) { // 39 hours
		c.follow(&rooms.Frame{Epoch: 1, Tick: tick, Due: time.Hour + time.Duration(tick)*(time.Second/30)}, 30)
	}
	if c.changes != 2 {
		t.Errorf("told %d times in 39 hours, want once more than at first", c.changes)
	}
}

// What a room has no room for must be answered: a return above all, as without it the player sits in front of nothing.
func TestAFullMailboxIsTold(t *testing.T) {
	r := newRig(t, 1, nil)
	p, q := r.enter(0, "ann"), r.enter(0, "bob")
	p.sit("play", "a")
	q.sit("play", "a")
	room := r.rooms.rooms["r-1"]
	p.cut()
	r.tick(1)
	for range 4096 {
		room.Post(&rooms.Mail{Type: rooms.MailReturn, Seat: 99, Session: "nobody", Gen: 1})
	}
	r.settle()
	p = p.again(0)
	r.settle()
	p.wantClosed(netcode.CloseOverloaded)
	q.hear()
	q.say(&netcode.Leave{Request: 2, Room: 1})
	r.settle()
	q.wantError(2, netcode.CodeOverloaded)
	q.do(1, 1, "ask", 1)
	r.settle()
	q.wantError(0, netcode.CodeOverloaded)
	r.tick(1)
	p = p.again(0)
	r.tick(1)
	heard[*netcode.Joined](p)
	q.say(&netcode.Leave{Request: 2, Room: 1})
	r.tick(1)
	if l := heard[*netcode.Left](q); l.Request != 2 {
		t.Errorf("%+v", l)
	}
	r.checkConsistent()
}

// A join may hang in a game's Admit until a newer connection has the seat. The place that is reserved for it must come back: eight of
// them, and the session could never join anything again.
func TestAJoinThatComesTooLateFreesItsPlace(t *testing.T) {
	r := newRig(t, 1, nil)
	ann := r.enter(0, "ann")
	seat := ann.sit("play", "a")
	r.rooms.admit = true
	ann.say(join(2, netcode.JoinID, "", seat.ID))
	young := ann.again(0)
	r.tick(2)
	heard[*netcode.Joined](young)
	r.rooms.admitting[0]("", "")
	r.tick(2)
	g := r.hub.config.Registry
	if s := g.sessions[young.conn.id]; s.joining != 0 || len(s.seats) != 1 {
		t.Errorf("%d joins are waited for, %d seats", s.joining, len(s.seats))
	}
	if n := len(young.loop.replicas["r-1"].asked); n != 0 {
		t.Errorf("%d requests are waited for", n)
	}
	r.checkConsistent()
}
