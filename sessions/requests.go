package sessions

import (
	"errors"
	"slices"

	"tickover.dev/engine"
	"tickover.dev/netcode"
	"tickover.dev/rooms"
	"tickover.dev/rooms/host"
)

// joinRequest is a seat that was asked for and not answered yet: a join, or the return to a kept seat.
type joinRequest struct {
	conn    *conn
	replica *replica // of the room that was asked
	number  uint64   // of the request; 0 for a return
	mode    netcode.JoinMode
	kind    string
	target  string
	options []byte
	seat    rooms.Seat // of a return
	tries   int
}

func (j *joinRequest) isReturn() bool { return j.number == 0 }

// maxJoinTries bounds how often join-or-create goes on to another room because the one it found was just ending.
const maxJoinTries = 3

// takeJoin asks for a seat.
func (l *Loop) takeJoin(k *conn) {
	m := &l.join
	if m.Request == 0 {
		k.refuse(0, netcode.CodeBadMessage, "requests are numbered from 1", 0)
		return
	}
	if l.hub.refusing.Load() {
		k.refuse(m.Request, netcode.CodeShuttingDown, "this node takes nothing new: reconnect", 1000)
		return
	}
	for _, j := range k.asked {
		if j.number == m.Request {
			return // asked for already; the answer is on its way
		}
	}
	newest, ok := l.hub.config.Registry.reserve(k.id, k.gen, l.hub.config.RoomsPerSession)
	if !newest {
		return // it is about to be closed, and rooms do not answer connections that were replaced
	}
	if !ok {
		k.refuse(m.Request, netcode.CodeTooManyRooms, "this session has as many seats as it may", 0)
		return
	}
	l.tryJoin(&joinRequest{
		conn: k, number: m.Request, mode: m.Mode, kind: m.Kind, target: m.Target, options: slices.Clone(m.Options),
	})
}

// tryJoin finds or makes the room and asks it for the seat that was reserved.
func (l *Loop) tryJoin(j *joinRequest) {
	k := j.conn
	room, err := l.find(j)
	if err != nil {
		l.hub.config.Registry.release(k.id)
		code, retryMs := codeOf(err)
		k.refuse(j.number, code, err.Error(), retryMs)
		return
	}
	if r := l.replica(room); !r.expect(j) {
		l.hub.config.Registry.release(k.id)
		k.refuse(j.number, netcode.CodeOverloaded, "too many wait for this room", 1000)
		return
	}
	mail := rooms.Mail{Session: k.id, Gen: k.gen, Run: k.run, Number: j.number, Player: k.player}
	room.Join(mail, j.options, func(code, why string) { l.accept(&joinRefused{l, j, code, why}) })
}

// find gives the room that a join means.
func (l *Loop) find(j *joinRequest) (Room, error) {
	switch h := l.hub.rooms; j.mode {
	case netcode.JoinID:
		return l.findID(rooms.ID(j.target))
	case netcode.JoinKey:
		if room, ok := h.Find(j.kind, j.target); ok {
			return room, nil
		}
		if !h.HasKind(j.kind) {
			return Room{}, host.ErrUnknownKind
		}
		return Room{}, errUnknownKey
	default:
		return l.create(j)
	}
}

func (l *Loop) findID(id rooms.ID) (Room, error) {
	if room, ok := l.hub.rooms.Room(id); ok {
		return room, nil
	}
	if _, ended := l.hub.rooms.Tomb(id); ended {
		return Room{}, errRoomEnded
	}
	return Room{}, errUnknownRoom
}

// create makes a room. The same creation asked for again, over another connection, is the room that it made.
func (l *Loop) create(j *joinRequest) (Room, error) {
	orFind := j.mode == netcode.JoinOrCreate
	if id, ok := l.hub.config.Registry.recall(j.conn.id, j.conn.run, j.number); ok {
		if room, err := l.findID(id); err == nil || !orFind {
			return room, err
		}
	}
	if orFind {
		if room, ok := l.hub.rooms.Find(j.kind, j.target); ok {
			return room, nil
		}
	}
	if !l.hub.config.Registry.mayCreate(j.conn.id, l.hub.now()) {
		return Room{}, errTooManyCreations
	}
	room, err := l.hub.rooms.Create(j.kind, j.target, j.options, orFind)
	if err == nil {
		l.hub.config.Registry.made(j.conn.id, request{j.conn.run, j.number, room.ID})
	}
	return room, err
}

var (
	errUnknownKey  = errors.New("there is no room of this kind and key")
	errUnknownRoom = errors.New("there is no such room")
	errRoomEnded   = errors.New("the room has ended")

	errTooManyCreations = errors.New("this session creates rooms too fast")
)

// codeOf says why there is no room, for programs, and when to ask again.
func codeOf(err error) (code string, retryMs uint64) {
	for _, c := range []struct {
		err     error
		code    string
		retryMs uint64
	}{
		{host.ErrUnknownKind, netcode.CodeUnknownKind, 0},
		{errUnknownKey, netcode.CodeUnknownKey, 0},
		{errUnknownRoom, netcode.CodeUnknownRoom, 0},
		{errRoomEnded, netcode.CodeRoomEnded, 0},
		{host.ErrKeyTaken, netcode.CodeKeyTaken, 0},
		{host.ErrBadKey, netcode.CodeBadOptions, 0},
		{host.ErrStopping, netcode.CodeShuttingDown, 0},
		{host.ErrTooManyRooms, netcode.CodeOverloaded, 1000},
		{errTooManyCreations, netcode.CodeRateLimited, 1000},
	} {
		if errors.Is(err, c.err) {
			return c.code, c.retryMs
		}
	}
	return netcode.CodeOverloaded, 1000
}

// joinRefused is a join that did not reach its room.
type joinRefused struct {
	loop      *Loop
	join      *joinRequest
	code, why string
}

// Run implements engine.Task.
func (r *joinRefused) Run(*engine.Loop) {
	if !slices.Contains(r.join.replica.asked, r.join) {
		return // the room ended meanwhile, which was answer enough
	}
	r.join.replica.forget(r.join)
	r.loop.refuseJoin(r.join, r.code, r.why)
	r.loop.trim(r.join.replica)
}

// refuseJoin answers a join that the caller has taken off its replica with an error, unless it means "whatever room there is" and
// this one was just ending.
func (l *Loop) refuseJoin(j *joinRequest, code, why string) {
	k := j.conn
	k.forget(j)
	if k.state != stateReady {
		l.hub.config.Registry.release(k.id)
		return
	}
	if code == netcode.CodeRoomEnded && j.mode == netcode.JoinOrCreate && j.tries < maxJoinTries {
		again := *j
		again.tries++
		l.tryJoin(&again)
		return
	}
	l.hub.config.Registry.release(k.id)
	k.refuse(j.number, code, why, 0)
}

// takeLeave gives a seat up.
func (l *Loop) takeLeave(k *conn) {
	m := &l.leave
	v := k.view(m.Room)
	if v == nil {
		k.notJoined(m.Room, m.Request)
		return
	}
	if v.post(&rooms.Mail{Type: rooms.MailLeave, Number: m.Request}) != nil {
		k.refuse(m.Request, netcode.CodeOverloaded, "the room takes nothing just now: ask again", 1000)
		return
	}
	v.leaving = m.Request
}

// notJoined answers a message for a room that the connection has no seat in, unless it had one: then it has been told why it has
// not any more, and the message was on its way when that happened.
func (k *conn) notJoined(room, request uint64) {
	if room == 0 || room > uint64(len(k.views)) {
		k.refuse(request, netcode.CodeNotJoined, "you have no seat in this room", 0)
	}
}

// inputWindow is how many inputs may be unacknowledged.
const inputWindow = 256

// takeInput passes an input on to its room.
func (l *Loop) takeInput(k *conn) {
	m := &l.input
	v := k.view(m.Room)
	if v == nil {
		k.notJoined(m.Room, 0)
		return
	}
	if !v.acknowledged(m.Reliable, m.State, l.nowMs) {
		return
	}
	switch {
	case m.Number == 0:
		k.refuse(0, netcode.CodeBadMessage, "inputs are numbered from 1", 0)
	case m.Number > v.applied+inputWindow:
		k.refuse(0, netcode.CodeInputWindow, "more than 256 inputs ahead of the last applied one", 0)
	case m.Number <= v.applied: // acknowledged again, once per message, without troubling the room
		if v.again != l.serial {
			v.again = l.serial
			v.head()
		}
	case v.handed >= inputWindow: // so many have not been answered: this is a repeat of one of them
	default:
		l.hand(v)
	}
}

func (l *Loop) hand(v *view) {
	l.hub.stats.Inputs.Add(1)
	l.mail = rooms.Mail{Type: rooms.MailInput, Run: v.conn.run, Number: l.input.Number, Body: l.input.Value}
	if v.post(&l.mail) != nil {
		v.conn.refuse(0, netcode.CodeOverloaded, "the room takes nothing just now: send again", 1000)
		return
	}
	v.handed++
}

// takeAck notes what the client has seen.
func (l *Loop) takeAck(k *conn) {
	m := &l.ack
	v := k.view(m.Room)
	if v == nil {
		k.notJoined(m.Room, 0)
		return
	}
	v.acknowledged(m.Reliable, m.State, l.nowMs)
}
