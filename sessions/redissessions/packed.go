package redissessions

import (
	"errors"
	"fmt"

	"tickover.dev/codec"
	"tickover.dev/rooms"
	"tickover.dev/sessions"
)

// format is the version of packed records.
const format = 1

// errFormat is a record that a node of another version has written. It stays, for nodes that can read it.
var errFormat = errors.New("redissessions: record of another version, or damaged")

// packed is what of a record needs no field of its own. Its field names are part of the format.
type packed struct {
	Player      string             `msgpack:"p"`
	Name        string             `msgpack:"n"`
	Seats       []sessions.Place   `msgpack:"s"`
	Requests    []sessions.Request `msgpack:"r"`
	Creations   float64            `msgpack:"c"`
	CreationsAt int64              `msgpack:"a"`
}

func pack(r *sessions.Record) ([]byte, error) {
	return codec.Append([]byte{format}, &packed{r.Player.ID, r.Player.Name, r.Seats, r.Requests, r.Creations, r.CreationsAt})
}

func unpack(r *sessions.Record, field string) error {
	if field == "" || field[0] != format {
		return errFormat
	}
	var p packed
	if err := codec.Decode([]byte(field[1:]), &p); err != nil {
		return fmt.Errorf("%w: %w", errFormat, err)
	}
	r.Player = rooms.Player{ID: p.Player, Name: p.Name}
	r.Seats, r.Requests, r.Creations, r.CreationsAt = p.Seats, p.Requests, p.Creations, p.CreationsAt
	return nil
}

func flag(set bool) string {
	if set {
		return "1"
	}
	return "0"
}
