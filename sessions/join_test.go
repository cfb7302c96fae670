package sessions

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"tickover.dev/netcode"
	"tickover.dev/rooms"
	"tickover.dev/rooms/host"
)

func join(request uint64, mode netcode.JoinMode, kind, target string) *netcode.Join {
	return &netcode.Join{Request: request, Mode: mode, Kind: kind, Target: target}
}

// The four ways into a room, and the one word that says why not.
func TestJoinModes(t *testing.T) {
	r := newRig(t, 2, nil)
	ann, bob := r.enter(0, "ann"), r.enter(1, "bob")
	ann.say(join(1, netcode.JoinCreate, "play", "lobby"))
	r.tick(1)
	made := heard[*netcode.Joined](ann)
	if made.Request != 1 || made.Key != "lobby" || made.Kind != "play" || made.RateHz != 20 || made.Outcome != netcode.OutcomeJoined {
		t.Fatalf("%+v", made)
	}
	bob.say(join(1, netcode.JoinKey, "play", "lobby"), join(2, netcode.JoinID, "", made.ID), join(3, netcode.JoinOrCreate, "play", "lobby"))
	r.tick(1)
	answered := uint64(0)
	for range 3 { // one seat, however often it is asked for
		j := heard[*netcode.Joined](bob)
		if answered |= 1 << j.Request; j.ID != made.ID || j.Seat != 2 || j.Room != 1 {
			t.Fatalf("%+v", j)
		}
	}
	if answered != 0b1110 {
		t.Fatalf("answered %b", answered)
	}
	for i, c := range []struct {
		mode               netcode.JoinMode
		kind, target, code string
	}{
		{netcode.JoinID, "", "nowhere", netcode.CodeUnknownRoom},
		{netcode.JoinCreate, "chess", "", netcode.CodeUnknownKind},
		{netcode.JoinCreate, "play", "lobby", netcode.CodeKeyTaken},
		{netcode.JoinOrCreate, "chess", "x", netcode.CodeUnknownKind},
		{netcode.JoinKey, "play", "x", netcode.CodeUnknownKey},
		{netcode.JoinKey, "chess", "x", netcode.CodeUnknownKind},
	} {
		ann.say(join(uint64(10+i), c.mode, c.kind, c.target))
		ann.wantError(uint64(10+i), c.code)
	}
	ann.say(join(0, netcode.JoinKey, "play", "lobby")) // would look like a return
	ann.wantError(0, netcode.CodeBadMessage)
	r.hub.Refuse()
	ann.say(join(20, netcode.JoinCreate, "play", ""))
	ann.wantError(20, netcode.CodeShuttingDown)
	r.checkConsistent()
}

// Full, locked and ended rooms answer with their word, and leave nothing behind.
func TestRoomsThatTakeNobodySaySo(t *testing.T) {
	r := newRig(t, 1, nil)
	ann, bob, eve := r.enter(0, "ann"), r.enter(0, "bob"), r.enter(0, "eve")
	seat := ann.sit("duel", "a")
	bob.sit("duel", "a")
	eve.say(join(1, netcode.JoinKey, "duel", "a"))
	r.tick(1)
	eve.wantError(1, netcode.CodeRoomFull)
	bob.say(&netcode.Leave{Request: 2, Room: 1})
	r.tick(1)
	if left := heard[*netcode.Left](bob); left.Request != 2 || left.Why != "left" {
		t.Errorf("%+v", left)
	}
	bob.do(1, 1, "hit", 0) // was on its way
	bob.say(&netcode.Ack{Room: 1}, &netcode.Leave{Request: 3, Room: 1})
	silent[*netcode.Error](bob, "it has been told that it left")
	bob.do(2, 1, "hit", 0)
	bob.wantError(0, netcode.CodeNotJoined)
	bob.say(&netcode.Leave{Request: 4, Room: 2})
	bob.wantError(4, netcode.CodeNotJoined)
	bob.say(&netcode.Ack{Room: 0})
	bob.wantError(0, netcode.CodeNotJoined)
	ann.do(seat.Room, 1, "lock", 0)
	r.tick(1)
	eve.say(join(2, netcode.JoinKey, "duel", "a"))
	r.tick(1)
	eve.wantError(2, netcode.CodeRoomLocked)
	ann.do(seat.Room, 2, "end", 42)
	r.tick(1)
	if left := heard[*netcode.Left](ann); left.Why != "ended" || string(left.Result) != "\x2a" || left.Request != 0 {
		t.Errorf("%+v", left)
	}
	eve.say(join(3, netcode.JoinID, "", seat.ID))
	eve.wantError(3, netcode.CodeRoomEnded)
	r.checkConsistent()
	if len(r.hub.routes) != 0 {
		t.Error("interest in an ended room remains")
	}
}

// The client repeats a creation whose answer was lost: a second room would be one that nobody finds.
func TestARepeatedCreationMakesOneRoom(t *testing.T) {
	r := newRig(t, 2, nil)
	p := r.enter(0, "ann")
	p.say(join(1, netcode.JoinCreate, "play", ""), join(1, netcode.JoinCreate, "play", ""))
	p.cut() // before the answer
	q := p.again(1)
	q.say(join(1, netcode.JoinCreate, "play", ""))
	r.tick(2)
	j := heard[*netcode.Joined](q)
	if r.rooms.nextID != 1 || j.Seat != 1 || j.ID != "r-1" {
		t.Errorf("%d rooms, %+v", r.rooms.nextID, j)
	}
	q.do(j.Room, 1, "end", 0)
	r.tick(2)
	q.cut()
	s := q.again(0)
	s.say(join(1, netcode.JoinCreate, "play", "")) // its room is over
	s.wantError(1, netcode.CodeRoomEnded)
	other := s.again(0)
	other.run++ // a page reloaded: its requests are new ones
	other.cut()
	fresh := r.dial(0)
	fresh.run = 8
	fresh.say(&netcode.Hello{Version: 1, Run: 8, Session: other.secret.Session, Secret: other.secret.Secret})
	fresh.say(join(1, netcode.JoinCreate, "play", ""))
	r.tick(2)
	if j := heard[*netcode.Joined](fresh); j.ID != "r-2" {
		t.Errorf("%+v", j)
	}
	r.checkConsistent()
}

// Seats are memory in rooms: a session has eight, those it waits for and returns to included.
func TestASessionHasEightSeats(t *testing.T) {
	r := newRig(t, 1, nil)
	p := r.enter(0, "ann")
	for i := range uint64(9) {
		p.say(join(i+1, netcode.JoinCreate, "play", ""))
	}
	p.wantError(9, netcode.CodeTooManyRooms)
	r.tick(2)
	p.cut()
	q := p.again(0)
	q.say(join(10, netcode.JoinCreate, "play", ""))
	q.wantError(10, netcode.CodeTooManyRooms)
	r.tick(2)
	q.hear()
	q.say(&netcode.Leave{Request: 11, Room: 3})
	r.tick(2)
	heard[*netcode.Left](q)
	r.now = r.now.Add(time.Second) // for one more creation
	q.say(join(12, netcode.JoinCreate, "play", ""))
	r.tick(2)
	if j := heard[*netcode.Joined](q); j.Room != 9 {
		t.Errorf("number %d of a room that was left is used again", j.Room)
	}
}

// Joins that are under way count even when their connection was cut: else a session could get any number of seats by cutting it.
func TestCuttingConnectionsGivesNoMoreSeats(t *testing.T) {
	r := newRig(t, 2, nil)
	owner := r.enter(0, "owner")
	for i := range 8 {
		owner.sit2("play", string(rune('a'+i)), uint64(i+1))
	}
	r.rooms.admit = true
	p := r.enter(0, "ann")
	asked := 0
	for i := range 20 {
		p.say(join(uint64(i+1), netcode.JoinKey, "play", string(rune('a'+i%8))))
		if len(p.conn.asked) > 0 {
			asked++
		}
		p = p.again(i % 2)
	}
	if asked != 8 {
		t.Errorf("%d joins are under way", asked)
	}
	p.hear()
	p.say(join(100, netcode.JoinKey, "play", "a"))
	p.wantError(100, netcode.CodeTooManyRooms)
	for _, answer := range r.rooms.admitting {
		answer(netcode.CodeNotAdmitted, "no")
	}
	r.settle()
	r.checkConsistent()
	r.rooms.admit = false
	p.say(join(101, netcode.JoinKey, "play", "a"))
	r.tick(2)
	heard[*netcode.Joined](p)
	r.checkConsistent()
}

// A seat that its session may not keep is given up at once: nobody could return to it.
func TestASeatOverTheLimitIsLeft(t *testing.T) {
	r := newRig(t, 1, nil)
	p := r.enter(0, "ann")
	p.say(join(1, netcode.JoinCreate, "play", ""))
	r.hub.config.RoomsPerSession = 0 // as after a start with a lower limit
	r.tick(1)
	p.wantError(1, netcode.CodeTooManyRooms)
	r.tick(int(play.Empty/period) + 5)
	if len(r.rooms.ended) != 1 {
		t.Error("the seat was kept")
	}
	r.checkConsistent()
}

// Rooms are memory and time: a session makes eight at once and then one a second, whatever connection it uses.
func TestCreationsAreLimited(t *testing.T) {
	r := newRig(t, 1, nil)
	p := r.enter(0, "ann")
	create := func(n uint64, mode netcode.JoinMode, key string) bool {
		p.say(join(n, mode, "duel", key))
		r.settle()
		r.step()
		r.settle()
		for _, m := range p.hear() {
			switch m := m.(type) {
			case *netcode.Joined:
				p.say(&netcode.Leave{Request: n + 1000, Room: m.Room})
				r.step()
				r.settle()
				return true
			case *netcode.Error:
				if m.Code != netcode.CodeRateLimited || m.RetryMs != 1000 {
					t.Fatalf("%+v", m)
				}
				return false
			}
		}
		t.Fatalf("%d is not answered", n)
		return false
	}
	began := r.now
	made := 0
	for n := range uint64(20) {
		r.now = began
		if create(n+1, netcode.JoinCreate, "") {
			made++
		}
	}
	if made != 8 {
		t.Errorf("%d rooms at once", made)
	}
	r.now = began
	p = p.again(0)
	p.hear()
	if create(50, netcode.JoinOrCreate, "new") {
		t.Error("another connection may make more")
	}
	bob := r.enter(0, "bob")
	bob.sit("duel", "there")
	r.now = began
	if !create(51, netcode.JoinOrCreate, "there") {
		t.Error("a room that exists need not be created")
	}
	r.now = began.Add(time.Second)
	if !create(52, netcode.JoinOrCreate, "new") {
		t.Error("nothing is earned with time")
	}
}

// A node that is full may have room again soon: clients are told to ask again, and not that they did something wrong.
func TestAFullNodeSaysWhenToAskAgain(t *testing.T) {
	if code, retryMs := codeOf(fmt.Errorf("create: %w", host.ErrTooManyRooms)); code != netcode.CodeOverloaded || retryMs != 1000 {
		t.Errorf("%s, %d ms", code, retryMs)
	}
}

// Kicked, closed by a fault, and lost to another node: each ends the seat once, in the protocol's words.
func TestSeatsEndInTheProtocolsWords(t *testing.T) {
	r := newRig(t, 1, nil)
	ann, bob := r.enter(0, "ann"), r.enter(0, "bob")
	ann.sit("play", "a")
	bob.sit("play", "a")
	ann.do(1, 1, "kick", 2)
	r.tick(2)
	if left := heard[*netcode.Left](bob); left.Why != "kicked" || left.Request != 0 {
		t.Errorf("%+v", left)
	}
	bob.say(join(2, netcode.JoinID, "", "r-1")) // never answered by the room
	r.hub.RoomEnded(rooms.Ended{Room: "r-1", Why: "lost"})
	r.settle()
	bob.wantError(2, netcode.CodeRoomEnded)
	if left := heard[*netcode.Left](ann); left.Why != "closed" {
		t.Errorf("%+v", left)
	}
	r.checkConsistent()
	if len(r.hub.routes) != 0 || len(ann.conn.asked)+len(bob.conn.asked) != 0 {
		t.Error("something still waits for the room")
	}
}

// A join that waits in a game's Admit is answered once, whatever ends first.
func TestAdmissionsThatComeTooLate(t *testing.T) {
	r := newRig(t, 1, nil)
	ann := r.enter(0, "ann")
	r.rooms.admit = true
	ann.say(join(1, netcode.JoinCreate, "play", "a"))
	r.tick(1)
	r.hub.RoomEnded(rooms.Ended{Room: "r-1", Why: "ended"})
	r.settle()
	ann.wantError(1, netcode.CodeRoomEnded)
	r.rooms.admitting[0](netcode.CodeNotAdmitted, "no")
	r.settle()
	silent[*netcode.Error](ann, "the join was answered before")

	ann.say(join(2, netcode.JoinCreate, "play", "b"))
	ann.cut()
	r.rooms.admitting[1](netcode.CodeNotAdmitted, "no")
	r.settle()
	r.checkConsistent()
	if len(r.hub.routes) != 0 {
		t.Error("interest remains")
	}
}

// Join-or-create means "whatever room there is": one that is just ending is none.
func TestJoinOrCreateGoesOnToAnotherRoom(t *testing.T) {
	r := newRig(t, 1, nil)
	ann, bob := r.enter(0, "ann"), r.enter(0, "bob")
	ann.sit("play", "a")
	ann.do(1, 1, "end", 0)
	r.rooms.hold = true // the end is not confirmed yet, so nobody knows of it
	r.tick(1)
	bob.say(join(1, netcode.JoinOrCreate, "play", "a"), join(2, netcode.JoinKey, "play", "a"))
	r.rooms.hold = false
	r.tick(3)
	var joined *netcode.Joined
	refused := 0
	for _, m := range bob.hear() {
		switch m := m.(type) {
		case *netcode.Joined:
			joined = m
		case *netcode.Error:
			if refused++; m.Request != 2 || m.Code != netcode.CodeRoomEnded {
				t.Errorf("%+v", m)
			}
		}
	}
	if joined == nil || joined.Request != 1 || joined.ID != "r-2" || refused != 1 {
		t.Errorf("%+v, %d refused", joined, refused)
	}
	r.checkConsistent()
}

// Clients that come and go while a room does not answer must not fill the memory.
func TestUnansweredRequestsAreBounded(t *testing.T) {
	r := newRig(t, 1, nil)
	r.rooms.admit = true
	for i := range maxAsked {
		p := r.enter(0, "ann")
		p.say(join(1, netcode.JoinOrCreate, "play", "a"))
		if p.sock.code != 0 || len(p.sock.out) != 0 {
			t.Fatalf("join %d: %s", i, names(p.hear()))
		}
		p.cut()
	}
	p := r.enter(0, "ann")
	p.say(join(1, netcode.JoinOrCreate, "play", "a"))
	p.wantError(1, netcode.CodeOverloaded)
}

// The client must hear of its old seat first, and the view of the new one must be one that is shown something (simulation, seed 2412).
func TestLeavingAndJoiningWithinOneFrame(t *testing.T) {
	r := newRig(t, 1, nil)
	p := r.enter(0, "ann")
	seat := p.sit("play", "a")
	p.hear()
	p.say(&netcode.Leave{Request: 2, Room: seat.Room}, join(3, netcode.JoinID, "", seat.ID))
	r.tick(1)
	all := p.hear()
	if got, want := names(all), []string{"Left", "Joined", "Clock", "Tick", "State", "Private"}; !slices.Equal(got, want) {
		t.Fatalf("%v, want %v", got, want)
	}
	left, joined := all[0].(*netcode.Left), all[1].(*netcode.Joined)
	if left.Request != 2 || left.Why != "left" || joined.Request != 3 || joined.Room == seat.Room || joined.Seat == seat.Seat {
		t.Errorf("%+v, %+v", left, joined)
	}
	p.do(joined.Room, 1, "hit", 0)
	r.tick(1)
	heard[*netcode.State](p)
	r.checkConsistent()
}
