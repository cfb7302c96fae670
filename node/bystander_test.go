package node

import (
	"context"
	"sync"
	"testing"
	"time"

	"tickover.dev/client"
)

// bystander plays well-behaved in a room of its own and notes whether it was disturbed.
type bystander struct {
	t    *testing.T
	room *client.Room
	c    *client.Client
	end  context.CancelFunc
	all  sync.WaitGroup

	mu sync.Mutex
	// Guarded by mu.
	last    time.Time
	gap     time.Duration
	sent    int
	replies int
	trouble []error
}

func play(t *testing.T, n *Node) *bystander {
	t.Helper()
	b := &bystander{t: t}
	c, err := client.Dial(t.Context(), client.Config{
		URL: "ws://" + n.GameAddr().String() + "/", Name: "bystander",
		OnError: func(r *client.Refused) { b.note(r) },
	})
	if err != nil {
		t.Fatal(err)
	}
	b.c = c
	b.room, err = c.Create(t.Context(), "count", "", nil, client.Handler{
		OnFrame:   func(client.Frame) { b.frame() },
		OnReply:   func(uint64, []byte) { b.mu.Lock(); b.replies++; b.mu.Unlock() },
		OnRefusal: func(_ uint64, r *client.Refused) { b.note(r) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	b.end = cancel
	b.all.Go(func() { b.send(ctx) })
	t.Cleanup(func() { cancel(); b.all.Wait(); c.Close() })
	return b
}

func (b *bystander) note(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trouble = append(b.trouble, err)
}

func (b *bystander) frame() {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if !b.last.IsZero() {
		b.gap = max(b.gap, now.Sub(b.last))
	}
	b.last = now
}

func (b *bystander) send(ctx context.Context) {
	beat := time.NewTicker(50 * time.Millisecond)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
			if _, err := b.room.Send(one{}); err != nil {
				b.note(err)
				continue
			}
			b.mu.Lock()
			b.sent++
			b.mu.Unlock()
		}
	}
}

// undisturbed ends the bystander and fails if it lost anything or was kept waiting. Two other builds may run on this machine: a
// second is what tells a held-up loop from a busy one.
func (b *bystander) undisturbed() {
	b.t.Helper()
	b.end()
	b.all.Wait()
	eventually(b.t, "every input of the bystander is answered", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.replies == b.sent && b.sent > 0
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.trouble) > 0 || b.c.Reconnects() > 0 || b.gap > time.Second {
		b.t.Errorf("the bystander was disturbed: gap of %s, %d reconnects, %v", b.gap, b.c.Reconnects(), b.trouble)
	}
	b.t.Logf("bystander: %d inputs, longest gap %s", b.sent, b.gap)
}
