package redisstore

import (
	"context"
	"strconv"

	"github.com/redis/go-redis/v9"

	"tickover.dev/cluster"
	"tickover.dev/rooms"
)

// This file is how rooms are entered again that were lost (docs/failover/RULES.md, R19).

const (
	answerGone = "gone"
	answerLost = "lost"
	answerNone = "none"
)

// enter writes a record where there is none, or one that was entered for an epoch that is not newer. It answers the record's new epoch.
// ARGV: owner, epoch, kind, key, the epoch before.
var enter = redis.NewScript(`
local old = redis.call('HMGET', KEYS[1], 'o', 'e', 'w')
local before, epoch = tonumber(ARGV[5]), tonumber(ARGV[2])
if old[1] then
	if not old[3] or tonumber(old[3]) > before then
		return tonumber(old[2]) > before and 'lost' or 'gone'
	end
	epoch = math.max(epoch, tonumber(old[2]) + 1)
end
epoch = string.format('%.0f', epoch)
redis.call('HSET', KEYS[1], 'o', ARGV[1], 'e', epoch, 'k', ARGV[3], 'n', ARGV[4], 'w', ARGV[5])
return epoch
`)

// settle makes a record like any other, and answers its epoch and its key. ARGV: owner.
var settle = redis.NewScript(`
local now = redis.call('HMGET', KEYS[1], 'o', 'e', 'n')
if not now[1] then return {'none', ''} end
if now[1] ~= ARGV[1] then return {'lost', ''} end
redis.call('HDEL', KEYS[1], 'w')
return {now[2], now[3] or ''}
`)

// Enter implements cluster.Directory.
func (s *Store) Enter(ctx context.Context, r cluster.Record, was rooms.Epoch) (cluster.Record, error) {
	if r.Key != "" {
		held, err := s.takeKey(ctx, r)
		if err != nil {
			return cluster.Record{}, err
		}
		if held.Room != r.Room {
			r.Key = ""
		}
	}
	if err := s.list(ctx, r); err != nil {
		return cluster.Record{}, wrap("enter room", r.Room, err)
	}
	epoch, err := enter.Run(ctx, s.client, []string{s.record(r.Room)},
		r.Owner.String(), formatEpoch(r.Epoch), r.Kind, r.Key, formatEpoch(was)).Text()
	if err != nil {
		return cluster.Record{}, wrap("enter room", r.Room, err)
	}
	now, err := entered(r, epoch)
	if err == nil && now.Epoch != r.Epoch { // it may have been taken off the list by whoever saw the record that it overruled
		if err := s.list(ctx, now); err != nil {
			return cluster.Record{}, wrap("enter room", r.Room, err)
		}
	}
	return now, err
}

// Settle implements cluster.Directory.
func (s *Store) Settle(ctx context.Context, r cluster.Record) (cluster.Record, error) {
	reply, err := settle.Run(ctx, s.client, []string{s.record(r.Room)}, r.Owner.String()).StringSlice()
	if err != nil {
		return cluster.Record{}, wrap("settle room", r.Room, err)
	}
	if len(reply) != 2 {
		return cluster.Record{}, wrap("settle room", r.Room, errCorrupt)
	}
	r.Key = reply[1]
	return entered(r, reply[0])
}

// entered is what a script has answered.
func entered(r cluster.Record, answer string) (cluster.Record, error) {
	switch answer {
	case answerGone:
		return cluster.Record{}, rooms.ErrGone
	case answerLost:
		return cluster.Record{}, rooms.ErrClaimLost
	case answerNone:
		return cluster.Record{}, cluster.ErrNoRecord
	}
	epoch, err := strconv.ParseUint(answer, 10, 64)
	if err != nil {
		return cluster.Record{}, wrap("enter room", r.Room, err)
	}
	r.Epoch = rooms.Epoch(epoch)
	return r, nil
}
