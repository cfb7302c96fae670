package rooms

import (
	"github.com/cespare/xxhash/v2"

	"tickover.dev/netcode"
)

// simStore is the simulated journal of the one room: as strict as the real one, and able to lose its newest entries.
type simStore struct {
	entries []Entry
	created bool
	run     int // grows when everything is lost: what was on its way to the run before does not arrive
}

// forget loses everything.
func (s *simStore) forget() { *s = simStore{run: s.run + 1} }

func (s *simStore) top() Entry { return s.entries[len(s.entries)-1] }

func (s *simStore) apply(e Entry) Outcome {
	switch {
	case !s.created && e.Kind != EntryCreate:
		return Gone
	case s.created && e.ID.Compare(s.top().ID) <= 0:
		return Fenced
	}
	s.created = true
	if e.Kind.HoldsState() {
		s.entries = nil
	}
	s.entries = append(s.entries, e)
	return Confirmed
}

func (s *simStore) claim(seen Epoch, nonce uint64) (Epoch, error) {
	if !s.created {
		return 0, ErrGone
	}
	top := s.top()
	switch {
	case top.Kind == EntryClaim && top.Nonce == nonce:
		return top.ID.Epoch, nil
	case seen != 0 && top.ID.Epoch != seen:
		return 0, ErrClaimLost
	}
	epoch := top.ID.Epoch + 1
	s.entries = append(s.entries, Entry{Room: top.Room, ID: EntryID{Epoch: epoch}, Prev: top.ID, Nonce: nonce, Kind: EntryClaim})
	return epoch, nil
}

func (s *simStore) load(claim Epoch) ([]Entry, error) {
	for i, e := range s.entries {
		if e.ID == (EntryID{Epoch: claim}) {
			return append([]Entry(nil), s.entries[:i+1]...), nil
		}
	}
	return nil, ErrClaimLost
}

// loseTail forgets up to n of the newest entries, but never a claim: two owners would follow from that, which nothing can prevent.
func (s *simStore) loseTail(n int) (lost int) {
	for lost < n && len(s.entries) > 1 && s.top().Kind != EntryClaim {
		s.entries = s.entries[:len(s.entries)-1]
		lost++
	}
	return lost
}

// history is what the observer knows of the room: everything that was stored, sent and shown, by all its owners.
type history struct {
	stored  map[Epoch]Entry     // the newest stored entry of each epoch
	owner   map[Epoch]uint64    // its nonce
	bytes   map[EntryID]uint64  // of everything sent
	public  map[uint64]uint64   // by tick, as any client saw it
	rel     map[relKey]uint64   // reliable messages by content
	acked   map[runKey]uint64   // inputs that were shown to be applied, as clients took note of it
	applied map[runKey]uint64   // likewise, as frames said that waited for their entry
	seated  map[string]runKey   // stays that were shown and have not ended
	left    map[string][]uint64 // requests of stays that were shown to be over
}

type relKey struct {
	seat   Seat
	number uint64
}

type runKey struct {
	seat Seat
	run  uint32
}

func newHistory() *history {
	return &history{
		stored: map[Epoch]Entry{}, owner: map[Epoch]uint64{}, bytes: map[EntryID]uint64{}, public: map[uint64]uint64{},
		rel: map[relKey]uint64{}, acked: map[runKey]uint64{}, applied: map[runKey]uint64{}, seated: map[string]runKey{}, left: map[string][]uint64{},
	}
}

// sent notes an entry that an owner handed to its journal.
func (w *world) sent(e *Entry) {
	h := xxhash.Sum64(e.Body)
	if old, ok := w.seen.bytes[e.ID]; ok && old != h {
		w.fail("R2: other bytes were sent under id %s", e.ID)
	}
	w.seen.bytes[e.ID] = h
	w.note("sent", uint64(e.ID.Epoch), e.ID.Tick, h)
}

// wrote notes an entry that was stored.
func (w *world) wrote(e *Entry) {
	if n, ok := w.seen.owner[e.ID.Epoch]; ok && n != e.Nonce {
		w.fail("I1: two owners wrote in epoch %d", e.ID.Epoch)
	}
	w.seen.owner[e.ID.Epoch] = e.Nonce
	w.seen.stored[e.ID.Epoch] = *e
	w.note("stored", uint64(e.ID.Epoch), e.ID.Tick, e.Horizon)
}

// shown checks a frame that an owner gives away.
func (w *world) shown(f *Frame) {
	w.note("frame", uint64(f.Epoch), f.Tick, xxhash.Sum64(f.Public), uint64(len(f.Seats)), uint64(f.Status))
	switch f.Status {
	case StatusPaused:
		w.paused = true
	case StatusPlaying, StatusResumed, StatusRolledBack:
		if w.paused && f.Status == StatusPlaying {
			w.count("room paused and playing again")
		}
		w.paused = false
	}
	if w.periodic {
		return
	}
	e := w.seen.stored[f.Epoch]
	if f.Tick <= e.ID.Tick {
		for i := range f.Seats {
			key := runKey{f.Seats[i].Seat, f.Seats[i].Run}
			w.seen.applied[key] = max(w.seen.applied[key], f.Seats[i].Applied)
		}
		return
	}
	covered := w.replays && w.rate > 0 // ticks without events need no entry of their own
	if covered && f.Public != nil {
		w.count("new state shown within the horizon")
		if w.owner.inFlight > 0 {
			w.count("new state shown with an append in flight")
		}
	}
	if f.Tick > e.Horizon && f.Status == StatusNone {
		w.fail("R11: tick %d of epoch %d shown, beyond the horizon %d of entry %s", f.Tick, f.Epoch, e.Horizon, e.ID)
	}
	for i := range f.Seats {
		p := &f.Seats[i]
		if p.Seat == 0 && len(p.Notes) == 1 && p.Notes[0].turnsAway() {
			continue // it says nothing of the room
		}
		if !covered && (p.Reliable != nil || p.Private != nil) || len(p.Notes) > 0 || p.Applied > w.seen.applied[runKey{p.Seat, p.Run}] {
			w.fail("R10: tick %d of epoch %d tells seat %d something that no entry holds", f.Tick, f.Epoch, p.Seat)
		}
	}
	if f.Public != nil && !covered {
		w.fail("R10: tick %d of epoch %d shown before its entry was stored", f.Tick, f.Epoch)
	}
}

// turnsAway reports whether a note says no more than that the room is not here.
func (n *Note) turnsAway() bool {
	return n.Type == NoteRefused && (n.Code == netcode.CodeUnknownRoom || n.Code == netcode.CodeShuttingDown)
}

// sawPublic notes what a client shows its player at a tick.
func (w *world) sawPublic(tick, hash uint64) {
	if old, ok := w.seen.public[tick]; ok && old != hash && !w.periodic {
		w.fail("I4: two histories of tick %d", tick)
	}
	w.seen.public[tick] = hash
}

// resumed checks what a new owner starts from.
func (w *world) resumed(n *simNode, entries []Entry) {
	switch other := n.shard.Counters.OtherRules.Load(); {
	case n.shard.Counters.Diverged.Load() > 0 || other > 0 && !w.strangers:
		w.fail("I5: a tail could not be replayed")
	case other > 0:
		w.count("rolled back")
	}
	c := n.shard.rooms[simRoom]
	if c == nil {
		return
	}
	from, err := replay(entries)
	if err != nil {
		w.fail("replay: %v", err)
		return
	}
	if len(from.tail) > 0 {
		w.count("tail replayed")
	}
	if from.rules != 0 && w.rate > 0 && from.horizon > from.tick {
		w.count("stepped to the horizon")
	}
	again := newCore(simRoom, w.kind, n.shard.log, 0, 0)
	exact := from
	exact.horizon, exact.released = 0, true
	if again.kind.rules != from.rules && w.strangers {
		return
	}
	if err := again.resume(exact, nil); err != nil {
		w.fail("resume: %v", err)
		return
	}
	again.h.Rand, _ = again.pcg.AppendBinary(nil)
	state := again.game.appendState(nil)
	if got := xxhash.Sum64(headerCodec.Append(state, pointerTo(&again.h))); got != from.hash {
		w.fail("I5: resumed from %s with another state", from.last)
	}
	if w.periodic {
		return
	}
	for _, client := range w.clients {
		stay, ok := w.seen.seated[client.session]
		if !ok || client.state == clientLeaving {
			continue
		}
		s := c.h.Seats.Get(stay.seat)
		if s == nil || s.Who.Session != client.session {
			w.fail("I2: seat %d of %s was shown and is lost", stay.seat, client.session)
		} else if acked := w.seen.acked[runKey{stay.seat, s.Run}]; s.Applied < acked {
			w.fail("I2: input %d of %s was acknowledged; the new owner knows %d", acked, client.session, s.Applied)
		}
	}
}

// bounds checks that nothing grows without limit (I8).
func (w *world) bounds() {
	if w.queue.Puts() > 200_000 {
		w.fail("I8: somebody turns in circles")
	}
	for _, n := range w.nodes {
		c := n.shard.rooms[simRoom]
		if c == nil {
			continue
		}
		switch {
		case len(c.mail.list) > 2*maxMailbox+maxSeats:
			w.fail("I8: %d events wait", len(c.mail.list))
		case c.open.bytes() > 2*maxAheadBytes || c.flyingMail.bytes() > 2*maxAheadBytes:
			w.fail("I8: %d bytes of mail are kept", c.open.bytes()+c.flyingMail.bytes())
		case c.outs.Len() > c.h.Seats.Len()+16: // those who left wait for the next frame
			w.fail("I8: %d seats have output, %d are taken", c.outs.Len(), c.h.Seats.Len())
		case len(n.shard.retry) > 1 || len(n.shard.ready) > 1 || len(n.shard.alarm) > 1:
			w.fail("I8: the room is listed more than once")
		}
	}
}
