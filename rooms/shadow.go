package rooms

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
)

// Shadow is a stretch of a Replay room's history, from one snapshot to the next, to be stepped again aside and compared: so the games whose
// Step is not deterministic are found before a node dies. It shares nothing with its room that either of them changes. It may be replayed
// on any goroutine; the game's own code runs there, beside the rooms of its kind. A game that keeps something outside of its state, as none
// should, may race with itself there, as it does between shards.
type Shadow struct {
	Room ID
	Kind *Kind
	From uint64 // tick of the snapshot that it begins with
	Tick uint64 // of its end

	entries []Entry // the snapshot, and all since
	state   []byte  // at the end
	game    int     // length of its game part
}

// Difference is where a room that was stepped again came out otherwise.
type Difference struct {
	// Tick is that of the first entry behind which the states differ; the one before it was at After.
	After, Tick uint64
	// Field says where the states at the end of the stretch differ first, as "Ships[3].X: 1.5 != 1.25": the room's own value, then that
	// of the shadow; "" if they are equal there. Those of the framework begin with "room.".
	Field string
	// Err is set if it could not be stepped again at all: Step panicked, or ended the room too early.
	Err error
}

func (d *Difference) Error() string {
	text := fmt.Sprintf("stepped again, it differs after tick %d, at tick %d at the latest", d.After, d.Tick)
	if d.Field != "" {
		text += ": " + d.Field
	}
	if d.Err != nil {
		text += ": " + d.Err.Error()
	}
	return text
}

// Unwrap makes every Difference an ErrDiverged.
func (d *Difference) Unwrap() error { return ErrDiverged }

// Replay steps the stretch again. It gives nil if the room comes out the same. It takes as long as the game's steps do.
func (s *Shadow) Replay() (d *Difference) {
	from, err := replay(s.entries)
	if err != nil {
		return &Difference{After: s.From, Tick: s.Tick, Err: err}
	}
	from.horizon = from.tick // to the end and not beyond
	c := newCore(s.Room, s.Kind, slog.New(slog.DiscardHandler), 0, 0)
	c.tolerant = true
	defer func() {
		if r := recover(); r != nil {
			d = &Difference{After: s.From, Tick: s.Tick, Err: fmt.Errorf("panic: %v", r)}
		}
	}()
	if err := c.resume(from, nil); err != nil {
		return &Difference{After: s.From, Tick: s.Tick, Err: err}
	}
	if c.divergedAt == 0 {
		return nil
	}
	d = &Difference{After: s.From, Tick: c.divergedAt}
	for _, t := range from.tail {
		if t.tick < c.divergedAt {
			d.After = t.tick
		}
	}
	game := c.game.appendState(nil)
	d.Field = FirstDifference(s.state[:s.game], game)
	if d.Field == "" {
		c.hash() // makes the header's copy of the generator the present one
		if d.Field = FirstDifference(s.state[s.game:], headerCodec.Append(nil, pointerTo(&c.h))); d.Field != "" {
			d.Field = "room." + d.Field
		}
	}
	return d
}

// shadowing is what a room keeps for its next Shadow.
type shadowing struct {
	kept      []Entry // the newest snapshot and all since; nil: none is wanted
	keptBytes int
	stretch   *Shadow // ready
}

// maxStretchBytes bounds what a room keeps for its shadow: longer stretches are not compared.
const maxStretchBytes = 1 << 20

// keepStretch takes note of an entry that was built. A snapshot ends a stretch and begins the next.
func (c *core) keepStretch(w *workspace, e *Entry, game int, hash uint64) {
	if !e.Kind.HoldsState() {
		c.keep(*e)
		return
	}
	if c.kept != nil && !c.seal && !c.releasing { // else there may have been no step to this tick
		c.stretch = c.endStretch(w.state, game, hash)
	}
	c.kept, c.keptBytes = nil, 0
	if w.shadowEvery > 0 {
		if w.stretches++; w.stretches%w.shadowEvery == 0 {
			c.kept = make([]Entry, 0, 16)
			c.keep(*e)
		}
	}
}

func (c *core) keep(e Entry) {
	if c.kept == nil {
		return
	}
	c.kept, c.keptBytes = append(c.kept, e), c.keptBytes+len(e.Body)
	if c.keptBytes > maxStretchBytes {
		c.kept = nil
	}
}

// endStretch makes a Shadow of what was kept and of the steps recorded since, which left state.
func (c *core) endStretch(state []byte, game int, hash uint64) *Shadow {
	s := &Shadow{Room: c.id, Kind: c.kind, From: c.kept[0].ID.Tick, Tick: c.h.Tick, state: bytes.Clone(state), game: game}
	newest := c.kept[len(c.kept)-1].ID
	s.entries = slices.Clip(c.kept)
	if c.h.Tick > newest.Tick {
		s.entries = append(s.entries, Entry{
			Room: c.id, ID: EntryID{c.epoch, c.h.Tick}, Prev: newest, Horizon: c.h.Tick, Kind: EntryDelta, Body: c.eventsBody(hash),
		})
	}
	return s
}

// Shadow gives what happened to a Replay room since its newest snapshot, up to its newest step, or nil if that was not kept (see
// ShadowEvery). It is for tests.
func (s *Shard) Shadow(room ID) *Shadow {
	c := s.rooms[room]
	if c == nil || c.kept == nil {
		return nil
	}
	hash := c.hash()
	return c.endStretch(c.prev, len(c.game.appendState(nil)), hash)
}
