package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tickover.dev/codec"
	"tickover.dev/loadtest/chaos"
	"tickover.dev/redisconn"
	"tickover.dev/redisconn/redistest"
	"tickover.dev/rooms"
	"tickover.dev/rooms/host"
	"tickover.dev/rooms/redisjournal"
)

// These are the figures that need a look inside. They run once each: go test ./loadtest/chaos/bench -run '^$' -bench . -benchtime 1x

// stamps is when each room's Step ended, by room and tick.
var stamps [1000][64]atomic.Int64

var began = time.Now()

// clockwork changes at every tick and notes when it has.
type clockwork struct {
	Index int
	Hands [16]int64
}

type nudge struct{ N int }

type winding struct {
	Index int `msgpack:"index"`
}

func (c *clockwork) Public() any { return c }

func (c *clockwork) Step(t *rooms.Tick[nudge]) {
	for e := range t.Events() {
		if e.Type == rooms.Created {
			var w winding
			if e.Decode(&w) == nil {
				c.Index = w.Index
			}
		}
	}
	for i := range c.Hands {
		c.Hands[i] += int64(i)
	}
	stamps[c.Index][t.Number()%64].Store(int64(time.Since(began)))
}

// watcher measures what is shown.
type watcher struct {
	index map[rooms.ID]int // set before on

	on atomic.Bool
	mu sync.Mutex
	// Guarded by mu.
	took []time.Duration
}

// Deliver implements host.Sink.
func (w *watcher) Deliver(frames []*rooms.Frame) {
	now := time.Since(began)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range frames {
		if w.on.Load() && f.Public != nil {
			w.took = append(w.took, now-time.Duration(stamps[w.index[f.Room]][f.Tick%64].Load()))
		}
		f.Release()
	}
}

// RoomEnded implements host.Sink.
func (w *watcher) RoomEnded(rooms.Ended) {}

func openJournal(b *testing.B, url string) *redisjournal.Journal {
	client, err := redisconn.Open(redisconn.Config{URL: url})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { client.Close() })
	j := redisjournal.New(client, redisjournal.Config{})
	b.Cleanup(j.Close)
	return j
}

// BenchmarkConfirmedOutput is what it adds that output waits for its journal: from the end of Step to its delivery, in 1,000 rooms at
// 20 Hz that change at every tick.
func BenchmarkConfirmedOutput(b *testing.B) {
	server := redistest.Start(b)
	w := &watcher{index: map[rooms.ID]int{}}
	h, err := host.New(host.Config{
		Kinds:   []rooms.Kind{rooms.Define(&clockwork{}, rooms.Config{Name: "clockwork", RateHz: 20})},
		Journal: openJournal(b, server.URL()), Sink: w,
	})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		h.Stop(ctx)
	}()
	for i := range stamps {
		r, err := h.Create("clockwork", "", codec.AppendUint(codec.AppendString(codec.AppendMapLen(nil, 1), "index"), uint64(i)))
		if err != nil {
			b.Fatal(err)
		}
		w.index[r.ID] = i
		r.Join(rooms.Mail{Session: "s" + strconv.Itoa(i), Gen: 1, Run: 1, Number: 1, Node: 1}, nil, func(code, why string) { b.Error(code, why) })
	}
	<-time.After(2 * time.Second)
	w.on.Store(true)
	<-time.After(8 * time.Second)
	w.on.Store(false)
	w.mu.Lock()
	defer w.mu.Unlock()
	l := spread("confirmed_output_added", w.took, 5*time.Millisecond)
	l.goalP50 = 1
	fmt.Println(l)
	if l.n < 100_000 {
		b.Errorf("%d frames in 8 s, want 160,000", l.n)
	}
}

var dayTicks = flag.Int("ticks", 24*3600*20, "of BenchmarkJournalOfADay")

// BenchmarkJournalOfADay writes the ticks of a day, of one room at 20 Hz whose whole state changes, as fast as Redis takes them.
// Snapshots must keep the journal as small as it was after the first hour.
func BenchmarkJournalOfADay(b *testing.B) {
	server := redistest.Start(b)
	j := openJournal(b, "unix://"+server.Socket())
	kind := rooms.Define(&clockwork{}, rooms.Config{Name: "clockwork", RateHz: 20})
	s := rooms.NewShard(slog.New(slog.DiscardHandler), func() (uint64, uint64) { return 1, 2 })
	const id = rooms.ID("day")
	now, period := time.Second, time.Second/20
	s.Take(&rooms.Mail{Type: rooms.MailCreate, Room: id, Kind: &kind, Epoch: 1, Nonce: 1}, now)
	s.Take(&rooms.Mail{Type: rooms.MailJoin, Room: id, Session: "s", Gen: 1, Run: 1, Number: 1, Node: 1}, now)
	var firstHour, rest int64
	start := time.Now()
	for n := range *dayTicks {
		s.Advance(now)
		store(b, j, s, now)
		now += period
		if n%2000 != 1999 {
			continue
		}
		size := server.Do("memory", "usage", "tk:j:{day}", "samples", 0).(int64)
		if n < 3600*20 {
			firstHour = max(firstHour, size)
		} else {
			rest = max(rest, size)
		}
	}
	all := used(b, server)
	fmt.Printf("failover: name=journal_memory first_hour_bytes=%d max_bytes=%d redis_bytes=%d ticks=%d n=1\n",
		firstHour, max(firstHour, rest), all, *dayTicks)
	b.Logf("in %s", time.Since(start))
	if rest > 2*firstHour {
		b.Errorf("the journal grows: %d bytes in the first hour, %d later", firstHour, rest)
	}
}

// store carries out what a shard wants, until it wants nothing more.
func store(b *testing.B, j *redisjournal.Journal, s *rooms.Shard, now time.Duration) {
	done := make(chan []rooms.Result, 1)
	for len(s.Out.Appends) > 0 || len(s.Out.Frames) > 0 {
		for _, f := range s.Out.Frames {
			f.Release()
		}
		appends := s.Out.Appends
		s.Out.Frames, s.Out.Appends = s.Out.Frames[:0], nil
		if len(appends) == 0 {
			continue
		}
		j.Append(appends, func(r []rooms.Result) { done <- r })
		results := <-done
		for i, r := range results {
			if r.Outcome != rooms.Confirmed {
				b.Fatalf("append %s: %s (%v)", appends[i].ID, r.Outcome, r.Err)
			}
		}
		s.TakeResults(appends, results, now)
	}
}

// used is Redis's own count of its memory.
func used(b *testing.B, server *redistest.Server) (bytes int64) {
	for line := range strings.Lines(server.Do("info", "memory").(string)) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "used_memory:"); ok {
			bytes, _ = strconv.ParseInt(text, 10, 64)
		}
	}
	if bytes == 0 {
		b.Error("Redis does not say how much memory it uses")
	}
	return bytes
}

// Figures are read by scripts: the line's form is a promise.
func TestLineOfAFigure(t *testing.T) {
	l := spread("owner_killed", []time.Duration{50 * time.Millisecond, 60 * time.Millisecond, 70 * time.Millisecond}, 400*time.Millisecond)
	l.goalP50 = 150
	const want = "failover: name=owner_killed p50_ms=60.0 p99_ms=70.0 goal_ms=400 n=3 goal_p50_ms=150"
	if got := l.String(); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if got := (line{name: "journal_cpu", unit: "percent", p50: 3.25, p99: 4, goal: 5, n: 3}).String(); got != "failover: name=journal_cpu p50_percent=3.2 p99_percent=4.0 goal_percent=5 n=3" {
		t.Error(got)
	}
	if chaos.Quantile(nil, 0.5) != 0 {
		t.Error("nothing has no median")
	}
}
