package client

import (
	"time"

	"tickover.dev/netcode"
)

func (c *Client) onWelcome() error {
	var m netcode.Welcome
	if err := c.parse(&m); err != nil {
		return err
	}
	again := c.in.welcomed
	c.mu.Lock()
	lost := c.session != "" && !m.Resumed
	c.mu.Unlock()
	switch {
	case again:
		return violation("a second welcome")
	case m.Version != netcode.Version:
		return violation("version %d", m.Version)
	}
	if lost {
		c.loseSession()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in.welcomed, c.welcomed = true, true
	c.attempts.welcomed()
	c.session, c.secret, c.player, c.node = m.Session, m.Secret, m.Player, m.Node
	if c.welcomes++; c.welcomes > 1 {
		c.stats.Reconnects++
	}
	c.poke()
	return nil
}

// onJoined makes a seat, or finds the one it speaks of. Three ways lead here: the answer to a join; a seat kept through a
// reconnect (request 0); and both for one seat, when the answer to a join was lost with its connection.
func (c *Client) onJoined(now time.Time) error {
	var m netcode.Joined
	if err := c.parse(&m); err != nil {
		return err
	}
	c.mu.Lock()
	q := c.find(m.Request)
	r := c.roomByID(m.ID)
	c.mu.Unlock()
	if r != nil && r.Seat != m.Seat {
		c.drop(r, "unknown", nil) // one seat number is one stay
		r = nil
	}
	known := r != nil
	c.mu.Lock()
	if !known && len(c.rooms) == netcode.MaxHeldRooms {
		c.mu.Unlock()
		return violation("more than %d seats", netcode.MaxHeldRooms)
	}
	if known {
		if !r.attached {
			r.in.resume(m.Reliable, m.Outcome)
		}
	} else {
		r = c.newRoom(&m)
	}
	err := c.attach(now, r, &m)
	c.mu.Unlock()
	if err != nil {
		return err
	}
	if m.Request == 0 && known {
		r.tellResumed(m.Outcome)
	}
	if q != nil && q.join != nil {
		c.seated(q, r)
	}
	return nil
}

// newRoom is a seat that this client hears of for the first time. The caller holds mu.
func (c *Client) newRoom(m *netcode.Joined) *Room {
	r := &Room{
		ID: m.ID, Kind: m.Kind, Key: m.Key, Seat: m.Seat, RateHz: int(m.RateHz),
		client: c, over: make(chan struct{}),
		out: newOutbox(m.Applied), in: inbox{seen: m.Reliable},
	}
	c.rooms = append(c.rooms, r)
	return r
}

// attach makes a seat reachable by its number on this connection, and everything unacknowledged go out again. The caller holds mu.
func (c *Client) attach(now time.Time, r *Room, m *netcode.Joined) error {
	if err := r.out.consumed(now, m.Applied); err != nil {
		return err
	}
	if !r.attached {
		r.out.rewind(now, 0)
		r.ack.restart(r.in.seen)
	}
	r.number, r.attached = m.Room, true
	r.epoch, r.tick = m.Epoch, m.Tick
	c.poke()
	return nil
}

// seated answers a join.
func (c *Client) seated(q *request, r *Room) {
	c.mu.Lock()
	abandoned := q.abandoned
	c.mu.Unlock()
	if !abandoned {
		r.claim(q.handler)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle(func(o *request) bool { return o == q }, answer{room: r})
	if q.abandoned {
		c.giveUp(r)
	}
}

func (c *Client) onLeft(now time.Time) error {
	var m netcode.Left
	if err := c.parse(&m); err != nil {
		return err
	}
	c.mu.Lock()
	r := c.roomOf(m.Room)
	if q := c.find(m.Request); q != nil && q.room != nil {
		r = q.room // an answer that is given again may hold an earlier connection's number
	}
	c.mu.Unlock()
	if r == nil {
		return nil
	}
	if r == c.in.room {
		c.showPart(now)
	}
	c.drop(r, m.Why, m.Result)
	return nil
}

func (c *Client) onGone() error {
	var m netcode.Gone
	if err := c.parse(&m); err != nil {
		return err
	}
	c.mu.Lock()
	r := c.roomByID(m.ID)
	c.mu.Unlock()
	if r != nil {
		c.drop(r, m.Why, m.Result)
	}
	return nil
}

func (c *Client) onError() error {
	var m netcode.Error
	if err := c.parse(&m); err != nil {
		return err
	}
	refused := &Refused{Code: m.Code, Message: m.Message, Retry: time.Duration(m.RetryMs) * time.Millisecond}
	c.mu.Lock()
	q := c.find(m.Request)
	if q != nil {
		c.settle(func(o *request) bool { return o == q }, answer{err: refused})
	}
	c.mu.Unlock()
	if q == nil && m.Request == 0 && c.cfg.OnError != nil {
		c.cfg.OnError(refused)
	}
	return nil
}

func (c *Client) onResend(now time.Time) error {
	var m netcode.Resend
	if err := c.parse(&m); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.roomOf(m.Room); r != nil {
		r.out.gap(now, m.Number)
	}
	return nil
}

func (c *Client) onStatus(now time.Time) error {
	var m netcode.Status
	if err := c.parse(&m); err != nil {
		return err
	}
	c.mu.Lock()
	r := c.roomOf(m.Room)
	if r != nil && (m.Status == netcode.StatusResumed || m.Status == netcode.StatusRolledBack) {
		if m.Epoch > r.epoch {
			r.epoch, r.tick = m.Epoch, m.Tick
		}
		r.out.rewind(now, 0)
	}
	c.mu.Unlock()
	if r != nil {
		r.tellStatus(m.Status)
	}
	return nil
}

func (c *Client) onClock() error {
	var m netcode.Clock
	if err := c.parse(&m); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.roomOf(m.Room); r != nil {
		r.clock = m
	}
	return nil
}
