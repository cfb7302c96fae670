package placement

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"tickover.dev/cluster"
	"tickover.dev/rooms"
	"tickover.dev/rooms/host"
	"tickover.dev/sessions"
)

// This file is the ways of a node: which there are, and what changes where they lead.

// way finds or makes the way to a room.
func (r *Rooms) way(at cluster.Record, kind *rooms.Kind) *way {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.ways[at.Room]
	if w == nil {
		w = &way{id: at.Room, kind: kind, key: at.Key, town: r}
		w.at.Store(&end{})
		r.ways[at.Room] = w
	}
	return w
}

// known gives the way to a room, if there is one.
func (r *Rooms) known(id rooms.ID) *way {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ways[id]
}

func (r *Rooms) allWays() []*way {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Values(r.ways))
}

// local gives the way to a room of this node.
func (r *Rooms) local(h *host.Handle) sessions.Room {
	w := r.way(r.Local.record(h), h.Kind)
	w.lead(r.Cluster.Self(), h.Epoch(), h)
	return w.room()
}

// reach gives the way to a room that the directory knows, or errNotYet while it has no living owner.
func (r *Rooms) reach(at cluster.Record) (sessions.Room, error) {
	if h, ok := r.Host.Room(at.Room); ok {
		return r.local(h), nil
	}
	if at.Owner == r.Cluster.Self() || at.Epoch == 0 { // the sweep will find out; or it is being entered
		return sessions.Room{}, errNotYet
	}
	sight := r.Cluster.Sight()
	if _, lives := sight.Member(at.Owner); !lives {
		if sight.Sighted {
			r.Cluster.Suspect(at.Owner)
		}
		return sessions.Room{}, errNotYet
	}
	kind, ok := r.Host.Kind(at.Kind)
	if !ok {
		return sessions.Room{}, host.ErrUnknownKind
	}
	w := r.way(at, kind)
	w.lead(at.Owner, at.Epoch, nil)
	return w.room(), nil
}

// seek has the scout look for the room of a way.
func (r *Rooms) seek(w *way) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sought[w] = &search{due: time.Now().Add(firstLook)}
}

// search is a room that is looked for.
type search struct {
	due     time.Time
	unknown time.Time // when it was first found that nobody knows of it; zero: somebody did
}

const (
	scoutEvery = 50 * time.Millisecond
	// firstLook leaves time to a new owner's first frame, which tells faster than the directory.
	firstLook  = 100 * time.Millisecond
	nextLook   = 250 * time.Millisecond
	maxLooks   = 512 // in one round
	lookers    = 8   // at once
	lookWithin = time.Second
	// unknownFor is how long nobody may know of a room before its players are told that it is no more: if the store has lost it, its
	// owner finds that out, and enters it again, within two seconds or so.
	unknownFor = 4 * time.Second
)

// scout looks for rooms whose owner is not known, until ctx ends. A round may take a minute, if the store is slow.
func (r *Rooms) scout(ctx context.Context) {
	tick := time.NewTicker(scoutEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			r.lookFor(ctx, r.due(now))
		case <-ctx.Done():
			return
		}
	}
}

// lookOut looks after ways that lead to the dead, and after their players, until ctx ends. It asks nobody, and so never waits.
func (r *Rooms) lookOut(ctx context.Context) {
	tick := time.NewTicker(scoutEvery)
	defer tick.Stop()
	var seen *cluster.Sight
	for {
		select {
		case now := <-tick.C:
			if sight := r.Cluster.Sight(); sight != seen {
				r.look(seen, sight, now)
				seen = sight
			}
		case <-ctx.Done():
			return
		}
	}
}

// due takes the searches that are due.
func (r *Rooms) due(now time.Time) map[*way]*search {
	r.mu.Lock()
	defer r.mu.Unlock()
	due := map[*way]*search{}
	for w, s := range r.sought {
		switch {
		case w.at.Load().state != stateSeeking: // found by a frame
			delete(r.sought, w)
		case !s.due.After(now) && len(due) < maxLooks:
			due[w] = s
		}
	}
	return due
}

// lookFor asks the directory for rooms, some at a time.
func (r *Rooms) lookFor(ctx context.Context, due map[*way]*search) {
	var all sync.WaitGroup
	places := make(chan struct{}, lookers)
	for w, s := range due {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			bounded, cancel := context.WithTimeout(ctx, lookWithin)
			defer cancel()
			over := r.find(bounded, w, s)
			r.mu.Lock()
			defer r.mu.Unlock()
			if s.due = time.Now().Add(nextLook); over && r.sought[w] == s { // else it was lost again meanwhile
				delete(r.sought, w)
			}
		})
	}
	all.Wait()
}

// find looks for a room once, and reports whether that is over: it was found, or is no more.
func (r *Rooms) find(ctx context.Context, w *way, s *search) (over bool) {
	at, err := r.Directory.Look(ctx, w.id)
	switch {
	case errors.Is(err, cluster.ErrNoRecord):
		err = r.tomb(ctx, w.id)
	case err != nil:
		return false
	default: // also if that is who said that it has not got it: it may just have been making it
		_, err = r.reach(at)
	}
	if errors.Is(err, errNotYet) || ctx.Err() != nil {
		return false
	}
	if !errors.Is(err, sessions.ErrUnknownRoom) {
		s.unknown = time.Time{}
	} else if s.unknown.IsZero() {
		s.unknown = time.Now()
	}
	var ended *sessions.EndedError
	switch {
	case !s.unknown.IsZero() && time.Since(s.unknown) < unknownFor:
		return false
	case err == nil:
	case errors.As(err, &ended):
		r.over(w, rooms.Ended{Room: w.id, Why: ended.Tomb.Why, Code: ended.Tomb.Code, Result: ended.Tomb.Result})
	default:
		r.over(w, rooms.Ended{Room: w.id, Why: "unknown", Err: err})
	}
	return true
}

// over closes what this node's players have of a room that is no more.
func (r *Rooms) over(w *way, e rooms.Ended) {
	r.mu.Lock()
	if r.ways[w.id] == w {
		delete(r.ways, w.id)
	}
	r.mu.Unlock()
	r.Hub.RoomEnded(e)
}

// look compares what is seen of the cluster with what was seen before: players of dead nodes are dropped, rooms of dead nodes are looked
// for, and a node that was out of sight of the others has all its players told of again.
func (r *Rooms) look(before, sight *cluster.Sight, now time.Time) {
	if before == nil {
		before = sight
	}
	for _, m := range before.Living {
		if _, lives := sight.Member(m.Boot); !lives {
			r.nodeGone(m.Boot)
		}
	}
	for _, m := range sight.Living {
		if _, lived := before.Member(m.Boot); !lived && before != sight { // it may have been taken for dead here: its players were dropped
			r.Link.Send(m.Boot, func(dst []byte) []byte { return append(dst, carryLost) })
		}
	}
	blind := before.Since != sight.Since
	for _, w := range r.allWays() {
		e := w.at.Load()
		switch {
		case e.state == stateSeeking:
		case e.local == nil && sight.IsGone(e.owner):
			w.lost(e)
		case e.local == nil && blind:
			w.sync()
		}
		if r.Hub.Watches(w.id) {
			w.used()
		} else if w.isIdle(now) {
			r.mu.Lock()
			if r.ways[w.id] == w {
				delete(r.ways, w.id)
				delete(r.sought, w)
			}
			r.mu.Unlock()
		}
	}
}

// claimed has the players that this node has in a room which it has just claimed led there at once, and not when the scout finds it.
func (r *Rooms) claimed(room rooms.ID) {
	w := r.known(room)
	switch h, ok := r.Host.Room(room); {
	case ok && w == nil: // also those whose way was given up meanwhile
		h.Post(&rooms.Mail{Type: rooms.MailRoster, Node: r.node(), Body: rooms.AppendRoster(nil, nil)})
	case ok:
		w.lead(r.Cluster.Self(), h.Epoch(), h)
	}
}

// gone tells of which nodes no connection is left to a room that this node claims. Its own players are counted by a muster, if it has any.
func (r *Rooms) gone(room rooms.ID) func(rooms.Node) bool {
	sight, self, here := r.Cluster.Sight(), r.node(), r.known(room) != nil
	return func(n rooms.Node) bool {
		if n == self {
			return !here
		}
		return sight.IsGone(cluster.Boot(n))
	}
}

// nodeGone drops the players of a dead node from this node's rooms.
func (r *Rooms) nodeGone(b cluster.Boot) {
	r.Link.Forget(b)
	for _, h := range r.Host.Handles() {
		h.Post(&rooms.Mail{Type: rooms.MailNodeGone, Node: rooms.Node(b)})
	}
}

// keepIdle is how long a way is kept that nobody uses: somebody may just be about to.
const keepIdle = 10 * time.Second

func (w *way) used() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.idleFrom = time.Time{}
}

func (w *way) isIdle(now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.idleFrom.IsZero() {
		w.idleFrom = now
	}
	return now.Sub(w.idleFrom) >= keepIdle
}
