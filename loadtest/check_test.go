package loadtest

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"tickover.dev/codec"
)

// TestLedgerCheckNoticesEveryKindOfFault: a checker that sees nothing makes every soak green.
func TestLedgerCheckNoticesEveryKindOfFault(t *testing.T) {
	for name, c := range map[string]struct {
		seats   map[uint64]entry
		stays   []Stay
		want    Verdict
		settled bool
	}{
		"all is well":              {map[uint64]entry{1: {10, 10}, 2: {5, 5}}, []Stay{{Seat: 1, Sent: 10, Acked: 10}, {Seat: 2, Sent: 5, Acked: 5}}, Verdict{}, true},
		"refused is not lost":      {map[uint64]entry{1: {8, 10}}, []Stay{{Seat: 1, Sent: 10, Acked: 10, Refused: 2}}, Verdict{}, true},
		"applied, not yet told":    {map[uint64]entry{1: {10, 10}}, []Stay{{Seat: 1, Sent: 10, Acked: 7}}, Verdict{}, true},
		"state is behind":          {map[uint64]entry{1: {7, 7}}, []Stay{{Seat: 1, Sent: 10, Acked: 10}}, Verdict{Lost: 3}, false},
		"vanished in the middle":   {map[uint64]entry{1: {9, 10}}, []Stay{{Seat: 1, Sent: 10, Acked: 10}}, Verdict{Lost: 1}, true},
		"applied twice":            {map[uint64]entry{1: {11, 10}}, []Stay{{Seat: 1, Sent: 10, Acked: 10}}, Verdict{Duplicated: 1}, true},
		"never sent":               {map[uint64]entry{1: {12, 12}}, []Stay{{Seat: 1, Sent: 10, Acked: 10}}, Verdict{Duplicated: 2}, true},
		"refused and applied":      {map[uint64]entry{1: {10, 10}}, []Stay{{Seat: 1, Sent: 10, Acked: 10, Refused: 1}}, Verdict{Duplicated: 1}, true},
		"one seat lost, one twice": {map[uint64]entry{1: {9, 10}, 2: {11, 10}}, []Stay{{Seat: 1, Sent: 10, Acked: 10}, {Seat: 2, Sent: 10, Acked: 10}}, Verdict{1, 1}, true},
		"seat vanished":            {nil, []Stay{{Seat: 1, Sent: 10, Acked: 10}}, Verdict{Lost: 10}, false},
		"seat was given up":        {nil, []Stay{{Seat: 1, Sent: 10, Acked: 10, Gone: true}}, Verdict{}, true},
		"seat was had again":       {map[uint64]entry{1: {10, 10}}, []Stay{{Seat: 1, Sent: 4, Acked: 4, Gone: true, Again: true}, {Seat: 1, Sent: 10, Acked: 10}}, Verdict{}, true},
		"nothing was sent":         {nil, []Stay{{Seat: 1}}, Verdict{}, true},
	} {
		if v, settled := checkLedger(c.seats, c.stays); v != c.want || settled != c.settled {
			t.Errorf("%s: %+v, settled %v", name, v, settled)
		}
	}
}

// TestForkIsCountedOncePerTick whoever sees it, in whatever epoch, as long as the tick is in the window.
func TestForkIsCountedOncePerTick(t *testing.T) {
	forks := func(play func(t *tracker)) uint64 {
		var tr tracker
		play(&tr)
		_, n := tr.last()
		return n
	}
	a, b := []byte("a"), []byte("b")
	for name, c := range map[string]struct {
		want uint64
		play func(*tracker)
	}{
		"same": {0, func(t *tracker) {
			t.note(5, a, nil)
			t.note(5, a, nil)
			t.note(6, b, nil)
			t.note(6, b, nil)
			t.note(5, a, nil)
		}},
		"one tick":          {1, func(t *tracker) { t.note(5, a, nil); t.note(5, b, nil); t.note(5, b, nil); t.note(5, a, nil) }},
		"two ticks":         {2, func(t *tracker) { t.note(5, a, nil); t.note(5, b, nil); t.note(6, a, nil); t.note(6, b, nil) }},
		"late observer":     {1, func(t *tracker) { t.note(5, a, nil); t.note(500, a, nil); t.note(5, b, nil) }},
		"tick zero":         {1, func(t *tracker) { t.note(0, a, nil); t.note(0, b, nil) }},
		"beyond the window": {0, func(t *tracker) { t.note(5, a, nil); t.note(5+historyWindow, b, nil); t.note(5, b, nil) }},
	} {
		if n := forks(c.play); n != c.want {
			t.Errorf("%s: %d forks", name, n)
		}
	}
	var tr tracker
	tr.note(5, a, nil)
	tr.note(9, b, nil)
	tr.note(7, a, nil)
	if state, _ := tr.last(); string(state) != "b" {
		t.Errorf("newest state is %q", state)
	}
}

// TestForeignStatesAreNoLedgers: a changed state must be an error, not a clean report.
func TestForeignStatesAreNoLedgers(t *testing.T) {
	for _, state := range [][]byte{{0xc0}, {1}, {0x81, 0xa5, 's', 'e', 'a', 't', 's', 0xc0}, {0x81, 0xa5, 's', 'e'}, {0x81, 1, 1}} {
		if _, err := parseLedger(state); err == nil {
			t.Errorf("% x was taken for a ledger", state)
		}
	}
	b := codec.AppendMapLen(nil, 2)
	b = codec.AppendUint(codec.AppendString(b, "new"), 1)
	b = codec.AppendMapLen(codec.AppendString(b, "seats"), 1)
	b = codec.AppendMapLen(codec.AppendUint(b, 300), 3)
	b = codec.AppendUint(codec.AppendString(b, "run"), 1)
	b = codec.AppendUint(codec.AppendString(b, "last"), 9)
	b = codec.AppendUint(codec.AppendString(b, "applied"), 8)
	if seats, err := parseLedger(b); err != nil || seats[300] != (entry{8, 9}) {
		t.Error(seats, err)
	}
}

// TestScheduleIsOpenAndEven: a closed loop would hide every stall, and bots in step would be a burst.
func TestScheduleIsOpenAndEven(t *testing.T) {
	a := arrivals{start: time.Unix(0, 0), bots: 4, rateHz: 10}
	for _, c := range []struct {
		bot, k int
		want   time.Duration
	}{{0, 0, 0}, {1, 0, 25 * time.Millisecond}, {3, 0, 75 * time.Millisecond}, {0, 1, 100 * time.Millisecond}, {2, 10, 1050 * time.Millisecond}} {
		if got := a.at(c.bot, c.k).Sub(a.start); got != c.want {
			t.Errorf("input %d of bot %d at %v, want %v", c.k, c.bot, got, c.want)
		}
	}
	a = arrivals{start: time.Now().Add(-time.Hour), bots: 3, rateHz: 2} // long overdue: no waiting
	var order []int
	a.keep(t.Context(), a.start.Add(time.Second), func(bot, k int) { order = append(order, 10*k+bot) })
	if len(order) != 6 || order[0] != 0 || order[2] != 2 || order[3] != 10 || order[5] != 12 {
		t.Error(order)
	}
}

// TestReportHasEveryFieldAlways: a script reads it; a missing or null field would break it on the day that matters.
func TestReportHasEveryFieldAlways(t *testing.T) {
	b, err := json.Marshal(Report{})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"scenario":"","bots":0,"rooms":0,"seconds":0,"inputs_sent":0,"inputs_acked":0,"inputs_lost":0,"inputs_duplicated":0,` +
		`"histories_forked":0,"frames":0,"reconnects":0,"errors":0,"gap_ms":{"p50":0,"p99":0,"max":0},"input_to_frame_ms":{"p50":0,"p99":0,"max":0}}`
	if string(b) != want {
		t.Error(string(b))
	}
	if s := newLatencies().spread(); s != (Spread{}) {
		t.Error("an empty histogram gives", s)
	}
	for _, bad := range []Report{{InputsLost: 1}, {InputsDuplicated: 1}, {HistoriesForked: 1}, {Errors: 1}} {
		if bad.Clean() {
			t.Errorf("%+v is clean", bad)
		}
	}
}

// TestEveryComplaintAboutAConfigIsMade: fixing flags one by one wastes everybody's time.
func TestEveryComplaintAboutAConfigIsMade(t *testing.T) {
	err := (&Config{URL: "http://x", Kind: "chess", Rooms: 5}).Validate()
	for _, word := range []string{"url", "chess", "bots", "rooms", "duration", "rate"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("nothing about %s in: %v", word, err)
		}
	}
}
