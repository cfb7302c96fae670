package redisstore

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"

	"tickover.dev/cluster"
	"tickover.dev/rooms"
)

// This file is which rooms are listed as a boot's.

// list puts a room on a list, or raises its epoch there. ARGV: room, epoch.
var list = redis.NewScript(`
local old = redis.call('HGET', KEYS[1], ARGV[1])
if not old or tonumber(old) < tonumber(ARGV[2]) then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
return 1
`)

// unlist takes rooms off a list, but not those that are, or are to be, there in a newer epoch. ARGV: epoch, room, and so on.
var unlist = redis.NewScript(`
for i = 1, #ARGV, 2 do
	local epoch = redis.call('HGET', KEYS[1], ARGV[i + 1])
	if epoch and tonumber(epoch) <= tonumber(ARGV[i]) then redis.call('HDEL', KEYS[1], ARGV[i + 1]) end
end
return 1
`)

// list notes that a room is about to be its owner's.
func (s *Store) list(ctx context.Context, r cluster.Record) error {
	return list.Run(ctx, s.client, []string{s.owned(r.Owner)}, string(r.Room), formatEpoch(r.Epoch)).Err()
}

// chunk is about how many rooms are asked for in one round trip: no command keeps the store from others for long.
const chunk = 512

// Owned implements cluster.Directory. A list that changes meanwhile is read as it was, or as it is.
func (s *Store) Owned(ctx context.Context, b cluster.Boot) ([]cluster.Record, error) {
	var owned []cluster.Record
	for cursor := uint64(0); ; {
		page, next, err := s.client.HScan(ctx, s.owned(b), cursor, "", chunk).Result()
		if err != nil {
			return nil, wrap("rooms of", b, err)
		}
		for part := range slices.Chunk(page, 2*chunk) { // rooms and epochs in turns
			if owned, err = s.appendOwned(ctx, owned, b, part); err != nil {
				return nil, err
			}
		}
		if cursor = next; cursor == 0 {
			break
		}
	}
	byRoom := func(a, b cluster.Record) int { return cmp.Compare(a.Room, b.Room) }
	slices.SortFunc(owned, byRoom)
	return slices.CompactFunc(owned, func(a, b cluster.Record) bool { return byRoom(a, b) == 0 }), nil // a list that grows gives some twice
}

// appendOwned appends the records of those rooms that are a boot's. listed has a room, its epoch there, the next room, and so on.
func (s *Store) appendOwned(ctx context.Context, owned []cluster.Record, b cluster.Boot, listed []string) ([]cluster.Record, error) {
	answers := make([]*redis.SliceCmd, len(listed)/2)
	if _, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range answers {
			answers[i] = p.HMGet(ctx, s.record(rooms.ID(listed[2*i])), fields...)
		}
		return nil
	}); err != nil {
		return nil, wrap("rooms of", b, err)
	}
	var strays []any // the epoch that a record was seen to have, and the room
	for i := range answers {
		id := listed[2*i]
		r, err := parseRecord(rooms.ID(id), answers[i].Val())
		switch {
		case errors.Is(err, cluster.ErrNoRecord): // it was being entered, or removed
			owned = append(owned, cluster.Record{Room: rooms.ID(id), Owner: b, Epoch: parseEpoch(listed[2*i+1])})
		case err != nil:
			return nil, err
		case r.Owner == b:
			owned = append(owned, r)
		default:
			strays = append(strays, formatEpoch(r.Epoch), id)
		}
	}
	return owned, s.dropStrays(ctx, b, strays)
}

// parseEpoch reads an epoch of a list; 0: it is none.
func parseEpoch(s string) rooms.Epoch {
	n, _ := strconv.ParseUint(s, 10, 64)
	return rooms.Epoch(n)
}

// dropStrays takes rooms off a boot's list whose records name another. One that is being raised to this boot just now stays: its epoch
// there is newer than what its record was seen to have. (If that raise never comes, the room stays listed for nothing.)
func (s *Store) dropStrays(ctx context.Context, b cluster.Boot, strays []any) error {
	if len(strays) == 0 {
		return nil
	}
	if err := unlist.Run(ctx, s.client, []string{s.owned(b)}, strays...).Err(); err != nil {
		return wrap("rooms of", b, err)
	}
	return nil
}
