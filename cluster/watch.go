package cluster

import (
	"slices"
	"time"
)

// Watch judges who is dead (FAILOVER.md R13): a member whose heartbeat counter has not changed during one lease of this node's own
// clock, in which all of this node's reads were answered. A node that was frozen, or cut off from the store, learns nothing from
// the time it missed; else it would declare everybody dead when it comes back.
//
//	       a new counter              a lease without one, an obituary, or it has left
//	living ◄────────────► living ──────────────────────────────────────► dead
//	   ▲                                                                  │
//	   └──────────────────────────── a new counter ───────────────────────┘
//
// It is for one goroutine.
type Watch struct {
	// Set by NewWatch, then read-only.
	me    Boot
	lease time.Duration

	members []Member // of the newest answered read, and those that it should have had (see missing), by boot
	seen    map[Boot]*sighting
	good    time.Duration // when the present run of answered reads began
	last    time.Duration // when the newest answered read was sent
	away    time.Duration // when this node was last back from so long an absence that others may have taken it for dead
	lost    time.Duration // see Lost
	started bool
	failed  bool // the newest read was not answered
}

// sighting is what is known of one member's heartbeats.
type sighting struct {
	beat   uint64
	since  time.Duration // when the counter was first seen at beat, or this node's sight was last lost; or the obituary came
	buried obituary
	beats  bool // it was seen to change
}

// obituary is what is made of the news that a member's process has ended. Its last beat may be seen only afterwards, so what the first
// read sent behind the news brings proves nothing yet; a beat that is newer than that one does.
type obituary uint8

const (
	noObituary obituary = iota
	obituaryCame
	obituaryHolds
)

// NewWatch makes the watch of a node. A lease is several heartbeats long.
func NewWatch(me Boot, lease time.Duration) *Watch {
	return &Watch{me: me, lease: lease, seen: map[Boot]*sighting{}}
}

// Take takes an answered read of all members: sent and answered are when, by this node's clock.
func (w *Watch) Take(members []Member, sent, answered time.Duration) {
	if missing := w.missing(members); len(missing) > 0 {
		members = append(members, missing...)
		w.Forgotten(sent)
	}
	// What was read is as old as sent; what happened between the read before it and this one is seen only if they are close.
	if blind := w.failed || !w.started || answered-w.last > w.lease/2; blind {
		if !w.started || answered-w.last >= w.lease {
			w.away = sent
		}
		w.good, w.started, w.failed = sent, true, false
		for _, s := range w.seen {
			if s.buried == noObituary {
				s.since = sent
			}
		}
	}
	w.last = sent
	w.members = members
	slices.SortFunc(w.members, func(a, b Member) int { return int(a.Boot) - int(b.Boot) })
	for i := range members {
		m := &members[i]
		s := w.seen[m.Boot]
		if s == nil {
			s = &sighting{beat: m.Beat, since: sent}
			w.seen[m.Boot] = s
		}
		switch {
		case s.buried == obituaryCame:
			s.beat = m.Beat
			if sent >= s.since {
				s.buried = obituaryHolds
			}
		case s.beat != m.Beat:
			*s = sighting{beat: m.Beat, since: sent, beats: true}
		}
	}
	for b := range w.seen {
		if w.member(b) == nil {
			delete(w.seen, b)
		}
	}
}

// missing gives the members that were not judged dead, and that a read has not found. Nobody takes the living off: the store has lost
// them, and they have the rest of their lease to come back.
func (w *Watch) missing(found []Member) (missing []Member) {
	for i := range w.members {
		m := &w.members[i]
		isIt := func(f Member) bool { return f.Boot == m.Boot }
		if !m.Left && w.seen[m.Boot].buried == noObituary && !w.IsDead(m.Boot) && !slices.ContainsFunc(found, isIt) {
			missing = append(missing, *m)
		}
	}
	return missing
}

// Failed notes that a read was not answered, or not in time.
func (w *Watch) Failed() { w.failed = true }

// Bury notes an obituary: a member's process is known to be gone. Newer heartbeats refute it.
func (w *Watch) Bury(b Boot, now time.Duration) {
	if s := w.seen[b]; s != nil && s.buried == noObituary {
		s.buried, s.since = obituaryCame, now
	}
}

// IsDead reports whether a boot is judged dead. A boot that is not among the members is: every node is, before it owns anything.
func (w *Watch) IsDead(b Boot) bool {
	switch {
	case b == w.me || !w.started || w.failed:
		return false
	case w.member(b) == nil:
		return w.last-w.good >= w.lease
	}
	s := w.seen[b]
	return s.buried != noObituary || w.member(b).Left || w.last-s.since >= w.lease
}

// Living gives the members that are not judged dead, by boot.
func (w *Watch) Living() []Member {
	var living []Member
	for i := range w.members {
		if !w.IsDead(w.members[i].Boot) {
			living = append(living, w.members[i])
		}
	}
	return living
}

// Dead gives the members that are judged dead, by boot.
func (w *Watch) Dead() []Boot {
	var dead []Boot
	for i := range w.members {
		if b := w.members[i].Boot; w.IsDead(b) {
			dead = append(dead, b)
		}
	}
	return dead
}

// Member gives what a boot last told of itself.
func (w *Watch) Member(b Boot) (Member, bool) {
	if m := w.member(b); m != nil {
		return *m, true
	}
	return Member{}, false
}

// Beats reports whether a member's counter was seen to change: it lives, or did since this node looks.
func (w *Watch) Beats(b Boot) bool {
	s := w.seen[b]
	return s != nil && s.beats
}

// Since is when this node was last back from an absence of a lease or more, or when it began: others may have taken it for dead then.
func (w *Watch) Since() time.Duration { return w.away }

// Forgotten notes that a read or beat that was sent then has shown that the store had lost a living member, and who knows what else.
func (w *Watch) Forgotten(sent time.Duration) { w.lost = sent }

// Lost is when that was last seen; 0: never.
func (w *Watch) Lost() time.Duration { return w.lost }

// Sighted reports whether the newest read of the members was answered: else this node is cut off from the store.
func (w *Watch) Sighted() bool { return w.started && !w.failed }

func (w *Watch) isMember(b Boot) bool { return w.member(b) != nil }

func (w *Watch) member(b Boot) *Member {
	i, ok := slices.BinarySearchFunc(w.members, b, func(m Member, b Boot) int { return int(m.Boot) - int(b) })
	if !ok {
		return nil
	}
	return &w.members[i]
}
