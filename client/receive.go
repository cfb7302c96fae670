package client

import (
	"io"
	"slices"
	"time"

	"github.com/gobwas/ws"

	"tickover.dev/netcode"
)

// reception is the reading side's memory: one message of each type that comes often, used again.
type reception struct {
	welcomed  bool // on this connection
	announced bool // Dial knows

	parser  netcode.Parser
	tick    netcode.Tick
	state   netcode.State
	private netcode.Private
	event   netcode.Event
	reply   netcode.Reply
	refusal netcode.Refusal

	// The part of the message that a tick opened.
	room  *Room // nil: none is open, or it is of a room that was left meanwhile
	open  bool
	stale bool // older than what was shown: reliable messages count, the rest does not
	frame Frame
}

// read works on one connection's messages until it breaks.
func (c *Client) read(l *link) error {
	for {
		op, payload, err := l.next()
		if err != nil {
			return err
		}
		now := time.Now()
		switch op {
		case ws.OpClose:
			return closed(payload)
		case ws.OpPing:
			c.mu.Lock()
			c.heard = now
			c.pong = append([]byte{}, payload...)
			c.poke()
			c.mu.Unlock()
		case ws.OpPong:
			c.hear(now)
		default:
			if err := c.receive(now, payload); err != nil {
				return err
			}
		}
	}
}

// hear notes a sign of life, and wakes the writing goroutine if the message made something due earlier than it thinks.
func (c *Client) hear(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard = now
	if c.armed.IsZero() {
		return
	}
	for _, r := range c.rooms {
		if !r.attached {
			continue
		}
		due := earlier(r.out.due(now), r.ack.due())
		if !due.IsZero() && due.Before(c.armed) {
			c.poke()
			return
		}
	}
}

// receive works on one message. Callbacks run in here, one client's never at the same time.
func (c *Client) receive(now time.Time, message []byte) error {
	if err := netcode.Check(message); err != nil {
		return violation("%v", err)
	}
	c.turn.Lock()
	defer c.turn.Unlock()
	in := &c.in
	in.room, in.open = nil, false
	in.parser.Reset(message)
	for {
		t, err := in.parser.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return violation("%v", err)
		}
		if err := c.dispatch(now, t); err != nil {
			return err
		}
	}
	c.showPart(now)
	c.hear(now)
	if in.welcomed && !in.announced { // Dial returns once the message that brought the welcome is done
		in.announced = true
		close(c.ready)
	}
	return nil
}

func (c *Client) dispatch(now time.Time, t netcode.Type) error {
	if t == netcode.TypeWelcome {
		return c.onWelcome()
	}
	if !c.in.welcomed && t != netcode.TypeError {
		return violation("message %d before the welcome", t)
	}
	switch t {
	case netcode.TypeTick:
		return c.onTick(now)
	case netcode.TypeState, netcode.TypePrivate, netcode.TypeEvent, netcode.TypeReply, netcode.TypeRefusal:
		return c.onShown(now, t)
	case netcode.TypeJoined:
		return c.onJoined(now)
	case netcode.TypeLeft:
		return c.onLeft(now)
	case netcode.TypeGone:
		return c.onGone()
	case netcode.TypeError:
		return c.onError()
	case netcode.TypeResend:
		return c.onResend(now)
	case netcode.TypeStatus:
		return c.onStatus(now)
	case netcode.TypeClock:
		return c.onClock()
	case netcode.TypePong:
		return nil
	default:
		return violation("unknown message %d", t)
	}
}

// parse reads the message that the parser stands on.
func (c *Client) parse(m netcode.Message) error {
	if err := c.in.parser.Read(m); err != nil {
		return violation("%v", err)
	}
	return nil
}

// roomOf gives the seat with that number on this connection, or nil. The caller holds mu.
func (c *Client) roomOf(number uint64) *Room {
	for _, r := range c.rooms {
		if r.attached && r.number == number {
			return r
		}
	}
	return nil
}

// roomByID gives the seat in that room, or nil. The caller holds mu.
func (c *Client) roomByID(id string) *Room {
	i := slices.IndexFunc(c.rooms, func(r *Room) bool { return r.ID == id })
	if i < 0 {
		return nil
	}
	return c.rooms[i]
}

func (c *Client) onTick(now time.Time) error {
	c.showPart(now)
	in := &c.in
	m := &in.tick
	if err := c.parse(m); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.roomOf(m.Room)
	in.open, in.room, in.stale = true, r, false
	if r == nil {
		return nil // left meanwhile: the server has not heard of it yet
	}
	if m.Epoch < r.epoch || m.Epoch == r.epoch && m.Tick < r.tick {
		in.stale = true
		c.stats.Stale++
		return nil
	}
	r.epoch, r.tick = m.Epoch, m.Tick
	in.frame = Frame{Epoch: m.Epoch, Tick: m.Tick, Applied: m.Applied}
	return r.out.consumed(now, m.Applied)
}

// showPart shows what a room's part of the message held. Nothing more comes of the room in this message.
func (c *Client) showPart(now time.Time) {
	in := &c.in
	r := in.room
	in.room = nil
	if r == nil || in.stale {
		return
	}
	if in.frame.State != nil {
		c.mu.Lock()
		r.ack.sawState(now, in.frame.Tick, r.in.seen)
		c.mu.Unlock()
	}
	r.tellFrame(in.frame)
}

// onShown takes what follows a tick.
func (c *Client) onShown(now time.Time, t netcode.Type) error {
	in := &c.in
	if !in.open {
		return violation("message %d outside of a tick", t)
	}
	switch t {
	case netcode.TypeState:
		err := c.parse(&in.state)
		in.frame.State = in.state.Value
		return err
	case netcode.TypePrivate:
		err := c.parse(&in.private)
		in.frame.Private = in.private.Value
		return err
	case netcode.TypeEvent:
		if err := c.parse(&in.event); err != nil {
			return err
		}
		fresh, err := c.reliable(now, in.event.Number)
		if fresh {
			in.room.tellEvent(in.event.Number, in.event.Name, in.event.Value)
		}
		return err
	case netcode.TypeReply:
		m := &in.reply
		if err := c.parse(m); err != nil {
			return err
		}
		fresh, err := c.reliable(now, m.Number)
		if fresh && m.Run == c.run && !c.answered(m.Input, answer{value: m.Value}) {
			in.room.tellReply(m.Input, m.Value)
		}
		return err
	default:
		m := &in.refusal
		if err := c.parse(m); err != nil {
			return err
		}
		fresh, err := c.reliable(now, m.Number)
		if !fresh || m.Run != c.run {
			return err
		}
		refused := &Refused{Code: m.Code, Message: m.Message}
		if !c.answered(m.Input, answer{err: refused}) {
			in.room.tellRefusal(m.Input, refused)
		}
		return nil
	}
}

// reliable reports whether the open room's message of that number is new.
func (c *Client) reliable(now time.Time, number uint64) (fresh bool, err error) {
	r := c.in.room
	if r == nil {
		return false, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	fresh, err = r.in.accept(number)
	if !fresh {
		r.ack.told = 0 // it came again because the server does not know that it was seen: tell it
	}
	r.ack.saw(now, r.in.seen)
	return fresh, err
}

// answered hands an answer to the Request that waits for it, if there is one.
func (c *Client) answered(input uint64, a answer) bool {
	r := c.in.room
	c.mu.Lock()
	defer c.mu.Unlock()
	wait, ok := r.waiting[input]
	if !ok {
		return false
	}
	delete(r.waiting, input)
	a.value = slices.Clone(a.value)
	wait <- a // holds one
	return true
}
