// Package membus keeps inboxes in memory: the bus of tests, and of nodes in one process. It is as strict as the real thing; delays
// and losses are its callers' to make, all but one: Lose.
//
// All methods of Bus may be called from any goroutine; an inbox is for one.
package membus

import (
	"bytes"
	"cmp"
	"context"
	"sync"
	"time"

	"tickover.dev/cluster"
	"tickover.dev/cluster/bus"
)

// readFor is how long Read waits.
const readFor = time.Second

// Bus implements bus.Bus.
type Bus struct {
	max int // packets that an inbox holds; set by New, then read-only

	mu sync.Mutex
	// Guarded by mu.
	streams map[cluster.Boot]*stream
}

// stream is an inbox as the bus has it. Guarded by the bus's mu.
type stream struct {
	packets [][]byte
	news    chan struct{} // one token: there are packets
}

var _ bus.Bus = (*Bus)(nil)

// New makes a bus whose inboxes hold so many packets that were not read; 0 is 8,192.
func New(maxPackets int) *Bus {
	return &Bus{max: cmp.Or(maxPackets, 8192), streams: map[cluster.Boot]*stream{}}
}

// Put implements bus.Bus.
func (b *Bus) Put(ctx context.Context, packets []bus.Packet, outcomes []bus.Outcome) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, p := range packets {
		s := b.streams[p.To]
		if s == nil {
			outcomes[i] = bus.NoInbox
			continue
		}
		s.packets = append(s.packets, bytes.Clone(p.Data))
		if n := len(s.packets) - b.max; n > 0 {
			clear(s.packets[:n])
			s.packets = s.packets[n:]
		}
		select {
		case s.news <- struct{}{}:
		default:
		}
		outcomes[i] = bus.Delivered
	}
	return nil
}

// Open implements bus.Bus.
func (b *Bus) Open(ctx context.Context, owner cluster.Boot) (bus.Inbox, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return &inbox{bus: b, owner: owner, stream: b.make(owner)}, nil
}

// make makes a stream. mu is held.
func (b *Bus) make(owner cluster.Boot) *stream {
	s := &stream{news: make(chan struct{}, 1)}
	b.streams[owner] = s
	return s
}

// Lose has an inbox vanish, as when the server comes back empty.
func (b *Bus) Lose(owner cluster.Boot) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.streams, owner)
}

// inbox implements bus.Inbox.
type inbox struct {
	bus    *Bus
	owner  cluster.Boot
	stream *stream
}

// Read implements bus.Inbox.
func (in *inbox) Read(ctx context.Context) ([][]byte, error) {
	timer := time.NewTimer(readFor)
	defer timer.Stop()
	select {
	case <-in.stream.news:
	case <-timer.C:
	case <-ctx.Done():
	}
	in.bus.mu.Lock()
	defer in.bus.mu.Unlock()
	if in.bus.streams[in.owner] != in.stream {
		return nil, nil
	}
	packets := in.stream.packets
	in.stream.packets = nil
	return packets, nil
}

// Tend implements bus.Inbox.
func (in *inbox) Tend(ctx context.Context) (lost bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	in.bus.mu.Lock()
	defer in.bus.mu.Unlock()
	if lost = in.bus.streams[in.owner] != in.stream; lost {
		in.stream = in.bus.make(in.owner)
	}
	return lost, nil
}

// Close implements bus.Inbox.
func (in *inbox) Close(ctx context.Context) error {
	in.bus.mu.Lock()
	defer in.bus.mu.Unlock()
	delete(in.bus.streams, in.owner)
	return nil
}
