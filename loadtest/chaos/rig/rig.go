package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Config says what an installation consists of.
type Config struct {
	Dir      string // of logs, data and sockets; it must exist
	Binary   string // the server
	Nodes    int    // with a Balancer: as many as its configuration names, 3
	Balancer string // HAProxy's configuration; "": none
	Memory   bool   // nodes without Redis, each on its own
	Relaxed  bool   // a Redis that keeps nothing on its disk; else everything is there before it answers

	// Drain is how long an orderly stop may take: 10 s.
	Drain time.Duration
}

// Rig is a running installation.
type Rig struct {
	Redis    *Redis // nil: the nodes are on their own
	Nodes    []*Node
	Balancer *HAProxy // nil: there is none
}

// Start starts everything, and returns when all is ready. After an error nothing runs.
func Start(ctx context.Context, c Config) (_ *Rig, err error) {
	if c.Drain == 0 {
		c.Drain = 10 * time.Second
	}
	r := &Rig{}
	defer func() {
		if err != nil {
			r.Close()
		}
	}()
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return nil, err
	}
	if c.Binary, err = filepath.Abs(c.Binary); err != nil {
		return nil, err
	}
	if _, err := os.Stat(c.Binary); err != nil {
		return nil, fmt.Errorf("the server is not built: %w", err)
	}
	if !c.Memory {
		if r.Redis, err = newRedis(c.Dir, !c.Relaxed); err != nil {
			return nil, err
		}
		if err := r.Redis.Start(ctx); err != nil {
			return nil, err
		}
	}
	if err := r.startNodes(ctx, c); err != nil {
		return nil, err
	}
	if c.Balancer == "" {
		return r, nil
	}
	if r.Balancer, err = newHAProxy(c.Balancer, c.Dir, r.Nodes); err != nil {
		return nil, err
	}
	return r, r.Balancer.Start(ctx)
}

func (r *Rig) startNodes(ctx context.Context, c Config) error {
	for i := range c.Nodes {
		var wire *Wire
		var redis string
		if r.Redis != nil {
			var err error
			if wire, err = newWire(r.Redis.Addr); err != nil {
				return err
			}
			redis = wire.Addr()
		}
		n, err := newNode(c.Binary, c.Dir, fmt.Sprintf("node-%d", i+1), redis, c.Drain)
		if err != nil {
			return err
		}
		n.Wire = wire
		r.Nodes = append(r.Nodes, n)
		if err := n.Launch(); err != nil {
			return err
		}
	}
	for _, n := range r.Nodes {
		if err := n.AwaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Healthy gives what is wrong: a process that is not there, a node that is not ready.
func (r *Rig) Healthy() error {
	errs := []error{r.Unexpected()}
	for _, n := range r.Nodes {
		errs = append(errs, n.Ready())
	}
	return errors.Join(errs...)
}

// Unexpected gives what has ended and should not have.
func (r *Rig) Unexpected() error {
	var errs []error
	if r.Redis != nil {
		errs = append(errs, r.Redis.check())
	}
	for _, n := range r.Nodes {
		errs = append(errs, n.check())
	}
	if r.Balancer != nil {
		errs = append(errs, r.Balancer.check())
	}
	return errors.Join(errs...)
}

// Close ends everything at once.
func (r *Rig) Close() {
	if r.Balancer != nil {
		r.Balancer.kill()
	}
	for _, n := range r.Nodes {
		n.kill()
		if n.Wire != nil {
			n.Wire.Close()
		}
	}
	if r.Redis != nil {
		r.Redis.kill()
	}
}
