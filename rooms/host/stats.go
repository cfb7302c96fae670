package host

// Stats counts what runs. What is not said to be now is a total since the host was started.
type Stats struct {
	Rooms      map[string]int // now, by kind
	MaxRooms   int            // see Config
	StuckSteps int64          // now: goroutines that a watchdog has taken the shard from, and that have not come back yet
	TakenAway  int64          // how often that happened
	Late       LatenessStats

	Panics          int64 // of games' code
	Quarantined     int64 // rooms closed because of a fault
	Paused          int64 // now: rooms that wait for their journal, their players told so
	MailboxRefusals int64 // pieces of mail that a room or a shard had no room for
	OverdueCalls    int64 // of Admit and Do that went on after their context had ended, and lost their place
	Journal         JournalStats
	Replays         ReplayStats
}

// ReplayStats counts what became of Replay rooms that were stepped again.
type ReplayStats struct {
	Diverged   int64 // resumed from their newest snapshot, as they came out otherwise, or panicked
	OtherRules int64 // likewise, as another build, or another kind of processor, had stepped them

	Shadows        int64 // stretches replayed aside
	ShadowsDiffer  int64 // of those
	ShadowsSkipped int64 // not replayed, as others waited
}

// JournalStats counts the journal's answers, one per append. Refused and Unknown ones are tried again or looked up.
type JournalStats struct {
	Confirmed, Refused, Unknown, Fenced, Gone int64
}

// Stats may be called at any time.
func (h *Host) Stats() Stats {
	s := Stats{
		Rooms: map[string]int{}, MaxRooms: h.config.MaxRooms, Quarantined: h.quarantined.Load(), OverdueCalls: h.overdue.Load(),
	}
	h.mu.RLock()
	for _, r := range h.rooms {
		s.Rooms[r.Kind.Name]++
	}
	h.mu.RUnlock()
	for _, r := range h.runners {
		s.StuckSteps += r.stuck.Load()
		s.TakenAway += r.taken.Load()
		s.MailboxRefusals += r.refusals.Load()
		s.Late.add(&r.lateness)
		n := r.counters
		s.Panics += n.Panics.Load()
		s.Paused += n.Paused.Load()
		s.Journal.Confirmed += n.Confirmed.Load()
		s.Journal.Refused += n.Refused.Load()
		s.Journal.Unknown += n.Unknown.Load()
		s.Journal.Fenced += n.Fenced.Load()
		s.Journal.Gone += n.Gone.Load()
		s.Replays.Diverged += n.Diverged.Load()
		s.Replays.OtherRules += n.OtherRules.Load()
	}
	if sh := h.shadows; sh != nil {
		s.Replays.ShadowsDiffer = sh.differed.Load() // before all of which they are some
		s.Replays.Shadows, s.Replays.ShadowsSkipped = sh.replayed.Load(), sh.skipped.Load()
	}
	return s
}
