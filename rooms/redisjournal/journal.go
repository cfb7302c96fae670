package redisjournal

import (
	"cmp"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"tickover.dev/rooms"
)

// Config is for New. The zero value is fit for use.
type Config struct {
	// Prefix of all keys: "tk:". Nodes with different prefixes know nothing of each other.
	Prefix string

	// Pipelines bounds the batches on their way at once: 4. Each is a goroutine, and a connection while it has something to send.
	// More than a host has shards is of no use.
	Pipelines int

	// MaxQueued bounds the entries that wait for a pipeline: 65,536. Beyond it a batch is Refused, unless no other waits. A room has
	// at most one entry on its way, so this is a bound for rooms.
	MaxQueued int

	// MaxJournalBytes bounds what Load reads of one room: 64 MiB. A journal beyond it is corrupt: snapshots trim it far below.
	MaxJournalBytes int

	// ShelfTTL is how long the entries of a quarantined room are kept: 72 h.
	ShelfTTL time.Duration

	Log *slog.Logger // nil: none
}

// Errors of Refused appends that were not sent at all. Others are Redis's own.
var (
	ErrClosed = errors.New("redisjournal: closed")
	ErrBusy   = errors.New("redisjournal: too many entries wait")
	errUnsent = errors.New("redisjournal: not sent, as the part before it was not answered")
)

// Journal implements rooms.Journal and host.Shelf.
type Journal struct {
	// Set by New, then read-only.
	client redis.UniversalClient
	config Config
	log    *slog.Logger

	counters counters
	trouble  trouble
	workers  sync.WaitGroup

	mu   sync.Mutex
	news sync.Cond // of mu: there is a job, or the journal is closed
	// Guarded by mu.
	queue   []job
	queued  int // entries in it
	running int // workers with a job
	closed  bool
}

// job is one call of Append.
type job struct {
	batch []rooms.Entry
	done  func([]rooms.Result)
}

var _ rooms.Journal = (*Journal)(nil)

// New makes a journal of a client, which stays the caller's. Close the journal first, then the client.
func New(client redis.UniversalClient, c Config) *Journal {
	c.Prefix = cmp.Or(c.Prefix, "tk:")
	c.Pipelines = max(cmp.Or(c.Pipelines, 4), 1)
	c.MaxQueued = cmp.Or(c.MaxQueued, 1<<16)
	c.MaxJournalBytes = cmp.Or(c.MaxJournalBytes, 64<<20)
	c.ShelfTTL = cmp.Or(c.ShelfTTL, 72*time.Hour)
	j := &Journal{client: client, config: c, log: c.Log}
	if j.log == nil {
		j.log = slog.New(slog.DiscardHandler)
	}
	j.news.L = &j.mu
	for range c.Pipelines { // they stay: a new goroutine for each batch would have to grow its stack each time
		j.workers.Go(j.work)
	}
	return j
}

// Append implements rooms.Journal. It copies nothing: the batch must not be changed until done was called. A batch is sent as one
// pipeline, unless it is very large; on a Cluster, one to each server.
func (j *Journal) Append(batch []rooms.Entry, done func([]rooms.Result)) {
	if err := j.admit(job{batch, done}); err != nil {
		j.refuse(job{batch, done}, err)
	}
}

func (j *Journal) admit(a job) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return ErrClosed
	}
	if len(j.queue) > 0 && j.queued+len(a.batch) > j.config.MaxQueued {
		return ErrBusy
	}
	j.queue = append(j.queue, a)
	j.queued += len(a.batch)
	j.news.Signal()
	return nil
}

// work carries out jobs until the journal is closed.
func (j *Journal) work() {
	p := pipeline{journal: j}
	for {
		a, ok := j.next()
		if !ok {
			return
		}
		results := make([]rooms.Result, len(a.batch))
		p.send(a.batch, results)
		j.counters.count(results)
		j.mu.Lock()
		j.running--
		j.mu.Unlock()
		a.done(results)
	}
}

// next waits for a job, and takes the oldest one.
func (j *Journal) next() (a job, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(j.queue) == 0 && !j.closed {
		j.news.Wait()
	}
	if j.closed {
		return job{}, false
	}
	a = j.queue[0]
	copy(j.queue, j.queue[1:]) // it is as short as there are shards
	j.queue[len(j.queue)-1] = job{}
	j.queue = j.queue[:len(j.queue)-1]
	j.queued -= len(a.batch)
	j.running++
	return a, true
}

// refuse answers a job that was not sent.
func (j *Journal) refuse(a job, err error) {
	results := make([]rooms.Result, len(a.batch))
	for i := range results {
		results[i] = rooms.Result{Outcome: rooms.Refused, Err: err}
	}
	j.counters.count(results)
	a.done(results)
}

// Close refuses all appends that are not on their way yet, and those to come, and waits for the answers of the others: at most for
// the client's timeouts. Claims and questions are not affected. It must not be called by a done function.
func (j *Journal) Close() {
	j.mu.Lock()
	waiting := j.queue
	j.queue, j.queued, j.closed = nil, 0, true
	j.news.Broadcast()
	j.mu.Unlock()
	for _, a := range waiting {
		j.refuse(a, ErrClosed)
	}
	j.workers.Wait()
}

// trouble tells the log when Redis does not take entries, and when it does again; not more often than every five seconds.
type trouble struct {
	mu sync.Mutex
	// Guarded by mu.
	on   bool
	told time.Time
}

func (t *trouble) note(log *slog.Logger, err error) {
	t.mu.Lock()
	changed := t.on != (err != nil) && time.Since(t.told) > 5*time.Second
	if changed {
		t.on = err != nil
		if t.on {
			t.told = time.Now()
		}
	}
	t.mu.Unlock()
	switch {
	case !changed:
	case err != nil:
		log.Warn("journal does not take entries", "error", err)
	default:
		log.Info("journal takes entries again")
	}
}
