package redisconn

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Open makes a client for commands and pipelines. It does not connect yet: Check does. Whoever opens it closes it.
func Open(c Config) (redis.UniversalClient, error) {
	return c.open(cmp.Or(c.Conns, defaultConns))
}

// OpenBlocking makes a client for readers that wait at the server (XREAD BLOCK). Each of them holds one of its few connections for
// as long as it waits, so they must not share a client with anybody in a hurry. Three things to know:
//
//   - ending the context does not interrupt a waiting read; only its deadline does, so have the server wait a second or two at most,
//   - without a deadline go-redis notices a dead server 10 s after the time that the server was to wait: set one, a Config.Timeout later,
//   - BLOCK 0 waits for ever.
func OpenBlocking(c Config) (redis.UniversalClient, error) {
	return c.open(cmp.Or(c.Conns, defaultBlocking))
}

func (c Config) open(conns int) (redis.UniversalClient, error) {
	o, err := c.options(conns)
	if err != nil {
		return nil, err
	}
	silence.Do(func() { redis.SetLogger(quiet{}) })
	return redis.NewUniversalClient(o), nil
}

// go-redis has one logger for the whole process, which writes to stderr unless told otherwise. What it says comes back as an error
// of some command too, so it is silenced by the first Open, unless LogTo came before.
var silence sync.Once

type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// LogTo has go-redis tell the log, at level Debug, what it would write to stderr: failed dials, fail-overs that it follows. It counts
// for all clients of the process.
func LogTo(log *slog.Logger) {
	silence.Do(func() {})
	redis.SetLogger(debugLog{log})
}

type debugLog struct{ log *slog.Logger }

func (d debugLog) Printf(ctx context.Context, format string, v ...any) {
	if d.log.Enabled(ctx, slog.LevelDebug) {
		d.log.DebugContext(ctx, "go-redis", "says", fmt.Sprintf(format, v...))
	}
}
