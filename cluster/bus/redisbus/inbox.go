package redisbus

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"tickover.dev/cluster"
)

const (
	block     = time.Second             // how long Redis waits for packets, so how late the end of a context is seen
	patience  = 1500 * time.Millisecond // beyond it, for an answer: a dead server is noticed after so long
	readCount = 64                      // packets at once: some hundred KB of usual ones, 64 MiB at the very most
)

// inbox implements bus.Inbox.
type inbox struct {
	bus     *Bus
	owner   cluster.Boot
	key     string
	read    position // of the newest packet that was read
	trimmed position // up to there, that one excluded
	lost    bool     // something was, and Tend has not told it yet
	packets [][]byte
	buf     []byte // where they are
}

// position is the id of a stream's entry.
type position struct{ ms, seq uint64 }

func (p position) before(q position) bool { return p.ms < q.ms || p.ms == q.ms && p.seq < q.seq }

func (p position) String() string {
	return strconv.FormatUint(p.ms, 10) + "-" + strconv.FormatUint(p.seq, 10)
}

func parsePosition(s string) (p position, err error) {
	ms, seq, _ := strings.Cut(s, "-")
	var errs [2]error
	p.ms, errs[0] = strconv.ParseUint(ms, 10, 64)
	p.seq, errs[1] = strconv.ParseUint(seq, 10, 64)
	return p, errors.Join(errs[:]...)
}

// make makes the stream, with an entry that is no packet. There may be one already, if the answer to an earlier try was lost.
func (in *inbox) make(ctx context.Context) error {
	in.read, in.trimmed = position{}, position{}
	_, err := in.bus.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.XAdd(ctx, &redis.XAddArgs{Stream: in.key, Values: []any{field, ""}})
		p.PExpire(ctx, in.key, in.bus.config.Expiry)
		return nil
	})
	if err != nil {
		return in.failed("make", in.bus.client, err)
	}
	return nil
}

func (in *inbox) failed(what string, client redis.UniversalClient, err error) error {
	if isStray(err) {
		in.bus.lookAround(context.Background(), client)
	}
	return wrap(what, in.owner, err)
}

// Read implements bus.Inbox.
func (in *inbox) Read(ctx context.Context) ([][]byte, error) {
	within, cancel := context.WithTimeout(ctx, block+patience)
	defer cancel()
	streams, err := in.bus.blocking.XRead(within, &redis.XReadArgs{
		Streams: []string{in.key, in.read.String()}, Count: readCount, Block: block,
	}).Result()
	if errors.Is(err, redis.Nil) || err == nil && len(streams) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, in.failed("read", in.bus.blocking, err)
	}
	entries := streams[0].Messages
	in.packets, in.buf = in.packets[:0], in.buf[:0]
	for _, e := range entries {
		at := len(in.buf)
		packet, _ := e.Values[field].(string)
		in.buf = append(in.buf, packet...)
		if packet != "" {
			in.packets = append(in.packets, in.buf[at:len(in.buf):len(in.buf)])
		}
	}
	if cap(in.buf) > 1<<20 {
		in.buf = nil // it was a burst
	}
	read, err := parsePosition(entries[len(entries)-1].ID)
	if err != nil {
		return in.packets, wrap("read", in.owner, err)
	}
	in.read = read
	return in.packets, nil
}

// Tend implements bus.Inbox. A stream whose newest id is below what was read has lost its end in a fail-over. What is added to it may
// get ids that were read already: so it is read anew, from its start. That is why it is not trimmed before this was looked at.
func (in *inbox) Tend(ctx context.Context) (lost bool, err error) {
	last, exists, err := in.keep(ctx)
	switch {
	case err != nil:
		return false, err
	case !exists:
		in.lost = true
		if err := in.make(ctx); err != nil {
			return false, err
		}
	case last.before(in.read):
		in.lost = true
		in.read, in.trimmed = position{}, position{}
	case in.trimmed != in.read:
		if err := in.bus.client.XTrimMinID(ctx, in.key, in.read.String()).Err(); err != nil {
			return false, in.failed("trim", in.bus.client, err)
		}
		in.trimmed = in.read
	}
	lost, in.lost = in.lost, false
	return lost, nil
}

// keep puts the stream's expiry off, and gives its newest id.
func (in *inbox) keep(ctx context.Context) (last position, exists bool, err error) {
	var kept *redis.BoolCmd
	var info *redis.XInfoStreamCmd
	_, err = in.bus.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		kept = p.PExpire(ctx, in.key, in.bus.config.Expiry)
		info = p.XInfoStream(ctx, in.key)
		return nil
	})
	switch {
	case err == nil:
		last, err = parsePosition(info.Val().LastGeneratedID)
		exists = true
	case kept.Err() == nil && !kept.Val() && redis.HasErrorPrefix(info.Err(), "no such key"):
		err = nil
	}
	if err != nil {
		err = in.failed("keep", in.bus.client, err)
	}
	return last, exists, err
}

// Close implements bus.Inbox.
func (in *inbox) Close(ctx context.Context) error {
	if err := in.bus.client.Del(ctx, in.key).Err(); err != nil {
		return in.failed("take away", in.bus.client, err)
	}
	return nil
}
