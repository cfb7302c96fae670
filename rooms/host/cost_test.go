package host

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"tickover.dev/rooms"
	"tickover.dev/rooms/memjournal"
)

// TestTenThousandRooms measures what rooms cost: 10,000 of them at 10 Hz, each with one player who sends two inputs a second, on a
// journal in memory and with nobody listening. It prints one line, the lateness of steps beside that of a goroutine that only sleeps
// (upper bounds, a quarter wide); TICKOVER_COST=1 asks for it, as it takes the machine for itself.
func TestTenThousandRooms(t *testing.T) {
	if os.Getenv("TICKOVER_COST") == "" || testing.Short() {
		t.Skip("set TICKOVER_COST=1 (make bench does)")
	}
	const count, rate, seconds = 10_000, 10, 5
	h, err := New(Config{
		Kinds:   []rooms.Kind{rooms.Define(&tally{}, rooms.Config{Name: "game", RateHz: rate})},
		Journal: memjournal.New(), Sink: nullSink{},
	})
	if err != nil {
		t.Fatal(err)
	}
	handles := make([]*Handle, count)
	for i := range handles {
		if handles[i], err = h.Create("game", "", nil); err != nil {
			t.Fatal(err)
		}
		handles[i].Join(rooms.Mail{Session: session(i), Gen: 1, Run: 1, Number: 1}, nil, func(code, why string) { t.Error(code, why) })
	}
	body := rooms.Encode(nil, order{})
	var wakes lateness                                      // of the feeder: what this machine does to anybody's sleep just now
	feed := func(until time.Time, from uint64) (sent int) { // a hundredth of the rooms every 5 ms: two inputs a second for each
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for n := 0; time.Now().Before(until); n++ {
			due := <-tick.C
			wakes.record(time.Since(due))
			for i := n % 100; i < count; i += 100 {
				m := rooms.Mail{Type: rooms.MailInput, Seat: 1, Session: session(i), Gen: 1, Run: 1, Number: from + uint64(n/100) + 1, Body: body}
				if handles[i].Post(&m) == nil {
					sent++
				}
			}
		}
		return sent
	}
	feed(time.Now().Add(2*time.Second), 0) // until lanes have found their places
	before, cpu, began := h.Stats().Late, cpuTime(t), time.Now()
	sent := feed(began.Add(seconds*time.Second), 4)
	took, used := time.Since(began), cpuTime(t)-cpu
	since := h.Stats().Late.since(before)
	var floor LatenessStats
	floor.add(&wakes)
	fmt.Printf("rooms: rooms=%d rate=%d inputs_per_s=%.0f p99_late_ms=%.2f cpu_percent=%.0f p99_wake_ms=%.2f\n", count, rate,
		float64(sent)/took.Seconds(), since.Quantile(0.99).Seconds()*1000, 100*used.Seconds()/took.Seconds(), floor.Quantile(0.99).Seconds()*1000)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := h.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// tally changes with its inputs only, as most rooms do.
type tally struct{ Count int }

func (g *tally) Step(t *rooms.Tick[order]) {
	for e := range t.Events() {
		if e.Type == rooms.Input {
			g.Count++
		}
	}
}

func (g *tally) Public() any { return g }

// since is what was counted after before.
func (s LatenessStats) since(before LatenessStats) LatenessStats {
	for i := range s.Counts {
		s.Counts[i] -= before.Counts[i]
	}
	return s
}

func session(i int) string { return sessions[i] }

var sessions = func() (names [10_000]string) {
	for i := range names {
		names[i] = fmt.Sprint("session-", i)
	}
	return names
}()

type nullSink struct{}

func (nullSink) Deliver(frames []*rooms.Frame) {
	for _, f := range frames {
		f.Release()
	}
}

func (nullSink) RoomEnded(rooms.Ended) {}

func cpuTime(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
