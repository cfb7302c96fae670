package redisconn

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/redis/go-redis/v9"
)

// info is what a server tells of itself, by field.
type info map[string]string

func parseInfo(text string) info {
	in := info{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			in[name] = value
		}
	}
	return in
}

// ask reads sections of a server's INFO. embedded says that it is miniredis, which has next to none.
func ask(ctx context.Context, c *redis.Client, sections ...string) (in info, embedded bool, err error) {
	p := c.Pipeline()
	replies := make([]*redis.StringCmd, len(sections))
	for i, s := range sections {
		replies[i] = p.Info(ctx, s)
	}
	_, pipeErr := p.Exec(ctx)
	in = info{}
	for _, r := range replies {
		switch text, err := r.Result(); {
		case err != nil && strings.Contains(err.Error(), "is not supported"):
			return nil, true, nil
		case err != nil:
			return nil, false, err
		case text == "" && pipeErr != nil: // no connection: go-redis leaves such commands without an error of their own
			return nil, false, pipeErr
		default:
			maps.Copy(in, parseInfo(text))
		}
	}
	return in, false, nil
}

// eachMaster calls f for the one server, or for each master of a Cluster, at the same time. The error is of one of them.
func eachMaster(ctx context.Context, client redis.UniversalClient, f func(ctx context.Context, addr string, c *redis.Client) error) error {
	switch c := client.(type) {
	case *redis.Client:
		addr := c.Options().Addr
		if addr == failoverAddr {
			addr = "the master that the Sentinels name"
		}
		return f(ctx, addr, c)
	case *redis.ClusterClient:
		return c.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error { return f(ctx, c.Options().Addr, c) })
	default:
		return fmt.Errorf("redisconn: client of unknown type %T", client)
	}
}

// failoverAddr is what go-redis puts where a client has no address of its own, as it asks Sentinels.
const failoverAddr = "FailoverClient"
