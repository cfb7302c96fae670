package redisjournal

import (
	"bytes"
	"errors"
	"testing"
	"time"

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
			if !errors.Is(err, rooms.ErrCorrupt) || e.Kind != 0 || e.Body != nil {
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
