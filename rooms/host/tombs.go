package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tickover.dev/codec"
	"tickover.dev/rooms"
)

// Tomb is what is remembered of a room that ended.
type Tomb struct {
	Why    string
	Code   string // for Why "refused": with which the game refused the room's creation
	Result []byte // msgpack
	until  time.Time
}

// tombFormat is the version of what a room's tombstone in its journal holds.
const tombFormat = 1

// epitaph is what Bury is given of a room's end: nothing but the journal may be left of the node that knew it.
type epitaph struct {
	Format int    `msgpack:"f"`
	Why    string `msgpack:"w"`
	Code   string `msgpack:"c"`
	Result []byte `msgpack:"r"`
}

func epitaphOf(e rooms.Ended) ([]byte, error) {
	return codec.Append(nil, &epitaph{tombFormat, e.Why, e.Code, e.Result})
}

var errTombFormat = errors.New("unknown format")

// ReadTomb reads what this or another host has left in a journal when it buried a room.
func ReadTomb(end []byte) (Tomb, error) {
	var e epitaph
	err := codec.Decode(end, &e)
	if err == nil && e.Format != tombFormat {
		err = fmt.Errorf("%w %d, this version knows %d", errTombFormat, e.Format, tombFormat)
	}
	if err != nil {
		return Tomb{}, fmt.Errorf("tombstone: %w", err)
	}
	return Tomb{Why: e.Why, Code: e.Code, Result: e.Result}, nil
}

// WhyUnborn is the end of a room that was given up before it began.
const WhyUnborn = "unborn"

// Unborn gives what is to be left in the journal of such a room, and for how long.
func (h *Host) Unborn() (end []byte, ttl time.Duration, err error) {
	end, err = epitaphOf(rooms.Ended{Why: WhyUnborn})
	return end, h.config.TombstoneTTL, err
}

// maxTombs bounds how many ends are remembered; beyond it the oldest are forgotten early.
const maxTombs = 20_000

// Tomb tells of a room that has ended.
func (h *Host) Tomb(id rooms.ID) (Tomb, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	t, ok := h.tombs[id]
	return t, ok && time.Now().Before(t.until)
}

// remember keeps a room's end for those who come back to it, and forgets the ends that are old.
func (h *Host) remember(e rooms.Ended) {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.buried) > 0 && (len(h.buried) >= maxTombs || !now.Before(h.tombs[h.buried[0]].until)) {
		delete(h.tombs, h.buried[0])
		h.buried = h.buried[1:]
	}
	h.tombs[e.Room] = Tomb{e.Why, e.Code, e.Result, now.Add(h.config.TombstoneTTL)}
	h.buried = append(h.buried, e.Room)
}

// inscribe puts a room's end into the refusal of mail that came too late for it.
func (t Tomb) inscribe(f *rooms.Frame) {
	for i := range f.Seats {
		n := &f.Seats[i].Notes[0]
		n.Why, n.Result = t.Why, t.Result
		if n.Type == rooms.NoteRefused && t.Code != "" {
			n.Code = t.Code
		}
	}
}

// ended carries out what follows a room's end: it is buried, and its result remembered. A room that ended by a fault is buried too,
// so that it neither comes back nor keeps its key; a journal that has a shelf for such rooms keeps what it held.
func (h *Host) ended(e rooms.Ended) {
	if e.Err != nil {
		h.log.Warn("room closed", "room", e.Room, "epoch", e.Epoch, "why", e.Why, "error", e.Err)
	}
	if !e.Kept || e.Why == "fault" {
		h.remember(e)
	}
	if e.Why == "fault" {
		h.quarantined.Add(1)
	}
	r, _ := h.Room(e.Room)
	h.remove(e.Room)
	h.config.Sink.RoomEnded(e)
	hook := h.config.Ended
	if r == nil || e.Kept && hook == nil {
		return
	}
	h.begin(func() {
		e.Kept = e.Kept || !h.bury(e)
		if hook != nil {
			hook(h.ctx, r, e)
		}
	})
}

// Shelf is implemented by journals that can keep the entries of a room that ended by a fault, for those who look for the cause.
type Shelf interface {
	// Quarantine is Bury, with the room's entries put aside where nothing is resumed from.
	Quarantine(ctx context.Context, room rooms.ID, epoch rooms.Epoch, end []byte, ttl time.Duration) error
}

// bury puts a room's end into its journal, in a few tries, and reports whether it is there. If somebody has claimed the room meanwhile, or
// no try is answered, the room is to be found: whoever runs it next ends it again.
func (h *Host) bury(e rooms.Ended) bool {
	for try := range 5 {
		err := h.buryIn(h.ctx, e)
		switch {
		case err == nil, errors.Is(err, rooms.ErrGone): // the second: it failed before its first entry, or an answer was lost
			return true
		case errors.Is(err, rooms.ErrClaimLost), h.ctx.Err() != nil:
			return false
		}
		h.log.Warn("bury room", "room", e.Room, "try", try+1, "error", err)
		select {
		case <-h.ctx.Done():
		case <-time.After(time.Second << try):
		}
	}
	return false
}

func (h *Host) buryIn(ctx context.Context, e rooms.Ended) error {
	bury := h.config.Journal.Bury
	if shelf, ok := h.config.Journal.(Shelf); ok && e.Why == "fault" {
		bury = shelf.Quarantine
	}
	end, err := epitaphOf(e)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return bury(ctx, e.Room, e.Epoch, end, h.config.TombstoneTTL)
}
