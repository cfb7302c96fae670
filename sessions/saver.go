package sessions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tickover.dev/rooms"
)

// This file is what a hub does with its Store.

const (
	// saveEvery is how long changes are collected. What a node that dies has not saved by then, its clients name when they resume.
	saveEvery = 20 * time.Millisecond
	// saveAgain bounds the pause before a store that does not answer is asked again.
	saveAgain = time.Second
	// storeWithin bounds one call of the store.
	storeWithin = 2 * time.Second
	// saveAtOnce bounds the sessions in one call of Save: some 300 bytes each.
	saveAtOnce = 500
)

// openStored opens a session for a player.
func (h *Hub) openStored(ctx context.Context, p rooms.Player) (*grant, error) {
	t := &grant{secret: newSecret()}
	t.Record = Record{ID: newSecret(), Player: p, Gen: 1, Node: h.config.Node, Connected: true}
	err := h.callStore(ctx, func(ctx context.Context) error { return h.config.Store.Open(ctx, t.Record, hash(t.secret)) })
	return t, err
}

// reclaim resumes a session for a connection of this node, and has the node told that it was at.
func (h *Hub) reclaim(ctx context.Context, id, secret string, attempt uint64) (a admission, err error) {
	t := &grant{secret: newSecret(), before: hash(secret), resumed: true}
	var before string
	err = h.callStore(ctx, func(ctx context.Context) (err error) {
		t.Record, before, err = h.config.Store.Resume(ctx, id, t.before, hash(t.secret), attempt, h.config.Node)
		return err
	})
	if err != nil {
		if !errors.Is(err, errStoreAway) {
			h.config.Registry.refused(err)
		}
		return a, err
	}
	if before != "" && before != h.config.Node {
		h.stats.Arrivals.Add(1)
		if h.config.OnResume != nil {
			h.config.OnResume(id, t.Gen, before)
		}
	}
	return admission{grant: t}, nil
}

// callStore waits for its turn and calls the store. An error that is not the client's fault is errStoreAway. A call that has begun
// goes on when the client hangs up: if it was done, that must be known here.
func (h *Hub) callStore(ctx context.Context, call func(context.Context) error) error {
	select {
	case h.stores <- struct{}{}:
	case <-ctx.Done():
		return errStoreAway
	}
	defer func() { <-h.stores }()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeWithin)
	defer cancel()
	err := call(ctx)
	if errors.Is(err, ErrBadSecret) || errors.Is(err, ErrStale) || errors.Is(err, ErrNoSession) {
		h.storeAnswered(nil)
		return err
	}
	h.storeAnswered(err)
	if err != nil {
		return errStoreAway
	}
	return nil
}

// storeAnswered logs when the store is lost, and when it is back.
func (h *Hub) storeAnswered(err error) {
	if err != nil {
		h.stats.StoreErrors.Add(1)
	}
	switch was := h.away.Swap(err != nil); {
	case err != nil && !was:
		h.config.Log.Warn("sessions cannot be reached", "error", err)
	case err == nil && was:
		h.config.Log.Info("sessions can be reached again")
	}
}

// takeGrant makes a connection that of the session that it was granted. A connection that is closed by now had it all the same.
func (l *Loop) takeGrant(k *conn, t *grant) {
	g, now := l.hub.config.Registry, l.hub.now()
	if k.state == stateGreeting {
		o, ok := g.adopt(t, attachment{l, k}, now)
		if !ok {
			k.hangUp(superseding())
			return
		}
		l.welcome(k, o)
		return
	}
	if o, ok := g.adopt(t, attachment{}, now); ok {
		l.supersede(o.replaced)
		g.detach(t.ID, t.Gen, now)
	}
}

// Superseded tells the hub that a session has a connection of generation gen at another node: one that it has here is closed.
func (h *Hub) Superseded(session string, gen uint64) {
	h.depart(h.config.Registry.leave(session, gen, h.now()))
}

// depart closes a connection whose session is at another node.
func (h *Hub) depart(old attachment) {
	if old.loop != nil {
		h.stats.Departures.Add(1)
		old.loop.accept(&superseded{old})
	}
}

// save saves sessions that have changed, until the hub is closed, and then once more.
func (h *Hub) save() {
	pause := saveEvery
	for h.ctx.Err() == nil {
		select {
		case <-h.ctx.Done():
			continue
		case <-h.config.Registry.wake:
		}
		if err := h.saveAll(); err != nil {
			pause = min(2*pause, saveAgain)
		} else {
			pause = saveEvery
		}
		select {
		case <-h.ctx.Done():
		case <-time.After(pause):
		}
	}
	h.saveAll() // its errors are counted, and there is nobody left to do better
}

// saveAll saves what has changed. After an error the rest waits for the next time.
func (h *Hub) saveAll() (err error) {
	for n := saveAtOnce; n == saveAtOnce && err == nil; {
		rs := h.config.Registry.unsaved(h.config.Node, saveAtOnce)
		if n = len(rs); n > 0 {
			err = h.saveSome(rs)
		}
	}
	return err
}

func (h *Hub) saveSome(rs []Record) error {
	ctx, cancel := context.WithTimeout(context.Background(), storeWithin) // not the hub's: the last save comes after its end
	defer cancel()
	errs := h.config.Store.Save(ctx, rs)
	moved, lost := h.config.Registry.saved(rs, errs, h.now())
	for _, old := range moved {
		h.depart(old)
	}
	if err := h.reopen(ctx, lost); err != nil {
		errs = append(errs, err)
	}
	var worst error
	for _, err := range errs {
		switch {
		case err == nil:
			h.stats.Saves.Add(1)
		case !errors.Is(err, ErrMoved) && !errors.Is(err, ErrNoSession):
			worst = err
		}
	}
	h.storeAnswered(worst)
	return worst
}

// Resave has all sessions saved whose connections are here: the store may have lost what it was given, or all it had.
func (h *Hub) Resave() { h.config.Registry.resave(h.now()) }

// reopen opens sessions anew that the store has lost while their connections last.
func (h *Hub) reopen(ctx context.Context, lost []lostSession) error {
	for i, s := range lost {
		if err := h.config.Store.Open(ctx, s.Record, s.secret); err != nil {
			for _, s := range lost[i:] {
				h.config.Registry.retry(s.ID)
			}
			return fmt.Errorf("open a session anew: %w", err)
		}
		h.config.Registry.reopened(s.ID, h.now())
	}
	return nil
}
