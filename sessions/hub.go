package sessions

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tickover.dev/engine"
	"tickover.dev/netcode"
	"tickover.dev/rooms"
)

// Config says how sessions are treated. Authenticate defaults to Guest; limits to those of docs/PROTOCOL.md.
type Config struct {
	Authenticate Authenticate
	Registry     *Registry
	Log          *slog.Logger

	Store Store  // where sessions are kept for all nodes; nil: on this one only, in memory
	Node  string // as which the store knows this node; required with one
	Name  string // this node's, for people: Welcome tells it
	// OnResume is told of a session that was resumed here and had its connection at another node before, which should be told by way
	// of its Superseded: else it notices only when it saves. It is called on a goroutine of its own, and may take a second.
	OnResume func(session string, gen uint64, before string)

	RoomsPerSession int           // seats, those asked for included; default 8
	MessagesPerSec  float64       // default 60
	MessageBurst    float64       // default 120
	HelloTimeout    time.Duration // from the handshake to hello; default 5 s
	AuthTimeout     time.Duration // from hello to welcome, the store's part included; default 10 s
}

// maxAuths bounds the calls of Authenticate under way; whoever comes later waits for its turn within AuthTimeout.
const maxAuths = 64

// maxStores bounds the calls of the Store under way that hellos wait for.
const maxStores = 64

// maxLoops is how many loops a hub can serve: their places in a mask.
const maxLoops = 64

// Hub connects the loops of one node to its rooms. It implements host.Sink.
type Hub struct {
	// Set by New and Serve, then read-only.
	config Config
	rooms  Rooms
	now    func() time.Time
	began  time.Time
	ctx    context.Context // ends with Close; for calls of Authenticate
	cancel context.CancelFunc

	auths    chan struct{} // holds one for each call of Authenticate under way
	stores   chan struct{} // holds one for each call of the Store under way, but for saves
	away     atomic.Bool   // the store did not answer last
	work     sync.WaitGroup
	refusing atomic.Bool
	leaving  atomic.Pointer[string] // why everybody is sent away, newcomers too; nil: nobody is
	stats    Stats

	mu sync.RWMutex
	// Guarded by mu.
	loops  []*Loop
	routes map[rooms.ID]uint64 // mask of the loops that have views of a room, or wait for one
	closed bool                // no goroutine may be started any more
}

// Stats counts what the hub has seen. All fields may be read at any time.
type Stats struct {
	Connections  atomic.Int64 // with a session
	Views        atomic.Int64
	StatesSent   atomic.Uint64
	StatesSkip   atomic.Uint64 // a window was full: a newer one is sent later
	Inputs       atomic.Uint64
	RateLimited  atomic.Uint64
	Violations   atomic.Uint64 // connections closed for bad bytes
	Overruns     atomic.Uint64 // loops that lost frames as their mailbox was full
	ReliableFull atomic.Uint64 // connections closed as reliable messages were dropped: they were not acknowledged

	StoreErrors atomic.Uint64 // calls of the store that were not answered, or with an error of its own
	Saves       atomic.Uint64 // sessions saved
	Arrivals    atomic.Uint64 // sessions resumed that had their last connection at another node
	Departures  atomic.Uint64 // sessions found to be at another node while they had a connection here

	errors [len(errorCodes) + 1]atomic.Uint64 // messages answered with an error, by code; the last: any other
}

// Errors counts messages answered with an error by its code; "other" is what is not of docs/PROTOCOL.md.
func (s *Stats) Errors() map[string]uint64 {
	counts := map[string]uint64{"other": s.errors[len(errorCodes)].Load()}
	for i, code := range errorCodes {
		counts[code] = s.errors[i].Load()
	}
	return counts
}

// refused counts one more.
func (s *Stats) refused(code string) {
	i := slices.Index(errorCodes[:], code)
	if i < 0 {
		i = len(errorCodes)
	}
	s.errors[i].Add(1)
}

// errorCodes are those of docs/PROTOCOL.md.
var errorCodes = [...]string{
	netcode.CodeBadMessage, netcode.CodeBadInput, netcode.CodeBadOptions, netcode.CodeUnknownKind, netcode.CodeUnknownRoom,
	netcode.CodeUnknownKey, netcode.CodeRoomFull, netcode.CodeRoomLocked, netcode.CodeRoomEnded, netcode.CodeKeyTaken,
	netcode.CodeNotJoined, netcode.CodeTooManyRooms, netcode.CodeRateLimited, netcode.CodeOverloaded, netcode.CodeBadAck,
	netcode.CodeInputWindow, netcode.CodeRoomFault, netcode.CodeNotAdmitted, netcode.CodeShuttingDown,
}

// New makes a hub. Serve must be called before the first connection.
func New(c Config) *Hub {
	if c.Authenticate == nil {
		c.Authenticate = Guest
	}
	if c.Registry == nil {
		c.Registry = NewRegistry(0)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.RoomsPerSession == 0 {
		c.RoomsPerSession = 8
	}
	if c.MessagesPerSec == 0 {
		c.MessagesPerSec = 60
	}
	if c.MessageBurst == 0 {
		c.MessageBurst = 120
	}
	if c.HelloTimeout == 0 {
		c.HelloTimeout = 5 * time.Second
	}
	if c.AuthTimeout == 0 {
		c.AuthTimeout = 10 * time.Second
	}
	c.Registry.stored = c.Store != nil
	h := &Hub{
		config: c, now: time.Now, began: time.Now(), routes: map[rooms.ID]uint64{},
		auths: make(chan struct{}, maxAuths), stores: make(chan struct{}, maxStores),
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h
}

// Serve gives the hub the rooms it serves.
func (h *Hub) Serve(r Rooms) {
	h.rooms = r
	h.begin(h.sweep)
	if h.config.Store != nil {
		h.begin(h.save)
	}
}

// begin starts a goroutine that Close waits for, unless it is too late for that.
func (h *Hub) begin(f func()) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if !h.closed {
		h.work.Go(f)
	}
}

// nowMs is the hub's clock for limits and windows, in milliseconds: unlike the time of day it never jumps.
func (h *Hub) nowMs() int64 { return h.now().Sub(h.began).Milliseconds() }

// Stats gives the hub's counters.
func (h *Hub) Stats() *Stats { return &h.stats }

// Authenticating is how many calls of Authenticate are under way, at most 64.
func (h *Hub) Authenticating() int { return len(h.auths) }

// Registry gives the hub's sessions.
func (h *Hub) Registry() *Registry { return h.config.Registry }

// Refuse makes the hub answer every join with shutting_down.
func (h *Hub) Refuse() { h.refusing.Store(true) }

// Close ends the hub's goroutines, and saves what is to be saved. It waits for that and for calls of Authenticate, which should end
// with their context, as long as ctx lasts.
// Connections are the engine's to close; close them first. Frames that are still delivered are given back.
func (h *Hub) Close(ctx context.Context) error {
	h.cancel()
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	done := make(chan struct{})
	go func() {
		h.work.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close sessions: a call of Authenticate or of the store does not return: %w", context.Cause(ctx))
	}
}

// sweep forgets old sessions now and then.
func (h *Hub) sweep() {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-h.ctx.Done():
			return
		case now := <-tick.C:
			h.config.Registry.expire(now)
			h.config.Registry.refresh(now)
		}
	}
}

// NewLoop makes the handler of one loop.
func (h *Hub) NewLoop(l *engine.Loop) engine.Handler { return h.newLoop(l.Post) }

func (h *Hub) newLoop(post func(engine.Task) error) *Loop {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.loops) == maxLoops {
		panic("sessions: more than 64 loops")
	}
	l := &Loop{hub: h, index: len(h.loops), post: post, replicas: map[rooms.ID]*replica{}, conns: map[*conn]struct{}{}}
	h.loops = append(h.loops, l)
	return l
}

// interest tells the hub that a loop wants a room's frames, or does no more.
func (h *Hub) interest(room rooms.ID, loop int, on bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	mask := h.routes[room]
	if on {
		mask |= 1 << loop
	} else {
		mask &^= 1 << loop
	}
	if mask == 0 {
		delete(h.routes, room)
		return
	}
	h.routes[room] = mask
}

// Deliver implements host.Sink: it hands frames to the loops that want them, one task per loop.
func (h *Hub) Deliver(frames []*rooms.Frame) {
	h.mu.RLock()
	loops := h.loops
	var batches [maxLoops]*delivery
	for _, f := range frames {
		mask := h.routes[f.Room]
		for i := range loops {
			if mask&(1<<i) == 0 {
				continue
			}
			if batches[i] == nil {
				batches[i] = newDelivery(loops[i])
			}
			f.Retain()
			batches[i].frames = append(batches[i].frames, f)
		}
	}
	h.mu.RUnlock()
	for i, l := range loops {
		if batches[i] != nil {
			l.accept(batches[i])
		}
	}
	for _, f := range frames {
		f.Release()
	}
}

// RoomEnded implements host.Sink: whoever still sees a room that this node lost is told so.
func (h *Hub) RoomEnded(e rooms.Ended) {
	h.mu.RLock()
	mask, loops := h.routes[e.Room], h.loops
	h.mu.RUnlock()
	for i, l := range loops {
		if mask&(1<<i) != 0 {
			l.accept(&roomEnded{loop: l, room: e.Room, why: e.Why, result: e.Result})
		}
	}
}

// delivery is a batch of frames on its way to a loop.
type delivery struct {
	loop   *Loop
	frames []*rooms.Frame
}

var deliveries = sync.Pool{New: func() any { return new(delivery) }}

func newDelivery(l *Loop) *delivery {
	d := deliveries.Get().(*delivery)
	d.loop = l
	return d
}

// Run implements engine.Task.
func (d *delivery) Run(*engine.Loop) {
	if d.loop.overrun.Load() {
		d.loop.recover() // before the views see what is behind the hole
	}
	for _, f := range d.frames {
		d.loop.show(f)
		f.Release()
	}
	d.recycle()
}

func (d *delivery) recycle() {
	clear(d.frames)
	d.frames, d.loop = d.frames[:0], nil
	deliveries.Put(d)
}

// roomEnded tells a loop that a room is no more on this node.
type roomEnded struct {
	loop   *Loop
	room   rooms.ID
	why    string
	result []byte
}

// Run implements engine.Task.
func (r *roomEnded) Run(*engine.Loop) { r.loop.close(r.room, r.why, r.result) }
