package rooms

import "time"

// This file is what a shard does with a room whose journal is gone: the store has come back empty, while the room lives on here
// (FAILOVER.md R19).
//
//	Gone ──► renewing ──► AskRenew: has nobody a newer ownership, is there no tombstone? ──► no: the room is lost
//	                          │ the directory names this node, in a new epoch
//	                          ▼
//	                        sent: EntryCreate with the whole state, at a tick that no entry had before

// Renewal is a room's right to a new journal.
type Renewal struct {
	Epoch Epoch  // newer than all before it
	Nonce uint64 // of the creation
	Key   string // the room's, or "": it had none, or another room has it by now
}

// bereave asks whether a room may have a new journal in the place of the one that is gone. The room steps on meanwhile, as far as it may
// be ahead of its journal, and shows nothing that waits for its entry. The creation of a room that never had a journal is not asked about:
// the room was given up meanwhile. That of a renewed one is, once more: it may have been given up while its owner was taken for dead, and
// then it needs an epoch newer than that; or it has met a tombstone, which is found then.
func (s *Shard) bereave(c *core) {
	if c.sent.Kind == EntryCreate && !c.renewed {
		s.lose(c, ErrGone)
		return
	}
	c.phase = phaseRenewing
	s.Out.Asks = append(s.Out.Asks, Ask{AskRenew, c.id, c.epoch})
}

// TakeRenewed answers AskRenew. An error is why the room is lost: ErrGone, or ErrClaimLost if another node has it.
func (s *Shard) TakeRenewed(room ID, r Renewal, err error, now time.Duration) {
	c := s.rooms[room]
	if c == nil || c.phase != phaseRenewing {
		return
	}
	if err != nil {
		s.lose(c, err)
		return
	}
	s.Counters.Renewed.Add(1)
	s.log.Warn("the room's journal was lost and is made anew", "room", c.id, "kind", c.kind.Name, "epoch", r.Epoch, "before", c.epoch)
	c.epoch, c.nonce, c.resealAt, c.renewed = r.Epoch, r.Nonce, EntryID{}, true
	c.h.Key = r.Key
	c.status = StatusResumed
	c.resendAll() // to whom this epoch is the first news of the room
	c.callRoll()
	s.run(c, now, opReseal)
	s.collect(c, now)
}
