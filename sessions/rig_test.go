package sessions

import (
	"cmp"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tickover.dev/engine"
	"tickover.dev/rooms"
)

// What runs already are the timers of a pool that the engine's library keeps.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }

// rig is a node, or some, without sockets, goroutines and clocks: loops whose mailboxes the test empties, over a real shard of real
// rooms that the test steps.
type rig struct {
	tb     testing.TB
	hub    *Hub // of the first node
	hubs   []*Hub
	loops  []*fakeLoop
	rooms  *shardRooms
	now    time.Time
	frames []*rooms.Frame // every frame delivered so far
}

const period = 50 * time.Millisecond // of the test kinds

func newRig(tb testing.TB, loops int, change func(*Config)) *rig {
	tb.Helper()
	r := &rig{tb: tb, now: time.Now()}
	r.rooms = newShardRooms(r)
	r.hub = r.addNode(loops, change)
	return r
}

// addNode adds a node with loops of its own, which sees the same rooms.
func (r *rig) addNode(loops int, change func(*Config)) *Hub {
	r.tb.Helper()
	c := Config{}
	if change != nil {
		change(&c)
	}
	h := New(c)
	h.now = func() time.Time { return r.now }
	h.rooms = r.rooms
	r.hubs = append(r.hubs, h)
	for range loops {
		l := &fakeLoop{limit: 1 << 20}
		l.Loop = h.newLoop(l.post)
		r.loops = append(r.loops, l)
	}
	r.tb.Cleanup(func() {
		if err := h.Close(r.tb.Context()); err != nil && r.tb.Context().Err() == nil {
			r.tb.Error(err)
		}
	})
	return h
}

// deliver shows frames to all nodes.
func (r *rig) deliver(frames []*rooms.Frame) {
	r.frames = append(r.frames, frames...)
	for range r.hubs[1:] {
		for _, f := range frames {
			f.Retain()
		}
	}
	for _, h := range r.hubs {
		h.Deliver(frames)
	}
}

// fakeLoop is a loop with a mailbox that is emptied by hand.
type fakeLoop struct {
	*Loop
	limit   int
	stopped bool

	mu    sync.Mutex
	tasks []engine.Task
}

func (l *fakeLoop) post(t engine.Task) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.stopped:
		return engine.ErrStopped
	case len(l.tasks) >= l.limit:
		return engine.ErrMailboxFull
	}
	l.tasks = append(l.tasks, t)
	return nil
}

func (l *fakeLoop) run() (ran bool) {
	l.mu.Lock()
	tasks := l.tasks
	l.tasks = nil
	l.mu.Unlock()
	for _, t := range tasks {
		t.Run(nil)
	}
	return len(tasks) > 0
}

// settle runs everything that waits on the loops.
func (r *rig) settle() {
	for _, h := range r.hubs {
		h.work.Wait() // for Authenticate, and for the store
	}
	for again := true; again; {
		again = false
		for _, l := range r.loops {
			again = l.run() || again
		}
	}
}

// tick lets rooms take n steps, and the loops show what comes of them.
func (r *rig) tick(n int) {
	for range n {
		r.step()
		r.settle()
	}
}

// step lets the rooms step once; what they show waits for the loops.
func (r *rig) step() {
	r.now = r.now.Add(period)
	r.rooms.advance()
}

// checkConsistent fails if the loops and the hub disagree about who sees what.
func (r *rig) checkConsistent() {
	r.tb.Helper()
	for _, l := range r.loops {
		views := 0
		for id, rep := range l.replicas {
			if len(rep.views)+len(rep.asked) == 0 {
				r.tb.Errorf("loop %d keeps a replica of %s that nobody uses", l.index, id)
			}
			if !slices.IsSortedFunc(rep.views, func(a, b *view) int { return cmp.Compare(a.seat, b.seat) }) {
				r.tb.Errorf("views of %s are out of order", id)
			}
			for _, v := range rep.views {
				views++
				if v.conn.state != stateReady || v.conn.view(v.number) != v {
					r.tb.Errorf("a view of %s without a connection", id)
				}
			}
		}
		for k := range l.conns {
			for _, v := range k.views {
				if v != nil {
					views--
				}
			}
		}
		if views != 0 {
			r.tb.Errorf("loop %d: %d views too many", l.index, views)
		}
	}
	for _, h := range r.hubs {
		r.checkRegistry(h)
	}
}

// checkRegistry fails if a node's registry and its loops disagree.
func (r *rig) checkRegistry(h *Hub) {
	r.tb.Helper()
	joining := map[string]int{}
	for _, l := range h.loops {
		for _, rep := range l.replicas {
			for _, j := range rep.asked {
				if s := h.config.Registry.sessions[j.conn.id]; !j.isReturn() && s != nil && j.conn.gen >= s.first {
					joining[j.conn.id]++
				}
			}
		}
	}
	limit := h.config.RoomsPerSession
	if h.config.Store != nil {
		limit *= 2 // what the store knew of them may have been old
	}
	for id, s := range h.config.Registry.sessions {
		if s.joining != joining[id] || len(s.seats)+s.joining > limit {
			r.tb.Errorf("%d joins are reserved, %d under way, %d seats", s.joining, joining[id], len(s.seats))
		}
		if s.attached.loop != nil && (s.elem != nil || s.moved || s.attached.conn.state != stateReady || s.attached.conn.gen != s.gen) {
			r.tb.Errorf("session %s has a connection that is not its own", id)
		}
	}
	for id, mask := range h.routes {
		for i, l := range h.loops {
			if (mask&(1<<i) != 0) != (l.replicas[id] != nil) {
				r.tb.Errorf("interest of loop %d in %s is wrong", i, id)
			}
		}
	}
}

// checkReleased fails if a frame was never given back. A frame that was is empty, or on its way once more.
func (r *rig) checkReleased() {
	r.tb.Helper()
	for _, f := range r.frames {
		if f.Room != "" {
			r.tb.Errorf("frame %s tick %d was never released", f.Room, f.Tick)
			return
		}
	}
}
