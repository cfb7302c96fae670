package placement

import (
	"context"
	"maps"
	"time"

	"tickover.dev/cluster"
	"tickover.dev/rooms"
)

// This file is what other nodes' listings show of this node's rooms. It is told by way of the directory: so that a list costs nobody but
// the store.

const (
	tellRoomsEvery = time.Second
	maxToldAtOnce  = 512 // rooms; the rest waits for the next time
)

// tellRooms tells the directory what has changed about this node's rooms, until ctx ends.
func (r *Rooms) tellRooms(ctx context.Context) {
	tick := time.NewTicker(tellRoomsEvery)
	defer tick.Stop()
	told := map[rooms.ID]*rooms.Notice{}
	for {
		select {
		case <-tick.C:
			r.tellNews(ctx, told)
		case <-ctx.Done():
			return
		}
	}
}

// tellNews tells what told does not have, and notes it there.
func (r *Rooms) tellNews(ctx context.Context, told map[rooms.ID]*rooms.Notice) {
	var news []cluster.Record
	notices := map[rooms.ID]*rooms.Notice{}
	here := map[rooms.ID]bool{}
	for _, h := range r.Host.Handles() {
		here[h.ID] = true
		if n := h.Notice(); n != nil && n != told[h.ID] && len(news) < maxToldAtOnce {
			news, notices[h.ID] = append(news, r.Local.record(h)), n
		}
	}
	for id := range told {
		if !here[id] {
			delete(told, id)
		}
	}
	if len(news) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, tellRoomsEvery)
	defer cancel()
	if r.Directory.Tell(ctx, news) != nil {
		return // the next time
	}
	maps.Copy(told, notices)
}
