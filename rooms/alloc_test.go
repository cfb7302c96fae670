package rooms

import (
	"log/slog"
	"testing"
	"time"

	"tickover.dev/simtest"
)

// Ten thousand rooms that tick ten times a second would keep the collector busy with a single allocation per tick.
func TestSteadyTicksDoNotAllocate(t *testing.T) {
	if simtest.Race {
		t.Skip("the race detector allocates")
	}
	for _, x := range []struct {
		name  string
		kind  Kind
		input bool
		limit float64
	}{
		{"idle tick", Define(&counter{}, Config{Name: "idle", RateHz: 10}), false, 0},
		{"changing tick", Define(&mover{}, Config{Name: "moving", RateHz: 10}), false, 1},
		{"idle tick, replayed", Define(&counter{}, Config{Name: "idle", RateHz: 10, Durability: Replay}), false, 0.3}, // a renewed horizon now and then
		{"changing tick, replayed", Define(&mover{}, Config{Name: "moving", RateHz: 10, Durability: Replay}), false, 0.3},
		{"applied input, replayed", Define(&counter{}, Config{Name: "input", RateHz: 10, Durability: Replay}), true, 1},
		{"applied input", Define(&counter{}, Config{Name: "input", RateHz: 10}), true, 1}, // its entry's body, which the journal keeps
	} {
		s := NewShard(slog.New(slog.DiscardHandler), func() (uint64, uint64) { return 1, 2 })
		now := time.Second
		s.Take(&Mail{Type: MailCreate, Room: "r", Kind: &x.kind, Epoch: 1, Nonce: 1}, now)
		s.Take(&Mail{Type: MailJoin, Room: "r", Session: "s", Gen: 1, Run: 1, Number: 1}, now)
		in := Mail{Type: MailInput, Room: "r", Seat: 1, Session: "s", Gen: 1, Run: 1, Body: Encode(nil, bump{1})}
		results := []Result{{Outcome: Confirmed}}
		turn := func() {
			if x.input {
				in.Number++
				s.Take(&in, now)
			}
			now += 100 * time.Millisecond
			s.Advance(now)
			for len(s.Out.Appends)+len(s.Out.Frames) > 0 {
				for _, f := range s.Out.Frames {
					f.Release()
				}
				s.Out.Frames = s.Out.Frames[:0]
				appends := s.Out.Appends
				s.Out.Appends = s.Out.Appends[:0]
				s.TakeResults(appends, results[:len(appends)], now)
			}
		}
		for range 300 {
			turn()
		}
		if got := testing.AllocsPerRun(500, turn); got > x.limit {
			t.Errorf("%s: %v allocations, want %v", x.name, got, x.limit)
		}
	}
}
