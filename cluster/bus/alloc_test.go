package bus

import (
	"testing"
	"time"

	"tickover.dev/cluster"
	"tickover.dev/simtest"
)

// cycle is what a batch of messages costs on the way out, but for the bus.
func cycle(l *Link, p *parcel, to cluster.Boot, messages int, encode func([]byte) []byte) {
	for range messages {
		if err := l.Send(to, encode); err != nil {
			panic(err)
		}
	}
	now := time.Now()
	l.out.hurry(now)
	l.take(p)
	p.outcomes = p.outcomes[:0]
	for range p.packets {
		p.outcomes = append(p.outcomes, Delivered)
	}
	l.out.settle(p.outcomes, now)
	l.out.ping = ping{}
}

func encoder(size int) func([]byte) []byte {
	message := make([]byte, size)
	return func(b []byte) []byte { return append(b, message...) }
}

// Rooms send from their ticks: garbage there is late ticks everywhere.
func TestSendDoesNotAllocate(t *testing.T) {
	if simtest.Race {
		t.Skip("the race detector has sync.Pool lose things")
	}
	l, encode := New(Config{Self: 1}), encoder(200)
	var p parcel
	for range 10 {
		cycle(l, &p, 2, 50, encode)
	}
	if n := testing.AllocsPerRun(100, func() { cycle(l, &p, 2, 50, encode) }); n > 0 {
		t.Fatalf("%v allocations for 50 messages", n)
	}
}

// BenchmarkSend is one message of 200 B, in batches of 50, without a bus.
func BenchmarkSend(b *testing.B) {
	l, encode := New(Config{Self: 1}), encoder(200)
	var p parcel
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		cycle(l, &p, 2, 50, encode)
		n += 50
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/message")
}
