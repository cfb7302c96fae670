// Package host runs rooms on goroutines: it is the shell around rooms.Shard, which decides everything. It owns the shards'
// goroutines, their clock, the watchdog, the journal's answers and the workers that call a game's Admit and Do.
//
//	sessions ── Handle.Post ──► runner (one goroutine per shard) ── Journal.Append ──► journal
//	   ▲                          │   ▲                                                  │
//	   └────── Sink.Deliver ◄─────┘   └───────────────── results ────────────────────────┘
//
// A Host and its Handles may be used from any goroutine.
package host

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tickover.dev/rooms"
)

// Config says what a Host runs. Kinds, Journal and Sink are required.
type Config struct {
	Kinds   []rooms.Kind
	Journal rooms.Journal
	Sink    Sink
	Shards  int // goroutines that step rooms; default GOMAXPROCS
	Log     *slog.Logger

	// TombstoneTTL is how long an ended room's result is remembered. Default 5 minutes.
	TombstoneTTL time.Duration
	// MaxRooms bounds the rooms that Create makes: beyond it they are refused. Rooms that are resumed are counted, and never
	// refused for their number. Default 20,000.
	MaxRooms int
	// Nonce gives a number that no claim and no creation of any host has used, at most 63 bits. Default: random ones.
	Nonce func() uint64
	// Ended, if set, is called after a room is no more on this host and, unless its journal stays (Kept), is buried. It may block:
	// it is called on a goroutine that Stop waits for.
	Ended func(ctx context.Context, r *Handle, e rooms.Ended)
	// Renew, if set, is asked when the journal of a room that is here in epoch was is gone: may it have a new one, in which epoch, under
	// which key (docs/failover/RULES.md, R19)? It may block until ctx ends. Errors: rooms.ErrGone, rooms.ErrClaimLost, the context's.
	Renew func(ctx context.Context, r *Handle, was rooms.Epoch) (rooms.Epoch, string, error)
	// ShadowEvery has every so manieth stretch of Replay rooms' histories, from one snapshot to the next, replayed aside, and an error logged
	// if it comes out otherwise. 1: all, 0: none. Costs a twentieth of a processor at most, and the entries' memory; the rest is skipped.
	ShadowEvery int
	// Workers bounds the calls of one kind's Admit under way at once, and those of its Do. Default 64.
	Workers int
}

// Sink gets what confirmed ticks show.
type Sink interface {
	// Deliver is called from shards' goroutines and must not block. The frames are the sink's: it releases each once. The slice
	// is used again.
	Deliver(frames []*rooms.Frame)
	// RoomEnded is called after the last frame of a room was delivered.
	RoomEnded(rooms.Ended)
}

// Errors of finding and making rooms.
var (
	ErrUnknownKind  = errors.New("there is no such kind of room")
	ErrKeyTaken     = errors.New("a room of this kind and key exists")
	ErrStopping     = errors.New("this node takes no new rooms")
	ErrTooManyRooms = errors.New("this node has as many rooms as it may")
	ErrBadKey       = errors.New("a key has at most 64 letters, digits, '-', '_', '.'")
)

// Host runs the rooms of one node.
type Host struct {
	// Set by New, then read-only.
	config      Config
	log         *slog.Logger
	kinds       map[string]*rooms.Kind
	runners     []*runner
	desks       map[string]*desk // by kind
	callTimeout time.Duration
	started     time.Time
	ctx         context.Context // ends with Stop; for calls into games and the journal
	cancel      context.CancelFunc
	work        sync.WaitGroup
	shadows     *shadows // nil if there are none
	quarantined atomic.Int64
	overdue     atomic.Int64

	mu sync.RWMutex
	// Guarded by mu.
	rooms    map[rooms.ID]*Handle
	keys     map[address]rooms.ID
	tombs    map[rooms.ID]Tomb
	buried   []rooms.ID // keys of tombs, oldest first
	stopping bool
	closed   bool          // no more work may begin
	empty    chan struct{} // closed when stopping and no room is left
}

type address struct{ kind, key string }

// Handle is one room of this host.
type Handle struct {
	ID   rooms.ID
	Kind *rooms.Kind

	host   *Host
	runner *runner
	epoch  atomic.Uint64
	notice atomic.Pointer[rooms.Notice]
	gone   chan struct{} // of a room that is being resumed: closed when it is removed
	key    string        // guarded by host.mu
}

// New starts a host. It returns every complaint about the configuration at once.
func New(c Config) (*Host, error) {
	h := &Host{
		config: c, log: c.Log, kinds: map[string]*rooms.Kind{}, desks: map[string]*desk{}, started: time.Now(), callTimeout: callTimeout,
		rooms: map[rooms.ID]*Handle{}, keys: map[address]rooms.ID{}, tombs: map[rooms.ID]Tomb{}, empty: make(chan struct{}),
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	if err := h.addKinds(); err != nil {
		return nil, err
	}
	if h.config.TombstoneTTL == 0 {
		h.config.TombstoneTTL = 5 * time.Minute
	}
	if h.config.Nonce == nil {
		h.config.Nonce = newNonce
	}
	if h.config.Workers == 0 {
		h.config.Workers = 64
	}
	if h.config.MaxRooms == 0 {
		h.config.MaxRooms = 20_000
	}
	if h.config.Shards == 0 {
		h.config.Shards = runtime.GOMAXPROCS(0)
	}
	for name := range h.kinds {
		h.desks[name] = &desk{admits: make(chan struct{}, h.config.Workers), jobs: make(chan struct{}, h.config.Workers)}
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	if h.config.ShadowEvery > 0 {
		h.shadows = newShadows(h.log)
		go h.shadows.run(h.ctx) // waited for by its done channel, likewise
	}
	for i := range h.config.Shards {
		h.runners = append(h.runners, newRunner(h, time.Duration(i)*shardPhase))
	}
	for _, r := range h.runners {
		go r.run() // waited for by its done channel, as a stuck one is never waited for
	}
	h.work.Go(h.watch)
	return h, nil
}

func (h *Host) addKinds() error {
	var errs []error
	for i := range h.config.Kinds {
		k := &h.config.Kinds[i]
		if err := k.Err(); err != nil {
			errs = append(errs, err)
			continue
		}
		if h.kinds[k.Name] != nil {
			errs = append(errs, fmt.Errorf("kind %q is defined twice", k.Name))
		}
		h.kinds[k.Name] = k
	}
	if len(h.config.Kinds) == 0 {
		errs = append(errs, errors.New("no kind of room is defined"))
	}
	if h.config.Journal == nil || h.config.Sink == nil {
		errs = append(errs, errors.New("host: Journal and Sink are required"))
	}
	return errors.Join(errs...)
}

// Kind gives a kind by name.
func (h *Host) Kind(name string) (*rooms.Kind, bool) {
	k, ok := h.kinds[name]
	return k, ok
}

// Room finds a room of this host.
func (h *Host) Room(id rooms.ID) (*Handle, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	r, ok := h.rooms[id]
	return r, ok
}

// Len is how many rooms this host has.
func (h *Host) Len() int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return len(h.rooms)
}

// Find finds the room of a kind and key.
func (h *Host) Find(kind, key string) (*Handle, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	r, ok := h.rooms[h.keys[address{kind, key}]]
	return r, ok
}

// Create makes a room; key may be "". The game may still refuse it: then the joins behind it are refused.
func (h *Host) Create(kind, key string, options []byte) (*Handle, error) {
	r, _, err := h.create(NewID(), NewEpoch(), kind, key, options, false)
	return r, err
}

// CreateAs makes a room whose id, first epoch and right to its key were settled outside.
func (h *Host) CreateAs(id rooms.ID, first rooms.Epoch, kind, key string, options []byte) (*Handle, error) {
	r, _, err := h.create(id, first, kind, key, options, false)
	return r, err
}

// FindOrCreate finds the room of a kind and key or makes it, as one step: of many that ask at once, one creates.
func (h *Host) FindOrCreate(kind, key string, options []byte) (r *Handle, created bool, err error) {
	return h.create(NewID(), NewEpoch(), kind, key, options, true)
}

func (h *Host) create(id rooms.ID, first rooms.Epoch, kind, key string, options []byte, orFind bool) (*Handle, bool, error) {
	k, ok := h.kinds[kind]
	if !ok {
		return nil, false, ErrUnknownKind
	}
	if key != "" && !rooms.ValidName(key) {
		return nil, false, ErrBadKey
	}
	r := &Handle{ID: id, Kind: k, key: key, host: h}
	r.epoch.Store(uint64(first))
	h.mu.Lock()
	if key != "" {
		if old, taken := h.rooms[h.keys[address{kind, key}]]; taken {
			h.mu.Unlock()
			if orFind {
				return old, false, nil
			}
			return nil, false, ErrKeyTaken
		}
	}
	if h.stopping {
		h.mu.Unlock()
		return nil, false, ErrStopping
	}
	if len(h.rooms) >= h.config.MaxRooms {
		h.mu.Unlock()
		return nil, false, ErrTooManyRooms
	}
	h.add(r)
	h.mu.Unlock()
	err := r.Post(&rooms.Mail{
		Type: rooms.MailCreate, Kind: k, Name: key, Body: options, Epoch: r.Epoch(), Nonce: h.config.Nonce(),
	})
	if err != nil {
		h.remove(r.ID)
		return nil, false, err
	}
	return r, true, nil
}

// add places a room on the shard that has the fewest. h.mu is held.
func (h *Host) add(r *Handle) {
	r.runner = h.runners[0]
	for _, other := range h.runners[1:] {
		if other.rooms.Load() < r.runner.rooms.Load() {
			r.runner = other
		}
	}
	r.runner.rooms.Add(1)
	h.rooms[r.ID] = r
	if r.key != "" {
		h.keys[address{r.Kind.Name, r.key}] = r.ID
	}
}

func (h *Host) remove(id rooms.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.rooms[id]
	if r == nil {
		return
	}
	delete(h.rooms, id)
	h.freeKey(r)
	if r.gone != nil {
		close(r.gone)
	}
	r.runner.rooms.Add(-1)
	if h.stopping && len(h.rooms) == 0 {
		close(h.empty)
	}
}

// unix gives the time of day at which the shards' clock was 0, if that is not about the one known: the machine's clock may be set
// while the host runs, and clients compare what rooms say with the time of day that they are told.
func (h *Host) unix(known time.Duration) time.Duration {
	const jump = 10 * time.Millisecond // the two clocks are read one after the other
	now := time.Now()
	if at := time.Duration(now.UnixNano()) - now.Sub(h.started); (at - known).Abs() > jump {
		return at
	}
	return known
}

// begin runs f on a goroutine that Stop waits for, or reports false if it is too late for that.
func (h *Host) begin(f func()) bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.closed {
		return false
	}
	h.work.Go(f)
	return true
}

// Post hands mail to the room. It copies the body. rooms.ErrMailboxFull refuses at once: nothing waits for a room.
func (r *Handle) Post(m *rooms.Mail) error {
	m.Room = r.ID
	return r.runner.post(m, r.Kind.RateHz == 0 || m.Type == rooms.MailCreate)
}

// Epoch is the newest ownership of the room by this host.
func (r *Handle) Epoch() rooms.Epoch { return rooms.Epoch(r.epoch.Load()) }

// Notice is what listings show of the room, or nil before its first frame. It must not be changed.
func (r *Handle) Notice() *rooms.Notice { return r.notice.Load() }

// Refuse makes the host take no new rooms.
func (h *Host) Refuse() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopping {
		return
	}
	h.stopping = true
	if len(h.rooms) == 0 {
		close(h.empty)
	}
}

// Stop releases every room, so that it can be resumed elsewhere or later, and ends all goroutines. ctx bounds the wait for
// the journal, which gets four fifths of its time, and for calls into games; rooms that could not be released are named in the error,
// and resumed from their newest entry all the same.
func (h *Host) Stop(ctx context.Context) error {
	h.Refuse()
	h.mu.RLock()
	for id, r := range h.rooms {
		r.runner.release(id)
	}
	h.mu.RUnlock()
	err := h.awaitRelease(ctx)
	for _, r := range h.runners {
		r.stop()
	}
	for _, r := range h.runners {
		err = errors.Join(err, wait(ctx, r.done, "a room's step does not return"))
	}
	h.cancel()
	if h.shadows != nil {
		err = errors.Join(err, wait(ctx, h.shadows.done, "the shadow of a room does not return"))
	}
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	idle := make(chan struct{})
	go func() {
		h.work.Wait()
		close(idle)
	}()
	return errors.Join(err, wait(ctx, idle, "a call of Admit or Do does not return"))
}

// awaitRelease waits until no room is left. One that its journal does not answer for leaves time for what comes behind: a goroutine that
// had none to end in would be taken for one that is stuck.
func (h *Host) awaitRelease(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)*4/5)
		defer cancel()
	}
	select {
	case <-h.empty:
		return nil
	case <-ctx.Done():
	}
	const named = 8
	var left []string
	for _, r := range h.Handles() {
		left = append(left, string(r.ID))
	}
	slices.Sort(left)
	return fmt.Errorf("stop: %d of the rooms not released: %s: %w", len(left), strings.Join(left[:min(named, len(left))], ", "), context.Cause(ctx))
}

func wait(ctx context.Context, done <-chan struct{}, what string) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop: %s: %w", what, context.Cause(ctx))
	}
}

// NewEpoch gives the first epoch of a new room.
func NewEpoch() rooms.Epoch { return rooms.Epoch(time.Now().UnixMilli()) }

// NewID makes a room's id: 80 random bits, in 16 letters and digits.
func NewID() rooms.ID {
	var b [10]byte
	rand.Read(b[:])
	return rooms.ID(strings.ToLower(base32.StdEncoding.EncodeToString(b[:])))
}

func newNonce() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.LittleEndian.Uint64(b[:]) >> 1 // fits every store's integers
}
