package loadtest

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tickover.dev/client/clienttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func config(url string) Config {
	return Config{
		URL: url, Kind: "ledger", Bots: 6, Rooms: 2, Duration: 400 * time.Millisecond, RateHz: 50,
		Patience: 500 * time.Millisecond, BackoffFirst: time.Millisecond, Log: slog.New(slog.DiscardHandler),
	}
}

func soak(t *testing.T, cfg Config) Report {
	t.Helper()
	r, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestHonestServerIsFoundClean and the numbers are those that were asked for.
func TestHonestServerIsFoundClean(t *testing.T) {
	ledger := &clienttest.Ledger{}
	r := soak(t, config(ledger.Start(t, 10*time.Millisecond)))
	if !r.Clean() || r.Reconnects != 0 {
		t.Errorf("%+v", r)
	}
	if r.InputsSent != 120 || r.InputsAcked != 120 || ledger.Inputs() != 120 {
		t.Errorf("%d sent, %d acked, %d counted, want 120", r.InputsSent, r.InputsAcked, ledger.Inputs())
	}
	if r.Frames < 100 || r.GapMs.P50 < 1 || r.GapMs.Max > 300 || r.InputToFrameMs.P50 <= 0 || r.InputToFrameMs.Max > 300 || r.Seconds < 0.4 {
		t.Errorf("%+v", r)
	}
}

// TestEveryKindOfFaultIsReported: each of these is what the soak is for.
func TestEveryKindOfFaultIsReported(t *testing.T) {
	on := func(fate clienttest.Fate) func(seat, number uint64) clienttest.Fate {
		return func(_, number uint64) clienttest.Fate {
			if number == 7 {
				return fate
			}
			return clienttest.Applied
		}
	}
	for name, c := range map[string]struct {
		ledger *clienttest.Ledger
		count  func(Report) uint64
		want   uint64 // at least
	}{
		"lost":    {&clienttest.Ledger{Fate: on(clienttest.Lost)}, func(r Report) uint64 { return r.InputsLost }, 6},
		"twice":   {&clienttest.Ledger{Fate: on(clienttest.Twice)}, func(r Report) uint64 { return r.InputsDuplicated }, 6},
		"refused": {&clienttest.Ledger{Fate: on(clienttest.Refused)}, func(r Report) uint64 { return r.Errors }, 6},
		"forked":  {&clienttest.Ledger{Forked: func(seat uint64) bool { return seat%2 == 0 }}, func(r Report) uint64 { return r.HistoriesForked }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := soak(t, config(c.ledger.Start(t, 10*time.Millisecond)))
			if n := c.count(r); n < c.want || r.Clean() {
				t.Errorf("%d, want at least %d: %+v", n, c.want, r)
			}
			if name != "lost" && r.InputsLost != 0 || name != "twice" && r.InputsDuplicated != 0 {
				t.Errorf("more than the fault was found: %+v", r)
			}
		})
	}
}

// TestCutConnectionsAreNoErrorLostSeatsAre: bots come back by resume, and count what they could not get back.
func TestCutConnectionsAreNoErrorLostSeatsAre(t *testing.T) {
	for name, c := range map[string]struct {
		fault     func(*clienttest.Ledger)
		badSecret bool
		clean     bool
	}{
		"cut":        {(*clienttest.Ledger).CutAll, false, true},
		"forgotten":  {(*clienttest.Ledger).ForgetAll, false, false},
		"evicted":    {(*clienttest.Ledger).EvictAll, false, false},
		"bad secret": {(*clienttest.Ledger).ForgetAll, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			ledger := &clienttest.Ledger{BadSecret: c.badSecret}
			cfg := config(ledger.Start(t, 10*time.Millisecond))
			cfg.Duration, cfg.Patience = 1500*time.Millisecond, 5*time.Second
			fault := time.AfterFunc(300*time.Millisecond, func() { c.fault(ledger) })
			defer fault.Stop()
			r := soak(t, cfg)
			if r.Reconnects < cfg.Bots {
				t.Errorf("the fault did not happen: %+v", r)
			}
			if r.Clean() != c.clean || !c.clean && r.Errors < uint64(cfg.Bots) {
				t.Errorf("%+v", r)
			}
			if r.InputsDuplicated != 0 || r.HistoriesForked != 0 {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestNobodyAtHomeIsAnError at once, as is nonsense: five seconds of silence and "deadline exceeded" make people look for a slow server.
func TestNobodyAtHomeIsAnError(t *testing.T) {
	const closed = "ws://127.0.0.1:1/"
	start := time.Now()
	_, err := Run(t.Context(), config(closed))
	if err == nil || !strings.Contains(err.Error(), "connection refused") || !strings.Contains(err.Error(), closed) {
		t.Errorf("a run against nobody gives %v", err)
	}
	if took := time.Since(start); took > probeTimeout/2 {
		t.Errorf("it took %v to see that nobody is there", took)
	}
	if _, err := Run(t.Context(), Config{}); err == nil {
		t.Error("a run of nothing went well")
	}
}

// TestInterruptedRunStillReports what it has seen until then.
func TestInterruptedRunStillReports(t *testing.T) {
	ledger := &clienttest.Ledger{}
	cfg := config(ledger.Start(t, 10*time.Millisecond))
	cfg.Duration = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	r, err := Run(ctx, cfg)
	if err != nil || !r.Clean() || r.InputsSent == 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestArenaBotsPlay with inputs that the game takes.
func TestArenaBotsPlay(t *testing.T) {
	ledger := &clienttest.Ledger{}
	cfg := config(ledger.Start(t, 10*time.Millisecond))
	cfg.Kind, cfg.Options = "arena", map[string]any{"size": 10}
	if r := soak(t, cfg); !r.Clean() || r.InputsAcked != r.InputsSent {
		t.Errorf("%+v", r)
	}
}
