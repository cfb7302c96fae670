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
	k.run = m.Run
	k.held = slices.Clone(m.Rooms)
	if m.Session == "" {
		l.authenticate(k, m.Token)
		return
	}
	o, err := l.hub.config.Registry.resume(m.Session, m.Secret, attachment{l, k})
	if err != nil {
		k.hangUp(netcode.CloseBadSecret, err.Error())
		return
	}
	l.welcome(k, o)
}

// authenticate asks who a token belongs to, on a goroutine that ends with the connection.
func (l *Loop) authenticate(k *conn, token string) {
	ctx, cancel := context.WithTimeout(l.hub.ctx, l.hub.config.AuthTimeout)
	k.state, k.cancelAuth = stateGreeting, cancel
	l.hub.begin(func() {
		defer cancel()
		a := &authenticated{loop: l, conn: k}
		a.player, a.err = l.hub.identify(ctx, token)
		l.accept(a)
	})
}

// Errors of identify that are not the client's fault: it may try again.
var (
	errAuthSlow  = errors.New("authentication takes too long")
	errAuthPanic = errors.New("internal error")
)

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

// authenticated is the answer for one connection, on its way to the loop.
type authenticated struct {
	loop   *Loop
	conn   *conn
	player rooms.Player
	err    error
}

// Run implements engine.Task.
func (a *authenticated) Run(*engine.Loop) {
	k := a.conn
	if k.state != stateGreeting {
		return // closed meanwhile
	}
	switch {
	case a.err == nil:
		a.loop.welcome(k, a.loop.hub.config.Registry.open(a.player, attachment{a.loop, k}))
	case errors.Is(a.err, errAuthSlow), errors.Is(a.err, errAuthPanic):
		k.hangUp(netcode.CloseOverloaded, a.err.Error())
	default:
		k.hangUp(netcode.CloseUnauthorized, clip(a.err.Error(), 100))
	}
}

// welcome makes the connection the session's, and asks the rooms for the seats it has kept.
func (l *Loop) welcome(k *conn, o opened) {
	k.state, k.id, k.player, k.gen, k.cancelAuth = stateReady, o.id, o.player, o.gen, nil
	l.hub.stats.Connections.Add(1)
	if o.replaced.loop != nil {
		o.replaced.loop.accept(&superseded{o.replaced})
	}
	held, lost := k.held, o.lost(k.held)
	k.held = nil
	k.send(&netcode.Welcome{
		Version: netcode.Version, Session: o.id, Secret: o.secret, Player: o.player.ID, Name: o.player.Name,
		Time: uint64(l.hub.now().UnixMilli()), Resumed: o.resumed, Kept: uint64(len(o.seats) + len(lost)),
	})
	for _, h := range lost {
		l.sendGone(k, rooms.ID(h.Room), "unknown", nil)
	}
	for _, p := range o.seats {
		l.returnTo(k, p, held)
		if k.state != stateReady {
			return
		}
	}
}

// lost gives the seats that a client holds and its session does not have.
func (o *opened) lost(held []netcode.Held) []netcode.Held {
	return slices.DeleteFunc(slices.Clone(held), func(h netcode.Held) bool {
		at := place{rooms.ID(h.Room), rooms.Seat(h.Seat)}
		return uint64(at.Seat) == h.Seat && slices.Contains(o.seats, at)
	})
}

// returnTo asks a room for a seat the session has kept.
func (l *Loop) returnTo(k *conn, p place, held []netcode.Held) {
	m := rooms.Mail{Type: rooms.MailReturn, Seat: p.Seat, Session: k.id, Gen: k.gen, Run: k.run}
	for _, h := range held {
		if h.Room == string(p.Room) && h.Seat == uint64(p.Seat) {
			m.Number = h.Reliable
		}
	}
	j := &joinRequest{conn: k, seat: p.Seat}
	room, ok := l.hub.rooms.Room(p.Room)
	if !ok {
		l.hub.config.Registry.unseat(k.id, k.gen, p)
		l.sendGone(k, p.Room, "unknown", nil)
		return
	}
	r := l.replica(room)
	if !r.expect(j) || room.Post(&m) != nil {
		k.hangUp(netcode.CloseOverloaded, "the room takes nothing just now")
	}
	l.trim(r)
}

// gone answers a return that the caller has taken off its replica: the seat is no more.
func (l *Loop) gone(j *joinRequest, why string, result []byte) {
	k, room := j.conn, j.replica.room.ID
	k.forget(j)
	l.hub.config.Registry.unseat(k.id, k.gen, place{room, j.seat})
	if k.state == stateReady {
		l.sendGone(k, room, why, result)
	}
}

// sendGone tells that a seat is no more; if its room has ended, with its result.
func (l *Loop) sendGone(k *conn, room rooms.ID, why string, result []byte) {
	if t, ok := l.hub.rooms.Tomb(room); ok {
		why, result = t.Why, t.Result
	}
	k.send(&netcode.Gone{ID: string(room), Why: wireWhy(why), Result: result})
}

// superseded closes a connection whose session a newer one has taken.
type superseded struct{ old attachment }

// Run implements engine.Task.
func (s *superseded) Run(*engine.Loop) {
	if k := s.old.conn; k.state != stateClosed {
		k.hangUp(netcode.CloseSuperseded, "a newer connection uses this session")
	}
}
