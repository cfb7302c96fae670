// Package redisstore keeps members and directory in Redis.
//
//	tk:members       hash: boot -> what it tells of itself
//	tk:room:<id>     hash: o owner, e epoch, k kind, n key, l what listings show; w, if it was entered for want of a record: for which epoch
//	tk:key:<kind>/<key>  "<owner> <room>": who has the key
//	tk:own:<boot>    hash of rooms that may be this boot's: room -> the newest epoch in which it was to be; what its record says counts
//
// No command touches two keys, so it runs on Redis Cluster as it is. What a crash leaves half done is found again by whoever sweeps:
// a room is listed as its owner's before its record names it, and no more after its record names another. As a record's epoch only
// grows, whoever saw it name another owner in an epoch knows that nothing older can make it this boot's any more; so that is what is
// taken off the list, and what is being raised meanwhile stays on it.
//
// All methods may be called from any goroutine.
package redisstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"tickover.dev/cluster"
	"tickover.dev/codec"
	"tickover.dev/rooms"
)

// Store implements cluster.Members and cluster.Directory.
type Store struct {
	client redis.UniversalClient
	prefix string
}

var (
	_ cluster.Members   = (*Store)(nil)
	_ cluster.Directory = (*Store)(nil)
)

// New makes a store. prefix comes before every key; "" is "tk:".
func New(client redis.UniversalClient, prefix string) *Store {
	return &Store{client, cmp.Or(prefix, "tk:")}
}

func (s *Store) members() string             { return s.prefix + "members" }
func (s *Store) record(room rooms.ID) string { return s.prefix + "room:" + string(room) }
func (s *Store) key(kind, key string) string { return s.prefix + "key:" + kind + "/" + key }
func (s *Store) owned(b cluster.Boot) string { return s.prefix + "own:" + b.String() }
func holder(r cluster.Record) string         { return r.Owner.String() + " " + string(r.Room) }
func formatEpoch(e rooms.Epoch) string       { return strconv.FormatUint(uint64(e), 10) }
func wrap(what string, subject any, err error) error {
	return fmt.Errorf("%s %v: %w", what, subject, err)
}

// Beat implements cluster.Members.
func (s *Store) Beat(ctx context.Context, m cluster.Member) (members []cluster.Member, knew bool, err error) {
	told, err := codec.Append(nil, &m)
	if err != nil {
		return nil, false, wrap("encode member", m.Boot, err)
	}
	var added *redis.IntCmd
	var all *redis.MapStringStringCmd
	_, err = s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		added = p.HSet(ctx, s.members(), m.Boot.String(), told)
		all = p.HGetAll(ctx, s.members())
		return nil
	})
	if err != nil {
		return nil, false, wrap("heartbeat of", m.Boot, err)
	}
	members = make([]cluster.Member, 0, len(all.Val()))
	for boot, told := range all.Val() {
		var m cluster.Member
		if b, err := cluster.ParseBoot(boot); err != nil || codec.Decode([]byte(told), &m) != nil || m.Boot != b {
			continue // of a version that says it otherwise: it is not for us to judge
		}
		members = append(members, m)
	}
	slices.SortFunc(members, func(a, b cluster.Member) int { return cmp.Compare(a.Boot, b.Boot) })
	return members, added.Val() == 0, nil
}

// Leave implements cluster.Members.
func (s *Store) Leave(ctx context.Context, b cluster.Boot) error {
	if err := s.client.HDel(ctx, s.members(), b.String()).Err(); err != nil {
		return wrap("take off member", b, err)
	}
	return nil
}

// Register implements cluster.Directory.
func (s *Store) Register(ctx context.Context, r cluster.Record) (cluster.Record, error) {
	if r.Key != "" {
		held, err := s.takeKey(ctx, r)
		if err != nil {
			return cluster.Record{}, err
		}
		if held.Room != r.Room {
			now, err := s.Look(ctx, held.Room)
			if errors.Is(err, cluster.ErrNoRecord) {
				now, err = held, nil
			}
			return now, cmp.Or(err, cluster.ErrKeyTaken)
		}
	}
	return s.raise(ctx, r, "1")
}

// takeKey sets a room's key, if nobody has it, and gives who has.
func (s *Store) takeKey(ctx context.Context, r cluster.Record) (cluster.Record, error) {
	old, err := s.client.SetArgs(ctx, s.key(r.Kind, r.Key), holder(r), redis.SetArgs{Mode: "NX", Get: true}).Result()
	if errors.Is(err, redis.Nil) {
		return r, nil
	}
	if err != nil {
		return cluster.Record{}, wrap("take key", r.Key, err)
	}
	return parseHolder(old, r.Kind, r.Key)
}

func parseHolder(s, kind, key string) (cluster.Record, error) {
	owner, room, _ := strings.Cut(s, " ")
	b, err := cluster.ParseBoot(owner)
	if err != nil || room == "" {
		return cluster.Record{}, fmt.Errorf("key %s/%s is held by %q: %w", kind, key, s, errCorrupt)
	}
	return cluster.Record{Room: rooms.ID(room), Kind: kind, Key: key, Owner: b}, nil
}

var errCorrupt = errors.New("redisstore: not written by this program")

// raise writes a record unless it is as new, and gives what it was: owner, epoch, kind, key, and 1 if it was written. ARGV: the
// same, and 1 if a room that has no record is a new one.
var raise = redis.NewScript(`
local old = redis.call('HMGET', KEYS[1], 'o', 'e', 'k', 'n')
if old[1] and tonumber(old[2]) >= tonumber(ARGV[2]) then
	return {old[1], old[2], old[3], old[4], 0}
end
local kind, name = old[3] or ARGV[3], old[4] or ARGV[4]
redis.call('HSET', KEYS[1], 'o', ARGV[1], 'e', ARGV[2], 'k', kind, 'n', name)
if old[1] or ARGV[5] == '1' then
	redis.call('HDEL', KEYS[1], 'w')
else
	redis.call('HSET', KEYS[1], 'w', ARGV[2])
end
return {old[1] or '', ARGV[2], kind, name, 1}
`)

// Raise implements cluster.Directory.
func (s *Store) Raise(ctx context.Context, r cluster.Record) (cluster.Record, error) {
	return s.raise(ctx, r, "0")
}

func (s *Store) raise(ctx context.Context, r cluster.Record, isNew string) (cluster.Record, error) {
	if err := s.list(ctx, r); err != nil {
		return cluster.Record{}, wrap("raise room", r.Room, err)
	}
	reply, err := raise.Run(ctx, s.client, []string{s.record(r.Room)},
		r.Owner.String(), formatEpoch(r.Epoch), r.Kind, r.Key, isNew).Slice()
	if err != nil {
		return cluster.Record{}, wrap("raise room", r.Room, err)
	}
	if len(reply) != 5 {
		return cluster.Record{}, wrap("raise room", r.Room, errCorrupt)
	}
	was, _ := reply[0].(string)
	now := cluster.Record{Room: r.Room, Owner: r.Owner}
	if written, _ := reply[4].(int64); written == 0 {
		if now.Owner, err = cluster.ParseBoot(was); err != nil {
			return now, wrap("raise room", r.Room, err)
		}
		was = r.Owner.String() // it did not become its owner
	}
	now.Kind, _ = reply[2].(string)
	now.Key, _ = reply[3].(string)
	epoch, _ := reply[1].(string)
	n, err := strconv.ParseUint(epoch, 10, 64)
	if err != nil {
		return now, wrap("raise room", r.Room, err)
	}
	now.Epoch = rooms.Epoch(n)
	return now, s.settle(ctx, now, was)
}

// settle takes a room out of the set of the boot that it is not, or no more, of, and gives a room that was missing its key back.
func (s *Store) settle(ctx context.Context, now cluster.Record, other string) error {
	if other == "" && now.Key != "" {
		if _, err := s.takeKey(ctx, now); err != nil {
			return err
		}
	}
	if other == "" || other == now.Owner.String() {
		return nil
	}
	if err := unlist.Run(ctx, s.client, []string{s.prefix + "own:" + other}, formatEpoch(now.Epoch), string(now.Room)).Err(); err != nil {
		return wrap("raise room", now.Room, err)
	}
	return nil
}

// fields are those of a record.
var fields = []string{"o", "e", "k", "n", "l"}

// Look implements cluster.Directory.
func (s *Store) Look(ctx context.Context, room rooms.ID) (cluster.Record, error) {
	values, err := s.client.HMGet(ctx, s.record(room), fields...).Result()
	if err != nil {
		return cluster.Record{}, wrap("look for room", room, err)
	}
	return parseRecord(room, values)
}

func parseRecord(room rooms.ID, values []any) (cluster.Record, error) {
	var text [5]string
	for i := range min(len(values), len(text)) {
		text[i], _ = values[i].(string)
	}
	if text[0] == "" {
		return cluster.Record{Room: room}, cluster.ErrNoRecord
	}
	owner, err := cluster.ParseBoot(text[0])
	epoch, err2 := strconv.ParseUint(text[1], 10, 64)
	if err := cmp.Or(err, err2); err != nil {
		return cluster.Record{Room: room}, wrap("record of room", room, errors.Join(errCorrupt, err))
	}
	return cluster.Record{Room: room, Owner: owner, Epoch: rooms.Epoch(epoch), Kind: text[2], Key: text[3], Notice: text[4]}, nil
}

// Find implements cluster.Directory.
func (s *Store) Find(ctx context.Context, kind, key string) (cluster.Record, error) {
	held, err := s.client.Get(ctx, s.key(kind, key)).Result()
	if errors.Is(err, redis.Nil) {
		return cluster.Record{}, cluster.ErrNoRecord
	}
	if err != nil {
		return cluster.Record{}, wrap("find key", key, err)
	}
	r, err := parseHolder(held, kind, key)
	if err != nil {
		return r, err
	}
	now, err := s.Look(ctx, r.Room)
	if errors.Is(err, cluster.ErrNoRecord) {
		return r, nil
	}
	return now, err
}

// tell is sent as it is (EVAL): it is part of pipelines. ARGV: the owner, what listings show.
const tell = `
if redis.call('HGET', KEYS[1], 'o') == ARGV[1] then redis.call('HSET', KEYS[1], 'l', ARGV[2]) end
return 1
`

// Tell implements cluster.Directory.
func (s *Store) Tell(ctx context.Context, told []cluster.Record) error {
	for part := range slices.Chunk(told, chunk) {
		if _, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, r := range part {
				p.Eval(ctx, tell, []string{s.record(r.Room)}, r.Owner.String(), r.Notice)
			}
			return nil
		}); err != nil {
			return fmt.Errorf("tell of %d rooms: %w", len(part), err)
		}
	}
	return nil
}

// remove takes a record away unless it is newer than the given epoch, and tells so.
var remove = redis.NewScript(`
local epoch = redis.call('HGET', KEYS[1], 'e')
if epoch and tonumber(epoch) > tonumber(ARGV[1]) then return 0 end
redis.call('DEL', KEYS[1])
return 1
`)

// release takes a key away if it is held by the given room.
var release = redis.NewScript(`
local held = redis.call('GET', KEYS[1])
if held and string.sub(held, 10) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
`)

// Remove implements cluster.Directory.
func (s *Store) Remove(ctx context.Context, r cluster.Record) error {
	removed, err := remove.Run(ctx, s.client, []string{s.record(r.Room)}, formatEpoch(r.Epoch)).Int()
	if err != nil {
		return wrap("remove room", r.Room, err)
	}
	if removed == 0 {
		return nil
	}
	if r.Key != "" {
		if err := release.Run(ctx, s.client, []string{s.key(r.Kind, r.Key)}, string(r.Room)).Err(); err != nil {
			return wrap("remove room", r.Room, err)
		}
	}
	if err := unlist.Run(ctx, s.client, []string{s.owned(r.Owner)}, formatEpoch(r.Epoch), string(r.Room)).Err(); err != nil {
		return wrap("remove room", r.Room, err)
	}
	return nil
}
