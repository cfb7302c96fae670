package placement_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"tickover.dev/cluster"
	"tickover.dev/cluster/bus"
	"tickover.dev/rooms"
	"tickover.dev/sessions"
)

// This file is the way from a node to the store and back. Requests and answers are delayed and lost; a request that is under way arrives
// even if its node has given it up, or has died.

var (
	errDead  = errors.New("this node is dead")
	errAway  = errors.New("no answer")
	errStore = errors.New("the store is full")
)

// fate is what becomes of one request.
type fate struct {
	there, back time.Duration
	lost        bool          // the request
	late        time.Duration // not 0: it arrives after all, when it was given up
	unanswered  bool
	dice        *rand.Rand // for what else is to be settled; for the request's goroutine alone
}

// fateOf settles what becomes of a request. Each kind of request of each node has its own luck.
func (n *node) fateOf(what string) fate {
	w := n.w
	w.mu.Lock()
	now, calm := w.weather, w.calm
	w.mu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	dice := n.fates[what]
	if dice == nil {
		dice = w.dice(what + " of " + n.boot.String())
		n.fates[what] = dice
	}
	f := fate{
		there: between(dice, time.Microsecond, now.delay), back: between(dice, time.Microsecond, now.delay),
		lost: chance(dice, now.lossy), unanswered: chance(dice, now.lossy), dice: rand.New(rand.NewPCG(dice.Uint64(), 1)),
	}
	if calm {
		f.lost, f.unanswered = false, false
	}
	if f.lost && chance(dice, 30) && what != "beat" && what != "resume" {
		f.late = between(dice, 0, 400*time.Millisecond)
	}
	return f
}

// reaches reports whether a request or an answer of the node gets through just now.
func (n *node) reaches() bool {
	n.w.mu.Lock()
	away := n.w.away
	n.w.mu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	return !away && !n.isCut
}

// hang waits in vain for an answer.
func (n *node) hang(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-time.After(300 * time.Millisecond):
	}
	if err := n.awake(); err != nil {
		return err
	}
	return errAway
}

// call is one request of a node to the store, and its answer.
func call[T any](ctx context.Context, n *node, what string, op func(fate) T) (answer T, err error) {
	w := n.w
	if err = n.awake(); err != nil {
		return answer, err
	}
	f := n.fateOf(what)
	w.wait(f.there)
	if f.lost || !n.reaches() {
		if f.late > 0 && n.reaches() {
			w.running.Go(func() {
				w.wait(300*time.Millisecond + f.late)
				op(f)
				w.note(what+": arrived late", n.boot)
			})
		} else {
			w.note(what+": unknown, was not done", n.boot)
		}
		return answer, n.hang(ctx)
	}
	done := op(f)
	if f.unanswered || !n.reaches() {
		w.note(what+": unknown, was done", n.boot)
		return answer, n.hang(ctx)
	}
	w.wait(f.back)
	if err = n.awake(); err != nil {
		return answer, err
	}
	return done, nil
}

// pair is an answer that may be an error.
type pair[T any] struct {
	value T
	err   error
}

func (p pair[T]) unpack(lost error) (T, error) {
	if lost != nil {
		var none T
		return none, lost
	}
	return p.value, p.err
}

func paired[T any](v T, err error) pair[T] { return pair[T]{v, err} }

// journal is the way to the journals.
type journal struct{ n *node }

func (j journal) Append(batch []rooms.Entry, done func([]rooms.Result)) {
	j.n.w.running.Go(func() { done(j.append(batch)) })
}

func (j journal) append(batch []rooms.Entry) []rooms.Result {
	n, w := j.n, j.n.w
	w.flies(batch, n.boot, 1)
	results, err := call(context.Background(), n, "append", func(f fate) []rooms.Result {
		defer w.flies(batch, n.boot, -1)
		return j.arrived(f, batch)
	})
	if err != nil {
		results = make([]rooms.Result, len(batch))
		for i := range results {
			results[i] = rooms.Result{Outcome: rooms.Unknown, Err: err}
			if w.wreck.forgetful {
				results[i] = rooms.Result{Outcome: rooms.Confirmed}
			}
		}
	}
	return results
}

// arrived is a batch at the store. Of one that is not answered only a part may be stored.
func (j journal) arrived(f fate, batch []rooms.Entry) []rooms.Result {
	w := j.n.w
	w.mu.Lock()
	losing, refused := w.losing, !w.calm && chance(f.dice, w.weather.refused)
	w.mu.Unlock()
	results := make([]rooms.Result, 0, len(batch))
	switch {
	case losing && !slices.ContainsFunc(batch, func(e rooms.Entry) bool { return e.Kind == rooms.EntryCreate }):
		w.note("append confirmed and lost", j.n.boot, len(batch))
		for range batch {
			results = append(results, rooms.Result{Outcome: rooms.Confirmed})
		}
		return results
	case refused:
		w.note("append refused", j.n.boot)
		for range batch {
			results = append(results, rooms.Result{Outcome: rooms.Refused, Err: errStore})
		}
		return results
	case f.unanswered && chance(f.dice, 30):
		batch = batch[:f.dice.IntN(len(batch)+1)]
	}
	w.journal.Append(batch, func(rs []rooms.Result) { results = append(results, rs...) })
	for i, e := range batch {
		w.appended(j.n, e, results[i].Outcome)
		if results[i].Outcome == rooms.Fenced && w.wreck.unfenced {
			results[i].Outcome = rooms.Confirmed
		}
	}
	return results
}

func (j journal) Claim(ctx context.Context, room rooms.ID, seen rooms.Epoch, nonce uint64) (rooms.Epoch, error) {
	p, err := call(ctx, j.n, "claim", func(fate) pair[rooms.Epoch] {
		if j.n.w.isLosing() {
			return pair[rooms.Epoch]{0, errAway}
		}
		epoch, err := j.n.w.journal.Claim(context.Background(), room, seen, nonce)
		j.n.w.claimed(j.n, room, epoch, err)
		return paired(epoch, err)
	})
	return p.unpack(err)
}

func (j journal) Load(ctx context.Context, room rooms.ID, claim rooms.Epoch) ([]rooms.Entry, error) {
	p, err := call(ctx, j.n, "load", func(fate) pair[[]rooms.Entry] {
		entries, err := j.n.w.journal.Load(context.Background(), room, claim)
		if errors.Is(err, rooms.ErrClaimLost) || err == nil && entries[len(entries)-1].ID != j.n.w.topOf(room) {
			j.n.w.note("load interrupted by a claim", room, claim)
		}
		return paired(entries, err)
	})
	return p.unpack(err)
}

func (j journal) Top(ctx context.Context, room rooms.ID) (rooms.Top, error) {
	p, err := call(ctx, j.n, "top", func(fate) pair[rooms.Top] {
		if j.n.w.isLosing() {
			return pair[rooms.Top]{rooms.Top{}, errAway}
		}
		return paired(j.n.w.journal.Top(context.Background(), room))
	})
	return p.unpack(err)
}

func (j journal) Bury(ctx context.Context, room rooms.ID, epoch rooms.Epoch, end []byte, ttl time.Duration) error {
	p, err := call(ctx, j.n, "bury", func(fate) pair[int] {
		if j.n.w.isLosing() {
			return pair[int]{0, errAway}
		}
		err := j.n.w.journal.Bury(context.Background(), room, epoch, end, ttl)
		j.n.w.note("buried", room, err)
		return pair[int]{0, err}
	})
	_, err = p.unpack(err)
	return err
}

func (j journal) Tomb(ctx context.Context, room rooms.ID) ([]byte, error) {
	p, err := call(ctx, j.n, "tomb", func(fate) pair[[]byte] { return paired(j.n.w.journal.Tomb(context.Background(), room)) })
	return p.unpack(err)
}

func (j journal) Forestall(ctx context.Context, room rooms.ID, epoch rooms.Epoch, end []byte, ttl time.Duration) error {
	p, err := call(ctx, j.n, "forestall", func(fate) pair[int] {
		w := j.n.w
		if w.isLosing() {
			return pair[int]{0, errAway}
		}
		err := w.journal.Forestall(context.Background(), room, epoch, end, ttl)
		w.note("forestalled", room, epoch, err)
		return pair[int]{0, err}
	})
	_, err = p.unpack(err)
	return err
}

// members is the way to the heartbeats.
type members struct{ n *node }

func (m members) Beat(ctx context.Context, self cluster.Member) ([]cluster.Member, bool, error) {
	type beaten struct {
		all  []cluster.Member
		knew bool
	}
	p, err := call(ctx, m.n, "beat", func(fate) pair[beaten] {
		all, knew, err := m.n.w.store.Beat(context.Background(), self)
		return paired(beaten{all, knew}, err)
	})
	got, err := p.unpack(err)
	return got.all, got.knew, err
}

func (m members) Leave(ctx context.Context, b cluster.Boot) error {
	p, err := call(ctx, m.n, "forget", func(fate) pair[int] { return pair[int]{0, m.n.w.store.Leave(context.Background(), b)} })
	_, err = p.unpack(err)
	return err
}

// directory is the way to the directory.
type directory struct{ n *node }

func (d directory) Register(ctx context.Context, r cluster.Record) (cluster.Record, error) {
	p, err := call(ctx, d.n, "register", func(fate) pair[cluster.Record] {
		held, err := d.n.w.store.Register(context.Background(), r)
		d.n.w.note("register", r.Room, r.Key, err)
		return paired(held, err)
	})
	return p.unpack(err)
}

func (d directory) Raise(ctx context.Context, r cluster.Record) (cluster.Record, error) {
	p, err := call(ctx, d.n, "raise", func(fate) pair[cluster.Record] {
		w := d.n.w
		w.mu.Lock()
		forget := w.forget
		w.forget = false
		w.mu.Unlock()
		if forget {
			w.note("raise confirmed and lost", r.Room, r.Epoch)
			return paired(r, nil)
		}
		w.note("raise", r.Room, r.Owner, r.Epoch)
		return paired(w.store.Raise(context.Background(), r))
	})
	return p.unpack(err)
}

func (d directory) Enter(ctx context.Context, r cluster.Record, was rooms.Epoch) (cluster.Record, error) {
	p, err := call(ctx, d.n, "enter", func(fate) pair[cluster.Record] {
		at, err := d.n.w.store.Enter(context.Background(), r, was)
		d.n.w.note("entered again", r.Room, was, err)
		return paired(at, err)
	})
	return p.unpack(err)
}

func (d directory) Settle(ctx context.Context, r cluster.Record) (cluster.Record, error) {
	p, err := call(ctx, d.n, "settle", func(fate) pair[cluster.Record] { return paired(d.n.w.store.Settle(context.Background(), r)) })
	return p.unpack(err)
}

func (d directory) Look(ctx context.Context, room rooms.ID) (cluster.Record, error) {
	p, err := call(ctx, d.n, "look", func(fate) pair[cluster.Record] { return paired(d.n.w.store.Look(context.Background(), room)) })
	return p.unpack(err)
}

func (d directory) Find(ctx context.Context, kind, key string) (cluster.Record, error) {
	p, err := call(ctx, d.n, "find", func(fate) pair[cluster.Record] { return paired(d.n.w.store.Find(context.Background(), kind, key)) })
	return p.unpack(err)
}

func (d directory) Owned(ctx context.Context, b cluster.Boot) ([]cluster.Record, error) {
	p, err := call(ctx, d.n, "owned", func(fate) pair[[]cluster.Record] { return paired(d.n.w.store.Owned(context.Background(), b)) })
	return p.unpack(err)
}

func (d directory) Tell(ctx context.Context, told []cluster.Record) error {
	p, err := call(ctx, d.n, "tell", func(fate) pair[int] { return pair[int]{0, d.n.w.store.Tell(context.Background(), told)} })
	_, err = p.unpack(err)
	return err
}

func (d directory) Remove(ctx context.Context, r cluster.Record) error {
	p, err := call(ctx, d.n, "remove", func(fate) pair[int] {
		d.n.w.note("remove", r.Room, r.Epoch)
		return pair[int]{0, d.n.w.store.Remove(context.Background(), r)}
	})
	_, err = p.unpack(err)
	return err
}

// sessionStore is the way to the sessions.
type sessionStore struct{ n *node }

func (s sessionStore) Open(ctx context.Context, r sessions.Record, secret sessions.Hash) error {
	p, err := call(ctx, s.n, "open", func(fate) pair[int] {
		return pair[int]{0, s.n.w.sessions.Open(context.Background(), r, secret)}
	})
	_, err = p.unpack(err)
	return err
}

// resumed is what Resume gives.
type resumed struct {
	record sessions.Record
	before string
}

func (s sessionStore) Resume(ctx context.Context, id string, secret, next sessions.Hash, attempt uint64, node string) (sessions.Record, string, error) {
	p, err := call(ctx, s.n, "resume", func(fate) pair[resumed] {
		r, before, err := s.n.w.sessions.Resume(context.Background(), id, secret, next, attempt, node)
		if errors.Is(err, sessions.ErrStale) {
			s.n.w.note("stale hello", s.n.boot)
		}
		return pair[resumed]{resumed{r, before}, err}
	})
	r, err := p.unpack(err)
	return r.record, r.before, err
}

func (s sessionStore) Save(ctx context.Context, rs []sessions.Record) []error {
	rs = slices.Clone(rs)
	errs, err := call(ctx, s.n, "save", func(f fate) []error {
		s.n.w.mu.Lock()
		lossy := s.n.w.weather.lossy
		s.n.w.mu.Unlock()
		if chance(f.dice, lossy/2) {
			s.n.w.note("save confirmed and lost", s.n.boot)
			return make([]error, len(rs))
		}
		return s.n.w.sessions.Save(context.Background(), rs)
	})
	if err != nil {
		errs = make([]error, len(rs))
		for i := range errs {
			errs[i] = err
		}
	}
	if s.n.w.wreck.noSuperseded {
		for i := range errs {
			if errors.Is(errs[i], sessions.ErrMoved) {
				errs[i] = nil
			}
		}
	}
	return errs
}

// wires is the way to the inboxes.
type wires struct{ n *node }

func (b wires) Put(ctx context.Context, packets []bus.Packet, outcomes []bus.Outcome) error {
	packets = slices.Clone(packets)
	for i := range packets {
		packets[i].Data = slices.Clone(packets[i].Data) // it may arrive late
	}
	done, err := call(ctx, b.n, "put", func(f fate) pair[[]bus.Outcome] {
		results := make([]bus.Outcome, len(packets))
		for i := range packets {
			if b.n.w.drops(f.dice) {
				results[i] = bus.Delivered
				continue
			}
			if err := b.n.w.inboxes.Put(context.Background(), packets[i:i+1], results[i:i+1]); err != nil {
				return paired(results, err)
			}
		}
		return paired(results, nil)
	})
	if err != nil {
		return err
	}
	copy(outcomes, done.value)
	return done.err
}

// drops reports whether a packet is lost that the store has taken.
func (w *world) drops(dice *rand.Rand) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.losing || !w.calm && chance(dice, w.weather.dropped) {
		w.noteLocked("packet lost")
		return true
	}
	return false
}

func (b wires) Open(ctx context.Context, owner cluster.Boot) (bus.Inbox, error) {
	p, err := call(ctx, b.n, "inbox", func(fate) pair[bus.Inbox] { return paired(b.n.w.inboxes.Open(context.Background(), owner)) })
	in, err := p.unpack(err)
	return box{in, b.n}, err
}

type box struct {
	bus.Inbox
	n *node
}

func (b box) Read(ctx context.Context) ([][]byte, error) {
	if err := b.n.awake(); err != nil {
		return nil, err
	}
	if !b.n.reaches() {
		return nil, b.n.hang(ctx)
	}
	packets, err := b.Inbox.Read(ctx)
	if dead := b.n.awake(); dead != nil {
		return nil, dead
	}
	return packets, err
}

func (b box) Tend(ctx context.Context) (bool, error) {
	if err := b.n.awake(); err != nil {
		return false, err
	}
	if !b.n.reaches() {
		return false, b.n.hang(ctx)
	}
	return b.Inbox.Tend(ctx)
}

func (b box) Close(ctx context.Context) error {
	if err := b.n.awake(); err != nil {
		return err
	}
	return b.Inbox.Close(ctx)
}
