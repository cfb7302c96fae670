package rooms

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// A room that cannot step must not collect mail without end; what keeps seats right still gets in.
func TestMailboxRefusesBeyondItsBound(t *testing.T) {
	r := newRig(t)
	r.create(Config{RateHz: 20})
	seat := r.join("ann")
	for n := range uint64(maxMailbox) {
		if err := r.input(seat, "ann", n+1, order{}); err != nil {
			t.Fatalf("input %d: %v", n, err)
		}
	}
	if err := r.input(seat, "ann", 5000, order{}); !errors.Is(err, ErrMailboxFull) {
		t.Errorf("input beyond the bound: %v", err)
	}
	if err := r.mail(Mail{Type: MailDrop, Seat: seat, Session: "ann", Gen: 1}); err != nil {
		t.Errorf("drop: %v", err)
	}
	if f := Refusal(&Mail{Type: MailInput, Session: "ann", Seat: seat}, ErrMailboxFull); f.Seats[0].Notes[0].Type != NoteOverloaded {
		t.Errorf("refused with %+v", f.Seats[0])
	}
}

// Somebody who does not acknowledge must not fill the memory: its messages are dropped, and it is told where the stream goes on.
func TestReliableOverflowClosesTheConnectionAndKeepsTheSeat(t *testing.T) {
	for _, dropped := range []bool{false, true} {
		hook(t, func(p *puppet, t *Tick[order]) {
			each(t, Signal, func(Event[order]) { t.Broadcast("big", strings.Repeat("x", 9000)) })
		})
		r := newRig(t)
		c := r.create(Config{RateHz: 20})
		seat := r.join("ann")
		if dropped {
			r.mail(Mail{Type: MailDrop, Seat: seat, Session: "ann", Gen: 1})
		}
		for range 40 {
			r.mail(Mail{Type: MailSignal, Name: "go"})
			r.step()
		}
		if _, told := r.noted(NoteOverflow, "ann"); told == dropped {
			t.Errorf("dropped %v: told of the overflow %v", dropped, told)
		}
		if n := c.outs.Get(seat).ring.bytes; n > maxReliable {
			t.Errorf("%d bytes are kept", n)
		}
		if !dropped && len(r.events[seat]) > 30 {
			t.Errorf("%d messages were sent, some behind the gap", len(r.events[seat]))
		}
		next, err := r.moved(c.kind, false) // the next owner must know, too
		if err != nil {
			t.Fatal(err)
		}
		next.mail(Mail{Type: MailReturn, Seat: seat, Session: "ann", Gen: 2, Run: 1, Number: 3})
		next.step()
		n, ok := next.noted(NoteReturned, "ann")
		if !ok || n.Resumed || n.Reliable < 29 {
			t.Errorf("dropped %v: returned with %+v", dropped, n)
		}
	}
}

// A drop may have been wrong: the owner took the session's node for dead. The return behind it must be answered all the same, or its
// client waits in front of nothing for as long as its connection lasts.
func TestAReturnBehindAWrongDropIsAnswered(t *testing.T) {
	r := newRig(t)
	c := r.create(Config{RateHz: 20})
	seat := r.join("ann")
	r.mail(Mail{Type: MailReturn, Node: 7, Seat: seat, Session: "ann", Gen: 3, Run: 1})
	r.mail(Mail{Type: MailNodeGone, Node: 7})
	r.step()
	r.mail(Mail{Type: MailReturn, Node: 7, Seat: seat, Session: "ann", Gen: 2, Run: 1})
	r.step()
	if n, ok := r.noted(NoteOverloaded, "ann"); ok {
		t.Errorf("a connection that was replaced is answered %+v", n)
	}
	r.mail(Mail{Type: MailReturn, Node: 7, Seat: seat, Session: "ann", Gen: 3, Run: 1})
	r.step()
	if n, ok := r.noted(NoteOverloaded, "ann"); !ok || n.Seat != seat || n.Gen != 3 || n.Node != 7 || n.Request != 0 {
		t.Errorf("answered %+v", n)
	}
	if c.h.Seats.Get(seat).Connected {
		t.Error("a return of a dead connection brought it back")
	}
	r.mail(Mail{Type: MailReturn, Node: 7, Seat: seat, Session: "ann", Gen: 4, Run: 1})
	r.step()
	if n, ok := r.noted(NoteReturned, "ann"); !ok || n.Gen != 4 || !c.h.Seats.Get(seat).Connected {
		t.Errorf("the next connection was answered %+v", n)
	}
}

// Late copies of what a session asked for must do nothing.
func TestLateCopiesDoNothing(t *testing.T) {
	r := newRig(t)
	c := r.create(Config{RateHz: 20})
	seat := r.join("ann")
	join := Mail{Type: MailJoin, Session: "ann", Gen: 1, Run: 1, Number: 1}
	r.mail(join)
	r.step()
	if c.h.Seats.Len() != 1 {
		t.Fatal("a repeated join took a second seat")
	}
	r.mail(Mail{Type: MailDrop, Seat: seat, Session: "ann", Gen: 1})
	r.mail(Mail{Type: MailReturn, Seat: seat, Session: "ann", Gen: 2, Run: 1})
	r.mail(Mail{Type: MailDrop, Seat: seat, Session: "ann", Gen: 1})
	r.step()
	if !c.h.Seats.Get(seat).Connected {
		t.Error("a late close of the old connection cut the new one")
	}
	r.mail(Mail{Type: MailDrop, Seat: seat, Session: "ann", Gen: 2})
	r.mail(Mail{Type: MailReturn, Seat: seat, Session: "ann", Gen: 2, Run: 1})
	r.mail(Mail{Type: MailJoin, Session: "ann", Gen: 2, Run: 1, Number: 1})
	r.step()
	if c.h.Seats.Get(seat).Connected {
		t.Error("a late return brought a dead connection back")
	}
	r.mail(Mail{Type: MailLeave, Seat: seat, Session: "ann", Gen: 3, Number: 2})
	r.step()
	r.mail(join)
	r.step()
	if c.h.Seats.Len() != 0 {
		t.Error("a late join took a seat after the leave")
	}
	r.mail(Mail{Type: MailJoin, Session: "ann", Gen: 3, Run: 1, Number: 3})
	r.mail(Mail{Type: MailLeave, Seat: seat, Session: "ann", Gen: 3, Number: 2})
	r.step()
	if c.h.Seats.Len() != 1 || c.h.Seats.Get(seat) != nil {
		t.Error("a late leave of the old stay ended the new one, or its number was used again")
	}
}

// Sessions keep a place for every join that reached a room until it is answered: one that came too late must be, too.
func TestLateJoinsAreAnswered(t *testing.T) {
	r := newRig(t)
	c := r.create(Config{RateHz: 20})
	seat := r.join("ann")
	r.mail(Mail{Type: MailReturn, Seat: seat, Session: "ann", Gen: 2, Run: 1})
	r.mail(Mail{Type: MailJoin, Session: "ann", Gen: 1, Run: 1, Number: 7}) // of the connection before
	r.step()
	if n, _ := r.noted(NoteRefused, "ann"); n.Request != 7 || n.Gen != 1 {
		t.Errorf("answered %+v", n)
	}
	if s := c.h.Seats.Get(seat); s.Gen != 2 || !s.Connected {
		t.Errorf("the seat is %+v", s)
	}
}

// What a full mailbox refuses must be answered where somebody waits: a return that is lost leaves a player in front of nothing.
func TestFullMailboxesAnswer(t *testing.T) {
	for m, request := range map[MailType]uint64{MailReturn: 0, MailLeave: 5, MailInput: 0} {
		f := Refusal(&Mail{Type: m, Seat: 3, Session: "ann", Gen: 2, Number: 5}, ErrMailboxFull)
		if f == nil {
			t.Errorf("mail of type %d is dropped in silence", m)
			continue
		}
		if n := f.Seats[0].Notes[0]; n.Type != NoteOverloaded || n.Seat != 3 || n.Gen != 2 || n.Request != request {
			t.Errorf("mail of type %d: %+v", m, n)
		}
	}
}

// A roster that is lost in silence leaves its node's players in front of a still picture.
func TestAFullMailboxAsksForAnotherRoster(t *testing.T) {
	f := Refusal(&Mail{Type: MailRoster, Room: "r", Node: 7}, ErrMailboxFull)
	if f == nil || len(f.Answers) != 1 || f.Answers[0].Type != NoteRoster || f.Answers[0].Node != 7 || !slices.Contains(f.To, 7) {
		t.Errorf("answered %+v", f)
	}
	if f := Refusal(&Mail{Type: MailRoster, Room: "r", Node: 7}, ErrGone); f != nil {
		t.Errorf("of a room that is gone: %+v", f)
	}
}

// An acknowledgement of a former client object must not hide messages from the one behind the new connection.
func TestLateAcknowledgementOfAFormerConnectionIsVoid(t *testing.T) {
	hook(t, func(_ *puppet, t *Tick[order]) { each(t, Signal, func(Event[order]) { t.Broadcast("m", 1) }) })
	r := newRig(t)
	c := r.create(Config{RateHz: 20})
	seat := r.join("ann")
	for range 3 {
		r.mail(Mail{Type: MailSignal})
		r.step()
	}
	r.mail(Mail{Type: MailReturn, Seat: seat, Session: "ann", Gen: 2, Run: 2})
	r.step()
	r.mail(Mail{Type: MailAck, Seat: seat, Session: "ann", Gen: 1, Number: 3})
	if got := c.h.Seats.Get(seat).Acked; got != 0 {
		t.Errorf("acknowledged up to %d", got)
	}
	if n := len(r.events[seat]); n != 6 {
		t.Errorf("%d messages were sent, want 3 to each connection", n)
	}
}

// Returns to invented seats must not make the room remember them.
func TestInventedSeatsAreForgotten(t *testing.T) {
	r := newRig(t)
	c := r.create(Config{RateHz: 20})
	for n := range Seat(500) {
		r.mail(Mail{Type: MailReturn, Seat: 1000 + n, Session: "eve", Gen: 1})
		r.mail(Mail{Type: MailLeave, Seat: 2000 + n, Session: "eve", Gen: 1})
	}
	r.step()
	r.step()
	if n := c.outs.Len(); n > 1 {
		t.Errorf("the room keeps output for %d seats", n)
	}
	if n, _ := r.noted(NoteGone, "eve"); n.Why != "unknown" {
		t.Errorf("answered %+v", n)
	}
}

// A gap must be asked for, but not once per input: each answer is a whole window of inputs.
func TestGapIsAskedForOnce(t *testing.T) {
	r := newRig(t)
	r.create(Config{RateHz: 20})
	seat := r.join("ann")
	asked := 0
	for n := range uint64(5) {
		r.parts = map[Seat]SeatPart{}
		r.input(seat, "ann", 7+n, order{})
		r.step()
		if r.parts[seat].Resend == 1 {
			asked++
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

// A join that the game turns away leaves no trace: no seat, no event, nothing for the session but the refusal.
func TestRejectedJoinLeavesNoTrace(t *testing.T) {
	left := 0
	hook(t, func(_ *puppet, t *Tick[order]) {
		each(t, Joined, func(e Event[order]) {
			if e.Player.Name == "eve" {
				t.Broadcast("hello", 1)
				t.Reject(e, "no_eves", "go away")
			}
		})
		each(t, Left, func(Event[order]) { left++ })
	})
	r := newRig(t)
	c := r.create(Config{RateHz: 20})
	r.join("ann")
	r.mail(Mail{Type: MailJoin, Session: "eve", Gen: 1, Run: 1, Number: 1, Player: Player{Name: "eve"}})
	r.step()
	r.step()
	if n, _ := r.noted(NoteRefused, "eve"); n.Code != "no_eves" || n.Request != 1 {
		t.Errorf("refused with %+v", n)
	}
	if _, joined := r.noted(NoteJoined, "eve"); joined || c.h.Seats.Len() != 1 || c.outs.Len() != 1 || left != 0 {
		t.Errorf("joined %v, %d seats, %d outputs, %d left", joined, c.h.Seats.Len(), c.outs.Len(), left)
	}
}

// The game's own reason for refusing a room must reach those who wanted in, also those who come a little later.
func TestRefusedCreationRefusesJoinsWithTheGamesCode(t *testing.T) {
	hook(t, func(_ *puppet, t *Tick[order]) {
		each(t, Created, func(e Event[order]) { t.Reject(e, "bad_board", "too small") })
	})
	r := newRig(t)
	r.mail(Mail{Type: MailCreate, Kind: puppetKind(Config{RateHz: 20}), Epoch: 1, Nonce: 5})
	r.mail(Mail{Type: MailJoin, Session: "ann", Gen: 1, Run: 1, Number: 1})
	r.hold = true
	r.step()
	r.mail(Mail{Type: MailJoin, Session: "bob", Gen: 1, Run: 1, Number: 1})
	r.hold = false
	r.answerHeld(Confirmed)
	for _, who := range []string{"ann", "bob"} {
		if n, _ := r.noted(NoteRefused, who); n.Code != "bad_board" {
			t.Errorf("%s: %+v", who, n)
		}
		if _, joined := r.noted(NoteJoined, who); joined {
			t.Errorf("%s was seated", who)
		}
	}
	if len(r.ended) != 1 || r.ended[0].Code != "bad_board" || r.ended[0].Kept {
		t.Errorf("ended %+v", r.ended)
	}
}

// Locked rooms, kicks, and ends: each must tell the player what happened, once.
func TestLockKickAndEnd(t *testing.T) {
	hook(t, func(_ *puppet, t *Tick[order]) {
		each(t, Input, func(e Event[order]) {
			switch e.Input.Do {
			case "lock":
				t.Lock(true)
			case "kick":
				t.Kick(Seat(e.Input.N), "rude")
			case "end":
				t.End(42)
			}
		})
	})
	r := newRig(t)
	r.create(Config{RateHz: 20})
	ann, bob := r.join("ann"), r.join("bob")
	r.input(ann, "ann", 1, order{Do: "lock"})
	r.step()
	r.mail(Mail{Type: MailJoin, Session: "eve", Gen: 1, Run: 1, Number: 1})
	r.step()
	if n, _ := r.noted(NoteRefused, "eve"); n.Code != "room_locked" {
		t.Errorf("eve: %+v", n)
	}
	r.input(ann, "ann", 2, order{Do: "kick", N: int(bob)})
	r.step()
	r.step()
	if n, _ := r.noted(NoteLeft, "bob"); n.Why != "kicked" {
		t.Errorf("bob: %+v", n)
	}
	r.hold = true
	r.input(ann, "ann", 3, order{Do: "end"})
	r.step()
	r.mail(Mail{Type: MailReturn, Seat: ann, Session: "ann", Gen: 2})
	r.mail(Mail{Type: MailSignal, Ticket: 3})
	r.hold = false
	r.answerHeld(Confirmed)
	var result int
	if n, _ := r.noted(NoteLeft, "ann"); n.Why != "ended" || Decode(n.Result, &result) != nil || result != 42 {
		t.Errorf("ann: %+v", n)
	}
	if n, _ := r.noted(NoteGone, "ann"); n.Why != "ended" {
		t.Errorf("ann's return: %+v", n)
	}
	if len(r.answers) != 1 || r.answers[0].Code != "room_ended" {
		t.Errorf("a signal that came too late was answered %+v", r.answers)
	}
	if len(r.ended) != 1 || r.ended[0].Kept || r.s.Len() != 0 {
		t.Errorf("ended %+v", r.ended)
	}
}

// What only one seat may see must go to that seat alone, and be there again after a return and a move.
func TestPrivateStateGoesToItsSeatOnly(t *testing.T) {
	hook(t, func(p *puppet, t *Tick[order]) {
		each(t, Joined, func(e Event[order]) { p.Rows.Put(e.Seat, 100+int(e.Seat)) })
	})
	r := newRig(t)
	c := r.create(Config{RateHz: 20})
	ann, bob := r.join("ann"), r.join("bob")
	check := func(r *rig, what string, seat Seat, want int) {
		t.Helper()
		var got int
		if err := Decode(r.parts[seat].Private, &got); err != nil || got != want {
			t.Errorf("%s: seat %d was shown %d (%v), want %d", what, seat, got, err, want)
		}
	}
	check(r, "joined", ann, 101)
	check(r, "joined", bob, 102)
	r.mail(Mail{Type: MailReturn, Seat: ann, Session: "ann", Gen: 2, Run: 2})
	r.parts = map[Seat]SeatPart{}
	r.step()
	check(r, "returned", ann, 101)
	if len(r.parts[bob].Private) != 0 {
		t.Error("bob was sent what had not changed")
	}
	next, err := r.moved(c.kind, false)
	if err != nil {
		t.Fatal(err)
	}
	check(next, "moved", ann, 101)
	check(next, "moved", bob, 102)
}

// Timers, jobs, wishes and signals are state: bounded, and still there on the next node.
func TestTimersJobsAndSignalsSurviveAMove(t *testing.T) {
	var rung, done []string
	hook(t, func(_ *puppet, t *Tick[order]) {
		each(t, Input, func(e Event[order]) {
			t.After(time.Second, "keep")
			t.After(time.Second, "drop")
			t.Cancel("drop")
			t.AddBot("bot")
			for i := range maxJobs + 2 {
				t.Do("job", i)
			}
		})
		each(t, Timer, func(e Event[order]) { rung = append(rung, e.Name) })
		each(t, Done, func(e Event[order]) { done = append(done, e.Why) })
	})
	r := newRig(t)
	c := r.create(Config{RateHz: 20})
	ann := r.join("ann")
	r.mail(Mail{Type: MailSignal, ID: "s1", Ticket: 1})
	r.input(ann, "ann", 1, order{})
	r.step()
	if len(r.jobs) != maxJobs {
		t.Fatalf("%d jobs were begun, want %d", len(r.jobs), maxJobs)
	}
	next, err := r.moved(c.kind, true)
	if err != nil {
		t.Fatal(err)
	}
	if len(next.jobs) != maxJobs || next.jobs[3].Job.ID != r.jobs[3].Job.ID {
		t.Errorf("%d jobs were begun again; ids %s and %s", len(next.jobs), next.jobs[3].Job.ID, r.jobs[3].Job.ID)
	}
	next.mail(Mail{Type: MailSignal, ID: "s1", Ticket: 2})
	next.mail(Mail{Type: MailDone, Number: next.jobs[0].Number})
	next.mail(Mail{Type: MailDone, Number: next.jobs[0].Number})
	next.step()
	if len(done) != 3 || done[0] != "too many jobs" || done[1] != "too many jobs" || done[2] != "" {
		t.Errorf("done %q: want two that were too many, and one, once", done)
	}
	if len(next.answers) != 1 || next.answers[0].Code != "duplicate" {
		t.Errorf("the signal that came twice was answered %+v", next.answers)
	}
	for range 30 {
		next.step()
	}
	got := next.s.rooms["r"]
	if len(rung) != 1 || rung[0] != "keep" || got.h.Seats.Len() != 2 {
		t.Errorf("rung %q, %d seats", rung, got.h.Seats.Len())
	}
	if got.h.Seats.Get(ann).Connected {
		t.Error("ann's connection died with the node, and the room was not told")
	}
}

// A game that sets timers without end must be stopped, not the node.
func TestTooManyTimersPanic(t *testing.T) {
	hook(t, func(_ *puppet, t *Tick[order]) {
		each(t, Input, func(Event[order]) {
			for i := range maxTimers + 1 {
				t.After(time.Hour, fmt.Sprint("t", i))
			}
		})
	})
	r := newRig(t)
	c := r.create(Config{RateHz: 20})
	ann := r.join("ann")
	r.input(ann, "ann", 1, order{})
	r.step()
	if len(r.asks) != 1 || c.h.Timers.Len() > maxTimers {
		t.Errorf("%d timers, asked %v", c.h.Timers.Len(), r.asks)
	}
}

// A session that goes to another node while its join waits must not take the answer there: the node that asked waits for it, with a place
// and a replica kept, until the end of its days.
func TestAJoinIsAnsweredWhereItWasAsked(t *testing.T) {
	r := newRig(t)
	r.create(Config{RateHz: 20})
	r.mail(Mail{Type: MailJoin, Session: "ann", Gen: 1, Run: 1, Number: 1, Node: 6})
	r.mail(Mail{Type: MailJoin, Session: "ann", Gen: 2, Run: 1, Number: 1, Node: 7})
	r.step()
	told := map[Node]uint64{}
	for _, n := range r.notes {
		if n.Type == NoteJoined {
			told[n.Node] = n.Gen
		}
	}
	if told[6] != 1 || told[7] != 2 {
		t.Errorf("told of generation %v, by node; want 1 at node 6 and 2 at node 7", told)
	}
}
