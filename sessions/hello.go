package sessions

import (
	"context"
	"fmt"

	"tickover.dev/engine"
	"tickover.dev/netcode"
	"tickover.dev/rooms"
)

// takeHello opens a session or resumes one.
func (l *Loop) takeHello(k *conn) {
	m := &l.hello
	if m.Version != netcode.Version {
		k.socket.Close(netcode.CloseVersion, fmt.Sprintf("this node speaks version %d", netcode.Version))
		l.closed(k)
		return
	}
	k.run = m.Run
	k.held = append([]netcode.Held(nil), m.Rooms...)
	if m.Session != "" {
		o, err := l.hub.config.Registry.resume(m.Session, m.Secret, attachment{l, k})
		if err != nil {
			k.socket.Close(netcode.CloseBadSecret, err.Error())
			l.closed(k)
			return
		}
		l.welcome(k, o)
		return
	}
	k.state = stateGreeting
	token := m.Token
	l.hub.work.Go(func() { l.hub.authenticate(l, k, token) })
}

// authenticate asks who a token belongs to, on a goroutine of its own, and tells the loop.
func (h *Hub) authenticate(l *Loop, k *conn, token string) {
	select {
	case h.auths <- struct{}{}:
	case <-h.ctx.Done():
		return
	}
	defer func() { <-h.auths }()
	ctx, cancel := context.WithTimeout(h.ctx, h.config.AuthTimeout)
	defer cancel()
	a := &authenticated{loop: l, conn: k}
	a.player, a.err = h.callAuthenticate(ctx, token)
	l.accept(a)
}

func (h *Hub) callAuthenticate(ctx context.Context, token string) (p rooms.Player, err error) {
	defer func() {
		if r := recover(); r != nil {
			h.config.Log.Error("Authenticate panicked", "error", r)
			err = fmt.Errorf("internal error")
		}
	}()
	return h.config.Authenticate(ctx, token)
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
	if a.err != nil {
		k.socket.Close(netcode.CloseUnauthorized, clip(a.err.Error(), 100))
		a.loop.closed(k)
		return
	}
	a.loop.welcome(k, a.loop.hub.config.Registry.open(a.player, attachment{a.loop, k}))
}

// welcome makes the connection the session's, and asks the rooms for the seats it has kept.
func (l *Loop) welcome(k *conn, o opened) {
	k.state, k.id, k.player, k.gen = stateReady, o.id, o.player, o.gen
	l.hub.stats.Connections.Add(1)
	if o.replaced.loop != nil {
		o.replaced.loop.accept(&superseded{o.replaced})
	}
	k.send(&netcode.Welcome{
		Version: netcode.Version, Session: o.id, Secret: o.secret, Player: o.player.ID, Name: o.player.Name,
		Time: uint64(l.hub.now().UnixMilli()), Resumed: o.resumed,
	})
	for _, p := range o.seats {
		l.returnTo(k, p)
	}
	for _, h := range k.held {
		if !containsSeat(o.seats, h) {
			k.send(&netcode.Gone{ID: h.Room, Why: "unknown"})
		}
	}
	k.held = nil
}

// returnTo asks a room for a seat the session has kept.
func (l *Loop) returnTo(k *conn, p place) {
	m := rooms.Mail{Type: rooms.MailReturn, Seat: p.Seat, Session: k.id, Gen: k.gen, Run: k.run}
	for _, h := range k.held {
		if h.Room == string(p.Room) && h.Seat == uint64(p.Seat) {
			m.Number = h.Reliable
		}
	}
	room, ok := l.hub.host.Room(p.Room)
	if !ok {
		l.gone(k, p, "unknown", nil)
		return
	}
	r := l.replica(p.Room, room)
	r.expect(k, &joinRequest{conn: k, room: p.Room, seat: p.Seat})
	if room.Post(&m) != nil {
		r.answered(k, p.Seat)
		l.trim(r)
		k.socket.Close(netcode.CloseOverloaded, "the room takes nothing just now")
	}
}

// gone tells that a kept seat is no more.
func (l *Loop) gone(k *conn, p place, why string, result []byte) {
	if t, ok := l.hub.host.Tomb(p.Room); ok {
		why, result = t.Why, t.Result
	}
	l.hub.config.Registry.unseat(k.id, p)
	k.send(&netcode.Gone{ID: string(p.Room), Why: why, Result: result})
}

func containsSeat(places []place, h netcode.Held) bool {
	for _, p := range places {
		if h.Room == string(p.Room) && h.Seat == uint64(p.Seat) {
			return true
		}
	}
	return false
}

// superseded closes a connection whose session a newer one has taken.
type superseded struct{ old attachment }

// Run implements engine.Task.
func (s *superseded) Run(*engine.Loop) {
	if k := s.old.conn; k.state != stateClosed {
		k.socket.Close(netcode.CloseSuperseded, "a newer connection uses this session")
		s.old.loop.closed(k)
	}
}
