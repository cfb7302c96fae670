package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tickover.dev/loadtest/chaos"
	"tickover.dev/loadtest/chaos/rig"
)

// thousandRooms has one node own 1,000 rooms whose players are all on the two others, and kills it. What is measured is the time from
// the first claim, which its epoch tells, to the first frame of the last room. One run of it is one value.
func thousandRooms(ctx context.Context, p *plan) ([]line, error) {
	var all []time.Duration
	for range max(p.kills/10, 1) {
		took, err := thousandOnce(ctx, p)
		if err != nil {
			return nil, err
		}
		all = append(all, took)
	}
	return []line{spread("thousand_rooms_last_back", all, time.Second)}, nil
}

func thousandOnce(ctx context.Context, p *plan) (took time.Duration, err error) {
	const rooms = 1000
	c, err := gather(ctx, p, gathering{bots: rooms, rooms: rooms, rateHz: 0.5, only: 1, rig: rig.Config{Nodes: 3, Relaxed: true}})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.disperse()) }()
	c.allow(0, false)
	c.allow(1, true)
	c.allow(2, true)
	c.cutOff()
	if err := c.calm(ctx, 40*time.Second); err != nil {
		return 0, fmt.Errorf("players on two nodes, rooms on the third: %w", err)
	}
	pass(ctx, 2*time.Second)
	if has, err := c.rig.Nodes[0].Rooms(); err != nil || has != rooms {
		return 0, fmt.Errorf("the node that is to be killed has %d rooms: %w", has, err)
	}
	before := c.witness.Owned()
	c.rig.Nodes[0].Kill()
	for start := time.Now(); ; pass(ctx, 100*time.Millisecond) {
		took, back := sinceFirstClaim(c, before)
		switch {
		case back == rooms:
			return took, errors.Join(c.rig.Nodes[0].Start(ctx), c.calm(ctx, 20*time.Second))
		case time.Since(start) > 30*time.Second || ctx.Err() != nil:
			return 0, fmt.Errorf("%d of %d rooms are back", back, rooms)
		}
	}
}

// sinceFirstClaim is from the first claim to the first frame of the room that was last, of so many that are back.
func sinceFirstClaim(c *crowd, before map[string]chaos.Ownership) (took time.Duration, back int) {
	var first, last time.Time
	for room, now := range c.witness.Owned() {
		if now.Epoch <= before[room].Epoch {
			continue
		}
		back++
		if claimed := time.UnixMilli(int64(now.Epoch)); first.IsZero() || claimed.Before(first) { // epochs are milliseconds
			first = claimed
		}
		if now.Since.After(last) {
			last = now.Since
		}
	}
	return last.Sub(first), back
}
