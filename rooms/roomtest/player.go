package roomtest

import (
	"slices"

	"tickover.dev/netcode"
	"tickover.dev/rooms"
)

// Player is one session in the room, with what it was sent.
type Player struct {
	room    *Room
	Seat    rooms.Seat
	session string
	gen     uint64
	number  uint64
	joined  bool
	refused *rooms.Note
	left    *rooms.Note
	private []byte
	events  []netcode.Event
	last    uint64 // reliable
	answers map[uint64]netcode.Refusal
	replies map[uint64][]byte
}

// Join takes a seat and steps once. Use Refused for the reason if the test expects none.
func (r *Room) Join(name string) *Player { return r.JoinWith(name, nil) }

// JoinWith is Join with options, as Admit would see them; what Admit returns reaches the game.
func (r *Room) JoinWith(name string, options any) *Player {
	r.gen++
	p := &Player{room: r, session: name, gen: r.gen, answers: map[uint64]netcode.Refusal{}, replies: map[uint64][]byte{}}
	r.players = append(r.players, p)
	r.post(rooms.Mail{
		Type: rooms.MailJoin, Session: name, Gen: p.gen, Run: 1, Number: r.request(),
		Player: rooms.Player{ID: "id-" + name, Name: name}, Body: encode(r.tb, options),
	})
	r.Step()
	return p
}

// request gives the number of a session's next request.
func (r *Room) request() uint64 {
	r.requests++
	return r.requests
}

// Refused gives the code with which the join was refused, or "".
func (p *Player) Refused() string {
	if p.refused == nil {
		return ""
	}
	return p.refused.Code
}

// Send queues an input for the next step and gives its number.
func (p *Player) Send(in any) uint64 {
	p.number++
	p.room.post(rooms.Mail{
		Type: rooms.MailInput, Seat: p.Seat, Session: p.session, Gen: p.gen, Run: 1, Number: p.number, Body: encode(p.room.tb, in),
	})
	return p.number
}

// Play sends an input, steps, and gives the code of its refusal, or "".
func (p *Player) Play(in any) string {
	n := p.Send(in)
	p.room.Step()
	return p.answers[n].Code
}

// Reply gives what the game replied to input n, decoded into v, and whether it did.
func (p *Player) Reply(n uint64, v any) bool {
	b, ok := p.replies[n]
	if ok {
		Decode(p.room.tb, b, v)
	}
	return ok
}

// Drop loses the connection and steps.
func (p *Player) Drop() {
	p.room.post(rooms.Mail{Type: rooms.MailDrop, Seat: p.Seat, Session: p.session, Gen: p.gen})
	p.room.Step()
}

// Return comes back on the same seat and steps.
func (p *Player) Return() {
	p.room.gen++
	p.gen = p.room.gen
	p.room.post(rooms.Mail{Type: rooms.MailReturn, Seat: p.Seat, Session: p.session, Gen: p.gen, Run: 1, Number: p.last})
	p.room.Step()
}

// Leave gives the seat up and steps.
func (p *Player) Leave() {
	p.room.post(rooms.Mail{Type: rooms.MailLeave, Seat: p.Seat, Session: p.session, Gen: p.gen, Number: p.room.request()})
	p.room.Step()
}

// Left says why the seat was given up, or "".
func (p *Player) Left() string {
	if p.left == nil {
		return ""
	}
	return p.left.Why
}

// Events gives the reliable messages of a name that the player was sent, as msgpack.
func (p *Player) Events(name string) (values [][]byte) {
	for _, e := range p.events {
		if e.Name == name {
			values = append(values, e.Value)
		}
	}
	return values
}

// Private decodes what only this seat sees.
func Private[T any](p *Player) (v T) {
	Decode(p.room.tb, p.private, &v)
	return v
}

// Public decodes what everybody sees.
func Public[T any](r *Room) (v T) {
	Decode(r.tb, r.public, &v)
	return v
}

func (p *Player) show(part *rooms.SeatPart) {
	if part.Private != nil {
		p.private = slices.Clone(part.Private)
	}
	if len(part.Reliable) == 0 {
		return
	}
	var parser netcode.Parser
	parser.Reset(slices.Clone(part.Reliable))
	for {
		t, err := parser.Next()
		if err != nil {
			return
		}
		p.take(&parser, t)
	}
}

// take notes a reliable message, unless it came before.
func (p *Player) take(parser *netcode.Parser, t netcode.Type) {
	var (
		e   netcode.Event
		ok  netcode.Reply
		no  netcode.Refusal
		err error
		n   uint64
	)
	switch t {
	case netcode.TypeEvent:
		err = parser.Read(&e)
		n = e.Number
	case netcode.TypeReply:
		err = parser.Read(&ok)
		n = ok.Number
	case netcode.TypeRefusal:
		err = parser.Read(&no)
		n = no.Number
	}
	if err != nil {
		p.room.tb.Fatal(err)
	}
	if n != p.last+1 {
		if n > p.last+1 {
			p.room.tb.Errorf("reliable message %d after %d", n, p.last)
		}
		return
	}
	p.last = n
	switch t {
	case netcode.TypeEvent:
		p.events = append(p.events, e)
	case netcode.TypeReply:
		p.replies[ok.Input] = ok.Value
	case netcode.TypeRefusal:
		p.answers[no.Input] = no
	}
}
