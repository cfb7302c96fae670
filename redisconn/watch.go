package redisconn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// WatchConfig says what to watch and whom to tell. The functions are called one at a time, from Watch's goroutine; they must return
// soon.
type WatchConfig struct {
	Config // Conns is ignored: one connection to each master is used

	Every time.Duration // between two looks; 250 ms. A look costs Redis some 50 us

	// Lost is called when the store may have lost what it was given last: a master was restarted, or another server is master now.
	// The other way round is no promise: what is written between a fail-over and the next look goes unnoticed until then.
	Lost func(why string)

	// Answers is called with what the first look finds, and again whenever Redis stops answering (with the reason) or starts again.
	// After an outage that may have lost something, Lost comes first.
	Answers func(ok bool, why error)
}

const defaultEvery = 250 * time.Millisecond

// watchConns bounds the connections, of which one is used. After so many failed dials go-redis tries again only once a second: a
// server that is back would be seen that much later.
const watchConns = 256

// Watch looks at Redis, over a connection of its own, until the context ends. It returns the context's cause, or at once that the
// address makes no sense.
func Watch(ctx context.Context, c WatchConfig) error {
	client, err := c.open(watchConns)
	if err != nil {
		return err
	}
	defer client.Close()
	w := watch{config: c}
	every := time.NewTicker(cmp.Or(c.Every, defaultEvery))
	defer every.Stop()
	for {
		seen, err := look(ctx, client, cmp.Or(c.Timeout, defaultTimeout))
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		w.take(seen, err)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-every.C:
		}
	}
}

// identity of a master: it changes when the server is started anew, and when a replica is made master.
type identity struct{ run, replication string }

// masters is what one look saw, by address.
type masters map[string]identity

// look asks every master who it is.
func look(ctx context.Context, client redis.UniversalClient, timeout time.Duration) (masters, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var mu sync.Mutex
	seen := masters{} // guarded by mu
	err := eachMaster(ctx, client, func(ctx context.Context, addr string, c *redis.Client) error {
		in, embedded, err := ask(ctx, c, "server", "replication")
		if err != nil {
			return explain(addr, err)
		}
		if in["role"] == "slave" {
			return &CheckError{addr, ErrNotMaster, "a fail-over is under way", nil}
		}
		mu.Lock()
		defer mu.Unlock()
		if seen[addr] = (identity{in["run_id"], in["master_replid"]}); embedded {
			seen[addr] = identity{run: "embedded"}
		}
		return nil
	})
	if err == nil && len(seen) == 0 {
		err = errors.New("redisconn: the Cluster has no masters")
	}
	return seen, err
}

// watch compares what one look saw with what the one before did.
//
//	        answers                  no answer
//	(new) ──────────► answering ─────────────────► silent
//	                   │  ▲  │ other masters: Lost    │
//	                   └──┼──┘                        │ answers; other masters: Lost
//	                      └───────────────────────────┘
type watch struct {
	config WatchConfig
	known  masters // what the last look that was answered saw
	told   bool    // Answers was called, and
	ok     bool    // that is what it was told
}

func (w *watch) take(seen masters, err error) {
	if err == nil {
		if why := w.known.changed(seen); why != "" && w.config.Lost != nil {
			w.config.Lost(why)
		}
		w.known = seen
	}
	if ok := err == nil; !w.told || ok != w.ok {
		w.told, w.ok = true, ok
		if w.config.Answers != nil {
			w.config.Answers(ok, err)
		}
	}
}

// changed says what is new among the masters. A master that is gone without another in its place has given its share to others in
// good order.
func (m masters) changed(seen masters) string {
	if m == nil {
		return ""
	}
	for _, addr := range slices.Sorted(maps.Keys(seen)) {
		now := seen[addr]
		switch before, known := m[addr]; {
		case !known:
			return fmt.Sprintf("%s is a master now", addr)
		case before.run != now.run:
			return fmt.Sprintf("%s is another process", addr)
		case before.replication != now.replication:
			return fmt.Sprintf("%s has a new history", addr)
		}
	}
	return ""
}
