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
	since atomic.Int64 // when it was entered, on clock

	clock func() time.Duration
}

// Enter implements rooms.Turn.
func (t *turn) Enter(room *rooms.ID, limit time.Duration) uint64 {
	t.last++
	token := t.last // from the Store on, t.last may be another goroutine's
	t.room.Store(room)
	t.limit.Store(int64(limit))
	t.since.Store(int64(t.clock()))
	t.token.Store(token)
	return token
}

// Leave implements rooms.Turn.
func (t *turn) Leave(token uint64) bool { return t.token.CompareAndSwap(token, 0) }

// The watchdog looks every maxLook, or every eighth of the shortest StepLimit if that is less, but not more often than minLook. It acts
// at the first look at which a limit has been reached.
const (
	minLook = 2 * time.Millisecond
	maxLook = 20 * time.Millisecond
	// asleep is how late a look has to be for this whole process to have been stopped, and not the step.
	asleep = 100 * time.Millisecond
)

// lookEvery is how often the watchdog looks.
func (h *Host) lookEvery() time.Duration {
	every := maxLook
	for _, k := range h.kinds {
		every = min(every, k.StepLimit/8)
	}
	return max(every, minLook)
}

// watch takes shards away from goroutines that are stuck in a game's code.
func (h *Host) watch() {
	every := h.lookEvery()
	seen := make([]sight, len(h.runners))
	tick := time.NewTicker(every)
	defer tick.Stop()
	last := time.Since(h.started)
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Since(h.started)
		slept := now - last - every
		if slept < asleep {
			slept = 0
		}
		last = now
		for i, r := range h.runners {
			if token := r.turn.token.Load(); seen[i].tooLong(&r.turn, token, now, slept) {
				r.takeAway(token)
			}
		}
	}
}

// sight is what the watchdog knows of a turn.
type sight struct {
	token    uint64
	pardoned time.Duration // in which nothing could run
}

// tooLong reports whether the call of a token has reached its limit. What is read beside the token belongs to it, or the token is over
// and cannot be taken any more.
func (s *sight) tooLong(t *turn, token uint64, now, slept time.Duration) bool {
	if token == 0 {
		return false
	}
	if token != s.token {
		*s = sight{token: token}
	}
	took := now - time.Duration(t.since.Load()) - s.pardoned
	pardon := max(0, min(slept, took))
	s.pardoned += pardon
	return took-pardon >= time.Duration(t.limit.Load())
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
