package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"tickover.dev/loadtest/chaos/rig"
)

// journalCPU compares the processor time of one node that keeps its 100 rooms of 6 players in Redis with one that keeps them in
// memory, in turns. What the difference holds beside the journal (sessions, heartbeats) is small, and there only with Redis, too.
func journalCPU(ctx context.Context, p *plan) ([]line, error) {
	const rounds = 3
	var parts []float64 // of the node's time, in percent
	for range rounds {
		redis, err := nodeCPU(ctx, p, false)
		if err != nil {
			return nil, err
		}
		memory, err := nodeCPU(ctx, p, true)
		if err != nil {
			return nil, err
		}
		parts = append(parts, 100*(1-float64(memory)/float64(redis)))
	}
	slices.Sort(parts)
	return []line{{name: "journal_cpu", unit: "percent", p50: parts[rounds/2], p99: parts[rounds-1], goal: 5, n: rounds}}, nil
}

// nodeCPU is what a node uses in some seconds.
func nodeCPU(ctx context.Context, p *plan, memory bool) (used time.Duration, err error) {
	const measured = 8 * time.Second
	c, err := gather(ctx, p, gathering{bots: 1000, rooms: 50, rateHz: 1, rig: rig.Config{Nodes: 1, Relaxed: true, Memory: memory}})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.disperse()) }()
	pass(ctx, 2*time.Second)
	from, err := c.rig.Nodes[0].CPU()
	if err != nil {
		return 0, err
	}
	pass(ctx, measured)
	to, err := c.rig.Nodes[0].CPU()
	return to - from, err
}
