package roomtest

import (
	"errors"
	"log/slog"
	"slices"

	"tickover.dev/rooms"
)

var errNoHistory = errors.New("no entry was ever written")

const notDeterministic = "Step keeps something outside its state, or is not deterministic"

// ahead is how many steps each copy is followed.
const ahead = 10

// prove resumes the room from every entry and follows each copy for a while.
func (r *Room) prove() {
	if r.tb.Failed() || r.tb.Skipped() {
		return
	}
	copies, steps := 0, 0
	for i := range r.history {
		if r.history[i].entries == nil {
			continue
		}
		if shadow := r.history[i].shadow; shadow != nil {
			if d := shadow.Replay(); d != nil {
				r.tb.Errorf("%v: %s", d, notDeterministic)
				return
			}
		}
		n, ok := r.follow(i)
		copies, steps = copies+1, steps+n
		if !ok {
			return
		}
	}
	if copies == 0 && r.ended == nil { // a room whose creation was refused leaves nothing to resume
		r.tb.Error(errNoHistory)
	}
	r.tb.Logf("resumed from %d entries, %d steps followed, all equal", copies, steps)
}

func (r *Room) follow(from int) (steps int, ok bool) {
	start := r.history[from]
	entries := slices.Clone(start.entries)
	last := &entries[len(entries)-1]
	last.Horizon = last.ID.Tick // resume exactly here, not behind what might have been shown
	s := newShard(slog.New(slog.DiscardHandler))
	claim := rooms.Entry{Room: r.id, ID: rooms.EntryID{Epoch: start.epoch + 1}, Prev: last.ID, Kind: rooms.EntryClaim}
	if err := s.Adopt(r.id, r.kind, claim.ID.Epoch, 0, append(entries, claim), nil, start.now); err != nil {
		r.tb.Errorf("resume from tick %d: %v", start.tick, err)
		return 0, false
	}
	if in, _ := s.Inspect(r.id); in.Hash != start.hash {
		r.tb.Errorf("resumed from tick %d with another state than it had: %s", start.tick, rooms.FirstDifference(start.state, in.State))
		return 0, false
	}
	for i := from + 1; i < min(len(r.history), from+1+ahead); i++ {
		m := r.history[i]
		if m.epoch != start.epoch {
			break // the original was restored here
		}
		for _, mail := range m.mail {
			if mail.Type != rooms.MailCreate {
				s.Take(&mail, m.now)
			}
		}
		s.Advance(m.now)
		s.Confirm(m.now)
		in, ok := s.Inspect(r.id)
		if !ok {
			break
		}
		if in.Hash != m.hash {
			r.tb.Errorf("resumed from tick %d, tick %d differs from the original (%s): %s", start.tick, m.tick, rooms.FirstDifference(m.state, in.State), notDeterministic)
			return steps, false
		}
		steps++
	}
	return steps, true
}
