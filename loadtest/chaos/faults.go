package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tickover.dev/loadtest/chaos/rig"
)

// errMissed is a fault that did not happen, as what it was for had ended before.
var errMissed = errors.New("the fault came too late")

// errDrain is an orderly stop that was none.
var errDrain = errors.New("drain")

// victim chooses the node that a fault hits; nil: none.
func victim(r *rig.Rig, f Fault) (*rig.Node, int, error) {
	if f.Node < 0 {
		return nil, 0, nil
	}
	var candidates []*rig.Node
	var rooms []int
	for _, n := range r.Nodes {
		has, err := n.Rooms()
		if err != nil {
			return nil, 0, fmt.Errorf("rooms of %s: %w", n.Name, err)
		}
		if f.Any || has > 0 {
			candidates, rooms = append(candidates, n), append(rooms, has)
		}
	}
	if len(candidates) == 0 {
		return nil, 0, errors.New("no node has rooms")
	}
	i := f.Node % len(candidates)
	return candidates[i], rooms[i], nil
}

// inflict does a fault to its victim and mends it. It returns when that is done, and does not look whether all is well again.
func inflict(ctx context.Context, r *rig.Rig, f Fault, n *rig.Node) error {
	switch f.Kind {
	case Kill:
		return again(ctx, n, f.For, n.Kill())
	case FreezeShort, FreezeLease, FreezeLong:
		stopped := n.Freeze()
		pass(ctx, f.For)
		return happened(stopped && n.Thaw())
	case Drain:
		asked := n.Drain()
		ended := n.AwaitEnd()
		if ended != nil {
			ended = fmt.Errorf("%w: %w", errDrain, ended)
		}
		return errors.Join(ended, again(ctx, n, f.For, asked))
	case DrainKill:
		asked := n.Drain()
		pass(ctx, f.Lag)
		killed := n.Kill()
		return again(ctx, n, f.For, asked && killed)
	case Cut:
		n.Wire.Cut()
	case Stall:
		n.Wire.Stall()
	case Delay:
		n.Wire.Delay(f.Lag)
	case Pause:
		err := r.Redis.Pause(f.For)
		pass(ctx, f.For)
		return err
	case RedisKill:
		killed := r.Redis.Kill()
		pass(ctx, f.For)
		return errors.Join(r.Redis.Start(ctx), happened(killed))
	}
	pass(ctx, f.For)
	n.Wire.Mend()
	return nil
}

// again starts a node that has ended, after a while.
func again(ctx context.Context, n *rig.Node, after time.Duration, happenedBefore bool) error {
	pass(ctx, after)
	return errors.Join(n.Launch(), happened(happenedBefore))
}

func happened(it bool) error {
	if !it {
		return errMissed
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
