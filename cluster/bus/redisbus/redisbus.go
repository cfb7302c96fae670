package redisbus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"tickover.dev/cluster"
	"tickover.dev/cluster/bus"
)

// Config is for New. The zero value is fit for use.
type Config struct {
	// Prefix of all keys: "tk:". Nodes with different prefixes know nothing of each other.
	Prefix string
	// MaxPackets bounds an inbox, roughly: 8,192 packets. That is 16 s of what one busy sender sends, of some ten KB each. Redis
	// counts those too that were read in the last second.
	MaxPackets int64
	// Expiry is how long an inbox is kept after its owner was last heard of: 60 s.
	Expiry time.Duration
}

// Bus implements bus.Bus.
type Bus struct {
	client, blocking redis.UniversalClient
	config           Config
}

var _ bus.Bus = (*Bus)(nil)

// New makes a bus of two clients, which stay the caller's: one of redisconn.Open, and one of redisconn.OpenBlocking for nobody else.
func New(client, blocking redis.UniversalClient, c Config) *Bus {
	c.Prefix = cmp.Or(c.Prefix, "tk:")
	c.MaxPackets = cmp.Or(c.MaxPackets, 8192)
	c.Expiry = cmp.Or(c.Expiry, time.Minute)
	return &Bus{client, blocking, c}
}

func (b *Bus) key(owner cluster.Boot) string { return b.config.Prefix + "in:" + owner.String() }

const field = "b"

// Put implements bus.Bus. It is one pipeline, bounded by the client's timeouts; on a Cluster, one to each server, and a dead one
// delays the others by that much.
func (b *Bus) Put(ctx context.Context, packets []bus.Packet, outcomes []bus.Outcome) error {
	pipe := b.client.Pipeline()
	for _, p := range packets {
		pipe.XAdd(ctx, &redis.XAddArgs{
			Stream: b.key(p.To), NoMkStream: true, MaxLen: b.config.MaxPackets, Approx: true, Values: []any{field, p.Data},
		})
	}
	answers, broken := pipe.Exec(ctx)
	var why error
	stray := false
	for i, a := range answers {
		// Without a connection commands have no error of their own: what counts is an id.
		switch id, err := a.(*redis.StringCmd).Result(); {
		case err == nil && id != "":
			outcomes[i] = bus.Delivered
		case errors.Is(err, redis.Nil):
			outcomes[i] = bus.NoInbox
		default:
			outcomes[i] = bus.Unknown
			why = cmp.Or(err, broken)
			stray = stray || isStray(err)
		}
	}
	if stray {
		b.lookAround(ctx, b.client)
	}
	return why
}

// isStray tells that a Cluster has the key on another server than the client thinks.
func isStray(err error) bool {
	return err != nil && (strings.HasPrefix(err.Error(), "MOVED ") || strings.HasPrefix(err.Error(), "ASK "))
}

// lookAround has a client learn, in the background, which server has what: it follows nothing by itself.
func (b *Bus) lookAround(ctx context.Context, client redis.UniversalClient) {
	if c, ok := client.(*redis.ClusterClient); ok {
		c.ReloadState(ctx)
	}
}

// Open implements bus.Bus.
func (b *Bus) Open(ctx context.Context, owner cluster.Boot) (bus.Inbox, error) {
	in := &inbox{bus: b, owner: owner, key: b.key(owner)}
	if err := in.make(ctx); err != nil {
		return nil, err
	}
	return in, nil
}

func wrap(what string, owner cluster.Boot, err error) error {
	return fmt.Errorf("%s inbox of %s: %w", what, owner, err)
}
