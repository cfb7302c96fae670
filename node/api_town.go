package node

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"tickover.dev/cluster"
	"tickover.dev/placement"
	"tickover.dev/rooms"
	"tickover.dev/rooms/host"
	"tickover.dev/sessions"
	"tickover.dev/sessions/redissessions"
)

// town is what the HTTP API tells of: this node alone, or its cluster. Errors are those of placement.Rooms.
type town interface {
	// Members gives the living nodes.
	Members() []cluster.Member
	Look(ctx context.Context, room rooms.ID) (cluster.Record, error)
	Find(ctx context.Context, kind, key string) (cluster.Record, error)
	List(ctx context.Context, q placement.Query) (placement.Page, error)
	Signal(ctx context.Context, room rooms.ID, s placement.Signal) (placement.Answer, error)
	// Of gives the sessions of a player. A record's Node is a boot.
	Of(ctx context.Context, player string) ([]sessions.Record, error)
}

// city is a cluster.
type city struct {
	*placement.Rooms
	sessions *redissessions.Store
}

// Members implements town. What this node has is told as it is now, what others have as they told last.
func (c city) Members() []cluster.Member {
	living := slices.Clone(c.Cluster.Sight().Living)
	for i := range living {
		if m := &living[i]; m.Boot == c.Cluster.Self() {
			m.Rooms, m.Connections = c.Local.Load()
		}
	}
	return living
}

// Of implements town.
func (c city) Of(ctx context.Context, player string) ([]sessions.Record, error) {
	rs, err := c.sessions.Of(ctx, player)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", sessions.ErrUnavailable, err)
	}
	return rs, nil
}

// village is a node that is alone.
type village struct {
	node    *Node
	signals placement.Signals
}

// Members implements town.
func (v *village) Members() []cluster.Member {
	n := v.node
	return []cluster.Member{{
		Boot: n.boot, Name: n.name, Rooms: n.rooms.Len(), Connections: int(n.hub.Stats().Connections.Load()),
		Leaving: n.state.Load() == stateOver, Version: version(),
	}}
}

func (v *village) record(h *host.Handle) cluster.Record {
	return placement.RecordOf(h, v.node.boot)
}

// room finds a room, or tells of its end.
func (v *village) room(id rooms.ID) (*host.Handle, error) {
	if h, ok := v.node.rooms.Room(id); ok {
		return h, nil
	}
	if t, ok := v.node.rooms.Tomb(id); ok {
		return nil, &sessions.EndedError{Tomb: t}
	}
	return nil, remembered{journal: v.node.journal}.recall(id, sessions.ErrUnknownRoom)
}

// Look implements town.
func (v *village) Look(_ context.Context, id rooms.ID) (cluster.Record, error) {
	h, err := v.room(id)
	if err != nil {
		return cluster.Record{}, err
	}
	return v.record(h), nil
}

// Find implements town.
func (v *village) Find(_ context.Context, kind, key string) (cluster.Record, error) {
	h, ok := v.node.rooms.Find(kind, key)
	if !ok {
		return cluster.Record{}, sessions.ErrUnknownKey
	}
	return v.record(h), nil
}

// List implements town.
func (v *village) List(ctx context.Context, q placement.Query) (placement.Page, error) {
	return placement.List(ctx, []cluster.Boot{v.node.boot}, func(context.Context, cluster.Boot) ([]cluster.Record, error) {
		handles := v.node.rooms.Handles()
		all := make([]cluster.Record, len(handles))
		for i, h := range handles {
			all[i] = v.record(h)
		}
		return all, nil
	}, q)
}

// Signal implements town.
func (v *village) Signal(ctx context.Context, id rooms.ID, s placement.Signal) (placement.Answer, error) {
	return v.signals.Ask(ctx, id, 0, s, func(m *rooms.Mail) error {
		h, err := v.room(id)
		if err != nil {
			return err
		}
		if err = h.Post(m); errors.Is(err, rooms.ErrGone) { // the node stops
			err = sessions.ErrUnavailable
		}
		return err
	})
}

// Of implements town.
func (v *village) Of(_ context.Context, player string) ([]sessions.Record, error) {
	rs := v.node.registry.Of(player)
	for i := range rs {
		rs[i].Node = v.node.boot.String()
	}
	return rs, nil
}

// ear is a sink that hears the answers to a village's signals on their way to its players, who get none of them.
type ear struct {
	host.Sink
	signals *placement.Signals
}

// Deliver implements host.Sink.
func (e ear) Deliver(frames []*rooms.Frame) {
	for _, f := range frames {
		e.signals.Take(f, 0)
	}
	e.Sink.Deliver(frames)
}
