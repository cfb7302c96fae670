package client

import (
	"context"
	"slices"
	"time"

	"tickover.dev/netcode"
)

// maxRequests is how many joins and leaves may be unanswered.
const maxRequests = 32

// Request asks for a seat: the protocol's join.
type Request struct {
	Mode    netcode.JoinMode
	Kind    string
	Target  string // a room's id (JoinID) or key
	Options any    // of the game, encoded by Encode
	Handler Handler
}

// request is a join or a leave that waits for its answer. It is sent again on every connection, under the same number, so that it
// is done once.
type request struct {
	// Set when it is made, then read-only.
	join    *netcode.Join // nil: a leave
	handler *Handler      // of a join
	room    *Room         // of a leave
	answer  chan answer   // holds one; nil: nobody waits

	// Guarded by client.mu.
	number    uint64 // 0: never sent in this session
	sent      bool   // on this connection
	abandoned bool   // nobody waits any more: a seat that comes of a join is given up at once
}

// Join enters a room and returns the seat. The callbacks of req.Handler may come before Join returns. An answer that says no is a
// *Refused. When ctx ends first, a seat that is given later is left again.
func (c *Client) Join(ctx context.Context, req Request) (*Room, error) {
	options, err := Encode(nil, req.Options)
	if err != nil {
		return nil, err
	}
	a, err := c.ask(ctx, &request{
		join:    &netcode.Join{Mode: req.Mode, Kind: req.Kind, Target: req.Target, Options: options},
		handler: &req.Handler,
	})
	return a.room, err
}

// JoinOrCreate enters the room of that kind and key, and creates it when there is none.
func (c *Client) JoinOrCreate(ctx context.Context, kind, key string, options any, h Handler) (*Room, error) {
	return c.Join(ctx, Request{Mode: netcode.JoinOrCreate, Kind: kind, Target: key, Options: options, Handler: h})
}

// Create makes a room, with a key if it is not "", and enters it.
func (c *Client) Create(ctx context.Context, kind, key string, options any, h Handler) (*Room, error) {
	return c.Join(ctx, Request{Mode: netcode.JoinCreate, Kind: kind, Target: key, Options: options, Handler: h})
}

// JoinID enters the room of that id.
func (c *Client) JoinID(ctx context.Context, id string, options any, h Handler) (*Room, error) {
	return c.Join(ctx, Request{Mode: netcode.JoinID, Target: id, Options: options, Handler: h})
}

// JoinKey enters the room of that kind and key, if there is one.
func (c *Client) JoinKey(ctx context.Context, kind, key string, options any, h Handler) (*Room, error) {
	return c.Join(ctx, Request{Mode: netcode.JoinKey, Kind: kind, Target: key, Options: options, Handler: h})
}

// ask puts a request on its way and waits for its answer.
func (c *Client) ask(ctx context.Context, q *request) (answer, error) {
	q.answer = make(chan answer, 1)
	if err := c.enqueue(q); err != nil {
		return answer{}, err
	}
	select {
	case a := <-q.answer:
		return a, a.err
	case <-ctx.Done():
		c.abandon(q)
		return answer{}, context.Cause(ctx)
	}
}

func (c *Client) enqueue(q *request) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return c.err
	case q.room != nil && q.room.left:
		return ErrLeft
	case len(c.requests) >= maxRequests:
		return ErrBusy
	}
	c.requests = append(c.requests, q)
	c.poke()
	return nil
}

// abandon forgets a join that was never sent, and remembers to undo one that was. A leave goes on: whoever gives a seat up has decided so,
// and the room, which may have no owner just now, would keep the seat for as long as the session has a connection.
func (c *Client) abandon(q *request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case a := <-q.answer: // it was answered in this very moment
		if a.room != nil {
			c.giveUp(a.room)
		}
		return
	default:
	}
	if q.number == 0 && q.join != nil {
		c.requests = slices.DeleteFunc(c.requests, func(o *request) bool { return o == q })
		return
	}
	q.abandoned = true
}

// giveUp leaves a seat that nobody wants. The caller holds mu.
func (c *Client) giveUp(r *Room) {
	c.requests = append(c.requests, &request{room: r})
	c.poke()
}

// settle answers and removes the requests that match. The caller holds mu.
func (c *Client) settle(match func(*request) bool, a answer) {
	c.requests = slices.DeleteFunc(c.requests, func(q *request) bool {
		if !match(q) {
			return false
		}
		if q.answer != nil {
			q.answer <- a // holds one, and a request is settled once
		}
		return true
	})
}

// find gives the unanswered request of that number, or nil. The caller holds mu.
func (c *Client) find(number uint64) *request {
	if number == 0 {
		return nil
	}
	for _, q := range c.requests {
		if q.number == number {
			return q
		}
	}
	return nil
}

// appendRequests appends what has not been sent on this connection, in order. A leave whose seat is not back yet waits, and so does a join
// behind it that may mean the same room: it would be given the seat that is to be left.
func (c *Client) appendRequests(dst []byte) []byte {
	var leaving []*Room // that are not back yet
	for _, q := range c.requests {
		if q.sent {
			continue
		}
		if q.room != nil && !q.room.attached {
			leaving = append(leaving, q.room)
			continue
		}
		if q.join != nil && slices.ContainsFunc(leaving, q.mayMean) {
			continue
		}
		if q.join != nil && len(dst) > headBytes && len(dst)+len(q.join.Options) > maxValueBytes {
			break // in the next message
		}
		if q.number == 0 {
			c.lastRequest++
			q.number = c.lastRequest
		}
		q.sent = true
		if q.join != nil {
			q.join.Request = q.number
			dst = q.join.Append(dst)
		} else {
			dst = (&netcode.Leave{Request: q.number, Room: q.room.number}).Append(dst)
		}
	}
	return dst
}

// mayMean reports whether a join may lead to a room that is there already.
func (q *request) mayMean(r *Room) bool {
	switch j := q.join; j.Mode {
	case netcode.JoinCreate:
		return false
	case netcode.JoinID:
		return j.Target == r.ID
	default:
		return j.Target != "" && j.Kind == r.Kind && j.Target == r.Key
	}
}

// poke makes the writing goroutine look for something to do. The caller holds mu.
func (c *Client) poke() {
	c.armed = time.Time{}
	select {
	case c.wake <- struct{}{}:
	default: // it is poked already
	}
}
