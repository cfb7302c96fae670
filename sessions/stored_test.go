package sessions

import (
	"context"
	"errors"
	"testing"
	"time"

	"tickover.dev/netcode"
	"tickover.dev/rooms"
)

// I6 over nodes: a session goes on anywhere, with its seats, and its older connection ends.
func TestASessionIsResumedAtAnyNode(t *testing.T) {
	p := newPair(t)
	old := p.enter(0, "ann")
	seat := old.sit("play", "a")
	p.save()
	young := p.again(old, 1)
	young.welcomed()
	old.wantClosed(netcode.CloseSuperseded)
	p.tick(2)
	j := heard[*netcode.Joined](young)
	if j.Seat != seat.Seat || j.Outcome != netcode.OutcomeResumed || !young.secret.Resumed || young.secret.Kept != 1 || young.secret.Name != "ann" {
		t.Errorf("%+v, %+v", young.secret, j)
	}
	young.do(j.Room, 1, "hit", 0)
	p.tick(2)
	heard[*netcode.State](young)
	p.save()
	old.cut()
	p.save()
	p.tick(2)
	young.wantClosed(0)
	if len(p.arrivals) != 1 || p.arrivals[0] != "a to b" || p.b.stats.Arrivals.Load() != 1 || p.a.stats.Departures.Load() != 1 {
		t.Errorf("arrivals %v", p.arrivals)
	}
	if r := p.store.record(young.secret.Session); r.Node != "b" || r.Gen != 2 || len(r.Seats) != 1 || !r.Connected {
		t.Errorf("%+v", r)
	}
	p.checkConsistent()
	p.a.config.Registry.expire(p.now.Add(awayTTL))
	if n := p.a.config.Registry.Len(); n != 0 {
		t.Errorf("%d sessions stay at the node that they have left", n)
	}
}

// Nodes may fail to tell each other. Then the older one notices when it saves, and what it saves is refused.
func TestAnOlderGenerationSavesNothingAndIsClosed(t *testing.T) {
	p := newPair(t)
	p.deaf = true
	old := p.enter(0, "ann")
	p.save()
	young := p.again(old, 1)
	young.welcomed()
	seat := young.sit("play", "a")
	p.b.saveAll()
	old.wantClosed(0)
	old.say(join(1, netcode.JoinCreate, "play", "b")) // it does not know yet
	p.tick(1)
	p.save()
	old.wantClosed(netcode.CloseSuperseded)
	if r := p.store.record(young.secret.Session); len(r.Seats) != 1 || r.Seats[0].Room != rooms.ID(seat.ID) || len(r.Requests) != 1 || r.Gen != 2 {
		t.Errorf("%+v", r)
	}
	young.wantClosed(0)
	p.tick(2)
	p.checkConsistent()
	if c := p.a.config.Registry.Counts(); c["superseded"] != 1 || p.a.stats.Departures.Load() != 1 {
		t.Errorf("%v", c)
	}

	// Even a connection that does nothing is found out, as sessions are saved now and then.
	younger := p.again(young, 0)
	younger.welcomed()
	p.b.config.Registry.refresh(p.now.Add(refreshEvery))
	p.save()
	young.wantClosed(netcode.CloseSuperseded)
	p.checkConsistent()
}

// FAILOVER.md R20 over nodes.
func TestSecretsRotateOverNodes(t *testing.T) {
	p := newPair(t)
	first := p.enter(0, "ann")
	p.store.lost = true
	p.again(first, 1).wantClosed(netcode.CloseOverloaded) // it happened, and its welcome was lost
	p.store.lost = false
	second := p.again(first, 1)
	second.welcomed()
	third := p.again(second, 0)
	third.welcomed()
	for _, secret := range []string{first.secret.Secret, "rubbish", ""} {
		thief := *first
		thief.secret.Secret = secret
		for node := range 2 {
			p.again(&thief, node).wantClosed(netcode.CloseBadSecret)
		}
	}
	nobody := *first
	nobody.secret.Session = "nobody"
	p.again(&nobody, 0).wantClosed(netcode.CloseBadSecret)
	third.wantClosed(0)
	if n := p.a.config.Registry.Counts()["bad_secret"] + p.b.config.Registry.Counts()["bad_secret"]; n != 7 {
		t.Errorf("%d wrong secrets are counted", n)
	}
	p.checkConsistent()
}

// A store that is away is nobody's fault: clients come back until it is there, with what they have.
func TestAStoreThatIsAwayOnlyDelays(t *testing.T) {
	p := newPair(t)
	ann := p.enter(0, "ann")
	seat := ann.sit("play", "a")
	p.save()
	p.store.away = true
	eve := p.dial(0)
	eve.say(&netcode.Hello{Version: 1, Token: "eve"})
	p.settle()
	eve.wantClosed(netcode.CloseOverloaded)
	ann.do(seat.Room, 1, "hit", 0) // play goes on
	ann.say(join(2, netcode.JoinCreate, "duel", ""))
	p.tick(2)
	heard[*netcode.Joined](ann)
	if p.save() == nil || p.a.config.Registry.Unsaved() != 1 {
		t.Errorf("%d to be saved", p.a.config.Registry.Unsaved())
	}
	ann.cut()
	p.tick(1)
	p.again(ann, 1).wantClosed(netcode.CloseOverloaded)
	p.again(ann, 0).wantClosed(netcode.CloseOverloaded)
	p.store.away = false
	if err := p.save(); err != nil {
		t.Fatal(err)
	}
	if n := p.a.config.Registry.Len(); n != 0 {
		t.Errorf("%d sessions stay where they are saved and have no connection", n)
	}
	back := p.again(ann, 1)
	back.welcomed()
	p.tick(2)
	if back.secret.Kept != 2 {
		t.Errorf("%d seats", back.secret.Kept)
	}
	heard[*netcode.Joined](back)
	heard[*netcode.Joined](back)
	if n := p.a.stats.StoreErrors.Load(); n < 3 {
		t.Errorf("%d errors are counted", n)
	}
	p.checkConsistent()
}

// What a node has not saved when it dies, its clients know: they name the seat, and its room knows whose it is.
func TestASeatThatWasNeverSavedIsFoundByItsHolder(t *testing.T) {
	p := newPair(t)
	ann := p.enter(0, "ann")
	p.save()
	seat := ann.sit("play", "a")
	ann.do(seat.Room, 1, "say", 1)
	p.tick(2)
	p.crash()
	if r := p.store.record(ann.secret.Session); len(r.Seats) != 0 {
		t.Fatalf("it was saved: %+v", r)
	}
	strange := netcode.Held{Room: seat.ID, Seat: seat.Seat + 1}
	back := p.again(ann, 0, held(seat), strange, netcode.Held{Room: "nowhere", Seat: 1})
	back.welcomed()
	p.tick(2)
	j := heard[*netcode.Joined](back)
	if back.secret.Kept != 3 || j.Seat != seat.Seat || j.Outcome != netcode.OutcomeResumed {
		t.Errorf("%+v, %+v", back.secret, j)
	}
	heard[*netcode.Event](back)
	p.save()
	if r := p.store.record(ann.secret.Session); len(r.Seats) != 1 || r.Node != "b" {
		t.Errorf("%+v", r)
	}
	p.checkConsistent()
	bob := p.enter(0, "bob") // who names what is not his
	bob.cut()
	bob = p.again(bob, 0, held(seat))
	bob.welcomed()
	p.tick(2)
	if g := heard[*netcode.Gone](bob); g.Why != "unknown" {
		t.Errorf("%+v", g)
	}
	back.wantClosed(0)
}

// What changed here and was not saved yet must not be undone by the session's own return, nor by a save that crosses it.
func TestAReturnToTheSameNodeKeepsWhatWasNotSaved(t *testing.T) {
	p := newPair(t)
	ann := p.enter(0, "ann")
	p.save()
	seat := ann.sit("play", "a")
	ann.cut()
	back := p.again(ann, 0)
	back.welcomed()
	p.tick(2)
	if j := heard[*netcode.Joined](back); j.Seat != seat.Seat || back.secret.Kept != 1 {
		t.Errorf("%+v", j)
	}
	back.say(join(2, netcode.JoinCreate, "play", ""))
	back.cut()
	// The resume is granted and its answer on the way while the save of the older generation is refused.
	again := &peer{rig: p.rig, loop: p.loops[0], sock: &fakeSocket{}, run: 7}
	again.conn = again.loop.open(again.sock)
	again.say(&netcode.Hello{Version: 1, Run: 7, Session: back.secret.Session, Secret: back.secret.Secret})
	p.a.work.Wait()
	if err := p.a.saveAll(); err != nil {
		t.Fatal(err)
	}
	p.tick(1)
	again.welcomed()
	again.say(join(2, netcode.JoinCreate, "play", ""))
	p.tick(2)
	if p.rooms.nextID != 2 {
		t.Errorf("%d rooms: the creation is forgotten", p.rooms.nextID)
	}
	again.wantClosed(0)
	p.save()
	if r := p.store.record(back.secret.Session); len(r.Seats) != 2 || len(r.Requests) != 2 || !r.Connected {
		t.Errorf("%+v", r)
	}
	p.checkConsistent()
}

// Whoever hangs up before the store has answered leaves a session that has its generation, but no connection.
func TestHangingUpBeforeTheStoreAnswers(t *testing.T) {
	for node, name := range []string{"the same node", "another node"} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			ann := p.enter(0, "ann")
			seat := ann.sit("play", "a")
			p.save()
			for _, hello := range []*netcode.Hello{
				{Version: 1, Run: 7, Session: ann.secret.Session, Secret: ann.secret.Secret},
				{Version: 1, Token: "eve"},
			} {
				hasty := p.dial(node)
				hasty.say(hello)
				p.hubs[node].work.Wait()
				hasty.cut()
				p.settle()
			}
			ann.wantClosed(netcode.CloseSuperseded)
			g := p.hubs[node].config.Registry
			if g.kept.Len() != 1 || g.idle.Len() != 1 {
				t.Error("without a store they would stay for ever")
			}
			p.save()
			if n := g.Len(); n != 0 {
				t.Errorf("%d sessions", n)
			}
			if r := p.store.record(ann.secret.Session); r.Connected || r.Gen != 2 || len(r.Seats) != 1 {
				t.Errorf("%+v", r)
			}
			back := p.again(ann, 0)
			back.welcomed()
			p.tick(2)
			if j := heard[*netcode.Joined](back); j.Seat != seat.Seat {
				t.Errorf("%+v", j)
			}
			p.checkConsistent()
		})
	}
}

// A node that still knows a session from before must not take what it knew for what the session has done since.
func TestASessionComesBackWithWhatItDidElsewhere(t *testing.T) {
	p := newPair(t)
	first := p.enter(0, "ann")
	seat := first.sit("play", "a")
	p.save()
	second := p.again(first, 1)
	second.welcomed()
	p.tick(2)
	second.say(&netcode.Leave{Request: 2, Room: heard[*netcode.Joined](second).Room}, join(3, netcode.JoinOrCreate, "play", "b"))
	p.tick(2)
	p.save()
	if s := p.a.config.Registry.sessions[first.secret.Session]; s == nil || len(s.seats) != 1 || string(s.seats[0].Room) != seat.ID {
		t.Fatalf("the first node knows %+v", s)
	}
	third := p.again(second, 0)
	third.welcomed()
	p.tick(2)
	if j := heard[*netcode.Joined](third); j.Key != "b" || third.secret.Kept != 1 {
		t.Errorf("%+v of %d", j, third.secret.Kept)
	}
	p.checkConsistent()
}

// A node may be told that a session has moved on before it knows that it had come. Saving tells it then.
func TestAWelcomeThatIsOvertakenIsFoundOut(t *testing.T) {
	p := newPair(t)
	ann := p.enter(0, "ann")
	p.save()
	ann.cut()
	p.save()
	hello := &netcode.Hello{Version: 1, Run: 7, Session: ann.secret.Session, Secret: ann.secret.Secret}
	slow := p.dial(0)
	slow.say(hello)
	p.a.work.Wait() // granted; the answer waits for the loop
	quick := p.dial(1)
	quick.say(hello)
	p.b.work.Wait() // and the first node is told
	p.settle()
	slow.wantClosed(0)
	p.save()
	slow.wantClosed(netcode.CloseSuperseded)
	quick.wantClosed(0)
	p.checkConsistent()
}

// Between the notice that a session has moved and the end of its connection, that must not ask for seats nor be given any: nobody would
// hold them.
func TestAConnectionThatWasReplacedElsewhereGetsNoSeats(t *testing.T) {
	p := newPair(t)
	ann := p.enter(0, "ann")
	ann.say(join(1, netcode.JoinCreate, "play", ""))
	p.step()
	p.a.Superseded(ann.secret.Session, 2)
	ann.say(join(2, netcode.JoinCreate, "play", ""))
	if len(ann.conn.asked) != 1 || p.rooms.nextID != 1 {
		t.Error("it asks")
	}
	p.settle()
	ann.wantClosed(netcode.CloseSuperseded)
	silent[*netcode.Joined](ann, "it is not the session's any more")
	p.tick(2)
	if info, _ := p.rooms.shard.Inspect("r-1"); len(info.Seats) != 1 || info.Seats[0].Player.Connected {
		t.Errorf("%+v", info.Seats)
	}
	p.checkConsistent()
}

// A save that crosses the session's return to the same node is refused, which must not end the new connection.
func TestASaveThatIsOvertakenByAReturnEndsNothing(t *testing.T) {
	p := newPair(t)
	ann := p.enter(0, "ann")
	ann.sit("play", "a")
	rs := p.a.config.Registry.unsaved("a", 10)
	back := p.again(ann, 0)
	back.welcomed()
	errs := p.store.Save(t.Context(), rs)
	moved, lost := p.a.config.Registry.saved(rs, errs, p.now)
	if !errors.Is(errs[0], ErrMoved) || len(moved)+len(lost) != 0 {
		t.Errorf("%v: %d moved, %d lost", errs, len(moved), len(lost))
	}
	p.save()
	back.wantClosed(0)
	if r := p.store.record(back.secret.Session); len(r.Seats) != 1 || r.Gen != 2 {
		t.Errorf("%+v", r)
	}
	p.checkConsistent()
}

// A session must be known here until the last of its joins is answered: a seat that comes after its connection is its own.
func TestASeatThatComesAfterItsConnectionIsSaved(t *testing.T) {
	p := newPair(t)
	ann := p.enter(0, "ann")
	p.rooms.admit = true
	ann.say(join(1, netcode.JoinCreate, "play", "a"))
	ann.cut()
	p.save()
	p.rooms.admitting[0]("", "")
	p.tick(2)
	p.save()
	if r := p.store.record(ann.secret.Session); len(r.Seats) != 1 || p.a.config.Registry.Len() != 0 {
		t.Errorf("%+v, %d sessions are known", r, p.a.config.Registry.Len())
	}
	back := p.again(ann, 1)
	back.welcomed()
	p.tick(2)
	heard[*netcode.Joined](back)
	p.checkConsistent()
}

// An answer to a join from before a session was forgotten here must not free a place that was never taken since.
func TestALateAnswerFreesNoPlaceOfANewerStay(t *testing.T) {
	p := newPair(t)
	ann := p.enter(0, "ann")
	p.rooms.admit = true
	ann.say(join(1, netcode.JoinCreate, "play", "a"))
	p.again(ann, 1).welcomed()
	p.a.config.Registry.expire(p.now.Add(awayTTL))
	again := p.again(ann, 0)
	again.welcomed()
	p.rooms.admitting[0](netcode.CodeNotAdmitted, "no")
	p.tick(2)
	if s := p.a.config.Registry.sessions[ann.secret.Session]; s.joining != 0 {
		t.Errorf("%d joins are reserved", s.joining)
	}
	p.checkConsistent()
}

// Creating is limited per session, wherever it goes.
func TestGoingFromNodeToNodeMakesNoMoreRooms(t *testing.T) {
	p := newPair(t)
	ann := p.enter(0, "ann")
	began, made := p.now, 0
	for n := range uint64(20) {
		p.now = began
		ann.say(join(n+1, netcode.JoinCreate, "duel", ""))
		p.settle()
		p.step()
		p.settle()
		for _, m := range ann.hear() {
			if j, ok := m.(*netcode.Joined); ok {
				made++
				ann.say(&netcode.Leave{Request: n + 100, Room: j.Room})
				p.step()
				p.settle()
			}
		}
		ann.cut()
		p.save()
		ann = p.again(ann, int(n%2))
		ann.welcomed()
	}
	if made != 8 {
		t.Errorf("%d rooms at once", made)
	}
}

// A join that is answered after its session has gone elsewhere must leave a seat that the session can have there.
func TestASeatGivenToASessionThatHasMovedIsKeptForIt(t *testing.T) {
	p := newPair(t)
	bob := p.enter(0, "bob")
	bob.sit("play", "a")
	ann := p.enter(0, "ann")
	p.rooms.admit = true
	ann.say(join(1, netcode.JoinKey, "play", "a"))
	p.save()
	young := p.again(ann, 1)
	young.welcomed()
	p.a.config.Registry.expire(p.now.Add(awayTTL)) // nothing is known of it here any more
	p.rooms.admitting[0]("", "")
	p.tick(2)
	p.rooms.admit = false
	young.say(join(1, netcode.JoinKey, "play", "a")) // it was never answered
	p.tick(2)
	if j := heard[*netcode.Joined](young); j.Seat != 2 {
		t.Errorf("%+v", j)
	}
	p.save()
	home := p.again(young, 0)
	home.welcomed()
	p.tick(2)
	heard[*netcode.Joined](home)
	p.checkConsistent()
}

// Redis may come back empty. Players who are playing must still be able to return.
func TestSessionsAreOpenedAnewInAStoreThatHasLostThem(t *testing.T) {
	p := newPair(t)
	ann, bob := p.enter(0, "ann"), p.enter(0, "bob")
	seat := ann.sit("play", "a")
	p.save()
	bob.cut()
	p.store.Memory = NewMemory()
	p.a.config.Registry.refresh(p.now.Add(refreshEvery))
	if err := p.save(); err != nil {
		t.Fatal(err)
	}
	if r := p.store.record(ann.secret.Session); r.Gen != 1 || len(r.Seats) != 1 {
		t.Errorf("%+v", r)
	}
	if r := p.store.record(bob.secret.Session); r.ID != "" || p.a.config.Registry.Len() != 1 {
		t.Errorf("%+v", r)
	}
	back := p.again(ann, 1)
	back.welcomed()
	p.tick(2)
	if j := heard[*netcode.Joined](back); j.Seat != seat.Seat {
		t.Errorf("%+v", j)
	}
	ann.wantClosed(netcode.CloseSuperseded)
	p.store.Memory = NewMemory()
	p.b.config.Registry.refresh(p.now.Add(refreshEvery))
	p.b.config.Store = &halfStore{p.store}
	if p.b.saveAll() == nil || p.b.config.Registry.Unsaved() != 1 {
		t.Error("a session that could not be opened anew is given up")
	}
	p.b.config.Store = p.store
	if err := p.b.saveAll(); err != nil || p.store.record(ann.secret.Session).Gen != 2 {
		t.Error(err)
	}
}

// halfStore opens nothing.
type halfStore struct{ *flakyStore }

func (*halfStore) Open(context.Context, Record, Hash) error { return errAway }

// A resume that was overtaken by a newer one must not take the session from it.
func TestAnAnswerThatWasOvertakenIsDropped(t *testing.T) {
	p := newPair(t)
	ann := p.enter(0, "ann")
	ann.sit("play", "a")
	g := p.a.config.Registry
	s := g.sessions[ann.secret.Session]
	r := s.record("a")
	late := p.dial(0)
	late.conn.state = stateGreeting
	(&greeted{p.loops[0].Loop, late.conn, admission{grant: &grant{Record: r, secret: "x", resumed: true}}, nil}).Run(nil)
	late.wantClosed(netcode.CloseSuperseded)
	(&greeted{p.loops[0].Loop, late.conn, admission{grant: &grant{Record: r, secret: "x", resumed: true}}, nil}).Run(nil) // closed by now
	p.a.Superseded(r.ID, r.Gen)                                                                                           // told of itself
	p.a.Superseded("nobody", 7)
	p.settle()
	ann.wantClosed(0)
	if s.gen != 1 || s.attached.conn != ann.conn {
		t.Error("the session was taken")
	}
	p.checkConsistent()
}

// A session that lasts must not expire in the store, and one that is gone must be gone there too.
func TestRecordsSayHowLongTheyLast(t *testing.T) {
	for want, r := range map[time.Duration]Record{
		15 * time.Minute: {Connected: true}, 2 * time.Minute: {}, 30 * time.Minute: {Seats: []Place{{"r", 1}}},
	} {
		if got := r.TTL(); got != want {
			t.Errorf("%+v: %s, want %s", r, got, want)
		}
	}
}
