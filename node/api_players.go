package node

import (
	"context"
	"net/http"
	"unicode/utf8"

	"tickover.dev/cluster"
	"tickover.dev/rooms"
	"tickover.dev/sessions"
)

// This file is what the HTTP API says of players.

// presence is a player as the API shows him. A connection whose node has died counts as lost as soon as that is known, a lease later
// at most.
type presence struct {
	Player   string            `json:"player"`
	Online   bool              `json:"online"`
	Sessions []sessionPresence `json:"sessions"`
}

type sessionPresence struct {
	Node      string         `json:"node"` // that has the connection, or had it last, if it lives; else ""
	Connected bool           `json:"connected"`
	Seats     []seatPresence `json:"seats"`
}

type seatPresence struct {
	Room rooms.ID   `json:"room"`
	Seat rooms.Seat `json:"seat"`
}

func (a *api) showPlayer(r *http.Request) (any, error) {
	id := r.PathValue("id")
	if id == "" || len(id) > maxNameBytes || !utf8.ValidString(id) {
		return nil, wrong("id", "a player's id has 1 to 64 bytes of UTF-8")
	}
	var kept []sessions.Record
	err := a.ask(r, func(ctx context.Context) (err error) {
		kept, err = a.Of(ctx, id)
		return err
	})
	if err != nil {
		return nil, about(err)
	}
	return presenceOf(id, kept, a.names()), nil
}

func presenceOf(player string, kept []sessions.Record, names map[cluster.Boot]string) presence {
	p := presence{Player: player, Sessions: []sessionPresence{}}
	for _, r := range kept {
		s := sessionPresence{Seats: []seatPresence{}}
		if boot, err := cluster.ParseBoot(r.Node); err == nil {
			name, lives := names[boot]
			s.Node, s.Connected = name, r.Connected && lives
		}
		for _, at := range r.Seats {
			s.Seats = append(s.Seats, seatPresence{at.Room, at.Seat})
		}
		p.Online = p.Online || s.Connected
		p.Sessions = append(p.Sessions, s)
	}
	return p
}
