package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"tickover.dev/netcode"
)

// Client is one session. It is made by Dial and lives, through reconnects, until Close or until the server will not have it.
type Client struct {
	// Set by Dial, then read-only.
	cfg   Config
	run   uint32 // this object's numbering of inputs
	stop  context.CancelCauseFunc
	done  chan struct{} // closed when everything has ended
	wake  chan struct{} // one pending poke of the writing goroutine
	ready chan struct{} // closed with the first welcome

	// turn is held while a message is worked on and its callbacks run, and by Room.Handle. Taken before mu.
	turn sync.Mutex

	// Owned by the goroutine of live.
	in reception

	mu sync.Mutex
	// Guarded by mu.
	session, secret string
	attempts        attempts
	player, node    string
	welcomed        bool // the present connection has been welcomed
	welcomes        int
	rooms           []*Room // at most a handful: the server allows 8
	requests        []*request
	lastRequest     uint64
	spoke, heard    time.Time // last message out, in
	pong            []byte    // of a WebSocket ping, to be answered
	pace            pace      // of messages on this connection
	armed           time.Time // when the writing goroutine wakes on its own; zero: it has been poked
	stats           Stats
	err             error // the end
	lastErr         error // of the last attempt, for Dial
}

// Stats counts what happened to a client since Dial.
type Stats struct {
	Reconnects int // welcomes after the first
	Violations int // connections dropped as the server broke the protocol
	Sessions   int // sessions lost
	Resent     int // inputs that went out more than once
	Stale      int // frames dropped since they were older than what was shown
}

// Dial connects and returns after the server's first welcome. It keeps trying, with back-off, until ctx ends or the server says
// that trying again is of no use (*Closed: authentication, version). ctx is of no meaning afterwards.
func Dial(ctx context.Context, cfg Config) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.fill()
	c := &Client{
		cfg: cfg, run: rand.Uint32(),
		done: make(chan struct{}), wake: make(chan struct{}, 1), ready: make(chan struct{}),
	}
	if cfg.Resume != nil {
		c.session, c.secret = cfg.Resume.Session, cfg.Resume.Secret
	}
	life, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	c.stop = stop
	go c.live(life) // ends before done is closed, which Close waits for
	select {
	case <-c.ready:
		return c, nil
	case <-c.done:
		return nil, c.Err()
	case <-ctx.Done():
		c.Close()
		return nil, fmt.Errorf("dial %s: %w", cfg.URL, errors.Join(context.Cause(ctx), c.lastErr))
	}
}

// Close ends the connection, waits for the client's goroutines, and gives nothing up: the session's seats last as long as the
// server's grace. It may be called more than once.
func (c *Client) Close() error {
	c.stop(ErrClosed)
	<-c.done
	return nil
}

// Done is closed when the client has ended; Err says why.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err is nil while the client lives, ErrClosed after Close, or what the server ended it with (*Closed).
func (c *Client) Err() error { c.mu.Lock(); defer c.mu.Unlock(); return c.err }

// Reconnects is how often the connection was lost and found again.
func (c *Client) Reconnects() int { return c.Stats().Reconnects }

// Stats gives the counts so far.
func (c *Client) Stats() Stats { c.mu.Lock(); defer c.mu.Unlock(); return c.stats }

// Online reports whether there is a welcomed connection just now.
func (c *Client) Online() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.welcomed }

// Player is the name by which the server knows the player, across sessions.
func (c *Client) Player() string { c.mu.Lock(); defer c.mu.Unlock(); return c.player }

// Node is the name of the node that holds the present connection, or held the last one; "" if it did not say.
func (c *Client) Node() string { c.mu.Lock(); defer c.mu.Unlock(); return c.node }

// Saved is the key to this session for a later process; it changes with every reconnect.
func (c *Client) Saved() Saved {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Saved{Session: c.session, Secret: c.secret}
}

// Kept lists the seats that the session had and nobody has taken by Room.Handle. After Dial with Resume these are the ones that
// came with the welcome; a seat in a room whose node answers later may appear later.
func (c *Client) Kept() []*Room {
	c.turn.Lock()
	defer c.turn.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	var kept []*Room
	for _, r := range c.rooms {
		if r.handler == nil {
			kept = append(kept, r)
		}
	}
	return kept
}

// live connects again and again until the client ends.
func (c *Client) live(ctx context.Context) {
	wait := backoff{first: c.cfg.BackoffFirst, max: c.cfg.BackoffMax}
	for {
		began := time.Now()
		err := c.connection(ctx)
		switch {
		case ctx.Err() != nil:
			c.end(context.Cause(ctx))
			return
		case isFinal(err):
			c.cfg.Log.Warn("client ended by the server", "url", c.cfg.URL, "err", err)
			c.end(err)
			return
		}
		if time.Since(began) >= worked {
			wait.reset()
		}
		pause := wait.wait(c.holdsSeats(), rand.Float64())
		c.cfg.Log.Info("connection lost", "url", c.cfg.URL, "err", err, "again_in", pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// holdsSeats reports whether there are seats whose grace may be running. What a session of an earlier process holds is known with the
// first welcome only.
func (c *Client) holdsSeats() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.rooms) > 0 || c.welcomes == 0 && c.session != ""
}

// connection lives through one connection and gives the reason of its end.
func (c *Client) connection(ctx context.Context) error {
	l, err := dialLink(ctx, &c.cfg)
	if err != nil {
		c.mu.Lock()
		if ctx.Err() == nil || c.lastErr == nil { // that we gave up in the middle of an attempt says nothing about the server
			c.lastErr = err
		}
		c.mu.Unlock()
		return err
	}
	c.in.welcomed = false
	hello := c.begin(time.Now())
	defer context.AfterFunc(ctx, func() { // a peer that does not read shall not hold up Close
		l.conn.SetWriteDeadline(time.Now().Add(goodbyeTimeout))
	})()
	var writing sync.WaitGroup
	writing.Go(func() { c.write(ctx, l, hello) })
	l.breakOff(c.read(l))
	writing.Wait()
	return c.offline(l.cause)
}

// begin prepares for a new connection and gives the message that opens it.
func (c *Client) begin(now time.Time) *netcode.Hello {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spoke, c.heard, c.pace = now, now, pace{}
	h := &netcode.Hello{
		Version: netcode.Version, Run: c.run, Token: c.cfg.token(), Session: c.session, Secret: c.secret, Attempt: c.attempts.next(now),
	}
	for _, r := range c.rooms {
		h.Rooms = append(h.Rooms, netcode.Held{Room: r.ID, Seat: r.Seat, Reliable: r.in.seen})
	}
	return h
}

// offline forgets what belonged to the connection that has ended, and gives the cause, or errSession if that took the session too.
func (c *Client) offline(cause error) error {
	c.mu.Lock()
	c.welcomed, c.pong, c.lastErr = false, nil, cause
	for _, r := range c.rooms {
		r.attached = false
	}
	for _, q := range c.requests {
		q.sent = false
	}
	if errors.Is(cause, ErrProtocol) {
		c.stats.Violations++
	}
	closed, ok := errors.AsType[*Closed](cause)
	if ok {
		c.attempts.lost(closed.Code)
	}
	lost := ok && closed.Code == netcode.CloseBadSecret && c.session != ""
	c.mu.Unlock()
	if !lost {
		return cause
	}
	c.turn.Lock()
	defer c.turn.Unlock()
	c.loseSession()
	return errSession
}

// isFinal reports whether no further connection is of use.
func isFinal(err error) bool {
	closed, ok := errors.AsType[*Closed](err)
	return ok && !netcode.MayReconnect(closed.Code)
}

// loseSession forgets the session: its seats are gone, what is still asked for is asked in the next one. The caller holds turn.
func (c *Client) loseSession() {
	c.mu.Lock()
	c.session, c.secret, c.lastRequest = "", "", 0
	c.stats.Sessions++
	rooms := slices.Clone(c.rooms)
	for _, q := range c.requests {
		q.number, q.sent = 0, false
	}
	c.mu.Unlock()
	c.cfg.Log.Warn("session lost", "url", c.cfg.URL, "seats", len(rooms))
	for _, r := range rooms {
		c.drop(r, LeftSession, nil)
	}
}

// drop ends a seat. The caller is the goroutine of live and holds turn, but not mu.
func (c *Client) drop(r *Room, why string, result []byte) {
	if c.in.room == r {
		c.in.room = nil // nothing follows OnLeft
	}
	c.mu.Lock()
	if r.left {
		c.mu.Unlock()
		return
	}
	r.left, r.attached, r.waiting = true, false, nil
	c.rooms = slices.DeleteFunc(c.rooms, func(o *Room) bool { return o == r })
	c.settle(func(q *request) bool { return q.room == r }, answer{})
	c.mu.Unlock()
	close(r.over)
	r.tellLeft(why, result)
}

// end closes the client for good.
func (c *Client) end(err error) {
	c.mu.Lock()
	c.err = err
	c.settle(func(*request) bool { return true }, answer{err: err})
	c.mu.Unlock()
	close(c.done)
}
