package placement

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"tickover.dev/cluster"
	"tickover.dev/rooms"
	"tickover.dev/sessions"
)

// This file is what rooms there are, for people and programs that ask from outside. It costs the directory more than finding one room
// does, and so it is bounded at every step.

// Query asks for a page of rooms.
type Query struct {
	Kind  string // "": of any kind
	After string // Page.Next of the page before; "" for the first
	Limit int    // rooms in the page at most; more than 0
}

// Page is a part of a list. It may have fewer rooms than asked for, or none, and yet not be the last.
type Page struct {
	Rooms []cluster.Record
	Next  string // "" behind the last
}

// ErrBadCursor is a Query.After that no page has given.
var ErrBadCursor = errors.New("this is not where a page ends")

// What one page looks at, at most: it ends early behind that.
const (
	maxPageRecords = 20_000
	maxPageOwners  = 8
)

// List gives a page of the rooms of these owners, by owner and then by id. owned lists what one of them has, in any order. A room that
// changes hands while somebody goes from page to page may be in two of them, or in none.
func List(ctx context.Context, owners []cluster.Boot, owned func(context.Context, cluster.Boot) ([]cluster.Record, error), q Query) (p Page, err error) {
	from, behind, err := parseCursor(q.After)
	if err != nil {
		return p, err
	}
	owners = slices.Sorted(slices.Values(owners))
	seen, asked := 0, 0
	for _, b := range owners {
		if b < from {
			continue
		}
		if b > from {
			behind = ""
		}
		if asked++; asked > maxPageOwners {
			p.Next = cursor(b, "")
			return p, nil
		}
		all, err := owned(ctx, b)
		if err != nil {
			return Page{}, unreachable(err)
		}
		for _, at := range sorted(all) {
			switch {
			case at.Room <= behind:
				continue
			case len(p.Rooms) == q.Limit || seen == maxPageRecords:
				p.Next = cursor(b, behind)
				return p, nil
			}
			seen++
			behind = at.Room
			if at.Kind != "" && (q.Kind == "" || q.Kind == at.Kind) { // without a kind it is just being entered, or removed
				p.Rooms = append(p.Rooms, at)
			}
		}
	}
	return p, nil
}

// sorted gives records by room. Those that are sorted already stay as they are: they may be shared.
func sorted(all []cluster.Record) []cluster.Record {
	byRoom := func(a, b cluster.Record) int { return cmp.Compare(a.Room, b.Room) }
	if slices.IsSortedFunc(all, byRoom) {
		return all
	}
	all = slices.Clone(all)
	slices.SortFunc(all, byRoom)
	return all
}

func cursor(b cluster.Boot, behind rooms.ID) string { return b.String() + "." + string(behind) }

func parseCursor(s string) (b cluster.Boot, behind rooms.ID, err error) {
	if s == "" {
		return 0, "", nil
	}
	boot, room, found := strings.Cut(s, ".")
	b, err = cluster.ParseBoot(boot)
	if err != nil || !found || room != "" && !rooms.ValidName(room) {
		return 0, "", ErrBadCursor
	}
	return b, rooms.ID(room), nil
}

func unreachable(err error) error { return fmt.Errorf("%w: %w", sessions.ErrUnavailable, err) }

// Look gives the record of a room, whoever has it. Errors are sessions.ErrUnknownRoom, *sessions.EndedError and
// sessions.ErrUnavailable.
func (r *Rooms) Look(ctx context.Context, room rooms.ID) (cluster.Record, error) {
	if h, ok := r.Host.Room(room); ok {
		return r.Local.record(h), nil
	}
	at, err := r.Directory.Look(ctx, room)
	if errors.Is(err, cluster.ErrNoRecord) {
		err = r.tomb(ctx, room)
		if !errors.Is(err, errNotYet) {
			return cluster.Record{}, err
		}
	}
	if err != nil {
		return cluster.Record{}, unreachable(err)
	}
	return at, nil
}

// Find gives the record of the room that has a kind's key. Errors are sessions.ErrUnknownKey and sessions.ErrUnavailable.
func (r *Rooms) Find(ctx context.Context, kind, key string) (cluster.Record, error) {
	at, err := r.Directory.Find(ctx, kind, key)
	switch {
	case errors.Is(err, cluster.ErrNoRecord):
		return cluster.Record{}, sessions.ErrUnknownKey
	case err != nil:
		return cluster.Record{}, unreachable(err)
	}
	return at, nil
}

// List gives a page of the rooms of all living nodes, as the directory has them. What it says may be a second old. Errors are
// ErrBadCursor and sessions.ErrUnavailable.
func (r *Rooms) List(ctx context.Context, q Query) (Page, error) {
	var owners []cluster.Boot
	for _, m := range r.Cluster.Sight().Living {
		owners = append(owners, m.Boot)
	}
	return List(ctx, owners, r.owned, q)
}

func (r *Rooms) owned(ctx context.Context, b cluster.Boot) ([]cluster.Record, error) {
	return r.census.of(ctx, b, func(ctx context.Context) ([]cluster.Record, error) {
		if b == r.Cluster.Self() {
			return r.Local.All(), nil
		}
		return r.Directory.Owned(ctx, b)
	})
}

// census remembers for a second what owners have, so that whoever turns page after page costs the directory little. One owner's rooms
// are asked for at a time: it holds what can be read in a second.
type census struct {
	turn chan struct{} // holds one while somebody counts; guards counted
	// Guarded by turn.
	counted map[cluster.Boot]count
}

type count struct {
	at    time.Time
	rooms []cluster.Record // sorted
}

const censusTTL = time.Second

func newCensus() *census {
	return &census{turn: make(chan struct{}, 1), counted: map[cluster.Boot]count{}}
}

func (c *census) of(ctx context.Context, b cluster.Boot, ask func(context.Context) ([]cluster.Record, error)) ([]cluster.Record, error) {
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-c.turn }()
	for boot, n := range c.counted {
		if time.Since(n.at) >= censusTTL {
			delete(c.counted, boot)
		}
	}
	if n, ok := c.counted[b]; ok {
		return n.rooms, nil
	}
	all, err := ask(ctx)
	if err != nil {
		return nil, err
	}
	all = sorted(all)
	c.counted[b] = count{time.Now(), all}
	return all, nil
}
