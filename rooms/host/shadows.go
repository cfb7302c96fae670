package host

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"tickover.dev/rooms"
)

// shadows replays stretches of Replay rooms' histories aside: one goroutine for all shards, with no hold on any room, so that a game's code
// that takes long there, or never returns, costs shadows and nothing else.
type shadows struct {
	// Set by newShadows, then read-only.
	log   *slog.Logger
	queue chan *rooms.Shadow
	done  chan struct{} // closed when the goroutine has ended

	replayed, skipped, differed atomic.Int64
}

const (
	maxShadows = 16 // stretches that wait: each holds a few snapshots' worth of memory
	// shadowRest is how much longer than a replay the pause behind it is: shadows take at most a twentieth of one processor.
	shadowRest = 19
)

func newShadows(log *slog.Logger) *shadows {
	return &shadows{log: log, queue: make(chan *rooms.Shadow, maxShadows), done: make(chan struct{})}
}

// offer takes stretches, or skips them while others wait: nothing waits for a shadow.
func (s *shadows) offer(list []*rooms.Shadow) {
	for _, shadow := range list {
		select {
		case s.queue <- shadow:
		default:
			s.skipped.Add(1)
		}
	}
}

func (s *shadows) run(ctx context.Context) {
	defer close(s.done)
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		select {
		case <-ctx.Done():
			return
		case shadow := <-s.queue:
			began := time.Now()
			s.replay(shadow)
			pause.Reset(shadowRest * time.Since(began))
		}
	}
}

func (s *shadows) replay(shadow *rooms.Shadow) {
	s.replayed.Add(1)
	d := shadow.Replay()
	if d == nil {
		return
	}
	s.differed.Add(1)
	err := d.Err
	if err == nil {
		err = errors.New("its Step is not deterministic")
	}
	s.log.Error("shadow of a room differs: a take-over would roll the room back", "room", shadow.Room, "kind", shadow.Kind.Name,
		"after", d.After, "tick", d.Tick, "field", d.Field, "error", err)
}
