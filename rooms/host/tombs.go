package host

import (
	"time"

	"tickover.dev/rooms"
)

// Tomb is what is remembered of a room that ended.
type Tomb struct {
	Why    string
	Code   string // for Why "refused": with which the game refused the room's creation
	Result []byte // msgpack
	until  time.Time
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
