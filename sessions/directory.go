package sessions

import (
	"errors"

	"tickover.dev/netcode"
	"tickover.dev/rooms"
	"tickover.dev/rooms/host"
)

// Rooms is where sessions find rooms, wherever they are. Its methods are called on event loops and must not block: what has to ask
// others first answers later. done is called once, from any goroutine, also before the method returns.
type Rooms interface {
	HasKind(name string) bool
	// Enter finds or makes the room that a join means. Errors are those of this package and of package host.
	Enter(e Entry, done func(Room, error))
	// Room finds a room in which a session has a seat. ErrUnavailable and ErrUnknownRoom tell two different things: with the second
	// the seat is given up.
	Room(id rooms.ID, done func(Room, error))
}

// Entry is what a join says of the room that it means.
type Entry struct {
	Mode    netcode.JoinMode
	Kind    string
	Target  string // the room's id, or its key
	Options []byte // for a room that is made; one msgpack value, or empty
}

// Errors of finding rooms, beside those of package host. Any other error counts as ErrUnavailable.
var (
	ErrUnknownKey  = errors.New("there is no room of this kind and key")
	ErrUnknownRoom = errors.New("there is no such room")
	ErrUnavailable = errors.New("the room cannot be reached just now") // whoever asks again may be told better
)

// EndedError tells of a room that has ended, as long as that is remembered.
type EndedError struct{ Tomb host.Tomb }

func (e *EndedError) Error() string { return "the room has ended" }

// Room is a room as sessions see it.
type Room struct {
	ID   rooms.ID
	Kind *rooms.Kind
	Key  string
	Door
}

// Door takes what goes to a room. *host.Handle is one.
type Door interface {
	// Post hands mail to the room and copies its body. rooms.ErrMailboxFull refuses at once.
	Post(m *rooms.Mail) error
	// Join asks for a seat. refuse is called, from any goroutine and at most once, if the request does not reach the room.
	Join(m rooms.Mail, options []byte, refuse func(code, why string))
}

// Hosted gives the rooms of a host to sessions. It answers at once.
func Hosted(h *host.Host) Rooms { return hosted{h} }

type hosted struct{ host *host.Host }

func (h hosted) HasKind(name string) bool {
	_, ok := h.host.Kind(name)
	return ok
}

func (h hosted) Enter(e Entry, done func(Room, error)) { done(h.enter(e)) }

func (h hosted) enter(e Entry) (Room, error) {
	switch e.Mode {
	case netcode.JoinID:
		return h.room(rooms.ID(e.Target))
	case netcode.JoinKey:
		if r, ok := h.host.Find(e.Kind, e.Target); ok {
			return seen(r), nil
		}
		if !h.HasKind(e.Kind) {
			return Room{}, host.ErrUnknownKind
		}
		return Room{}, ErrUnknownKey
	case netcode.JoinOrCreate:
		r, _, err := h.host.FindOrCreate(e.Kind, e.Target, e.Options)
		return seen(r), err
	default:
		r, err := h.host.Create(e.Kind, e.Target, e.Options)
		return seen(r), err
	}
}

func (h hosted) Room(id rooms.ID, done func(Room, error)) { done(h.room(id)) }

func (h hosted) room(id rooms.ID) (Room, error) {
	if r, ok := h.host.Room(id); ok {
		return seen(r), nil
	}
	if t, ok := h.host.Tomb(id); ok {
		return Room{}, &EndedError{t}
	}
	return Room{}, ErrUnknownRoom
}

func seen(r *host.Handle) Room {
	if r == nil {
		return Room{}
	}
	return Room{ID: r.ID, Kind: r.Kind, Key: r.Key(), Door: r}
}
