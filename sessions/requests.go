package sessions

import (
	"errors"
	"slices"

	"tickover.dev/engine"
	"tickover.dev/netcode"
	"tickover.dev/rooms"
	"tickover.dev/rooms/host"
)

// joinRequest is a seat that was asked for and not answered yet: a join, or the return to a kept seat. First its room is looked for,
// then the room is asked.
type joinRequest struct {
	conn     *conn
	replica  *replica   // of the room that was asked; nil: it is being looked for
	number   uint64     // of the request; 0 for a return
	entry    Entry      // of a join
	seat     rooms.Seat // of a return, and
	reliable uint64     // the last reliable message that its client has seen
	tries    int
}

func (j *joinRequest) isReturn() bool { return j.number == 0 }

func (j *joinRequest) creates() bool {
	return j.entry.Mode == netcode.JoinCreate || j.entry.Mode == netcode.JoinOrCreate
}

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
	j := &joinRequest{conn: k, number: m.Request, entry: Entry{m.Mode, m.Kind, m.Target, slices.Clone(m.Options)}}
	k.asked = append(k.asked, j)
	l.tryJoin(j)
}

// tryJoin looks for the room that a join means, or makes it. The seat has been reserved.
func (l *Loop) tryJoin(j *joinRequest) {
	if j.creates() {
		l.tryCreate(j)
		return
	}
	l.inquireEntry(j.entry, func(room Room, err error) { l.found(j, room, err) })
}

// tryCreate asks whether this creation was asked for before, over another connection: then the room is the one that it made.
func (l *Loop) tryCreate(j *joinRequest) {
	again := func() { l.accept(&creationAgain{l, j}) }
	id, underWay := l.hub.config.Registry.recall(j.conn.id, j.conn.run, j.number, again)
	switch {
	case underWay: // comes back here when that is over
	case id == "":
		l.findOrCreate(j)
	default:
		l.inquireRoom(id, func(room Room, err error) {
			if err == nil || j.entry.Mode == netcode.JoinCreate || !isOver(err) {
				l.found(j, room, err)
				return
			}
			l.findOrCreate(j)
		})
	}
}

// creationAgain is a creation that has waited for the end of one that is the same.
type creationAgain struct {
	loop *Loop
	join *joinRequest
}

// Run implements engine.Task.
func (a *creationAgain) Run(*engine.Loop) {
	if a.join.conn.state != stateReady {
		a.loop.found(a.join, Room{}, ErrUnavailable)
		return
	}
	a.loop.tryCreate(a.join)
}

// findOrCreate makes a room, unless it means any room that has its key, and there is one: that one need not be created.
func (l *Loop) findOrCreate(j *joinRequest) {
	if j.entry.Mode == netcode.JoinCreate || j.entry.Target == "" {
		l.create(j)
		return
	}
	e := j.entry
	e.Mode = netcode.JoinKey
	l.inquireEntry(e, func(room Room, err error) {
		if errors.Is(err, ErrUnknownKey) && j.conn.state == stateReady {
			l.create(j)
			return
		}
		l.found(j, room, err)
	})
}

// create makes a room. Whatever becomes of the connection meanwhile, the session remembers which one it is.
func (l *Loop) create(j *joinRequest) {
	g, id, run := l.hub.config.Registry, j.conn.id, j.conn.run
	if !g.mayCreate(id, l.hub.now()) {
		l.found(j, Room{}, errTooManyCreations)
		return
	}
	g.making(id, run, j.number)
	l.inquireEntry(j.entry, func(room Room, err error) {
		for _, goOn := range g.made(id, Request{run, j.number, room.ID}) {
			goOn()
		}
		l.found(j, room, err)
	})
}

// found asks a room for the seat that was reserved, or says why there is no room.
func (l *Loop) found(j *joinRequest, room Room, err error) {
	k := j.conn
	if k.state != stateReady { // nobody waits for the seat any more
		l.release(k)
		return
	}
	if err != nil {
		k.forget(j)
		l.release(k)
		code, retryMs := codeOf(err)
		k.refuse(j.number, code, err.Error(), retryMs)
		return
	}
	if r := l.replica(room); !r.expect(j) {
		k.forget(j)
		l.release(k)
		k.refuse(j.number, netcode.CodeOverloaded, "too many wait for this room", 1000)
		l.trim(r)
		return
	}
	l.ask(j, room)
}

// release gives back the seat that was reserved for a join of this connection.
func (l *Loop) release(k *conn) { l.hub.config.Registry.release(k.id, k.gen) }

var errTooManyCreations = errors.New("this session creates rooms too fast")

// isOver reports whether an error says that a room is no more.
func isOver(err error) bool {
	_, ended := errors.AsType[*EndedError](err)
	return ended || errors.Is(err, ErrUnknownRoom)
}

// codeOf says why there is no room, for programs, and when to ask again.
func codeOf(err error) (code string, retryMs uint64) {
	if _, ended := errors.AsType[*EndedError](err); ended {
		return netcode.CodeRoomEnded, 0
	}
	for _, c := range []struct {
		err     error
		code    string
		retryMs uint64
	}{
		{host.ErrUnknownKind, netcode.CodeUnknownKind, 0},
		{ErrUnknownKey, netcode.CodeUnknownKey, 0},
		{ErrUnknownRoom, netcode.CodeUnknownRoom, 0},
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
	if k.state == stateReady && code == netcode.CodeRoomEnded && j.entry.Mode == netcode.JoinOrCreate && j.tries < maxJoinTries {
		again := &joinRequest{conn: k, number: j.number, entry: j.entry, tries: j.tries + 1}
		k.asked = append(k.asked, again)
		l.tryJoin(again)
		return
	}
	l.release(k)
	if k.state != stateReady {
		return
	}
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
