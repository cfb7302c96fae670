package sessions

import (
	"errors"
	"slices"

	"tickover.dev/engine"
	"tickover.dev/netcode"
	"tickover.dev/rooms"
	"tickover.dev/rooms/host"
)

// joinRequest is a seat that was asked for and not answered yet: a join, or the return to a kept seat (then it has a seat).
type joinRequest struct {
	conn    *conn
	number  uint64 // of the request; 0 for a return
	mode    netcode.JoinMode
	kind    string
	target  string
	options []byte
	room    rooms.ID
	seat    rooms.Seat
	tries   int
}

// maxJoinTries bounds how often join-or-create goes on to another room because the one it found was just ending.
const maxJoinTries = 3

// takeJoin asks for a seat.
func (l *Loop) takeJoin(k *conn) {
	m := &l.join
	if l.hub.isRefusing() {
		k.refuse(m.Request, netcode.CodeShuttingDown, "this node takes nothing new: reconnect", 1000)
		return
	}
	for _, j := range k.joining {
		if j.number == m.Request {
			return // asked for already; the answer is on its way
		}
	}
	if k.seats()+len(k.joining) >= l.hub.config.RoomsPerSession {
		k.refuse(m.Request, netcode.CodeTooManyRooms, "this session has as many seats as it may", 0)
		return
	}
	l.tryJoin(&joinRequest{
		conn: k, number: m.Request, mode: m.Mode, kind: m.Kind, target: m.Target, options: slices.Clone(m.Options),
	})
}

// tryJoin finds or makes the room and asks it for a seat.
func (l *Loop) tryJoin(j *joinRequest) {
	k := j.conn
	room, code, why := l.find(j)
	if room == nil {
		k.refuse(j.number, code, why, 0)
		return
	}
	j.room = room.ID
	k.joining = append(k.joining, j)
	l.replica(room.ID, room).expect(k, j)
	mail := rooms.Mail{Session: k.id, Gen: k.gen, Run: k.run, Number: j.number, Player: k.player}
	room.Join(mail, j.options, func(code, why string) { l.accept(&joinRefused{l, j, code, why}) })
}

// find gives the room that a join means, or why there is none.
func (l *Loop) find(j *joinRequest) (room *host.Handle, code, why string) {
	h, registry := l.hub.host, l.hub.config.Registry
	var err error
	switch j.mode {
	case netcode.JoinID:
		if room, ok := h.Room(rooms.ID(j.target)); ok {
			return room, "", ""
		}
		if _, ended := h.Tomb(rooms.ID(j.target)); ended {
			return nil, netcode.CodeRoomEnded, "the room has ended"
		}
		return nil, netcode.CodeUnknownRoom, "there is no such room"
	case netcode.JoinKey:
		if room, ok := h.Find(j.kind, j.target); ok {
			return room, "", ""
		}
		err = errUnknownKey
		if _, ok := h.Kind(j.kind); !ok {
			err = host.ErrUnknownKind
		}
	default:
		// The same creation asked for again, over another connection, is the room it made.
		if id, ok := registry.recall(j.conn.id, j.conn.run, j.number); ok {
			if room, ok := h.Room(id); ok {
				return room, "", ""
			}
		}
		create := h.Create
		if j.mode == netcode.JoinOrCreate {
			create = func(kind, key string, options []byte) (*host.Handle, error) {
				room, _, err := h.FindOrCreate(kind, key, options)
				return room, err
			}
		}
		if room, err = create(j.kind, j.target, j.options); err == nil {
			registry.made(j.conn.id, j.conn.run, j.number, room.ID)
			return room, "", ""
		}
	}
	return nil, codeOf(err), err.Error()
}

var errUnknownKey = errors.New("there is no room of this kind and key")

func codeOf(err error) string {
	switch {
	case errors.Is(err, host.ErrUnknownKind):
		return netcode.CodeUnknownKind
	case errors.Is(err, errUnknownKey):
		return netcode.CodeUnknownKey
	case errors.Is(err, host.ErrKeyTaken):
		return netcode.CodeKeyTaken
	case errors.Is(err, host.ErrBadKey):
		return netcode.CodeBadOptions
	case errors.Is(err, host.ErrStopping):
		return netcode.CodeShuttingDown
	}
	return netcode.CodeOverloaded
}

// joinRefused is a join that did not reach its room.
type joinRefused struct {
	loop      *Loop
	join      *joinRequest
	code, why string
}

// Run implements engine.Task.
func (r *joinRefused) Run(*engine.Loop) {
	if rep := r.loop.replicas[r.join.room]; rep != nil {
		rep.forget(r.join)
		r.loop.trim(rep)
	}
	r.loop.refuseJoin(r.join, r.code, r.why)
}

// refuseJoin answers a join with an error, unless it means "whatever room there is" and this one was just ending.
func (l *Loop) refuseJoin(j *joinRequest, code, why string) {
	k := j.conn
	k.joining = slices.DeleteFunc(k.joining, func(other *joinRequest) bool { return other == j })
	if k.state != stateReady {
		return
	}
	if code == netcode.CodeRoomEnded && j.mode == netcode.JoinOrCreate && j.tries < maxJoinTries {
		j.tries++
		l.tryJoin(j)
		return
	}
	k.refuse(j.number, code, why, 0)
}

// takeLeave gives a seat up.
func (l *Loop) takeLeave(k *conn) {
	m := &l.leave
	v := k.view(m.Room)
	if v == nil {
		k.refuse(m.Request, netcode.CodeNotJoined, "you have no seat in this room", 0)
		return
	}
	v.leaving = m.Request
	if v.post(&rooms.Mail{Type: rooms.MailLeave, Number: m.Request}) != nil {
		k.refuse(m.Request, netcode.CodeOverloaded, "the room takes nothing just now: ask again", 1000)
	}
}

// takeInput passes an input on to its room.
func (l *Loop) takeInput(k *conn) {
	m := &l.input
	v := k.view(m.Room)
	if v == nil {
		k.refuse(0, netcode.CodeNotJoined, "you have no seat in this room", 0)
		return
	}
	if !v.acknowledged(m.Reliable, m.State, l.nowMs) {
		return
	}
	if m.Number > v.applied+inputWindow || m.Number == 0 {
		k.refuse(0, netcode.CodeInputWindow, "more than 256 inputs ahead of the last applied one", 0)
		return
	}
	l.hub.stats.Inputs.Add(1)
	l.mail = rooms.Mail{Type: rooms.MailInput, Run: k.run, Number: m.Number, Body: m.Value}
	if v.post(&l.mail) != nil {
		k.refuse(0, netcode.CodeOverloaded, "the room takes nothing just now: send again", 1000)
	}
}

// takeAck notes what the client has seen.
func (l *Loop) takeAck(k *conn) {
	m := &l.ack
	v := k.view(m.Room)
	if v == nil {
		k.refuse(0, netcode.CodeNotJoined, "you have no seat in this room", 0)
		return
	}
	v.acknowledged(m.Reliable, m.State, l.nowMs)
}

// inputWindow is how many inputs may be unacknowledged.
const inputWindow = 256
