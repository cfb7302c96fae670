package sessions

import (
	"errors"
	"slices"
	"time"
)

// This file is what a registry does beside a store.

// grant is a session as a store has just kept it for a connection here.
type grant struct {
	Record
	secret  string // the newest
	before  Hash   // of the one that was shown for it
	resumed bool
}

// adopt gives a session that a store has granted to a connection, or to none if that has been closed meanwhile. It reports false if a
// newer one came first.
func (g *Registry) adopt(t *grant, at attachment, now time.Time) (opened, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.sessions[t.ID]
	switch {
	case s == nil:
		s = &session{id: t.ID, first: t.Gen}
		s.fill(&t.Record)
		g.sessions[t.ID] = s
	case s.gen >= t.Gen:
		return opened{}, false
	case s.gen+1 != t.Gen:
		s.fill(&t.Record) // it has been elsewhere since
	} // else nobody has had it since, and what is known here may be newer than what was saved
	s.gen, s.current, s.previous, s.savedAt = t.Gen, hash(t.secret), t.before, now
	replaced := attachment{}
	if t.resumed {
		replaced = g.attach(s, at)
	} else {
		g.counts.opened++
		s.attached = at
	}
	g.touch(s) // another node may have resumed it before this one knew of it: then saving tells
	return s.opened(t.secret, t.resumed, replaced), true
}

// leave notes that a session's connection of generation gen is at another node, and gives the one that it had here.
func (g *Registry) leave(id string, gen uint64, now time.Time) (old attachment) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.sessions[id]; s != nil && s.gen < gen {
		old = g.part(s, now)
	}
	return old
}

// part has a session be away. g.mu is held.
func (g *Registry) part(s *session, now time.Time) (old attachment) {
	if s.moved {
		return old
	}
	old = s.attached
	if old.loop != nil {
		g.counts.superseded++
	}
	s.attached, s.since, s.moved = attachment{}, now, true
	g.enlist(s)
	return old
}

// refused counts a hello whose secret a store did not take.
func (g *Registry) refused(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.counts.refused(err)
}

// touch notes that a session is to be saved. g.mu is held.
func (g *Registry) touch(s *session) {
	if !g.stored || s.dirty {
		return
	}
	s.dirty = true
	g.dirty = append(g.dirty, s)
	g.rouse()
}

func (g *Registry) rouse() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// refresh has sessions saved that were not for long: their connections last, and so must they.
func (g *Registry) refresh(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.sessions {
		if g.stored && s.attached.loop != nil && now.Sub(s.savedAt) >= refreshEvery {
			g.touch(s)
		}
	}
}

// resaveEvery is between two times that all sessions are saved on a suspicion.
const resaveEvery = time.Second

// resave has every session saved whose connection lasts, as the store may have lost them: saving tells, and then they are opened anew.
func (g *Registry) resave(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.suspectStore(now)
}

// suspectStore is resave. g.mu is held.
func (g *Registry) suspectStore(now time.Time) {
	if !g.stored || now.Sub(g.resaved) < resaveEvery {
		return
	}
	g.resaved = now
	for _, s := range g.sessions {
		if s.attached.loop != nil {
			g.touch(s)
		}
	}
}

// unsaved gives up to limit sessions that are to be saved. saved must be told what became of that.
func (g *Registry) unsaved(node string, limit int) (rs []Record) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for n < len(g.dirty) && len(rs) < limit {
		s := g.dirty[n]
		n++
		s.dirty = false
		if g.sessions[s.id] == s && !s.moved {
			rs = append(rs, s.record(node))
		}
	}
	g.dirty = slices.Delete(g.dirty, 0, n)
	return rs
}

// saved takes the answers to a save: what failed is saved again, what has no connection is forgotten, and what has moved is given to
// be closed. What the store has lost while its connection lasts is given to be opened anew.
func (g *Registry) saved(rs []Record, errs []error, now time.Time) (moved []attachment, lost []lostSession) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range rs {
		s := g.sessions[rs[i].ID]
		if s == nil || s.moved {
			continue
		}
		switch err := errs[i]; {
		case err == nil:
			s.savedAt = now
			g.letGo(s)
		case errors.Is(err, ErrMoved):
			if s.gen > rs[i].Gen {
				continue // it has come back meanwhile
			}
			if old := g.part(s, now); old.loop != nil {
				moved = append(moved, old)
			}
		case errors.Is(err, ErrNoSession) && s.attached.loop != nil && s.gen == rs[i].Gen:
			lost = append(lost, lostSession{rs[i], s.current})
			if !s.savedAt.Before(g.resaved) { // it was there since all were saved: then it may not be the only one
				g.suspectStore(now)
			}
		case errors.Is(err, ErrNoSession):
			if s.attached.loop == nil {
				g.forget(s)
			}
		default:
			g.touch(s)
		}
	}
	return moved, lost
}

// lostSession is what a store needs to know a session again.
type lostSession struct {
	Record
	secret Hash
}

// reopened notes that the store knows a session again.
func (g *Registry) reopened(id string, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.sessions[id]; s != nil {
		s.savedAt = now
	}
}

// retry has a session saved again.
func (g *Registry) retry(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.sessions[id]; s != nil {
		g.touch(s)
	}
}

// letGo forgets a session that is saved and needed no more. g.mu is held.
func (g *Registry) letGo(s *session) {
	if !s.dirty && s.attached.loop == nil && s.joining == 0 && len(s.making) == 0 {
		s.unlist()
		delete(g.sessions, s.id)
	}
}

// Unsaved is how many sessions wait to be saved, with a store.
func (g *Registry) Unsaved() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.dirty)
}
