package sessions

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"tickover.dev/engine"
	"tickover.dev/netcode"
	"tickover.dev/rooms"
)

// takeHello opens a session or resumes one.
func (l *Loop) takeHello(k *conn) {
	m := &l.hello
	if m.Version != netcode.Version {
		k.hangUp(netcode.CloseVersion, fmt.Sprintf("this node speaks version %d", netcode.Version))
		return
	}
	if why := l.hub.leaving.Load(); why != nil {
		k.hangUp(netcode.CloseStopping, *why)
		return
	}
	k.run = m.Run
	k.held = slices.Clone(m.Rooms)
	switch {
	case m.Session == "":
		token := m.Token
		l.greet(k, func(ctx context.Context) (admission, error) { return l.hub.admitToken(ctx, token) })
	case l.hub.config.Store != nil:
		id, secret, attempt := m.Session, m.Secret, m.Attempt
		l.greet(k, func(ctx context.Context) (admission, error) { return l.hub.reclaim(ctx, id, secret, attempt) })
	default:
		o, err := l.hub.config.Registry.resume(m.Session, m.Secret, m.Attempt, attachment{l, k})
		if err != nil {
			k.hangUp(closingOf(err))
			return
		}
		l.welcome(k, o)
	}
}

// greet asks who a connection is, on a goroutine that ends with the connection.
func (l *Loop) greet(k *conn, who func(context.Context) (admission, error)) {
	ctx, cancel := context.WithTimeout(l.hub.ctx, l.hub.config.AuthTimeout)
	k.state, k.cancelAuth = stateGreeting, cancel
	l.hub.begin(func() {
		defer cancel()
		a, err := who(ctx)
		l.accept(&greeted{l, k, a, err})
	})
}

// admission is who a connection is: a player who has no session yet, or one whose session a store has granted.
type admission struct {
	player rooms.Player
	grant  *grant // nil: sessions are kept in memory
}

// greeted is the answer to a hello, on its way to the loop.
type greeted struct {
	loop *Loop
	conn *conn
	admission
	err error
}

// Run implements engine.Task.
func (g *greeted) Run(*engine.Loop) {
	l, k := g.loop, g.conn
	waits := k.state == stateGreeting // else it was closed meanwhile
	switch {
	case g.err != nil && waits:
		k.hangUp(closingOf(g.err))
	case g.err != nil:
	case g.grant != nil:
		l.takeGrant(k, g.grant)
	case waits:
		l.welcome(k, l.hub.config.Registry.open(g.player, attachment{l, k}))
	}
}

// closingOf says how a connection is closed that is not welcome.
func closingOf(err error) (code uint16, why string) {
	switch {
	case errors.Is(err, errAuthSlow), errors.Is(err, errAuthPanic), errors.Is(err, errStoreAway): // not the client's fault: it may try again
		return netcode.CloseOverloaded, err.Error()
	case errors.Is(err, ErrBadSecret), errors.Is(err, ErrNoSession):
		return netcode.CloseBadSecret, "the secret is wrong or old, or the session is forgotten"
	case errors.Is(err, ErrStale):
		return netcode.CloseStale, err.Error()
	}
	return netcode.CloseUnauthorized, clip(err.Error(), 100)
}

// Errors of greeting that are not the client's fault.
var (
	errAuthSlow  = errors.New("authentication takes too long")
	errAuthPanic = errors.New("internal error")
	errStoreAway = errors.New("sessions cannot be reached just now")
)

// admitToken asks who a token belongs to, and opens a session for him where sessions are kept.
func (h *Hub) admitToken(ctx context.Context, token string) (a admission, err error) {
	if a.player, err = h.identify(ctx, token); err == nil && h.config.Store != nil {
		a.grant, err = h.openStored(ctx, a.player)
	}
	return a, err
}

// identify calls Authenticate, so many at once and no more.
func (h *Hub) identify(ctx context.Context, token string) (p rooms.Player, err error) {
	select {
	case h.auths <- struct{}{}:
	case <-ctx.Done():
		return p, errAuthSlow
	}
	defer func() { <-h.auths }()
	defer func() {
		if r := recover(); r != nil {
			h.config.Log.Error("Authenticate panicked", "error", r)
			err = errAuthPanic
		}
	}()
	p, err = h.config.Authenticate(ctx, token)
	if err != nil && ctx.Err() != nil {
		return p, errAuthSlow
	}
	return p, err
}

// welcome makes the connection the session's, and asks the rooms for the seats it has kept.
func (l *Loop) welcome(k *conn, o opened) {
	k.state, k.id, k.player, k.gen, k.cancelAuth = stateReady, o.id, o.player, o.gen, nil
	l.hub.stats.Connections.Add(1)
	l.supersede(o.replaced)
	returns, lost := o.returns(k.held, l.hub.config.RoomsPerSession)
	k.held = nil
	k.send(&netcode.Welcome{
		Version: netcode.Version, Session: o.id, Secret: o.secret, Player: o.player.ID, Name: o.player.Name,
		Time: uint64(l.hub.now().UnixMilli()), Resumed: o.resumed, Kept: uint64(len(returns) + len(lost)),
		Node: l.hub.config.Name,
	})
	for _, room := range lost {
		k.sendGone(room, "unknown", nil)
	}
	for _, r := range returns {
		l.returnTo(k, r)
		if k.state != stateReady {
			return
		}
	}
}

// kept is a seat that a session may still have, and what its client has seen there.
type kept struct {
	Place
	reliable uint64
}

// returns gives the seats to ask for: those that the session has, and those that its client holds beside them: what is known of the
// session here may be older. A client does not hold more than limit seats: further rooms are lost, without anybody being asked.
func (o *opened) returns(held []netcode.Held, limit int) (returns []kept, lost []rooms.ID) {
	for _, p := range o.seats {
		returns = append(returns, kept{Place: p})
	}
	for _, h := range held {
		at := Place{rooms.ID(h.Room), rooms.Seat(h.Seat)}
		i := slices.IndexFunc(returns, func(r kept) bool { return r.Place == at })
		switch {
		case uint64(at.Seat) != h.Seat:
			lost = append(lost, at.Room)
		case i >= 0:
			returns[i].reliable = h.Reliable
		case len(returns)-len(o.seats) < limit:
			returns = append(returns, kept{at, h.Reliable})
		default:
			lost = append(lost, at.Room)
		}
	}
	return returns, lost
}

// returnTo asks for a seat the session has kept.
func (l *Loop) returnTo(k *conn, r kept) {
	j := &joinRequest{conn: k, seat: r.Seat, reliable: r.reliable}
	k.asked = append(k.asked, j)
	l.inquireRoom(r.Room, func(room Room, err error) {
		if k.state == stateReady {
			l.foundKept(j, r, room, err)
		}
	})
}

// foundKept asks a room for the seat that its session has kept, or says why there is none.
func (l *Loop) foundKept(j *joinRequest, at kept, room Room, err error) {
	k := j.conn
	switch ended, ok := errors.AsType[*EndedError](err); {
	case ok:
		l.gone(j, at.Room, ended.Tomb.Why, ended.Tomb.Result)
		return
	case errors.Is(err, ErrUnknownRoom):
		l.gone(j, at.Room, "unknown", nil)
		return
	case err != nil: // without its seat there is nothing on this connection to wait for
		k.hangUp(netcode.CloseOverloaded, "the room of a kept seat cannot be reached just now")
		return
	}
	r := l.replica(room)
	if !r.expect(j) || room.Post(j.returnMail()) != nil {
		k.hangUp(netcode.CloseOverloaded, "the room takes nothing just now")
	}
	l.trim(r)
}

// gone answers a return that the caller has taken off its replica, if it was on one: the seat is no more.
func (l *Loop) gone(j *joinRequest, room rooms.ID, why string, result []byte) {
	k := j.conn
	k.forget(j)
	l.hub.config.Registry.unseat(k.id, k.gen, Place{room, j.seat})
	if k.state == stateReady {
		k.sendGone(room, why, result)
	}
}

// sendGone tells that a seat is no more; if its room has ended, with its result.
func (k *conn) sendGone(room rooms.ID, why string, result []byte) {
	k.send(&netcode.Gone{ID: string(room), Why: wireWhy(why), Result: result})
}

// supersede has a connection closed whose session another one has taken, if there is one.
func (l *Loop) supersede(old attachment) {
	if old.loop != nil {
		old.loop.accept(&superseded{old})
	}
}

// superseded closes a connection whose session a newer one has taken.
type superseded struct{ old attachment }

// Run implements engine.Task.
func (s *superseded) Run(*engine.Loop) {
	if k := s.old.conn; k.state != stateClosed {
		k.hangUp(superseding())
	}
}

func superseding() (code uint16, why string) {
	return netcode.CloseSuperseded, "a newer connection uses this session"
}
