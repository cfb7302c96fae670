// Package memjournal keeps rooms' journals in memory: the default of a single node, and the world of tests. It is as strict as
// the real thing (ids only grow, only creation creates, claims fence) and can be told to be as unreliable: to delay, to refuse,
// and to lose answers. It forgets everything when the process is killed; Save and Restore carry it over an orderly restart.
//
// All methods may be called from any goroutine.
package memjournal

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"tickover.dev/rooms"
)

// Fault is what happens to one appended entry, beside being stored.
type Fault struct {
	Delay     time.Duration // before it is stored
	Refuse    error         // not nil: it is not stored, and the answer is Refused
	Drop      bool          // it is not stored, and the answer is Unknown
	LoseReply bool          // it is stored, and the answer is Unknown
}

// Journal implements rooms.Journal.
type Journal struct {
	// Set by New, then read-only.
	now func() time.Time

	mu sync.Mutex
	// Guarded by mu.
	streams map[rooms.ID]*stream
	faults  func(rooms.Entry) Fault
	pending sync.WaitGroup
	buried  []rooms.ID // tombstones, oldest first
	shelf   []shelved  // rooms that ended by a fault, oldest first
}

// shelved is what the journal of a room held that ended by a fault.
type shelved struct {
	room    rooms.ID
	entries []rooms.Entry
}

// maxShelved bounds the rooms whose entries are kept after a fault; beyond it the oldest are dropped.
const maxShelved = 16

type stream struct {
	entries []rooms.Entry
	tomb    []byte // not nil: the room has ended
	until   time.Time
	before  rooms.Epoch // not 0: the tombstone is of Forestall, for creations up to this epoch
}

var (
	_ rooms.Journal     = (*Journal)(nil)
	_ rooms.Forestaller = (*Journal)(nil)
)

// errLost is the error of an Unknown outcome.
var errLost = errors.New("memjournal: the answer was lost")

// New makes an empty journal.
func New() *Journal { return NewAt(time.Now) }

// NewAt makes an empty journal with a clock of its own, as simulations need it.
func NewAt(now func() time.Time) *Journal { return &Journal{now: now, streams: map[rooms.ID]*stream{}} }

// SetFaults has f decide what happens to each entry from now on; nil: nothing. It is for tests.
func (j *Journal) SetFaults(f func(rooms.Entry) Fault) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.faults = f
}

// Append implements rooms.Journal. Without delays done is called before it returns.
func (j *Journal) Append(batch []rooms.Entry, done func([]rooms.Result)) {
	faults, delay := j.draw(batch)
	if delay > 0 {
		j.pending.Add(1)
		time.AfterFunc(delay, func() {
			defer j.pending.Done()
			done(j.appendAll(batch, faults))
		})
		return
	}
	done(j.appendAll(batch, faults))
}

// draw asks for each entry's fault, and gives the longest delay.
func (j *Journal) draw(batch []rooms.Entry) (faults []Fault, delay time.Duration) {
	j.mu.Lock()
	f := j.faults
	j.mu.Unlock()
	if f == nil {
		return nil, 0
	}
	faults = make([]Fault, len(batch))
	for i, e := range batch {
		faults[i] = f(e)
		delay = max(delay, faults[i].Delay)
	}
	return faults, delay
}

func (j *Journal) appendAll(batch []rooms.Entry, faults []Fault) []rooms.Result {
	results := make([]rooms.Result, len(batch))
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, e := range batch {
		var f Fault
		if faults != nil {
			f = faults[i]
		}
		switch {
		case f.Refuse != nil:
			results[i] = rooms.Result{Outcome: rooms.Refused, Err: f.Refuse}
		case f.Drop:
			results[i] = rooms.Result{Outcome: rooms.Unknown, Err: errLost}
		default:
			results[i] = rooms.Result{Outcome: j.apply(e)}
			if f.LoseReply {
				results[i] = rooms.Result{Outcome: rooms.Unknown, Err: errLost}
			}
		}
	}
	return results
}

// apply stores one entry, if it may follow. j.mu is held.
func (j *Journal) apply(e rooms.Entry) rooms.Outcome {
	s := j.stream(e.Room)
	switch {
	case s == nil && e.Kind != rooms.EntryCreate:
		return rooms.Gone
	case s == nil:
		s = &stream{}
		j.streams[e.Room] = s
	case s.before != 0 && e.Kind == rooms.EntryCreate && e.ID.Epoch > s.before:
		*s = stream{}
	case s.tomb != nil:
		return rooms.Gone
	case e.ID.Compare(s.top().ID) <= 0:
		return rooms.Fenced
	}
	if e.Kind.HoldsState() {
		clear(s.entries)
		s.entries = s.entries[:0]
	}
	s.entries = append(s.entries, e)
	return rooms.Confirmed
}

// stream finds a room's stream, unless its tombstone has expired. j.mu is held.
func (j *Journal) stream(room rooms.ID) *stream {
	s := j.streams[room]
	if s != nil && s.tomb != nil && j.now().After(s.until) {
		delete(j.streams, room)
		return nil
	}
	return s
}

func (s *stream) top() rooms.Entry { return s.entries[len(s.entries)-1] }

// Claim implements rooms.Journal.
func (j *Journal) Claim(ctx context.Context, room rooms.ID, seen rooms.Epoch, nonce uint64) (rooms.Epoch, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.stream(room)
	if s == nil || s.tomb != nil {
		return 0, rooms.ErrGone
	}
	top := s.top()
	if top.Kind == rooms.EntryClaim && top.Nonce == nonce {
		return top.ID.Epoch, nil
	}
	if seen != 0 && top.ID.Epoch != seen {
		return 0, rooms.ErrClaimLost
	}
	epoch := max(top.ID.Epoch+1, rooms.Epoch(j.now().UnixMilli()))
	s.entries = append(s.entries, rooms.Entry{Room: room, ID: rooms.EntryID{Epoch: epoch}, Prev: top.ID, Nonce: nonce, Kind: rooms.EntryClaim})
	return epoch, nil
}

// Load implements rooms.Journal.
func (j *Journal) Load(ctx context.Context, room rooms.ID, claim rooms.Epoch) ([]rooms.Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.stream(room)
	if s == nil || s.tomb != nil {
		return nil, rooms.ErrGone
	}
	for i, e := range s.entries {
		if e.ID == (rooms.EntryID{Epoch: claim}) {
			return slices.Clone(s.entries[:i+1]), nil
		}
	}
	return nil, rooms.ErrClaimLost
}

// Top implements rooms.Journal.
func (j *Journal) Top(ctx context.Context, room rooms.ID) (rooms.Top, error) {
	if err := ctx.Err(); err != nil {
		return rooms.Top{}, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.stream(room)
	if s == nil || s.tomb != nil {
		return rooms.Top{}, rooms.ErrGone
	}
	top := s.top()
	return rooms.Top{ID: top.ID, Nonce: top.Nonce, Kind: top.Kind}, nil
}

// Bury implements rooms.Journal.
func (j *Journal) Bury(ctx context.Context, room rooms.ID, epoch rooms.Epoch, end []byte, ttl time.Duration) error {
	return j.bury(ctx, room, epoch, end, ttl, false)
}

// Quarantine implements host.Shelf: it is Bury, and the entries of the newest 16 such rooms are kept for those who look for the cause.
// They are saved and restored with the rest; nothing is ever resumed from them.
func (j *Journal) Quarantine(ctx context.Context, room rooms.ID, epoch rooms.Epoch, end []byte, ttl time.Duration) error {
	return j.bury(ctx, room, epoch, end, ttl, true)
}

// Quarantined lists the rooms whose entries are kept after a fault, oldest first.
func (j *Journal) Quarantined() []rooms.ID {
	j.mu.Lock()
	defer j.mu.Unlock()
	var ids []rooms.ID
	for _, s := range j.shelf {
		ids = append(ids, s.room)
	}
	return ids
}

func (j *Journal) bury(ctx context.Context, room rooms.ID, epoch rooms.Epoch, end []byte, ttl time.Duration, keep bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.stream(room)
	switch {
	case s == nil || s.tomb != nil:
		return rooms.ErrGone
	case s.top().ID.Epoch != epoch:
		return rooms.ErrClaimLost
	}
	if keep {
		if len(j.shelf) >= maxShelved {
			j.shelf = slices.Delete(j.shelf, 0, len(j.shelf)-maxShelved+1)
		}
		j.shelf = append(j.shelf, shelved{room, s.entries})
	}
	*s = stream{tomb: append([]byte{}, end...), until: j.now().Add(ttl)}
	j.buried = append(j.buried, room)
	j.forget()
	return nil
}

// Forestall implements rooms.Forestaller.
func (j *Journal) Forestall(ctx context.Context, room rooms.ID, epoch rooms.Epoch, end []byte, ttl time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	switch s := j.stream(room); {
	case s != nil && s.tomb == nil:
		return rooms.ErrBorn
	case s != nil && (s.before == 0 || s.before >= epoch):
		return nil
	}
	j.streams[room] = &stream{tomb: append([]byte{}, end...), until: j.now().Add(ttl), before: max(epoch, 1)}
	j.buried = append(j.buried, room)
	j.forget()
	return nil
}

// forget drops tombstones that have expired, as far as they were set in the order in which they expire. j.mu is held.
func (j *Journal) forget() {
	for len(j.buried) > 0 {
		if s := j.streams[j.buried[0]]; s != nil && s.tomb != nil && !j.now().After(s.until) {
			return
		}
		j.stream(j.buried[0])
		j.buried = j.buried[1:]
	}
}

// Tomb gives what Bury or Forestall left of a room, while it is kept.
func (j *Journal) Tomb(_ context.Context, room rooms.ID) (end []byte, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if s := j.stream(room); s != nil && s.tomb != nil {
		return s.tomb, nil
	}
	return nil, rooms.ErrGone
}

// Rooms lists the rooms that have a journal and no tombstone, sorted.
func (j *Journal) Rooms() []rooms.ID {
	j.mu.Lock()
	defer j.mu.Unlock()
	var ids []rooms.ID
	for id, s := range j.streams {
		if s.tomb == nil {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Clear forgets everything, as a server does that is started again without its disk. It is for tests.
func (j *Journal) Clear() {
	j.mu.Lock()
	defer j.mu.Unlock()
	clear(j.streams)
	j.buried, j.shelf = nil, nil
}

// Wait returns when every delayed append has been answered.
func (j *Journal) Wait() { j.pending.Wait() }

// Entries copies a room's entries, oldest first, also those of a room in quarantine.
func (j *Journal) Entries(room rooms.ID) []rooms.Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range j.shelf {
		if s.room == room {
			return slices.Clone(s.entries)
		}
	}
	if s := j.stream(room); s != nil {
		return slices.Clone(s.entries)
	}
	return nil
}
