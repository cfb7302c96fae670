package client

import (
	"bytes"
	"context"
	"time"

	"tickover.dev/netcode"
)

// Handler is what a game wants to know of a room; nil functions are skipped. See the package comment for what they may do.
type Handler struct {
	// OnFrame: the room's part of a message, after everything reliable in it.
	OnFrame func(Frame)
	// OnEvent: a message of the game, in order and once.
	OnEvent func(number uint64, name string, value []byte)
	// OnReply and OnRefusal answer an input of this client that no Request waits for, in order and once.
	OnReply   func(input uint64, value []byte)
	OnRefusal func(input uint64, refused *Refused)
	// OnStatus: the room pauses, plays again, goes on from its journal, or has failed. With StatusRolledBack it goes on from an older
	// state: what was shown behind Room.Tick is void.
	OnStatus func(status netcode.RoomStatus)
	// OnResumed: the seat is there again after a lost connection. With OutcomeSnapshot reliable messages are missing.
	OnResumed func(outcome netcode.JoinOutcome)
	// OnLeft: the seat is given up; nothing follows. why is a word of the protocol, or LeftSession; result is the room's if it ended.
	OnLeft func(why string, result []byte)
}

// LeftSession is why a room is left when its whole session is lost.
const LeftSession = "session_lost"

// Frame is what is to be seen of a room at one tick.
type Frame struct {
	Epoch, Tick uint64
	Applied     uint64 // this client's last input that is in it
	State       []byte // of everybody; nil: as before
	Private     []byte // of this seat; nil: as before
}

// Room is a seat in a room. It outlives connections, and ends with OnLeft.
type Room struct {
	// Set when it is made, then read-only.
	ID, Kind, Key string
	Seat          uint64 // never used again in this room
	RateHz        int    // ticks per second; 0: it steps on events

	client *Client
	over   chan struct{} // closed when the seat is given up

	// Owned by whoever holds client.turn.
	handler *Handler // nil: nobody has taken this seat yet
	backlog backlog

	// Guarded by client.mu.
	number      uint64 // on this connection
	attached    bool   // number is valid
	left        bool
	epoch, tick uint64
	clock       netcode.Clock // Time 0: not told yet
	out         outbox
	in          inbox
	ack         acks
	waiting     map[uint64]chan answer // requests by input
}

// answer ends a wait.
type answer struct {
	room  *Room
	value []byte
	err   error
}

// Send gives the room an input, encoded by Encode (Raw: as it is), and returns its number. The input is kept and sent until the
// room has consumed it, through reconnects and fail-overs. Errors: ErrWindow, ErrTooLarge, ErrLeft, the client's end.
func (r *Room) Send(input any) (number uint64, err error) {
	value, err := Encode(nil, input)
	if err != nil {
		return 0, err
	}
	return r.push(value, nil)
}

// SendRaw is Send for an input that is msgpack already. The bytes are copied; nothing is allocated once buffers have grown.
func (r *Room) SendRaw(input []byte) (number uint64, err error) {
	if err := fits(input); err != nil {
		return 0, err
	}
	return r.push(input, nil)
}

// Request sends an input and waits until the room replies to it, which is up to its game: without a reply it waits for ctx. A
// refusal is a *Refused.
func (r *Room) Request(ctx context.Context, input any) (reply []byte, err error) {
	value, err := Encode(nil, input)
	if err != nil {
		return nil, err
	}
	wait := make(chan answer, 1)
	number, err := r.push(value, wait)
	if err != nil {
		return nil, err
	}
	select {
	case a := <-wait:
		return a.value, a.err
	case <-r.over:
		return nil, ErrLeft
	case <-r.client.done:
		return nil, r.client.Err()
	case <-ctx.Done():
		r.client.mu.Lock()
		delete(r.waiting, number)
		r.client.mu.Unlock()
		return nil, context.Cause(ctx)
	}
}

func (r *Room) push(value []byte, wait chan answer) (uint64, error) {
	c, now := r.client, time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return 0, c.err
	case r.left:
		return 0, ErrLeft
	}
	number, err := r.out.push(now, value)
	if err != nil {
		return 0, err
	}
	if wait != nil {
		if r.waiting == nil {
			r.waiting = make(map[uint64]chan answer)
		}
		r.waiting[number] = wait
	}
	if r.attached {
		c.poke()
	}
	return number, nil
}

// Leave gives the seat up for good and waits until the server has said so. OnLeft is called too. When ctx ends first, nobody waits any
// more, but the seat is given up all the same, as soon as its room is reached: then OnLeft alone tells.
func (r *Room) Leave(ctx context.Context) error {
	_, err := r.client.ask(ctx, &request{room: r})
	return err
}

// Handle takes a seat that the session had and returns when h has been told what happened there meanwhile. It is for the rooms
// of Client.Kept, once.
func (r *Room) Handle(h Handler) {
	r.client.turn.Lock()
	defer r.client.turn.Unlock()
	r.claim(&h)
}

// Epoch is the ownership of the room that was last heard of.
func (r *Room) Epoch() uint64 { r.client.mu.Lock(); defer r.client.mu.Unlock(); return r.epoch }

// Tick is the tick last heard of.
func (r *Room) Tick() uint64 { r.client.mu.Lock(); defer r.client.mu.Unlock(); return r.tick }

// Unacknowledged is how many inputs the room has not consumed yet, as far as is known here; at most Window.
func (r *Room) Unacknowledged() int {
	r.client.mu.Lock()
	defer r.client.mu.Unlock()
	return r.out.waiting()
}

// TimeOf is when a tick was or is due by the server's clock, if the room goes on as it does now; ok is false as long as that is not
// known, and in rooms of rate 0.
func (r *Room) TimeOf(tick uint64) (at time.Time, ok bool) {
	r.client.mu.Lock()
	defer r.client.mu.Unlock()
	if r.clock.Time == 0 || r.RateHz == 0 {
		return at, false
	}
	later := float64(int64(tick-r.clock.Tick)) / float64(r.RateHz)
	return time.UnixMilli(int64(r.clock.Time)).Add(time.Duration(later * float64(time.Second))), true
}

func (r *Room) isLeft() bool { r.client.mu.Lock(); defer r.client.mu.Unlock(); return r.left }

// Attached reports whether the room is reachable over the present connection.
func (r *Room) Attached() bool { r.client.mu.Lock(); defer r.client.mu.Unlock(); return r.attached }

// maxBacklog is how many calls wait for somebody to take a kept seat.
const maxBacklog = 256

// backlog keeps what happens to a seat that nobody has taken yet. It is bounded: beyond that the reliable messages are dropped and
// whoever takes the seat is told that some are missing.
type backlog struct {
	calls []func()
	lost  bool
	frame Frame // the newest, with copies; valid if shown
	shown bool
}

func (b *backlog) add(call func()) {
	if len(b.calls) == maxBacklog {
		b.calls, b.lost = b.calls[:0], true
	}
	b.calls = append(b.calls, call)
}

func (b *backlog) show(f Frame) {
	old := b.frame
	b.frame, b.shown = f, true
	b.frame.State, b.frame.Private = old.State, old.Private
	if f.State != nil {
		b.frame.State = bytes.Clone(f.State)
	}
	if f.Private != nil {
		b.frame.Private = bytes.Clone(f.Private)
	}
}

// claim gives the seat to h and tells it the backlog. The caller holds client.turn.
func (r *Room) claim(h *Handler) {
	if r.handler != nil {
		return
	}
	r.handler = h
	b := r.backlog
	r.backlog = backlog{}
	if b.lost {
		r.tellResumed(netcode.OutcomeSnapshot)
	}
	for _, call := range b.calls {
		call()
	}
	if b.shown && !r.isLeft() {
		r.tellFrame(b.frame)
	}
}

// The tell methods call back, or keep the call for later. The caller holds client.turn and not client.mu.

func (r *Room) tellFrame(f Frame) {
	switch {
	case r.handler == nil:
		r.backlog.show(f)
	case r.handler.OnFrame != nil:
		r.handler.OnFrame(f)
	}
}

func (r *Room) tellEvent(number uint64, name string, value []byte) {
	if r.handler == nil {
		value = bytes.Clone(value)
		r.backlog.add(func() { r.tellEvent(number, name, value) })
	} else if r.handler.OnEvent != nil {
		r.handler.OnEvent(number, name, value)
	}
}

func (r *Room) tellReply(input uint64, value []byte) {
	if r.handler == nil {
		value = bytes.Clone(value)
		r.backlog.add(func() { r.tellReply(input, value) })
	} else if r.handler.OnReply != nil {
		r.handler.OnReply(input, value)
	}
}

func (r *Room) tellRefusal(input uint64, refused *Refused) {
	if r.handler == nil {
		r.backlog.add(func() { r.tellRefusal(input, refused) })
	} else if r.handler.OnRefusal != nil {
		r.handler.OnRefusal(input, refused)
	}
}

func (r *Room) tellStatus(status netcode.RoomStatus) {
	if r.handler == nil {
		r.backlog.add(func() { r.tellStatus(status) })
	} else if r.handler.OnStatus != nil {
		r.handler.OnStatus(status)
	}
}

func (r *Room) tellResumed(outcome netcode.JoinOutcome) {
	if r.handler == nil {
		r.backlog.add(func() { r.tellResumed(outcome) })
	} else if r.handler.OnResumed != nil {
		r.handler.OnResumed(outcome)
	}
}

func (r *Room) tellLeft(why string, result []byte) {
	if r.handler == nil {
		result = bytes.Clone(result)
		r.backlog.add(func() { r.tellLeft(why, result) })
	} else if r.handler.OnLeft != nil {
		r.handler.OnLeft(why, result)
	}
}
