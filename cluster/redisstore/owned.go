package redisstore

import (
	"context"
	"errors"
	"maps"
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

// chunk is how many rooms are asked for in one round trip.
const chunk = 512

// Owned implements cluster.Directory.
func (s *Store) Owned(ctx context.Context, b cluster.Boot) ([]cluster.Record, error) {
	listed, err := s.client.HGetAll(ctx, s.owned(b)).Result()
	if err != nil {
		return nil, wrap("rooms of", b, err)
	}
	var owned []cluster.Record
	for part := range slices.Chunk(slices.Sorted(maps.Keys(listed)), chunk) {
		answers := make([]*redis.SliceCmd, len(part))
		if _, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, id := range part {
				answers[i] = p.HMGet(ctx, s.record(rooms.ID(id)), "o", "e", "k", "n")
			}
			return nil
		}); err != nil {
			return nil, wrap("rooms of", b, err)
		}
		var strays []any // the epoch that a record was seen to have, and the room
		for i, id := range part {
			r, err := parseRecord(rooms.ID(id), answers[i].Val())
			switch {
			case errors.Is(err, cluster.ErrNoRecord):
				owned = append(owned, cluster.Record{Room: rooms.ID(id), Owner: b, Epoch: parseEpoch(listed[id])}) // it was being entered, or removed
			case err != nil:
				return nil, err
			case r.Owner == b:
				owned = append(owned, r)
			default:
				strays = append(strays, formatEpoch(r.Epoch), id)
			}
		}
		if err := s.dropStrays(ctx, b, strays); err != nil {
			return nil, err
		}
	}
	return owned, nil
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
