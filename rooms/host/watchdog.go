package host

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"tickover.dev/rooms"
)

// turn is the right to run a shard, while a game's code is being called. The watchdog may take it.
//
//	        Enter              Leave
//	idle ──────────► in game ──────────► idle
//	                    │ watchdog: too long
//	                    ▼
//	                  taken ── Leave reports false: the goroutine ends
type turn struct {
	last  uint64                   // owned by the goroutine that runs the shard
	token atomic.Uint64            // 0: not in a game's code
	room  atomic.Pointer[rooms.ID] // whose
	limit atomic.Int64
}

// Enter implements rooms.Turn.
func (t *turn) Enter(room *rooms.ID, limit time.Duration) uint64 {
	t.last++
	token := t.last // from the Store on, t.last may be another goroutine's
	t.room.Store(room)
	t.limit.Store(int64(limit))
	t.token.Store(token)
	return token
}

// Leave implements rooms.Turn.
func (t *turn) Leave(token uint64) bool { return t.token.CompareAndSwap(token, 0) }

// watchEvery is how often the watchdog looks. It acts within a kind's StepLimit for limits of at least four times that.
const watchEvery = 20 * time.Millisecond

// watch takes shards away from goroutines that are stuck in a game's code.
func (h *Host) watch() {
	type sight struct {
		token uint64
		looks int // at it since; looks and not time, as this process may itself have been stopped for a while
	}
	seen := make([]sight, len(h.runners))
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-tick.C:
			for i, r := range h.runners {
				token := r.turn.token.Load()
				if token == 0 || token != seen[i].token {
					seen[i] = sight{token, 0}
					continue
				}
				seen[i].looks++
				// Seen up to watchEvery after it began, and acted upon at the look before the limit.
				if limit := time.Duration(r.turn.limit.Load()); time.Duration(seen[i].looks)*watchEvery >= limit-2*watchEvery {
					r.takeAway(token)
				}
			}
		}
	}
}

// takeAway gives the shard to a new goroutine, which closes the stuck room and goes on where the old one was.
func (r *runner) takeAway(token uint64) {
	room := r.turn.room.Load()
	if room == nil || !r.turn.token.CompareAndSwap(token, 0) {
		return // it came back just now
	}
	r.taken.Add(1)
	r.stuck.Add(1)
	spare.raise()
	r.host.log.Error("step took too long: its room is closed, a processor may be lost until it returns", "room", *room, "stuck", r.stuck.Load())
	go func() { // ends by closing r.done, as the one before would have
		r.shard.Dispossess(*room)
		r.run()
	}()
}

// cameBack is called by a goroutine that was stuck and has lost its shard.
func (r *runner) cameBack() {
	r.stuck.Add(-1)
	spare.lower()
}

// spare gives the process one more processor for each stuck step, as a step that spins keeps one busy for good.
var spare processors

type processors struct {
	mu sync.Mutex
	// Guarded by mu.
	lent int
}

// maxSpare bounds how many processors are lent: beyond that the machine has no more to give.
const maxSpare = 8

func (p *processors) raise() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lent++; p.lent <= maxSpare {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
}

func (p *processors) lower() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lent--; p.lent < maxSpare {
		runtime.GOMAXPROCS(max(1, runtime.GOMAXPROCS(0)-1))
	}
}
