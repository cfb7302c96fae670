package rooms

import (
	"errors"
	"fmt"
	"reflect"
	"unsafe"

	"github.com/cespare/xxhash/v2"

	"tickover.dev/codec"
	"tickover.dev/codec/delta"
)

// entryFormat is the version of entryBody, eventsBody and header. A node refuses formats it does not know: those of a newer version are
// ErrNewer.
const entryFormat = 1

// ErrCorrupt is a journal that cannot be resumed from: a broken link, a hash that does not fit, a format that never was.
var ErrCorrupt = errors.New("rooms: corrupt journal")

// entryBody is the body of every entry but a claim and the EntryDelta of a Replay room, which is an eventsBody. The state's bytes are the game's, then the header's, each one msgpack map.
type entryBody struct {
	Format  int       `msgpack:"f"`
	Kind    string    `msgpack:"k"`
	Version int       `msgpack:"v"`
	State   []byte    `msgpack:"s"` // the whole state, or
	Delta   []byte    `msgpack:"d"` // the program that makes it of the entry before
	Game    int       `msgpack:"g"` // length of the game's part of the state
	Hash    uint64    `msgpack:"h"` // of the state, xxHash64
	Rings   []ringRow `msgpack:"r"` // reliable messages: all unacknowledged ones with a whole state, else the new ones
	Rules   uint64    `msgpack:"u"` // of Replay rooms: see Kind.fingerprint; else 0
}

// ringRow is one reliable message of one seat.
type ringRow struct {
	Seat   Seat   `msgpack:"s"`
	Number uint64 `msgpack:"n"`
	Wire   []byte `msgpack:"w"`
}

// saved is a room's state as its journal has it.
type saved struct {
	kind    string
	version int
	state   []byte
	game    int
	hash    uint64
	rings   []ringRow
	tick    uint64
	horizon uint64
	last    EntryID
	rules   uint64
	tail    []tailEntry // of a Replay room: what happened since state
	// released means that the newest entry is a release: nothing was shown that it does not hold.
	released bool
	// rolledBack means that what is behind state was given up.
	rolledBack bool
}

// replay puts a room's state together from its entries, oldest first, and checks every link and hash on the way.
func replay(entries []Entry) (saved, error) {
	var s saved
	found := false
	for i, e := range entries {
		if i > 0 && e.ID.Compare(s.last) <= 0 {
			return s, fmt.Errorf("%w: entry %s after %s", ErrCorrupt, e.ID, s.last)
		}
		if e.Kind == EntryClaim {
			s.last = e.ID
			continue
		}
		if found && e.Prev != s.last {
			return s, fmt.Errorf("%w: entry %s continues %s, but %s is before it", ErrCorrupt, e.ID, e.Prev, s.last)
		}
		s.last = e.ID
		if !found && !e.Kind.HoldsState() {
			continue // the tail of what a snapshot trims
		}
		if err := s.apply(e); err != nil {
			return s, fmt.Errorf("entry %s: %w", e.ID, err)
		}
		found = true
	}
	if !found {
		return s, fmt.Errorf("%w: no entry holds a state", ErrCorrupt)
	}
	return s, nil
}

func (s *saved) apply(e Entry) error {
	if e.Kind == EntryDelta && s.rules != 0 {
		return s.applyEvents(e)
	}
	var b entryBody
	if err := readBody(e.Body, &b); err != nil {
		return err
	}
	state := b.State
	if e.Kind == EntryDelta {
		var err error
		if state, err = delta.Apply(nil, s.state, b.Delta); err != nil {
			return fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		s.rings = append(s.rings, b.Rings...)
	} else {
		s.rings = b.Rings
	}
	if xxhash.Sum64(state) != b.Hash {
		return fmt.Errorf("%w: the state has another hash than its entry says", ErrCorrupt)
	}
	if b.Game < 0 || b.Game > len(state) {
		return fmt.Errorf("%w: game of %d bytes in a state of %d", ErrCorrupt, b.Game, len(state))
	}
	s.kind, s.version, s.state, s.game, s.hash, s.rules, s.tail = b.Kind, b.Version, state, b.Game, b.Hash, b.Rules, nil
	s.tick, s.horizon, s.released = e.ID.Tick, e.Horizon, e.Kind == EntryRelease
	return nil
}

// readBody reads an entry's body. Of a newer format nothing but its number can be relied on.
func readBody[T entryBody | eventsBody](body []byte, v *T) error {
	var is struct {
		Format int `msgpack:"f"`
	}
	if err := codec.Decode(body, &is); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	switch {
	case is.Format > entryFormat:
		return fmt.Errorf("%w: entries of format %d, this node knows %d", ErrNewer, is.Format, entryFormat)
	case is.Format != entryFormat:
		return fmt.Errorf("%w: format %d", ErrCorrupt, is.Format)
	}
	if err := codec.Decode(body, v); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return nil
}

// Identify gives the kind and key of the room that entries belong to.
func Identify(entries []Entry) (kind, key string, err error) {
	s, err := replay(entries)
	if err != nil {
		return "", "", err
	}
	var h header
	if err := headerCodec.Decode(s.state[s.game:], pointerTo(&h)); err != nil {
		return "", "", fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return s.kind, h.Key, nil
}

// The framework's own halves of states and entries go through the same codec as games.
var (
	headerCodec = mustCompile[header]()
	bodyCodec   = mustCompile[entryBody]()
)

func mustCompile[T any]() *codec.Codec {
	c, err := codec.For(reflect.TypeFor[T]())
	if err != nil {
		panic(err)
	}
	return c
}

func pointerTo[T any](v *T) unsafe.Pointer { return unsafe.Pointer(v) }

// jobID is stable over repeats of a job, also by another node.
func jobID(room ID, number uint64) string { return fmt.Sprintf("%s-%d", room, number) }
