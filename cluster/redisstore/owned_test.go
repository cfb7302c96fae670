package redisstore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"tickover.dev/cluster"
	"tickover.dev/redisconn/redistest"
	"tickover.dev/rooms"
)

// between has something happen once, right after a client was answered what contains a text.
type between struct {
	text string
	do   func()
}

func (b *between) answered(cmds ...redis.Cmder) {
	if do := b.do; do != nil && slices.ContainsFunc(cmds, func(c redis.Cmder) bool { return strings.Contains(fmt.Sprint(c.Args()), b.text) }) {
		b.do = nil
		do()
	}
}

func (b *between) DialHook(next redis.DialHook) redis.DialHook { return next }

func (b *between) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		b.answered(cmd)
		return err
	}
}

func (b *between) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		b.answered(cmds...)
		return err
	}
}

// A room that is missing from its owner's list is found by nobody when that owner dies. So whoever tidies a list must not take a room off
// it that became, or is becoming, that boot's since its record was looked at.
func TestARoomThatComesBackStaysListed(t *testing.T) {
	url := redistest.Start(t).URL()
	other := New(client(t, url), "")
	ctx := t.Context()
	record := func(room rooms.ID, b cluster.Boot, e rooms.Epoch) cluster.Record {
		return cluster.Record{Room: room, Kind: "arena", Owner: b, Epoch: e}
	}
	raise := func(r cluster.Record) {
		if _, err := other.Raise(ctx, r); err != nil {
			t.Error(err)
		}
	}
	for _, c := range []struct {
		name, text string
		act        func(*Store) error
	}{
		{"its old owner's list is looked through", "hmget", func(s *Store) error { _, err := s.Owned(ctx, 1); return err }},
		{"another owner's raise tidies up", "tk:room:", func(s *Store) error { _, err := s.Raise(ctx, record("r", 2, 6)); return err }},
	} {
		t.Run(c.name, func(t *testing.T) {
			other.client.FlushAll(ctx)
			raise(record("r", 1, 5))
			if c.text == "hmget" {
				raise(record("r", 2, 6))
				if err := other.list(ctx, record("r", 1, 5)); err != nil { // a late one: what is to be tidied up
					t.Fatal(err)
				}
			}
			slow := client(t, url)
			hook := &between{text: c.text, do: func() { raise(record("r", 1, 7)) }}
			slow.AddHook(hook)
			if err := c.act(New(slow, "")); err != nil {
				t.Fatal(err)
			}
			if hook.do != nil {
				t.Fatal("never happened: a raise in between")
			}
			owned, err := other.Owned(ctx, 1)
			if err != nil || len(owned) != 1 || owned[0].Epoch != 7 {
				t.Errorf("the list is %+v, %v", owned, err)
			}
		})
	}
}

// A room that is only about to be a boot's stays listed as well, even though its record names another as yet: the next thing to happen may
// be that record, and then that boot's death.
func TestARoomThatIsAboutToComeStaysListed(t *testing.T) {
	s := New(client(t, redistest.Start(t).URL()), "")
	ctx := t.Context()
	r := cluster.Record{Room: "r", Kind: "arena", Owner: 2, Epoch: 6}
	if _, err := s.Raise(ctx, r); err != nil {
		t.Fatal(err)
	}
	r.Owner, r.Epoch = 1, 7
	if err := s.list(ctx, r); err != nil {
		t.Fatal(err)
	}
	if owned, err := s.Owned(ctx, 1); err != nil || len(owned) != 0 {
		t.Fatalf("boot 1 owns %+v, %v", owned, err)
	}
	if _, err := raise.Run(ctx, s.client, []string{s.record("r")}, r.Owner.String(), "7", r.Kind, r.Key, "0").Slice(); err != nil {
		t.Fatal(err)
	}
	if owned, err := s.Owned(ctx, 1); err != nil || len(owned) != 1 {
		t.Fatalf("boot 1 owns %+v, %v", owned, err)
	}
}
