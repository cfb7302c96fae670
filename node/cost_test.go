package node

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"testing"
	"time"

	"tickover.dev/loadtest/floor"
	"tickover.dev/rooms"
)

// TestTenThousandRoomsOnSockets measures how late steps start when sockets are busy beside them: 10,000 rooms of one player at 10 Hz
// with two inputs a second each, of which 2,000 play over real sockets from this same process. It prints one line;
// TICKOVER_COST=1 asks for it, as it takes the machine for itself.
func TestTenThousandRoomsOnSockets(t *testing.T) {
	if os.Getenv("TICKOVER_COST") == "" || testing.Short() {
		t.Skip("set TICKOVER_COST=1 (make bench does)")
	}
	const all, sockets, rate, seconds = 10_000, 2_000, 10, 6
	kind := rooms.Define(&slate{}, rooms.Config{Name: "slate", RateHz: rate, Seats: 1})
	n, err := Start(t.Context(), Config{
		GameAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", Kinds: []rooms.Kind{kind}, Drain: 10 * time.Second, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := n.Stop(ctx); err != nil {
			t.Error(err)
		}
	}()
	feed := n.nullPlayers(t, all-sockets)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	crowd, err := floor.Gather(t.Context(), floor.CrowdConfig{
		Addr: n.GameAddr(), Players: sockets, Enter: floor.Joined, Kind: "slate", PerRoom: 1, Every: 500 * time.Millisecond, State: 64,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer crowd.Leave()
	ctx, cancel := context.WithCancel(t.Context())
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		feed(ctx)
	}()
	if _, err := crowd.Play(ctx, 3*time.Second); err != nil { // until lanes have found their places
		t.Fatal(err)
	}
	before := n.rooms.Stats().Late
	count, err := crowd.Play(ctx, seconds*time.Second)
	late := n.rooms.Stats().Late
	cancel()
	<-fed
	if err != nil {
		t.Fatal(err)
	}
	for i := range late.Counts {
		late.Counts[i] -= before.Counts[i]
	}
	fmt.Printf("sockets: rooms=%d rate=%d sockets=%d states_per_s=%.0f inputs=%d p50_late_ms=%.2f p99_late_ms=%.2f\n", all, rate, sockets,
		float64(count.States)/count.Elapsed.Seconds(), count.Inputs, late.Quantile(0.5).Seconds()*1000, late.Quantile(0.99).Seconds()*1000)
}

// slate is 64 bytes that change with every input.
type slate struct{ Chalk [64]byte }

func (s *slate) Public() any { return &s.Chalk }

func (s *slate) Step(t *rooms.Tick[[32]byte]) {
	for e := range t.Events() {
		if e.Type == rooms.Input {
			s.Chalk[t.Number()%64]++
		}
	}
}

// nullPlayers joins players without sockets, one a room, and gives what has each of them send two inputs a second.
func (n *Node) nullPlayers(t *testing.T, count int) (feed func(context.Context)) {
	type seat struct {
		post func(*rooms.Mail) error
		mail rooms.Mail
	}
	body := rooms.Encode(nil, [32]byte{1})
	var seats []seat
	for i := range count {
		r, err := n.rooms.Create("slate", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		m := rooms.Mail{Session: fmt.Sprint("null-", i), Gen: 1, Run: 1, Number: 1}
		r.Join(m, nil, func(code, why string) { t.Error(code, why) })
		m.Type, m.Seat, m.Number, m.Body = rooms.MailInput, 1, 0, body
		seats = append(seats, seat{r.Post, m})
	}
	return func(ctx context.Context) {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for round := 0; ; round++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			for i := round % 100; i < count; i += 100 {
				seats[i].mail.Number++
				_ = seats[i].post(&seats[i].mail)
			}
		}
	}
}
