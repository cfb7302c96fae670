package redisjournal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"tickover.dev/rooms"
)

// The field is read by every later version, and by the scripts, which know its places by number.
func TestPackedEntryIsAsDocumented(t *testing.T) {
	e := rooms.Entry{
		Kind: rooms.EntryDelta, Nonce: 0x0102030405060708, Prev: rooms.EntryID{Epoch: 0x11, Tick: 0x22}, Horizon: 0x33, Body: []byte("body"),
	}
	want := "\x01\x04\x01\x02\x03\x04\x05\x06\x07\x08" + "\x00\x00\x00\x00\x00\x00\x00\x11" + "\x00\x00\x00\x00\x00\x00\x00\x22" +
		"\x00\x00\x00\x00\x00\x00\x00\x33" + "body"
	if got := string(appendPacked(nil, &e)); got != want {
		t.Errorf("packed %q, want %q", got, want)
	}
}

// Whatever is read and written again must be the same bytes, and nothing that cannot be read may be taken for an entry.
func FuzzUnpack(f *testing.F) {
	f.Add(string(appendPacked(nil, &rooms.Entry{Kind: rooms.EntryCreate, Body: []byte("x")})), uint64(1))
	f.Add(string(appendPacked(nil, &rooms.Entry{Kind: tombKind})), uint64(tombEpoch))
	f.Add("", uint64(0))
	f.Add("\x02", uint64(0))
	f.Fuzz(func(t *testing.T, field string, epoch uint64) {
		e := rooms.Entry{ID: rooms.EntryID{Epoch: rooms.Epoch(epoch), Tick: 3}}
		if err := unpack(&e, field); err != nil {
			if !errors.Is(err, rooms.ErrCorrupt) && !errors.Is(err, rooms.ErrNewer) || e.Kind != 0 || e.Body != nil {
				t.Fatalf("%v, and %+v", err, e)
			}
			return
		}
		if again := appendPacked(nil, &e); !bytes.Equal(again, []byte(field)) {
			t.Fatalf("%q became %q", field, again)
		}
		if id, err := parseID(formatID(e.ID)); err != nil || id != e.ID {
			t.Fatalf("id %s became %s, %v", e.ID, id, err)
		}
	})
}

// A histogram that is off by one shows times that never were.
func TestLatencyBucketsHoldTheirTimes(t *testing.T) {
	var l Latency
	for i := range latencyBuckets {
		at := l.Bound(i)
		if got := bucket(at); got != i {
			t.Errorf("%s is in bucket %d, want %d", at, got, i)
		}
		if got := bucket(at + 1); got != i+1 {
			t.Errorf("a bit more than %s is in bucket %d, want %d", at, got, i+1)
		}
	}
	if bucket(-time.Second) != 0 || bucket(time.Hour) != latencyBuckets {
		t.Error("the ends")
	}
}

// redisError is an error reply.
type redisError string

func (e redisError) Error() string { return string(e) }
func (redisError) RedisError()     {}

// One answer that is understood wrongly drops a room that is well, or shows players what was never stored.
func TestEveryAnswerHasOneMeaning(t *testing.T) {
	const small = "ERR The ID specified in XADD is equal or smaller than the target stream top item"
	dial := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	for _, c := range []struct {
		name, value string
		err, exec   error
		want        rooms.Outcome
		tooSmall    bool
	}{
		{name: "our id", value: "5-1", want: rooms.Confirmed},
		{name: "our id, others failed", value: "5-1", exec: io.EOF, want: rooms.Confirmed},
		{name: "another id", value: "5-2", want: rooms.Unknown},
		{name: "nothing", want: rooms.Unknown},
		{name: "nothing, no connection", exec: dial, want: rooms.Refused},
		{name: "nothing, refused connection", exec: redisError("NOAUTH HELLO"), want: rooms.Refused},
		{name: "nothing, broken connection", exec: io.EOF, want: rooms.Unknown},
		{name: "created already", value: "exists", want: rooms.Fenced},
		{name: "buried", value: "gone", want: rooms.Gone},
		{name: "no stream", err: redis.Nil, want: rooms.Gone},
		{name: "too small", err: redisError(small), tooSmall: true},
		{name: "memory", err: redisError("OOM command not allowed"), want: rooms.Refused},
		{name: "disk", err: redisError("MISCONF Redis is configured to save"), want: rooms.Refused},
		{name: "replicas", err: redisError("NOREPLICAS Not enough good replicas"), want: rooms.Refused},
		{name: "replica", err: redisError("READONLY You can't write"), want: rooms.Refused},
		{name: "loading", err: redisError("LOADING Redis is loading"), want: rooms.Refused},
		{name: "busy", err: redisError("BUSY Redis is busy running a script"), want: rooms.Refused},
		{name: "moved", err: redisError("MOVED 1 h:1"), want: rooms.Refused},
		{name: "ask", err: redisError("ASK 1 h:1"), want: rooms.Refused},
		{name: "cluster", err: redisError("CLUSTERDOWN Hash slot not served"), want: rooms.Refused},
		{name: "try again", err: redisError("TRYAGAIN"), want: rooms.Refused},
		{name: "type", err: redisError("WRONGTYPE Operation"), want: rooms.Refused},
		{name: "dial", err: fmt.Errorf("wrapped: %w", dial), want: rooms.Refused},
		{name: "pool", err: redis.ErrPoolTimeout, want: rooms.Refused},
		{name: "closed", err: redis.ErrClosed, want: rooms.Refused},
		{name: "reset", err: &net.OpError{Op: "read", Err: syscall.ECONNRESET}, want: rooms.Unknown},
		{name: "pipe", err: &net.OpError{Op: "write", Err: syscall.EPIPE}, want: rooms.Unknown},
		{name: "timeout", err: os.ErrDeadlineExceeded, want: rooms.Unknown},
		{name: "context", err: context.DeadlineExceeded, want: rooms.Unknown},
		{name: "end", err: io.ErrUnexpectedEOF, want: rooms.Unknown},
	} {
		reply := redis.NewStringCmd(t.Context())
		reply.SetVal(c.value)
		reply.SetErr(c.err)
		v := judge(reply, "5-1", c.exec)
		if v.Outcome != c.want || v.tooSmall != c.tooSmall {
			t.Errorf("%s: %s, too small %t", c.name, v.Outcome, v.tooSmall)
		}
		if explained := v.Outcome == rooms.Refused || v.Outcome == rooms.Unknown; explained != (v.Err != nil) {
			t.Errorf("%s: %s with error %v", c.name, v.Outcome, v.Err)
		}
	}
}
