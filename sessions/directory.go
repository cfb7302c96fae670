package sessions

import (
	"tickover.dev/rooms"
	"tickover.dev/rooms/host"
)

// Rooms is where sessions find rooms. Its methods are called on event loops and must not block. Hosted makes one of a host.
type Rooms interface {
	HasKind(name string) bool
	Room(id rooms.ID) (Room, bool)
	Find(kind, key string) (Room, bool)
	// Create makes a room; orFind takes the one that has the key already, if there is one. Errors are those of package host.
	Create(kind, key string, options []byte, orFind bool) (Room, error)
	// Tomb tells of a room that has ended, as long as that is remembered.
	Tomb(id rooms.ID) (host.Tomb, bool)
}

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

// Hosted gives the rooms of a host to sessions.
func Hosted(h *host.Host) Rooms { return hosted{h} }

type hosted struct{ host *host.Host }

func (h hosted) HasKind(name string) bool {
	_, ok := h.host.Kind(name)
	return ok
}

func (h hosted) Room(id rooms.ID) (Room, bool) {
	r, ok := h.host.Room(id)
	return seen(r), ok
}

func (h hosted) Find(kind, key string) (Room, bool) {
	r, ok := h.host.Find(kind, key)
	return seen(r), ok
}

func (h hosted) Create(kind, key string, options []byte, orFind bool) (Room, error) {
	if orFind {
		r, _, err := h.host.FindOrCreate(kind, key, options)
		return seen(r), err
	}
	r, err := h.host.Create(kind, key, options)
	return seen(r), err
}

func (h hosted) Tomb(id rooms.ID) (host.Tomb, bool) { return h.host.Tomb(id) }

func seen(r *host.Handle) Room {
	if r == nil {
		return Room{}
	}
	return Room{ID: r.ID, Kind: r.Kind, Key: r.Key, Door: r}
}
