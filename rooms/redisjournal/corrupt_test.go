package redisjournal_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"tickover.dev/redisconn/redistest"
	"tickover.dev/rooms"
	"tickover.dev/rooms/redisjournal"
)

// Bytes that cannot be read must not be played on, and must not be thrown away: the room is put aside.
func TestCorruptEntryIsSaidSoAndKept(t *testing.T) {
	s := redistest.Start(t)
	j := newJournal(t, s.URL())
	for name, field := range map[string]string{
		"short": "\x01\x03abc", "empty": "", "never": "\x00" + string(make([]byte, 60)), "kind": "\x01\x63" + string(make([]byte, 32)),
	} {
		room := fresh()
		key := "tk:j:{" + string(room) + "}"
		want(t, j, entry(room, 5, 1, rooms.EntryCreate), rooms.Confirmed)
		s.Do("xadd", key, "5-2", "e", field)
		if v, err := j.Top(t.Context(), room); err != nil || v != (rooms.Top{ID: rooms.EntryID{Epoch: 5, Tick: 2}}) {
			t.Errorf("%s: top %+v, %v", name, v, err)
		}
		epoch, err := j.Claim(t.Context(), room, 5, 70)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if es, err := j.Load(t.Context(), room, epoch); !errors.Is(err, rooms.ErrCorrupt) {
			t.Errorf("%s: loaded %+v, %v", name, es, err)
		}
		if err := j.Quarantine(t.Context(), room, epoch, []byte("end"), time.Minute); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if n := s.Do("xlen", "tk:q:{"+string(room)+"}"); n != int64(3) {
			t.Errorf("%s: %v entries are kept", name, n)
		}
		if ttl := s.Do("pttl", "tk:q:{"+string(room)+"}").(int64); time.Duration(ttl)*time.Millisecond < 71*time.Hour {
			t.Errorf("%s: kept for %d ms", name, ttl)
		}
		if end, err := j.Tomb(t.Context(), room); err != nil || string(end) != "end" {
			t.Errorf("%s: tombstone %q, %v", name, end, err)
		}
		if err := j.Quarantine(t.Context(), room, epoch, nil, time.Minute); err != nil {
			t.Errorf("%s: sent again: %v", name, err)
		}
	}
}

// What a newer version has written is well: it must not be taken for corrupt, which would be the end of its room.
func TestANewerFormatIsNotCorrupt(t *testing.T) {
	s := redistest.Start(t)
	j := newJournal(t, s.URL())
	room := fresh()
	want(t, j, entry(room, 5, 1, rooms.EntryCreate), rooms.Confirmed)
	s.Do("xadd", "tk:j:{"+string(room)+"}", "5-2", "e", "\x02"+string(make([]byte, 60)))
	epoch, err := j.Claim(t.Context(), room, 5, 70)
	if err != nil {
		t.Fatal(err)
	}
	if es, err := j.Load(t.Context(), room, epoch); !errors.Is(err, rooms.ErrNewer) || errors.Is(err, rooms.ErrCorrupt) {
		t.Errorf("loaded %+v, %v", es, err)
	}
}

// A journal that was never trimmed must not take a node's memory with it.
func TestLoadIsBounded(t *testing.T) {
	s := redistest.Start(t)
	j := redisjournal.New(open(t, s.URL()), redisjournal.Config{MaxJournalBytes: 1 << 20, Prefix: "other:"})
	t.Cleanup(j.Close)
	room := fresh()
	want(t, j, entry(room, 5, 1, rooms.EntryCreate), rooms.Confirmed)
	big := entry(room, 5, 2, rooms.EntryDelta)
	big.Body = make([]byte, 300<<10)
	for big.ID.Tick < 6 {
		want(t, j, big, rooms.Confirmed)
		big.ID.Tick++
	}
	epoch, err := j.Claim(t.Context(), room, 5, 70)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.Load(t.Context(), room, epoch); !errors.Is(err, rooms.ErrCorrupt) {
		t.Fatalf("loaded 1.2 MiB of 1 allowed: %v", err)
	}
	if n := s.Do("exists", fmt.Sprintf("other:j:{%s}", room)); n != int64(1) {
		t.Error("the prefix is not used")
	}
}

// Tombstones must go by themselves, and then nothing of the room is left.
func TestTombstoneExpires(t *testing.T) {
	s := redistest.Start(t)
	j := newJournal(t, s.URL())
	room := fresh()
	want(t, j, entry(room, 5, 1, rooms.EntryCreate), rooms.Confirmed)
	if _, err := j.Tomb(t.Context(), room); !errors.Is(err, rooms.ErrGone) {
		t.Fatalf("tombstone of a living room: %v", err)
	}
	if err := j.Bury(t.Context(), room, 5, nil, 20*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the tombstone is gone", func() bool {
		_, err := j.Tomb(t.Context(), room)
		return errors.Is(err, rooms.ErrGone)
	})
	want(t, j, entry(room, 5, 2, rooms.EntryDelta), rooms.Gone)
	if n := s.Do("dbsize"); n != int64(0) {
		t.Errorf("%v keys are left", n)
	}
}

// A room whose name is taken must not be overwritten by a creation with a later id: that is an append to another room's history.
func TestCreationDoesNotOverwrite(t *testing.T) {
	j := newJournal(t, redistest.Start(t).URL())
	room := fresh()
	want(t, j, entry(room, 5, 1, rooms.EntryCreate), rooms.Confirmed)
	want(t, j, entry(room, 9, 1, rooms.EntryCreate), rooms.Fenced)
	if es := load(t, j, room); len(es) != 2 || es[0].ID.Epoch != 5 {
		t.Errorf("loaded %+v", es)
	}
}

// between runs f once, before the second command of a kind.
type between struct {
	command string
	f       func()
	seen    int
}

func (b *between) DialHook(next redis.DialHook) redis.DialHook { return next }

func (b *between) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (b *between) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == b.command {
			if b.seen++; b.seen == 2 {
				b.f()
			}
		}
		return next(ctx, cmd)
	}
}

// Another claimant may trim the journal while it is being read. Half of the old and half of the new is nobody's history (rule R5).
func TestLoadInterruptedByAClaimIsLost(t *testing.T) {
	url := redistest.Start(t).URL()
	j, client := newJournal(t, url), open(t, url)
	for name, wanted := range map[string]error{"trimmed": rooms.ErrClaimLost, "buried": rooms.ErrGone} {
		room := fresh()
		want(t, j, entry(room, 5, 1, rooms.EntryCreate), rooms.Confirmed)
		for tick := uint64(2); tick < 100; tick++ {
			want(t, j, entry(room, 5, tick, rooms.EntryDelta), rooms.Confirmed)
		}
		mine, err := j.Claim(t.Context(), room, 5, 70)
		if err != nil {
			t.Fatal(err)
		}
		client.AddHook(&between{command: "xrange", f: func() {
			other, err := j.Claim(context.Background(), room, mine, 71)
			if err != nil {
				t.Error(err)
			}
			if name == "buried" {
				err = j.Bury(context.Background(), room, other, nil, time.Minute)
			} else {
				want(t, j, entry(room, other, 100, rooms.EntrySnapshot), rooms.Confirmed)
			}
			if err != nil {
				t.Error(err)
			}
		}})
		slow := redisjournal.New(client, redisjournal.Config{})
		t.Cleanup(slow.Close)
		if es, err := slow.Load(t.Context(), room, mine); !errors.Is(err, wanted) {
			t.Errorf("%s: loaded %d entries, %v", name, len(es), err)
		}
	}
}
