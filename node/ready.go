package node

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// This file is whether a node should be sent players.

const (
	inboxWithin   = time.Second
	inboxVerdict  = time.Second // how long one is good for, however many ask
	reasonWaiting = "the node is starting"
	reasonOver    = "the node is stopping, or has failed"
)

// Reasons of a node that shares Redis.
var (
	errUnsighted = errors.New("heartbeats are not answered: Redis cannot be reached")
	errCutOff    = errors.New("the node was cut off from Redis just now: it takes players again when it has reached Redis for a while")
	errInbox     = errors.New("the node's inbox in Redis cannot be reached")
)

// ready gives the reason why the node should not be sent players now, or nil.
func (n *Node) ready() error {
	switch n.state.Load() {
	case stateStarting:
		return errors.New(reasonWaiting)
	case stateOver:
		return errors.New(reasonOver)
	}
	switch {
	case n.shared == nil:
		return nil
	case !n.shared.cluster.Sight().Sighted:
		return errUnsighted
	case n.shared.cutOff.Load():
		return errCutOff
	}
	return n.inbox.reachable(n.shared.link.Ping)
}

// inboxCheck sends something to the node by way of its own inbox, now and then. Make it with newInboxCheck.
type inboxCheck struct {
	turn chan struct{} // holds one while somebody looks; guards the rest
	// Guarded by turn.
	at  time.Time // of the verdict; zero: there is none
	err error
}

func newInboxCheck() *inboxCheck { return &inboxCheck{turn: make(chan struct{}, 1)} }

// reachable gives the newest verdict, and makes one if that is too old. It takes a second at most, or two if others are first.
func (c *inboxCheck) reachable(ping func(context.Context) error) error {
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	if !c.at.IsZero() && time.Since(c.at) < inboxVerdict {
		return c.err
	}
	ctx, cancel := context.WithTimeout(context.Background(), inboxWithin) // not the asker's: the verdict is for all
	defer cancel()
	c.err = ping(ctx)
	if c.err != nil {
		c.err = fmt.Errorf("%w: %w", errInbox, c.err)
	}
	c.at = time.Now()
	return c.err
}
