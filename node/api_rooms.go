package node

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"tickover.dev/cluster"
	"tickover.dev/placement"
	"tickover.dev/rooms"
	"tickover.dev/rooms/host"
	"tickover.dev/sessions"
)

// This file is what the HTTP API says of nodes and rooms.

const (
	usualPage     = 100
	largestPage   = 500
	maxNameBytes  = 64              // of a signal's name and id
	signalsWithin = 5 * time.Second // an answer
)

func (a *api) listKinds(*http.Request) (any, error) {
	type kind struct {
		Name       string  `json:"name"`
		RateHz     int     `json:"rate_hz"`
		Seats      int     `json:"seats"`
		Version    int     `json:"version"`
		Durability string  `json:"durability"`
		GraceSec   float64 `json:"grace_seconds"`
		Hidden     bool    `json:"hidden,omitempty"`
	}
	list := []kind{}
	for _, k := range a.node.kinds() {
		list = append(list, kind{k.Name, k.RateHz, k.Seats, k.Version, k.Durability.String(), k.Grace.Seconds(), k.Hidden})
	}
	return map[string]any{"kinds": list}, nil
}

func (a *api) listNodes(*http.Request) (any, error) {
	type member struct {
		Name        string `json:"name"`
		Boot        string `json:"boot"`
		Rooms       int    `json:"rooms"`
		Connections int    `json:"connections"`
		Version     string `json:"version"`
		Leaving     bool   `json:"leaving"`
		Self        bool   `json:"self"`
	}
	list := []member{}
	for _, m := range a.Members() {
		list = append(list, member{m.Name, m.Boot.String(), m.Rooms, m.Connections, m.Version, m.Leaving, m.Boot == a.node.boot})
	}
	slices.SortFunc(list, func(a, b member) int { return strings.Compare(a.Name+" "+a.Boot, b.Name+" "+b.Boot) })
	return map[string]any{"nodes": list}, nil
}

// place is a room as the API shows it.
type place struct {
	ID    rooms.ID    `json:"id"`
	Kind  string      `json:"kind"`
	Key   string      `json:"key"`
	Node  string      `json:"node"` // "": its owner is dead, and it has no other yet
	Boot  string      `json:"boot"`
	Epoch rooms.Epoch `json:"epoch"`

	Players  *int            `json:"players,omitempty"` // nil, as all that follows: not told yet
	Seats    *int            `json:"seats,omitempty"`
	Locked   *bool           `json:"locked,omitempty"`
	Metadata json.RawMessage `json:"metadata,omitempty"` // nil also if there is none
}

// names gives the names of living nodes.
func (a *api) names() map[cluster.Boot]string {
	names := map[cluster.Boot]string{}
	for _, m := range a.Members() {
		names[m.Boot] = m.Name
	}
	return names
}

func placeOf(r cluster.Record, names map[cluster.Boot]string) place {
	p := place{ID: r.Room, Kind: r.Kind, Key: r.Key, Node: names[r.Owner], Boot: r.Owner.String(), Epoch: r.Epoch}
	if n, err := rooms.DecodeNotice([]byte(r.Notice)); err == nil {
		p.Players, p.Seats, p.Locked = &n.Taken, &n.Seats, &n.Locked
		if len(n.Metadata) > 0 {
			p.Metadata = toJSON(n.Metadata)
		}
	}
	return p
}

func (a *api) listRooms(r *http.Request) (any, error) {
	query := r.URL.Query()
	q, key := placement.Query{Kind: query.Get("kind"), After: query.Get("after"), Limit: usualPage}, query.Get("key")
	if text := query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > largestPage {
			return nil, wrong("limit", "want 1 to "+strconv.Itoa(largestPage))
		}
		q.Limit = n
	}
	switch {
	case q.Kind != "" && !rooms.ValidName(q.Kind):
		return nil, wrong("kind", "no kind of room has such a name")
	case key != "" && !rooms.ValidName(key):
		return nil, wrong("key", host.ErrBadKey.Error())
	case key != "" && q.Kind == "":
		return nil, wrong("kind", "a key is one of a kind: say which")
	}
	var page placement.Page
	err := a.ask(r, func(ctx context.Context) (err error) {
		if key == "" {
			page, err = a.List(ctx, q)
			return err
		}
		at, err := a.Find(ctx, q.Kind, key)
		if errors.Is(err, sessions.ErrUnknownKey) {
			return nil
		}
		page.Rooms = append(page.Rooms, at)
		return err
	})
	if errors.Is(err, placement.ErrBadCursor) {
		return nil, wrong("after", err.Error()+": take it from next of the page before")
	}
	if err != nil {
		return nil, about(err)
	}
	names, list := a.names(), make([]place, len(page.Rooms))
	for i, at := range page.Rooms {
		list[i] = placeOf(at, names)
	}
	return map[string]any{"rooms": list, "next": page.Next}, nil
}

// roomID gives the room that a path names.
func roomID(r *http.Request) (rooms.ID, error) {
	id := r.PathValue("id")
	if !rooms.ValidName(id) {
		return "", wrong("id", "no room has such an id")
	}
	return rooms.ID(id), nil
}

func (a *api) showRoom(r *http.Request) (any, error) {
	id, err := roomID(r)
	if err != nil {
		return nil, err
	}
	var at cluster.Record
	err = a.ask(r, func(ctx context.Context) (err error) {
		at, err = a.Look(ctx, id)
		return err
	})
	if err != nil {
		return nil, about(err)
	}
	return placeOf(at, a.names()), nil
}

// signalled is the answer to a signal.
type signalled struct {
	ID    string          `json:"id"`
	Value json.RawMessage `json:"value"`
	// Duplicate: the room had the signal before this request, or before this request's last try, and the answer went with that.
	Duplicate bool `json:"duplicate,omitempty"`
}

func (a *api) signalRoom(r *http.Request) (any, error) {
	room, err := roomID(r)
	if err != nil {
		return nil, err
	}
	s, err := readSignal(r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), signalsWithin)
	defer cancel()
	defer context.AfterFunc(a.ctx, cancel)()
	answer, err := a.Signal(ctx, room, s)
	switch {
	case errors.Is(err, placement.ErrManySignals):
		return nil, &problem{Status: http.StatusServiceUnavailable, Code: "overloaded", Detail: err.Error() + ": try again", retryAfter: 1}
	case errors.Is(err, sessions.ErrUnavailable) && ctx.Err() != nil:
		return nil, &problem{
			Status: http.StatusGatewayTimeout, Code: "timeout", retryAfter: 1,
			Detail: "the room has not answered: it may have taken the signal or not; send it again with the id " + s.ID,
		}
	case err != nil:
		return nil, about(err)
	case answer.Code != "":
		return nil, &problem{Status: http.StatusUnprocessableEntity, Code: "refused", Refusal: answer.Code, Detail: answer.Why}
	case answer.Before:
		return signalled{ID: s.ID, Value: toJSON(nil), Duplicate: true}, nil
	}
	return signalled{ID: s.ID, Value: toJSON(answer.Value)}, nil
}

const signalShape = "want one JSON object with id, name and body"

// readSignal reads the body of a request.
func readSignal(r *http.Request) (s placement.Signal, err error) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return s, &problem{Status: http.StatusUnsupportedMediaType, Code: "bad_media_type", Detail: "want Content-Type: application/json", Field: "Content-Type"}
	}
	var body struct {
		ID   string          `json:"id"`
		Name string          `json:"name"`
		Body json.RawMessage `json:"body"`
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err = d.Decode(&body); err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("there is something behind the object")
		}
	}
	_, tooLarge := errors.AsType[*http.MaxBytesError](err)
	wrongType, isWrongType := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case tooLarge:
		return s, &problem{Status: http.StatusRequestEntityTooLarge, Code: "too_large", Detail: "want at most 64 KiB"}
	case isWrongType && wrongType.Field != "":
		return s, wrong("#/"+wrongType.Field, "want a string, not a "+wrongType.Value)
	case isWrongType:
		return s, wrong("", signalShape)
	case err != nil:
		return s, wrong("", signalShape+": "+err.Error())
	case body.Name == "" || len(body.Name) > maxNameBytes:
		return s, wrong("#/name", "want 1 to 64 bytes")
	case len(body.ID) > maxNameBytes:
		return s, wrong("#/id", "want at most 64 bytes")
	}
	s = placement.Signal{ID: body.ID, Name: body.Name}
	if s.ID == "" {
		s.ID = string(host.NewID())
	}
	if s.Body, err = toMsgpack(body.Body); err != nil {
		return s, wrong("#/body", err.Error())
	}
	return s, nil
}
