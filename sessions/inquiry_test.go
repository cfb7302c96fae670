package sessions

import (
	"errors"
	"sync"
	"testing"

	"tickover.dev/netcode"
	"tickover.dev/rooms"
)

// Where rooms are may have to be asked of others. Until that is answered the join counts as asked: once, and with its seat reserved.
func TestAJoinWaitsForItsRoom(t *testing.T) {
	r := newRig(t, 1, nil)
	p := r.enter(0, "ann")
	r.rooms.slow = true
	for range 3 {
		p.say(join(1, netcode.JoinOrCreate, "play", "a"))
		r.tick(2)
	}
	if n := len(r.rooms.asking); n != 1 {
		t.Errorf("asked %d times", n)
	}
	for i := range uint64(7) {
		p.say(join(2+i, netcode.JoinCreate, "play", ""))
	}
	silent[*netcode.Error](p, "eight seats are allowed")
	p.say(join(9, netcode.JoinCreate, "play", ""))
	p.wantError(9, netcode.CodeTooManyRooms)
	r.rooms.answerAll() // there is none with that key
	r.settle()
	r.rooms.answerAll() // made
	r.settle()
	r.tick(2)
	answered := map[uint64]bool{}
	for range 8 {
		answered[heard[*netcode.Joined](p).Request] = true
	}
	if len(answered) != 8 || r.rooms.nextID != 8 {
		t.Errorf("answered %v, %d rooms", answered, r.rooms.nextID)
	}
	r.checkConsistent()
}

// A seat asked for on behalf of nobody would be a ghost's, and the place reserved for it must come back.
func TestARoomFoundForAClosedConnectionIsNotAsked(t *testing.T) {
	r := newRig(t, 2, nil)
	owner := r.enter(0, "owner")
	seat := owner.sit("play", "a")
	r.rooms.slow = true
	p := r.enter(0, "ann")
	p.say(join(1, netcode.JoinKey, "play", "a"), join(2, netcode.JoinID, "", seat.ID))
	p.cut()
	owner.cut()
	back := owner.again(1)
	back.cut() // its return has not found the room yet
	r.rooms.answerAll()
	r.settle()
	if len(r.hub.routes) != 0 || len(r.loops[0].replicas)+len(r.loops[1].replicas) != 0 {
		t.Error("a loop waits for the room")
	}
	r.tick(2)
	if info, _ := r.rooms.shard.Inspect("r-1"); len(info.Seats) != 1 || info.Seats[0].Player.Connected {
		t.Errorf("%+v", info.Seats)
	}
	r.checkConsistent()
	for _, s := range r.hub.config.Registry.sessions {
		if s.joining != 0 {
			t.Errorf("%d joins are reserved", s.joining)
		}
	}
}

// A room that cannot be reached is not gone: joins ask again, and seats are neither given up nor waited for in vain.
func TestWhatCannotBeReachedIsAskedForAgain(t *testing.T) {
	r := newRig(t, 1, nil)
	p := r.enter(0, "ann")
	seat := p.sit("play", "a")
	for _, err := range []error{ErrUnavailable, errors.New("something else")} {
		r.rooms.err = err
		for _, mode := range []netcode.JoinMode{netcode.JoinID, netcode.JoinCreate, netcode.JoinOrCreate, netcode.JoinKey} {
			p.say(join(2+uint64(mode), mode, "play", "b"))
			if e := heard[*netcode.Error](p); e.Code != netcode.CodeOverloaded || e.RetryMs != 1000 || e.Request != 2+uint64(mode) {
				t.Errorf("mode %d: %+v", mode, e)
			}
		}
		p.cut()
		p = p.again(0, netcode.Held{Room: seat.ID, Seat: seat.Seat})
		p.wantClosed(netcode.CloseOverloaded)
		silent[*netcode.Gone](p, "it is not gone")
		r.rooms.err = nil
		p = p.again(0)
		r.tick(1)
		if j := heard[*netcode.Joined](p); j.Seat != seat.Seat || j.Outcome != netcode.OutcomeResumed {
			t.Errorf("%+v", j)
		}
	}
	p.say(join(9, netcode.JoinOrCreate, "play", "b"))
	r.tick(2)
	heard[*netcode.Joined](p)
	if r.rooms.nextID != 2 {
		t.Errorf("%d rooms", r.rooms.nextID)
	}
	r.checkConsistent()
}

// While a creation is under way, the same one over another connection must wait for it: a second room would be one too many, and one
// with a key would be refused its own.
func TestACreationUnderWayIsNotBegunAgain(t *testing.T) {
	r := newRig(t, 2, nil)
	p := r.enter(0, "ann")
	r.rooms.slow = true
	p.say(join(1, netcode.JoinCreate, "play", "a"))
	p.cut()
	q := p.again(1)
	q.say(join(1, netcode.JoinCreate, "play", "a"))
	gone := q.again(0)
	gone.say(join(1, netcode.JoinCreate, "play", "a"))
	gone.cut()
	q = gone.again(1)
	q.say(join(1, netcode.JoinCreate, "play", "a"))
	r.settle()
	if n := len(r.rooms.asking); n != 1 {
		t.Errorf("%d creations", n)
	}
	r.rooms.answerAll() // made
	r.settle()
	r.rooms.answerAll() // found
	r.tick(2)
	if j := heard[*netcode.Joined](q); j.ID != "r-1" || j.Request != 1 || r.rooms.nextID != 1 {
		t.Errorf("%+v, %d rooms", j, r.rooms.nextID)
	}
	r.checkConsistent()

	q.say(join(2, netcode.JoinCreate, "play", "b"))
	q.cut()
	s := q.again(0)
	s.say(join(2, netcode.JoinCreate, "play", "b"))
	creation := r.rooms.asking[0]
	r.rooms.asking = r.rooms.asking[1:]
	r.rooms.err = ErrUnavailable // nothing was made: whoever has waited makes it
	creation()
	r.rooms.err = nil
	r.settle()
	for range 3 {
		r.rooms.answerAll()
		r.tick(2)
	}
	found := false
	for _, m := range s.hear() {
		if j, ok := m.(*netcode.Joined); ok && j.Request == 2 {
			found = true
		}
	}
	if !found || r.rooms.nextID != 2 {
		t.Errorf("joined: %v, %d rooms", found, r.rooms.nextID)
	}
	r.checkConsistent()
}

// The room that a creation made may be out of reach. Making another one would be wrong.
func TestACreationWhoseRoomCannotBeReachedIsNotRepeated(t *testing.T) {
	r := newRig(t, 1, nil)
	p := r.enter(0, "ann")
	p.say(join(1, netcode.JoinOrCreate, "play", ""))
	p.cut()
	p = p.again(0)
	r.rooms.slow = true
	p.say(join(1, netcode.JoinOrCreate, "play", ""))
	r.rooms.err = ErrUnavailable
	r.rooms.answerAll()
	r.rooms.err = nil
	r.settle()
	r.rooms.answerAll()
	p.wantError(1, netcode.CodeOverloaded)
	if r.rooms.nextID != 1 {
		t.Errorf("%d rooms", r.rooms.nextID)
	}
	r.checkConsistent()
}

// What is answered at once must be handled at once, whichever goroutine answers, and what is answered later on the loop.
func TestAnswersMayComeFromAnywhere(t *testing.T) {
	r := newRig(t, 1, nil)
	l := r.loops[0]
	var work sync.WaitGroup
	handled := 0
	then := func(Room, error) { handled++ }
	l.inquire(func(done func(Room, error)) { done(Room{}, nil) }, then)
	l.inquire(func(done func(Room, error)) {
		work.Go(func() { done(Room{}, nil) })
		work.Wait()
	}, then)
	if handled != 2 {
		t.Errorf("%d answers are handled", handled)
	}
	for range 100 {
		l.inquire(func(done func(Room, error)) { work.Go(func() { done(Room{}, nil) }) }, then)
	}
	work.Wait()
	r.settle()
	if handled != 102 {
		t.Errorf("%d answers are handled", handled)
	}
}

// A client may name rooms that its session does not know: as many as it may have seats, and no more, are asked.
func TestNamingManyRoomsAsksFew(t *testing.T) {
	r := newRig(t, 1, nil)
	p := r.enter(0, "ann")
	seat := p.sit("play", "a")
	held := []netcode.Held{{Room: seat.ID, Seat: seat.Seat}, {Room: seat.ID, Seat: seat.Seat}, {Room: seat.ID, Seat: 99}}
	for i := range 40 {
		held = append(held, netcode.Held{Room: string(rune('A' + i)), Seat: 1})
	}
	r.rooms.slow = true
	p.cut()
	p = p.again(0, held...)
	if asked := len(r.rooms.asking); asked != 9 || p.secret.Kept != 42 {
		t.Errorf("%d rooms are asked, %d answers are announced", asked, p.secret.Kept)
	}
	r.rooms.answerAll()
	r.settle()
	r.tick(1)
	gone, joined := 0, 0
	for _, m := range p.hear() {
		switch m.(type) {
		case *netcode.Gone:
			gone++
		case *netcode.Joined:
			joined++
		}
	}
	if gone != 41 || joined != 1 {
		t.Errorf("%d gone, %d joined", gone, joined)
	}
	r.checkConsistent()
}

// A return that ends with its room, while it is asked, tells the room's result.
func TestARoomThatEndsWhileItIsAskedTellsItsResult(t *testing.T) {
	r := newRig(t, 1, nil)
	p := r.enter(0, "ann")
	seat := p.sit("play", "a")
	p.cut()
	r.tick(1)
	p = p.again(0)
	r.hub.RoomEnded(rooms.Ended{Room: rooms.ID(seat.ID), Why: "ended", Result: []byte{7}})
	r.settle()
	if g := heard[*netcode.Gone](p); g.Why != "ended" || string(g.Result) != "\x07" {
		t.Errorf("%+v", g)
	}
}
