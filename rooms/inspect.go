package rooms

import (
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"
)

// Inspection is a room's state, copied, for tests and operators.
type Inspection struct {
	Room     ID
	Kind     string
	Key      string
	Epoch    Epoch
	Tick     uint64
	Now      time.Duration
	Seats    []SeatInfo
	Locked   bool
	Ended    bool
	Metadata []byte // msgpack
	Result   []byte // msgpack
	State    []byte // the game's half, msgpack
	Hash     uint64 // of both halves
}

// SeatInfo is one taken seat.
type SeatInfo struct {
	Seat    Seat
	Session string
	Gen     uint64
	Applied uint64
	Player  Player
}

// Inspect copies a room's state as of its newest step, confirmed or not.
func (s *Shard) Inspect(room ID) (Inspection, bool) {
	c := s.rooms[room]
	if c == nil {
		return Inspection{}, false
	}
	in := Inspection{
		Room: c.id, Kind: c.kind.Name, Key: c.h.Key, Epoch: c.epoch, Tick: c.h.Tick, Now: c.h.Now, Locked: c.h.Locked, Ended: c.h.Ended,
		Metadata: slices.Clone(c.h.Metadata), Result: slices.Clone(c.h.Result), State: c.game.appendState(nil),
	}
	for seat, st := range c.h.Seats.All() {
		in.Seats = append(in.Seats, SeatInfo{seat, st.Who.Session, st.Gen, st.Applied, st.player()})
	}
	c.h.Rand, _ = c.pcg.AppendBinary(c.h.Rand[:0])
	in.Hash = xxhash.Sum64(headerCodec.Append(slices.Clone(in.State), pointerTo(&c.h)))
	return in, true
}

// Confirm answers everything in Out as a journal that never fails would, and drops the frames. It is for tests that follow a copy
// of a room.
func (s *Shard) Confirm(now time.Duration) {
	for len(s.Out.Appends) > 0 || len(s.Out.Frames) > 0 {
		out := s.Out
		s.Out = Output{}
		for _, f := range out.Frames {
			f.Release()
		}
		results := make([]Result, len(out.Appends))
		for i := range results {
			results[i].Outcome = Confirmed
		}
		s.TakeResults(out.Appends, results, now)
	}
}
