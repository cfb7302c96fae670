package rooms

import (
	"fmt"
	"log/slog"
	"testing"
	"time"
)

// counter changes with every input; its state is about 64 bytes.
type counter struct {
	A, B, C, D int64
	X, Y       float64
}

type bump struct{ N int64 }

func (c *counter) Step(t *Tick[bump]) {
	for e := range t.Events() {
		if e.Type == Input {
			c.A += e.Input.N
		}
	}
}

func (c *counter) Public() any { return c }

// mover changes at every tick.
type mover struct{ counter }

func (m *mover) Step(t *Tick[bump]) { m.A++; m.X += 0.5 }

// benchShard steps n rooms with one player each, on a journal that confirms at once.
func benchShard(b *testing.B, kind Kind, n int) {
	if err := kind.Err(); err != nil {
		b.Fatal(err)
	}
	s := NewShard(slog.New(slog.DiscardHandler), func() (uint64, uint64) { return 1, 2 })
	now := time.Duration(0)
	for i := range n {
		id := ID(fmt.Sprint("room-", i))
		s.Take(&Mail{Type: MailCreate, Room: id, Kind: &kind, Epoch: 1, Nonce: 1}, now)
		s.Take(&Mail{Type: MailJoin, Room: id, Session: "s", Gen: 1, Run: 1, Number: 1, Player: Player{Name: "p"}}, now)
	}
	results := make([]Result, n)
	for i := range results {
		results[i].Outcome = Confirmed
	}
	turn := func() {
		s.Advance(now)
		for len(s.Out.Appends) > 0 || len(s.Out.Frames) > 0 {
			appends := s.Out.Appends
			for _, f := range s.Out.Frames {
				f.Release()
			}
			s.Out.Frames = s.Out.Frames[:0]
			s.Out.Appends = nil
			s.TakeResults(appends, results[:len(appends)], now)
			if s.Out.Appends == nil {
				s.Out.Appends = appends[:0]
			}
		}
		now += time.Second / time.Duration(kind.RateHz)
	}
	for range 20 {
		turn()
	}
	b.ReportAllocs()
	for b.Loop() {
		turn()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/tick")
}

func BenchmarkIdleRooms(b *testing.B) {
	benchShard(b, Define(&counter{}, Config{Name: "counter", RateHz: 10}), 1000)
}

func BenchmarkChangingRooms(b *testing.B) {
	benchShard(b, Define(&mover{}, Config{Name: "mover", RateHz: 10}), 1000)
}
