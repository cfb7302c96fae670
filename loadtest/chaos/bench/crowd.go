package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"tickover.dev/client"
	"tickover.dev/loadtest"
	"tickover.dev/loadtest/chaos"
	"tickover.dev/loadtest/chaos/rig"
)

// crowd is players of an installation. It balances their connections itself: it then knows who is where, and no proxy's work is in
// the figures.
type crowd struct {
	// Set by gather, then read-only.
	rig     *rig.Rig
	witness *chaos.Witness
	bots    int
	over    chan struct{}
	work    sync.WaitGroup

	// Written by the players' goroutine, read when it has ended.
	played loadtest.Report
	err    error

	mu sync.Mutex
	// Guarded by mu.
	open    []bool     // by node: players may go there
	next    int        // node
	at      []int      // by bot: its node
	sockets []net.Conn // by bot: its newest
}

// gathering says who comes, and where to.
type gathering struct {
	bots, rooms int
	rateHz      float64
	rig         rig.Config
	only        int // the node to which all go, counted from 1; 0: to all
	observer    loadtest.Observer
}

// gather starts an installation and its players, and returns when everybody plays.
func gather(ctx context.Context, p *plan, g gathering) (*crowd, error) {
	var err error
	if g.rig.Dir, err = os.MkdirTemp(p.dir, "rig-"); err != nil {
		return nil, err
	}
	g.rig.Binary = p.server
	c := &crowd{
		witness: chaos.NewWitness(g.bots), bots: g.bots, over: make(chan struct{}),
		open: make([]bool, g.rig.Nodes), at: make([]int, g.bots), sockets: make([]net.Conn, g.bots),
	}
	for i := range c.open {
		c.open[i] = g.only == 0 || g.only == i+1
	}
	if c.rig, err = rig.Start(ctx, g.rig); err != nil {
		return nil, err
	}
	c.work.Go(func() {
		c.played, c.err = loadtest.Run(ctx, loadtest.Config{
			URL: "ws://" + c.rig.Nodes[0].Game + "/", Kind: "ledger", Bots: g.bots, Rooms: g.rooms, RateHz: g.rateHz,
			Duration: 24 * time.Hour, Until: c.over, RampUp: 3 * time.Second,
			Dial: c.dial, Observer: both{c.witness, g.observer},
		})
	})
	if err := c.calm(ctx, 40*time.Second); err != nil {
		return nil, errors.Join(err, c.disperse())
	}
	return c, nil
}

// both tells two observers; the second may be nil.
type both struct{ a, b loadtest.Observer }

func (o both) Entered(bot int, room string) {
	o.a.Entered(bot, room)
	if o.b != nil {
		o.b.Entered(bot, room)
	}
}

func (o both) Frame(bot int, f client.Frame, at time.Time) {
	o.a.Frame(bot, f, at)
	if o.b != nil {
		o.b.Frame(bot, f, at)
	}
}

// dial connects to the next node that takes it.
func (c *crowd) dial(ctx context.Context, bot int, network, _ string) (net.Conn, error) {
	err := errors.New("no node is open")
	for range c.rig.Nodes {
		c.mu.Lock()
		node := c.next
		c.next = (c.next + 1) % len(c.rig.Nodes)
		open := c.open[node]
		c.mu.Unlock()
		if !open {
			continue
		}
		var conn net.Conn
		if conn, err = new(net.Dialer).DialContext(ctx, network, c.rig.Nodes[node].Game); err != nil {
			continue
		}
		if bot >= 0 {
			c.mu.Lock()
			c.at[bot], c.sockets[bot] = node, conn
			c.mu.Unlock()
		}
		return conn, nil
	}
	return nil, err
}

// allow opens and closes a node for connections to come.
func (c *crowd) allow(node int, open bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[node] = open
}

// cutOff breaks all connections.
func (c *crowd) cutOff() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sockets {
		if s != nil {
			s.Close()
		}
	}
}

// elsewhere lists the bots that are not connected to a node.
func (c *crowd) elsewhere(node int) (bots []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for bot, at := range c.at {
		if at != node {
			bots = append(bots, bot)
		}
	}
	return bots
}

// calm waits until everybody has been shown something from now on, and all nodes are ready.
func (c *crowd) calm(ctx context.Context, limit time.Duration) error {
	since := time.Now()
	for start := since; ; pass(ctx, 50*time.Millisecond) {
		err := c.rig.Healthy()
		if silent := c.witness.Silent(since); len(silent) > 0 {
			err = errors.Join(err, fmt.Errorf("%d of %d players see nothing", len(silent), c.bots))
		}
		switch {
		case err == nil || ctx.Err() != nil:
			return context.Cause(ctx)
		case time.Since(start) > limit:
			return fmt.Errorf("not calm within %s: %w", limit, err)
		}
	}
}

// fullest gives the node that has most rooms.
func (c *crowd) fullest() (node int, err error) {
	most := -1
	for i, n := range c.rig.Nodes {
		rooms, err := n.Rooms()
		if err != nil {
			return 0, err
		}
		if rooms > most {
			most, node = rooms, i
		}
	}
	return node, nil
}

// disperse ends everything, and gives what players found.
func (c *crowd) disperse() error {
	close(c.over)
	c.work.Wait()
	c.rig.Close()
	switch r := c.played; {
	case c.err != nil:
		return c.err
	case !r.Clean():
		return fmt.Errorf("%d lost, %d duplicated, %d forked, %d errors: %v", r.InputsLost, r.InputsDuplicated, r.HistoriesForked, r.Errors, r.Complaints)
	}
	return nil
}

// pass lets time pass.
func pass(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
