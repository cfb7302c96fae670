package loadtest

import (
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"tickover.dev/client"
)

// run is one load test.
type run struct {
	// Set by newRun, then read-only.
	cfg      Config
	scenario Scenario
	options  client.Raw // of the rooms
	keys     []string   // of the rooms, unique to this run
	bots     []*bot

	counts  counters
	toFrame *latencies

	// Set before the pacer starts, then read-only for it.
	schedule arrivals

	start, stop atomic.Pointer[time.Time] // of sending; nil: not yet

	mu sync.Mutex
	// Guarded by mu.
	ids      []string            // of the rooms
	trackers map[string]*tracker // by room id
}

// Run plays and gives the report. The error is about cfg or about getting nowhere; faults of the server are in the report. When
// ctx ends, sending ends early, and acknowledgements are waited for 2 s.
func Run(ctx context.Context, cfg Config) (Report, error) {
	if err := cfg.Validate(); err != nil {
		return Report{}, err
	}
	cfg.fill()
	r, err := newRun(cfg)
	if err != nil {
		return Report{}, err
	}
	if err := r.probe(ctx); err != nil {
		return Report{}, err
	}
	lives, end := context.WithCancel(context.WithoutCancel(ctx))
	var living sync.WaitGroup
	defer living.Wait()
	defer end()
	entered := r.rampUp(lives, &living)
	r.await(ctx, entered)

	watching, unwatch := context.WithCancel(lives)
	defer unwatch()
	living.Go(func() { r.watch(watching) })
	r.play(ctx)
	unwatch()
	return r.settle(ctx), nil
}

// probe connects once, so that a wrong address is told at once and not by every bot. Where nothing listens nothing is tried again.
func (r *run) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	var unreachable error // set by Dial's goroutine, which has ended when Dial returns an error
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := r.cfg.Dial(ctx, -1, network, addr)
		if err != nil && ctx.Err() == nil {
			unreachable = fmt.Errorf("nothing answers at %s: %w", r.cfg.URL, err)
			giveUp(unreachable)
		}
		return conn, err
	}
	c, err := client.Dial(ctx, client.Config{URL: r.cfg.URL, Name: "probe", Log: r.cfg.Log, BackoffFirst: r.cfg.BackoffFirst, Dial: dial})
	switch {
	case err == nil:
		return c.Close()
	case unreachable != nil:
		return unreachable
	}
	return err
}

func newRun(cfg Config) (*run, error) {
	s, err := scenarioOf(cfg.Kind)
	if err != nil {
		return nil, err
	}
	options, err := client.Encode(nil, cfg.Options)
	if err != nil {
		return nil, err
	}
	if len(cfg.Options) == 0 {
		options = client.Raw{0xc0} // nil
	}
	r := &run{
		cfg: cfg, scenario: s, options: options, toFrame: newLatencies(),
		ids: make([]string, cfg.Rooms), trackers: make(map[string]*tracker),
	}
	prefix := rand.Text()[:12]
	for i := range cfg.Rooms {
		r.keys = append(r.keys, fmt.Sprintf("%s-%d", prefix, i))
	}
	for i := range cfg.Bots {
		r.bots = append(r.bots, &bot{
			run: r, name: fmt.Sprintf("bot-%s-%d", prefix, i), index: i, room: i % cfg.Rooms,
			random: mathrand.New(mathrand.NewPCG(uint64(i), 1)),
		})
	}
	return r, nil
}

// rampUp lets the bots live, one after the other, and gives a channel that is closed when all have entered their rooms.
func (r *run) rampUp(ctx context.Context, living *sync.WaitGroup) <-chan struct{} {
	var entering sync.WaitGroup
	for i, b := range r.bots {
		entering.Add(1)
		living.Go(func() {
			arrived := sync.OnceFunc(entering.Done)
			defer arrived()
			pause(ctx, r.cfg.RampUp*time.Duration(i)/time.Duration(len(r.bots)))
			b.live(ctx, arrived)
		})
	}
	all := make(chan struct{})
	living.Go(func() { entering.Wait(); close(all) })
	return all
}

// await waits for the bots, but not for ever: who is not there by then is counted at the end.
func (r *run) await(ctx context.Context, entered <-chan struct{}) {
	select {
	case <-entered:
	case <-ctx.Done():
	case <-time.After(enterTimeout):
	}
}

// play sends by the schedule.
func (r *run) play(ctx context.Context) {
	start := time.Now()
	r.schedule = arrivals{start: start, bots: len(r.bots), rateHz: r.cfg.RateHz}
	r.start.Store(&start)
	sending, enough := context.WithCancel(ctx)
	var waiting sync.WaitGroup
	defer waiting.Wait()
	defer enough()
	waiting.Go(func() {
		select {
		case <-r.cfg.Until: // nil: never
			enough()
		case <-sending.Done():
		}
	})
	r.schedule.keep(sending, start.Add(r.cfg.Duration), func(bot, k int) { r.bots[bot].send(k) })
	stop := time.Now()
	for _, b := range r.bots {
		b.mu.Lock()
		b.hear(stop) // a silence that lasts counts, too
		b.mu.Unlock()
	}
	r.stop.Store(&stop)
}

// watch reports the progress once a second.
func (r *run) watch(ctx context.Context) {
	beat := time.NewTicker(time.Second)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
			if r.cfg.Progress != nil {
				r.cfg.Progress(r.progress())
			}
		}
	}
}

func (r *run) progress() Progress {
	p := Progress{Sent: r.counts.sent.Load(), Acked: r.counts.acked.Load(), Frames: r.counts.frames.Load(), Errors: r.counts.errors.Load()}
	if start := r.start.Load(); start != nil {
		p.Elapsed = time.Since(*start)
	}
	for _, b := range r.bots {
		if b.playing() {
			p.Playing++
		}
	}
	return p
}

// settle waits until everything is acknowledged and visible, or patience ends, and sums up.
func (r *run) settle(ctx context.Context) Report {
	end := time.Now().Add(r.cfg.Patience)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if ctx.Err() != nil {
			end = earlier(end, time.Now().Add(2*time.Second))
		}
		v, settled, err := r.check()
		if settled || !time.Now().Before(end) {
			if err != nil {
				r.complain(err.Error())
			}
			return r.report(v)
		}
		wait(context.WithoutCancel(ctx), timer, 50*time.Millisecond)
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// check judges all rooms as things stand. settled means that waiting would change nothing.
func (r *run) check() (sum Verdict, settled bool, err error) {
	settled = true
	stays := make([][]Stay, len(r.keys))
	for _, b := range r.bots {
		if !b.playing() {
			settled = false
		}
		for _, s := range b.stays() {
			if s.Acked < s.Sent && !s.Gone {
				settled = false
			}
			sum.Lost += s.Sent - s.Acked // neither acknowledged nor refused
			stays[b.room] = append(stays[b.room], s)
		}
	}
	for i := range r.keys {
		t := r.trackerOf(i, "")
		if t == nil {
			continue // nobody ever came in, which the bots complain of
		}
		state, _ := t.last()
		if state == nil {
			settled = false
			err = fmt.Errorf("no state was ever shown of room %d", i)
			continue
		}
		v, final, bad := r.scenario.Check(state, stays[i])
		if bad != nil {
			err = bad
		}
		settled = settled && final
		sum.Lost += v.Lost
		sum.Duplicated += v.Duplicated
	}
	return sum, settled, err
}

// trackerOf gives the tracker of one of the run's rooms, by its id or, if that is "", the one that was found first.
func (r *run) trackerOf(room int, id string) *tracker {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case id == "":
		return r.trackers[r.ids[room]]
	case r.ids[room] == "":
		r.ids[room] = id
	case r.ids[room] != id:
		r.counts.complain("two rooms under one key")
	}
	t := r.trackers[id]
	if t == nil {
		t = new(tracker)
		r.trackers[id] = t
	}
	return t
}

// complain counts an error.
func (r *run) complain(what string) { r.counts.complain(what) }

func (r *run) report(v Verdict) Report {
	rep := Report{
		Scenario: r.cfg.Kind, Bots: len(r.bots), Rooms: len(r.keys), Seconds: round(r.stop.Load().Sub(*r.start.Load()).Seconds()),
		InputsSent: r.counts.sent.Load(), InputsAcked: r.counts.acked.Load(), InputsLost: v.Lost, InputsDuplicated: v.Duplicated,
		Frames: r.counts.frames.Load(), InputToFrameMs: r.toFrame.spread(),
	}
	gaps := newLatencies()
	for _, b := range r.bots {
		if !b.playing() {
			r.complain("a bot never came back")
		}
		b.mu.Lock()
		gaps.record(b.gap)
		rep.Reconnects += b.earlier.Reconnects
		violations := b.earlier.Violations
		if b.client != nil {
			s := b.client.Stats()
			rep.Reconnects += s.Reconnects
			violations += s.Violations
		}
		b.mu.Unlock()
		for range violations {
			r.complain("the server broke the protocol")
		}
	}
	rep.GapMs = gaps.spread()
	r.mu.Lock()
	for _, t := range r.trackers {
		_, forked := t.last()
		rep.HistoriesForked += forked
	}
	r.mu.Unlock()
	rep.Errors = r.counts.errors.Load()
	r.counts.mu.Lock()
	rep.Complaints = r.counts.complaints
	r.counts.mu.Unlock()
	return rep
}
