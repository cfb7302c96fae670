package sessions

import (
	"slices"
	"testing"

	"tickover.dev/netcode"
	"tickover.dev/rooms"
)

// The order of one message is what a client builds on: joined, then when its ticks are due, then the tick, then its state, then what is
// reliable.
func TestAWholeStateFollowsJoined(t *testing.T) {
	r := newRig(t, 1, nil)
	p := r.enter(0, "ann")
	p.say(join(1, netcode.JoinCreate, "play", ""))
	r.tick(1)
	if got, want := names(p.hear()), []string{"Joined", "Clock", "Tick", "State", "Private"}; !slices.Equal(got, want) {
		t.Fatalf("%v, want %v", got, want)
	}
	p.do(1, 1, "ask", 5)
	p.do(1, 2, "say", 6)
	p.do(1, 3, "nonsense", 6)
	p.say(&netcode.Input{Room: 1, Number: 4, Value: []byte{0xc3}})
	r.tick(1)
	all := p.hear()
	if got, want := names(all), []string{"Tick", "Refusal", "Reply", "Event"}; !slices.Equal(got, want) {
		t.Fatalf("%v, want %v", got, want)
	}
	tick, refusal := all[0].(*netcode.Tick), all[1].(*netcode.Refusal)
	if tick.Applied != 4 || tick.Tick != 2 || refusal.Number != 1 || refusal.Input != 4 || refusal.Code != netcode.CodeBadInput {
		t.Errorf("%+v %+v", tick, refusal)
	}
}

// A client that reads but does not acknowledge may be a proxy's buffer: after the window it is sent no more states, and of ticks only
// as many as keep it from sending its inputs again.
func TestUnacknowledgedStatesStopAndResumeWithTheNewest(t *testing.T) {
	r := newRig(t, 1, nil)
	ann, bob := r.enter(0, "ann"), r.enter(0, "bob")
	ann.sit("play", "a")
	bob.sit("play", "a")
	ann.hear()
	bob.hear()
	states, ticks, newest := 0, 0, uint64(0)
	for i := range uint64(40) {
		ann.do(1, 2*i+1, "hit", 0)
		ann.do(1, 2*i+2, "deal", int(i))
		r.tick(1)
		for _, m := range bob.hear() {
			switch m := m.(type) {
			case *netcode.Tick:
				ticks++
				if m.Tick < newest {
					t.Fatalf("tick %d after %d", m.Tick, newest)
				}
				newest = m.Tick
			case *netcode.State:
				states++
			}
		}
	}
	if most := minWindowMs/50 + 1; states == 0 || states > most || ticks < 40*50/maxHoldMs || ticks > most+40*50/maxHoldMs {
		t.Errorf("%d states and %d ticks in 40 ticks", states, ticks)
	}
	held := heldPrivate(ann) // what a client is dealt is kept as well, and only the newest
	ann.say(&netcode.Ack{Room: 1, State: newest})
	all := ann.hear()
	if got, want := names(all), []string{"Tick", "State", "Private"}; !slices.Equal(got, want) {
		t.Fatalf("after an acknowledgement: %v, want %v", got, want)
	}
	if v := all[2].(*netcode.Private).Value; string(v) != "\x27" || held == "\x27" {
		t.Errorf("private value % x after % x", v, held)
	}
	if s := all[1].(*netcode.State); !slices.Contains(s.Value, 40) || all[0].(*netcode.Tick).Tick < newest {
		t.Errorf("state % x", s.Value)
	}
	if r.hub.stats.StatesSkip.Load() == 0 {
		t.Error("nothing was counted as skipped")
	}
}

func heldPrivate(p *peer) (last string) {
	for _, m := range p.hear() {
		if m, ok := m.(*netcode.Private); ok {
			last = string(m.Value)
		}
	}
	return last
}

// A backlog in this process holds states up as well, without an acknowledgement being late.
func TestABackloggedConnectionIsSentNoStates(t *testing.T) {
	r := newRig(t, 1, nil)
	p := r.enter(0, "ann")
	p.sit("play", "a")
	p.hear()
	p.sock.backlog = maxStateBacklog + 1
	for n := range uint64(maxHoldMs/50 + 1) {
		p.do(1, n+1, "hit", 0)
		r.tick(1)
	}
	if got := names(p.hear()); !slices.Equal(got, []string{"Tick"}) { // one, for the acknowledged inputs
		t.Errorf("sent %v", got)
	}
	p.sock.backlog = 0
	p.say(&netcode.Ack{Room: 1, State: r.loops[0].replicas["r-1"].tick - 1})
	heard[*netcode.State](p)
}

// The window follows the way to the client and back, within bounds.
func TestTheWindowLearnsTheRoundTrip(t *testing.T) {
	var w window
	now := int64(0)
	for tick := range uint64(100) { // 400 ms there and back
		w.sent(tick, now)
		w.acknowledged(tick-8, now) // wraps for the first eight: the future, which the caller refuses
		now += 50
	}
	if w.rtt < 300 || w.rtt > 450 {
		t.Errorf("round trip of %d ms", w.rtt)
	}
	for range maxUnacked + 1 {
		w.sent(uint64(now), now)
		now++
	}
	if w.open(now) || len(w.list) > maxUnacked+8+1 {
		t.Errorf("open with %d unacknowledged", len(w.list))
	}
}

// Exactly once: gaps are asked for, repeats are acknowledged again, nothing is applied twice.
func TestInputsAreNumbered(t *testing.T) {
	r := newRig(t, 1, nil)
	p := r.enter(0, "ann")
	p.sit("play", "a")
	p.hear()
	p.do(1, 2, "ask", 0)
	r.tick(1)
	if again := heard[*netcode.Resend](p); again.Number != 1 || again.Room != 1 {
		t.Errorf("%+v", again)
	}
	p.hear()
	p.do(1, 1, "ask", 1)
	p.do(1, 1, "ask", 1)
	p.do(1, 2, "ask", 2)
	r.tick(1)
	all := p.hear()
	if got, want := names(all), []string{"Tick", "Reply", "Reply"}; !slices.Equal(got, want) {
		t.Fatalf("%v, want %v", got, want)
	}
	posted := r.hub.stats.Inputs.Load()
	p.say(&netcode.Input{Room: 1, Number: 1, Value: []byte{0xc0}}, &netcode.Input{Room: 1, Number: 2, Value: []byte{0xc0}})
	if tick := heard[*netcode.Tick](p); tick.Applied != 2 {
		t.Errorf("%+v", tick)
	}
	silent[*netcode.Tick](p, "one message is acknowledged again once")
	if r.hub.stats.Inputs.Load() != posted {
		t.Error("a room is troubled with inputs that it has applied")
	}
	p.do(1, 3+inputWindow, "ask", 0)
	p.wantError(0, netcode.CodeInputWindow)
	p.do(1, 0, "ask", 0)
	p.wantError(0, netcode.CodeBadMessage)
	p.do(2, 1, "ask", 0)
	p.wantError(0, netcode.CodeNotJoined)
}

// One client that repeats itself must not fill the mailbox that it shares with the others in its room.
func TestRepeatsDoNotFillTheMailbox(t *testing.T) {
	r := newRig(t, 1, nil)
	ann, bob := r.enter(0, "ann"), r.enter(0, "bob")
	ann.sit("play", "a")
	bob.sit("play", "a")
	var all []netcode.Message
	for range 2000 {
		all = append(all, &netcode.Input{Room: 1, Number: 1, Value: []byte{0xc0}})
	}
	ann.say(all...)
	if n := r.hub.stats.Inputs.Load(); n > inputWindow {
		t.Errorf("%d inputs reach the room", n)
	}
	bob.do(1, 1, "ask", 1)
	r.tick(1)
	heard[*netcode.Reply](bob)
	ann.do(1, 2, "ask", 1) // and it goes on
	r.tick(1)
	heard[*netcode.Reply](ann)
}

// Acknowledging what was never sent would free what is still needed.
func TestAcknowledgementsOfTheFutureAreRefused(t *testing.T) {
	r := newRig(t, 1, nil)
	p := r.enter(0, "ann")
	p.sit("play", "a")
	p.hear()
	tick := r.loops[0].replicas["r-1"].tick
	for _, m := range []netcode.Message{
		&netcode.Ack{Room: 1, Reliable: 1},
		&netcode.Ack{Room: 1, State: tick + 1},
		&netcode.Input{Room: 1, Number: 1, Reliable: 1, Value: []byte{0xc0}},
	} {
		p.say(m)
		p.wantError(0, netcode.CodeBadAck)
	}
	r.tick(1)
	if n := r.hub.stats.Inputs.Load(); n != 0 {
		t.Error("an input with a wrong acknowledgement is taken")
	}
	p.say(&netcode.Ack{Room: 9})
	p.wantError(0, netcode.CodeNotJoined)
}

// A client that does not acknowledge reliable messages costs memory in the room: it is sent away, and resumes with a hole it knows of.
func TestReliableOverflowClosesAndResumesAsSnapshot(t *testing.T) {
	r := newRig(t, 1, nil)
	p := r.enter(0, "ann")
	seat := p.sit("play", "a")
	last := uint64(0)
	for i := uint64(1); i <= 20 && p.sock.code == 0; i++ {
		p.do(seat.Room, i, "shout", 20)
		r.tick(1)
		for _, m := range p.hear() {
			if e, ok := m.(*netcode.Event); ok {
				if e.Number != last+1 {
					t.Fatalf("event %d after %d", e.Number, last)
				}
				last = e.Number
			}
		}
	}
	p.wantClosed(netcode.CloseReliable)
	if last < 12 {
		t.Errorf("closed after %d kilobytes", last*20)
	}
	q := p.again(0, netcode.Held{Room: seat.ID, Seat: seat.Seat, Reliable: last})
	r.tick(2)
	j := heard[*netcode.Joined](q)
	if j.Outcome != netcode.OutcomeSnapshot || j.Reliable <= last {
		t.Fatalf("%+v", j)
	}
	q.do(j.Room, j.Applied+1, "ask", 0)
	r.tick(2)
	if reply := heard[*netcode.Reply](q); reply.Number != j.Reliable+1 {
		t.Errorf("the stream goes on with %d behind %d", reply.Number, j.Reliable)
	}
	r.checkConsistent()
}

// If reliable messages get lost between room and view, the client must not be shown a stream with a hole in it.
func TestAHoleInTheReliableStreamClosesTheConnection(t *testing.T) {
	r := newRig(t, 1, nil)
	p := r.enter(0, "ann")
	seat := p.sit("play", "a")
	p.do(1, 1, "ask", 1)
	r.step()
	r.loops[0].tasks = nil // lost
	p.hear()
	p.do(1, 2, "ask", 2)
	r.tick(1)
	silent[*netcode.Reply](p, "there is a hole before it")
	p.wantClosed(netcode.CloseReliable)
	q := p.again(0, netcode.Held{Room: seat.ID, Seat: seat.Seat})
	r.tick(1)
	if j := heard[*netcode.Joined](q); j.Outcome != netcode.OutcomeResumed {
		t.Errorf("%+v", j)
	}
	if a, b := heard[*netcode.Reply](q), heard[*netcode.Reply](q); a.Number != 1 || b.Number != 2 {
		t.Errorf("replies %d and %d", a.Number, b.Number)
	}
	r.frames = nil // one of them was thrown away by the test
}

// What a room shows when it waits for its journal and goes on, and that nothing older than what was shown is.
func TestStatusAndOldFrames(t *testing.T) {
	r := newRig(t, 1, nil)
	p := r.enter(0, "ann")
	seat := p.sit("play", "a")
	p.hear()
	tick := r.loops[0].replicas["r-1"].tick
	frame := func(epoch rooms.Epoch, tick uint64, s rooms.Status, public string) {
		f := &rooms.Frame{Room: "r-1", Epoch: epoch, Tick: tick, Status: s}
		if public != "" {
			f.Public = []byte(public)
		}
		f.Retain()
		r.hub.Deliver([]*rooms.Frame{f})
		r.settle()
	}
	frame(1000, tick+5, rooms.StatusNone, "\x01")
	heard[*netcode.State](p)
	frame(1000, tick+4, rooms.StatusNone, "\x02")
	frame(999, tick+9, rooms.StatusNone, "\x03")
	if all := p.hear(); len(all) != 0 {
		t.Errorf("an older frame is shown: %v", names(all))
	}
	frame(1000, tick+1, rooms.StatusPaused, "")
	if all := p.hear(); len(all) != 1 || all[0].(*netcode.Status).Status != netcode.StatusPaused {
		t.Errorf("%v", names(all))
	}
	frame(1001, tick+6, rooms.StatusResumed, "\x04")
	all := p.hear()
	if got, want := names(all), []string{"Status", "Tick", "State"}; !slices.Equal(got, want) {
		t.Fatalf("%v, want %v", got, want)
	}
	if s := all[0].(*netcode.Status); s.Status != netcode.StatusResumed || s.Epoch != 1001 || s.Room != seat.Room {
		t.Errorf("%+v", s)
	}
}

// A player whose seat was taken after the snapshot that a room goes on from sits nowhere: on the old view it would watch for ever, and
// nothing it does would count.
func TestARolledBackRoomSendsItsPlayersBack(t *testing.T) {
	r := newRig(t, 1, nil)
	ann, eve := r.enter(0, "ann"), r.enter(0, "eve")
	seat := ann.sit("play", "a")
	eve.sit("play", "a")
	rep := r.loops[0].replicas["r-1"]
	part := rooms.SeatPart{Seat: rooms.Seat(seat.Seat), Session: ann.conn.id, Run: ann.run} // eve's seat is not there
	f := &rooms.Frame{Room: "r-1", Epoch: rep.epoch + 1, Tick: rep.tick - 1, Status: rooms.StatusRolledBack, Seats: []rooms.SeatPart{part}}
	epoch, tick := uint64(f.Epoch), f.Tick
	f.Retain()
	r.hub.Deliver([]*rooms.Frame{f})
	r.settle()
	for _, p := range []*peer{ann, eve} {
		if s := heard[*netcode.Status](p); s.Status != netcode.StatusRolledBack || s.Epoch != epoch || s.Tick != tick {
			t.Errorf("%+v", s)
		}
		p.wantClosed(netcode.CloseReliable)
	}
	if n := len(r.loops[0].replicas); n != 0 {
		t.Errorf("%d replicas are left", n)
	}
	r.checkConsistent()
}

// A room that steps on events shows every step, and nothing in between.
func TestARoomWithoutARate(t *testing.T) {
	r := newRig(t, 2, nil)
	ann, bob := r.enter(0, "ann"), r.enter(1, "bob")
	if j := ann.sit("duel", "a"); j.RateHz != 0 {
		t.Errorf("%+v", j)
	}
	bob.sit("duel", "a")
	for _, p := range []*peer{ann, bob} {
		p.hear()
		p.say(&netcode.Ack{Room: 1, State: p.loop.replicas["r-1"].tick})
	}
	r.tick(100)
	if all := append(ann.hear(), bob.hear()...); len(all) != 0 {
		t.Errorf("sent %v", names(all))
	}
	ann.do(1, 1, "hit", 0)
	r.tick(1)
	heard[*netcode.State](ann)
	heard[*netcode.State](bob)
}
