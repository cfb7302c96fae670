package client

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"tickover.dev/client/clienttest"
	"tickover.dev/netcode"
)

// TestLostJoinAnswerGivesOneSeat: the answer is lost with its connection; the seat comes back as a kept one and the join is
// answered again. Two Room values for one seat would each miss half of what happens.
func TestLostJoinAnswerGivesOneSeat(t *testing.T) {
	url := clienttest.Listen(t, func(p *clienttest.Peer) {
		if p.Number == 0 {
			welcome(p, false)
			want[*netcode.Join](p)
			p.Cut()
			return
		}
		welcome(p, true)
		p.Send(seat(0, 3), &netcode.Tick{Room: 3, Epoch: 1, Tick: 11}, &netcode.State{Value: one}, &netcode.Event{Number: 1, Name: "early"})
		if join, ok := want[*netcode.Join](p); ok && join.Request == 1 {
			p.Send(seat(1, 3), &netcode.Tick{Room: 3, Epoch: 1, Tick: 12}, &netcode.Event{Number: 2, Name: "late"})
		}
		rest(p)
	})
	c := dialed(t, quick(url))
	said := make(chan string, 10)
	room, err := c.JoinOrCreate(soon(t), "k", "", nil, Handler{
		OnEvent: func(_ uint64, name string, _ []byte) { said <- name },
		OnFrame: func(f Frame) {
			if f.State != nil {
				said <- "state"
			}
		},
	})
	if err != nil || room.Seat != 4 {
		t.Fatal(room, err)
	}
	for _, w := range []string{"early", "state", "late"} {
		if got := <-said; got != w {
			t.Fatalf("got %s, want %s", got, w)
		}
	}
	if kept := c.Kept(); len(kept) != 0 {
		t.Fatal("the seat is listed as kept, too")
	}
}

// TestLeaveSurvivesALostConnection: without it the seat would stay taken until the grace ends.
func TestLeaveSurvivesALostConnection(t *testing.T) {
	for _, again := range []string{"left", "gone"} {
		t.Run(again, func(t *testing.T) {
			url := clienttest.Listen(t, func(p *clienttest.Peer) {
				if p.Number == 0 {
					welcome(p, false)
					if join, ok := want[*netcode.Join](p); ok {
						p.Send(seat(join.Request, 1))
					}
					want[*netcode.Leave](p)
					return
				}
				welcome(p, true)
				if again == "gone" {
					p.Send(&netcode.Gone{ID: "r1", Why: "closed"})
				} else {
					p.Send(seat(0, 9))
					if leave, ok := want[*netcode.Leave](p); ok && leave.Room == 9 && leave.Request == 2 {
						p.Send(&netcode.Left{Request: 2, Room: 9, Why: "left", Result: one})
					}
				}
				rest(p)
			})
			c := dialed(t, quick(url))
			why := make(chan string, 10)
			room, err := c.Create(soon(t), "k", "", nil, Handler{OnLeft: func(w string, _ []byte) { why <- w }})
			if err != nil {
				t.Fatal(err)
			}
			if err := room.Leave(soon(t)); err != nil {
				t.Fatal(err)
			}
			<-why
			if _, err := room.Send(1); !errors.Is(err, ErrLeft) {
				t.Fatal(err)
			}
			if err := room.Leave(soon(t)); !errors.Is(err, ErrLeft) {
				t.Fatal(err)
			}
		})
	}
}

// TestAbandonedJoinIsLeft: a seat that comes after the caller has gone would never be played, and never be free.
func TestAbandonedJoinIsLeft(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan uint64, 1)
	url := clienttest.Listen(t, func(p *clienttest.Peer) {
		welcome(p, false)
		join, _ := want[*netcode.Join](p)
		cancel()
		if ping, ok := want[*netcode.Join](p); ok { // the second join proves that the first was given up
			p.Send(seat(join.Request, 1), &netcode.Error{Request: ping.Request, Code: netcode.CodeRoomFull, RetryMs: 1500})
		}
		leave, _ := want[*netcode.Leave](p)
		p.Send(&netcode.Left{Request: leave.Request, Room: leave.Room, Why: "left"})
		left <- leave.Room
		rest(p)
	})
	c := dialed(t, quick(url))
	if _, err := c.JoinID(ctx, "r1", nil, Handler{}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	_, err := c.JoinKey(soon(t), "k", "key", map[string]any{"a": 1}, Handler{})
	if refused, ok := errors.AsType[*Refused](err); !ok || refused.Code != netcode.CodeRoomFull || refused.Retry != 1500*time.Millisecond {
		t.Fatal(err)
	}
	if <-left != 1 {
		t.Fatal("another room was left")
	}
	eventually(t, "no seat remains", func() bool { return len(c.Kept()) == 0 })
}

// TestForgottenSessionBeginsAnew: a client that insists on a lost session would never come back.
func TestForgottenSessionBeginsAnew(t *testing.T) {
	for name, refuse := range map[string]bool{"bad secret": true, "new session": false} {
		t.Run(name, func(t *testing.T) {
			hellos := make(chan *netcode.Hello, 10)
			url := clienttest.Listen(t, func(p *clienttest.Peer) {
				if refuse && p.Number == 1 {
					h, _ := want[*netcode.Hello](p)
					hellos <- h
					p.Close(netcode.CloseBadSecret, "")
					return
				}
				hellos <- welcome(p, false)
				if join, ok := want[*netcode.Join](p); ok {
					p.Send(seat(join.Request, 1))
				}
				if p.Number > 0 {
					rest(p)
				}
			})
			c := dialed(t, quick(url))
			left := make(chan string, 10)
			h := Handler{OnLeft: func(why string, _ []byte) { left <- why }}
			if _, err := c.Create(soon(t), "k", "", nil, h); err != nil {
				t.Fatal(err)
			}
			if why := <-left; why != LeftSession {
				t.Fatal(why)
			}
			room, err := c.Create(soon(t), "k", "", nil, h)
			if err != nil || c.Stats().Sessions != 1 {
				t.Fatal(err, c.Stats())
			}
			if n, err := room.Send(1); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			<-hellos
			if second := <-hellos; second.Session != "s" {
				t.Fatal("did not try to resume")
			}
			if refuse {
				if third := <-hellos; third.Session != "" || len(third.Rooms) != 0 {
					t.Fatalf("%+v", third)
				}
			}
		})
	}
}

// TestStaleFramesAreNotShown: an owner that has been replaced may still speak; its frames must not take the game back.
func TestStaleFramesAreNotShown(t *testing.T) {
	url := clienttest.Listen(t, func(p *clienttest.Peer) {
		welcome(p, false)
		join, _ := want[*netcode.Join](p)
		p.Send(seat(join.Request, 1))
		p.Send(&netcode.Status{Room: 1, Status: netcode.StatusResumed, Epoch: 2, Tick: 20})
		p.Send(&netcode.Tick{Room: 1, Epoch: 1, Tick: 30}, &netcode.State{Value: one}, &netcode.Event{Number: 1, Name: "counts"})
		p.Send(&netcode.Tick{Room: 1, Epoch: 2, Tick: 21}, &netcode.State{Value: one}, &netcode.Event{Number: 1, Name: "again"})
		p.Send(&netcode.Tick{Room: 1, Epoch: 2, Tick: 20}, &netcode.State{Value: one})
		p.Send(&netcode.Tick{Room: 1, Epoch: 2, Tick: 21}, &netcode.Private{Value: one}, &netcode.Event{Number: 2, Name: "end"})
		rest(p)
	})
	c := dialed(t, quick(url))
	said := make(chan any, 20)
	_, err := c.Create(soon(t), "k", "", nil, Handler{
		OnFrame:  func(f Frame) { said <- [2]uint64{f.Epoch, f.Tick} },
		OnEvent:  func(_ uint64, name string, _ []byte) { said <- name },
		OnStatus: func(s netcode.RoomStatus) { said <- s },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []any{netcode.StatusResumed, "counts", [2]uint64{2, 21}, "end", [2]uint64{2, 21}} {
		if got := <-said; got != w {
			t.Fatalf("got %v, want %v", got, w)
		}
	}
	if s := c.Stats(); s.Stale != 2 {
		t.Fatalf("%+v", s)
	}
}

// TestTicksHaveTheirTime: a game that draws between ticks must know when they are due, also after the room slid or moved.
func TestTicksHaveTheirTime(t *testing.T) {
	c, room := loose(t)
	at := func(tick uint64) int64 {
		when, ok := room.TimeOf(tick)
		if !ok {
			return -1
		}
		return when.UnixMilli()
	}
	room.RateHz = 30
	if got := at(10); got != -1 {
		t.Errorf("before it was told: %d", got)
	}
	for _, m := range []*netcode.Clock{{Room: 9, Tick: 1, Time: 1}, {Room: room.number, Tick: 40, Time: 1_795_000_000_000}} {
		if err := c.receive(time.Unix(1000, 0), m.Append(nil)); err != nil {
			t.Fatal(err)
		}
	}
	for tick, want := range map[uint64]int64{40: 0, 43: 100, 10: -1000, 40 + 30*3600*24: 86_400_000} {
		if got := at(tick) - 1_795_000_000_000; got != want {
			t.Errorf("tick %d is due at %d ms, want %d", tick, got, want)
		}
	}
	room.RateHz = 0
	if got := at(40); got != -1 {
		t.Errorf("without a rate: %d", got)
	}
}

// TestARolledBackRoomIsToldAndResent: its ticks go back, and what it had acknowledged may be gone.
func TestARolledBackRoomIsToldAndResent(t *testing.T) {
	c, room := loose(t)
	var told []netcode.RoomStatus
	room.handler.OnStatus = func(s netcode.RoomStatus) { told = append(told, s) }
	now := time.Unix(1000, 0)
	for _, m := range []netcode.Message{
		&netcode.Tick{Room: room.number, Epoch: 1, Tick: 50},
		&netcode.Status{Room: room.number, Status: netcode.StatusRolledBack, Epoch: 2, Tick: 20},
		&netcode.Tick{Room: room.number, Epoch: 2, Tick: 21},
	} {
		if err := c.receive(now, m.Append(nil)); err != nil {
			t.Fatal(err)
		}
	}
	if room.Tick() != 21 || room.Epoch() != 2 || len(told) != 1 || told[0] != netcode.StatusRolledBack || c.Stats().Stale != 0 {
		t.Errorf("at tick %d of epoch %d, told %v, %+v", room.Tick(), room.Epoch(), told, c.Stats())
	}
}

// TestNothingFollowsOnLeft, not even from the message that brought it: a game has let go of the room by then.
func TestNothingFollowsOnLeft(t *testing.T) {
	tail := map[string][]netcode.Message{
		"left":       {&netcode.Left{Room: 1, Why: "ended", Result: one}},
		"gone":       {&netcode.Gone{ID: "r1", Why: "ended", Result: one}},
		"other seat": {&netcode.Joined{Room: 2, ID: "r1", Seat: 5, Epoch: 1, Tick: 11}},
	}
	for name, end := range tail {
		t.Run(name, func(t *testing.T) {
			c, room := loose(t)
			said := ""
			room.handler = &Handler{
				OnEvent: func(_ uint64, name string, _ []byte) { said += name + " " },
				OnLeft:  func(string, []byte) { said += "left " },
			}
			message := (&netcode.Tick{Room: 1, Epoch: 1, Tick: 11}).Append(nil)
			message = (&netcode.Event{Number: 1, Name: "one"}).Append(message)
			for _, m := range end {
				message = m.Append(message)
			}
			message = (&netcode.Event{Number: 2, Name: "two"}).Append(message)
			if err := c.receive(time.Unix(1001, 0), message); err != nil {
				t.Fatal(err)
			}
			if said != "one left " {
				t.Fatal(said)
			}
		})
	}
}

// TestRepeatedAnswerLeavesTheRightRoom: the answer to a leave, given again, holds a number that may be another room's by now.
func TestRepeatedAnswerLeavesTheRightRoom(t *testing.T) {
	c, first := loose(t)
	other := &netcode.Joined{Room: 2, ID: "r2", Seat: 9, Epoch: 1, Tick: 1}
	if err := c.receive(time.Unix(1001, 0), other.Append(nil)); err != nil {
		t.Fatal(err)
	}
	second := c.rooms[1]
	c.requests = []*request{{room: second, number: 3, sent: true}}
	if err := c.receive(time.Unix(1001, 0), (&netcode.Left{Request: 3, Room: 1}).Append(nil)); err != nil {
		t.Fatal(err)
	}
	if first.left || !second.left || len(c.requests) != 0 {
		t.Fatal(first.left, second.left, c.requests)
	}
}

// TestSeatsAndRequestsAreBounded: neither a hostile server nor a careless game may fill the memory.
func TestSeatsAndRequestsAreBounded(t *testing.T) {
	c, _ := loose(t)
	for i := range uint64(netcode.MaxHeldRooms) {
		m := &netcode.Joined{Room: i + 2, ID: string(rune('a' + i)), Seat: i}
		err := c.receive(time.Unix(1001, 0), m.Append(nil))
		if last := i == netcode.MaxHeldRooms-1; last != errors.Is(err, ErrProtocol) {
			t.Fatal(i, err)
		}
	}
	for i := range maxRequests + 1 {
		if err := c.enqueue(&request{join: &netcode.Join{}}); (err != nil) != (i == maxRequests) {
			t.Fatal(i, err)
		}
	}
}

// TestUnacknowledgedInputsGoOutAgainAtOnce when the protocol says so: the rule of 2 s is for what nobody foresaw.
func TestUnacknowledgedInputsGoOutAgainAtOnce(t *testing.T) {
	now := time.Unix(1000, 0)
	for name, say := range map[string]func(c *Client) netcode.Message{
		"resumed": func(c *Client) netcode.Message {
			c.offline(errSilent)
			c.welcomed = true
			return &netcode.Joined{Room: 7, ID: "r1", Seat: 4, Epoch: 1, Tick: 10, Outcome: netcode.OutcomeResumed, Applied: 1}
		},
		"gap": func(*Client) netcode.Message { return &netcode.Resend{Room: 1, Number: 2} },
		"fail-over": func(*Client) netcode.Message {
			return &netcode.Status{Room: 1, Status: netcode.StatusResumed, Epoch: 2, Tick: 11}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, room := loose(t)
			for range 3 {
				room.SendRaw(one)
			}
			buf := make([]byte, headBytes, 4096)
			c.compose(now, buf)
			if err := c.receive(now, (&netcode.Tick{Room: 1, Epoch: 1, Tick: 11, Applied: 1}).Append(nil)); err != nil {
				t.Fatal(err)
			}
			if _, out, _, _ := c.compose(now, buf); len(out) > headBytes {
				t.Fatal("sent again without a reason")
			}
			if err := c.receive(now, say(c).Append(nil)); err != nil {
				t.Fatal(err)
			}
			_, out, _, _ := c.compose(now, buf)
			sent, err := clienttest.Parse(out[headBytes:])
			if err != nil || len(sent) != 2 {
				t.Fatal(sent, err)
			}
			for i, m := range sent {
				if in, ok := m.(*netcode.Input); !ok || in.Number != uint64(i+2) || in.Room != room.number {
					t.Errorf("%+v", m)
				}
			}
		})
	}
}

// TestQuietClientStillAcknowledges: a server that hears nothing stops sending states.
func TestQuietClientStillAcknowledges(t *testing.T) {
	now := time.Unix(1000, 0)
	c, _ := loose(t)
	frame := (&netcode.Tick{Room: 1, Epoch: 1, Tick: 11}).Append(nil)
	frame = (&netcode.State{Value: one}).Append(frame)
	frame = (&netcode.Event{Number: 1, Name: "e"}).Append(frame)
	buf := make([]byte, headBytes, 4096)
	compose := func() []netcode.Message {
		_, out, _, err := c.compose(now, buf)
		if err != nil || len(out) == headBytes {
			return nil
		}
		ms, err := clienttest.Parse(out[headBytes:])
		if err != nil {
			t.Fatal(err)
		}
		return ms
	}
	if err := c.receive(now, frame); err != nil || compose() != nil {
		t.Fatal("too early", err)
	}
	now = now.Add(ackAfter)
	if ms := compose(); len(ms) != 1 || *ms[0].(*netcode.Ack) != (netcode.Ack{Room: 1, Reliable: 1, State: 11}) {
		t.Fatal(ms)
	}
	now = now.Add(time.Second)
	if ms := compose(); ms != nil {
		t.Fatal("there was nothing new", ms)
	}
	if err := c.receive(now, frame[:len(frame):len(frame)]); err != nil { // the acknowledgement was lost: the event comes again
		t.Fatal(err)
	}
	now = now.Add(ackAfter)
	if ms := compose(); len(ms) != 1 {
		t.Fatal("a repeated message was not acknowledged again", ms)
	}
}

// TestALeaveThatNobodyWaitsForIsSentAllTheSame: without it a leave whose room had no owner for as long as its caller waited was forgotten.
// The seat was kept, by somebody who had given it up, until the session ended.
func TestALeaveThatNobodyWaitsForIsSentAllTheSame(t *testing.T) {
	back, asked := make(chan struct{}), make(chan string, 10)
	comeBack := sync.OnceFunc(func() { close(back) })
	defer comeBack()
	url := clienttest.Listen(t, func(p *clienttest.Peer) {
		if p.Number == 0 {
			welcome(p, false)
			if join, ok := want[*netcode.Join](p); ok {
				p.Send(seat(join.Request, 1))
			}
			p.Cut()
			return
		}
		welcome(p, true) // and nothing of the seat: its room has no owner
		if join, ok := want[*netcode.Join](p); ok {
			asked <- "join " + join.Target
			p.Send(&netcode.Error{Request: join.Request, Code: netcode.CodeRoomFull})
		}
		<-back
		p.Send(seat(0, 9))
		if leave, ok := want[*netcode.Leave](p); ok {
			asked <- "leave"
			p.Send(&netcode.Left{Request: leave.Request, Room: leave.Room, Why: "left"})
		}
		if join, ok := want[*netcode.Join](p); ok {
			asked <- "join " + join.Target
			p.Send(&netcode.Error{Request: join.Request, Code: netcode.CodeRoomFull})
		}
		rest(p)
	})
	c := dialed(t, quick(url))
	left := make(chan struct{})
	room, err := c.JoinID(soon(t), "r1", nil, Handler{OnLeft: func(string, []byte) { close(left) }})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "connected again", func() bool { return c.Reconnects() == 1 && c.Online() && !room.Attached() })
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := room.Leave(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	full := func(target string) {
		_, err := c.JoinID(soon(t), target, nil, Handler{})
		if refused, ok := errors.AsType[*Refused](err); !ok || refused.Code != netcode.CodeRoomFull {
			t.Errorf("join %s: %v", target, err)
		}
	}
	full("r2") // another room need not wait for that one
	var again sync.WaitGroup
	again.Go(func() { full("r1") }) // the same one must, or it would be given the seat that is left then
	eventually(t, "the second join is asked for", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return len(c.requests) == 2 })
	comeBack()
	again.Wait()
	select {
	case <-left:
	case <-soon(t).Done():
		t.Fatal("the seat is kept")
	}
	for _, w := range []string{"join r2", "leave", "join r1"} {
		if got := <-asked; got != w {
			t.Errorf("got %s, want %s", got, w)
		}
	}
}
