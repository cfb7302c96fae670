package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tickover.dev/loadtest/chaos"
	"tickover.dev/loadtest/chaos/rig"
)

const (
	// window is how long after an outage silences are looked for: several leases.
	window = 4 * time.Second
	// before is what belongs to it, so that a silence is measured from the last frame.
	before = 200 * time.Millisecond
	// tick is that of a ledger, at 20 Hz.
	tick = 50 * time.Millisecond
)

// outages has 100 rooms of 6 players on 3 nodes, and takes the node that owns most away: killed, frozen for three leases, drained. What
// is measured is the longest silence of players who are connected to another node, in rooms that had to move.
func outages(ctx context.Context, p *plan) (lines []line, err error) {
	c, err := gather(ctx, p, gathering{bots: 600, rooms: 100, rateHz: 5, rig: rig.Config{Nodes: 3, Relaxed: true}})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.disperse()) }()
	fewer := max(p.kills/3, 1)
	for _, o := range []struct {
		name          string
		times         int
		goal, goalP50 time.Duration
		strike        func(context.Context, *rig.Node) error
		mend          func(context.Context, *rig.Node) error
	}{
		{"owner_killed", p.kills, 400 * time.Millisecond, 150 * time.Millisecond, kill, again},
		{"owner_frozen", fewer, 1200 * time.Millisecond, 0, freeze, nothing},
		{"owner_drained", fewer, 2*tick + 50*time.Millisecond, 0, drain, again},
	} {
		var all []time.Duration
		for range o.times {
			gaps, err := c.outage(ctx, o.strike, o.mend)
			if err != nil {
				return lines, fmt.Errorf("%s: %w", o.name, err)
			}
			all = append(all, gaps...)
		}
		l := spread(o.name, all, o.goal)
		l.goalP50 = float64(o.goalP50.Milliseconds())
		lines = append(lines, l)
	}
	return lines, nil
}

// outage takes the fullest node away, and gives the silences.
func (c *crowd) outage(ctx context.Context, strike, mend func(context.Context, *rig.Node) error) ([]time.Duration, error) {
	node, err := c.fullest()
	if err != nil {
		return nil, err
	}
	owned, bots, start := c.witness.Owned(), c.elsewhere(node), time.Now()
	if err := strike(ctx, c.rig.Nodes[node]); err != nil {
		return nil, err
	}
	pass(ctx, time.Until(start.Add(window)))
	var gaps []time.Duration
	now := c.witness.Owned()
	for _, bot := range bots {
		if room := c.witness.Room(bot); now[room].Epoch > owned[room].Epoch {
			gaps = append(gaps, chaos.Silence(c.witness.Moments(bot), start.Add(-before), start.Add(window)))
		}
	}
	if len(gaps) == 0 {
		return nil, errors.New("no room has moved")
	}
	if err := mend(ctx, c.rig.Nodes[node]); err != nil {
		return nil, err
	}
	return gaps, c.calm(ctx, 20*time.Second)
}

func kill(_ context.Context, n *rig.Node) error {
	if !n.Kill() {
		return fmt.Errorf("%s was dead", n.Name)
	}
	return nil
}

func freeze(ctx context.Context, n *rig.Node) error {
	if !n.Freeze() {
		return fmt.Errorf("%s was dead", n.Name)
	}
	pass(ctx, 3*chaos.Lease)
	n.Thaw()
	return nil
}

func drain(_ context.Context, n *rig.Node) error {
	if !n.Drain() {
		return fmt.Errorf("%s was dead", n.Name)
	}
	return n.AwaitEnd()
}

func nothing(context.Context, *rig.Node) error { return nil }

func again(ctx context.Context, n *rig.Node) error { return n.Start(ctx) }
