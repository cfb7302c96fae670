package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"tickover.dev/loadtest"
	"tickover.dev/loadtest/chaos/rig"
)

// Config says what is broken, and for how long.
type Config struct {
	Dir      string // of logs and data; it must exist
	Binary   string // the server
	Balancer string // HAProxy's configuration
	Seed     uint64
	Duration time.Duration // of breaking: one fault for every 5 s, and one at least
	Only     []Kind        // none: all kinds

	Bots, Rooms int
	RateHz      float64 // inputs per second and bot

	// Log gets a line for each thing that happens.
	Log io.Writer
}

const (
	nodes = 3 // as the balancer's configuration has

	// calm is how recent every bot's newest frame must be for all to be well.
	calm = 500 * time.Millisecond
	// recovery is how long a fault may take to be over: leases, clients that wait before they connect again, and a machine that is
	// busy starting processes.
	recovery = 20 * time.Second
	// slow is what is worth a word.
	slow = 4 * time.Second
	// tries is how often a fault that came too late is tried.
	tries = 3
)

// run is one run of chaos. One goroutine uses it; the bots meet it in witness and sockets.
type run struct {
	Config
	rig     *rig.Rig
	witness *Witness
	report  Report
	began   time.Time

	mu sync.Mutex
	// Guarded by mu.
	sockets []string // local address of each bot's newest connection
}

// Run breaks things. The error is about not getting started; what is found is in the report.
func Run(ctx context.Context, c Config) (*Report, error) {
	r := &run{Config: c, witness: NewWitness(c.Bots), began: time.Now(), sockets: make([]string, c.Bots)}
	r.report.Seed = c.Seed
	plan := Schedule(c.Seed, max(int(c.Duration/slot), 1), nodes, c.Only...)
	for i, f := range plan {
		fmt.Fprintf(c.Log, "plan %3d  %s\n", i+1, f)
	}
	var err error
	if r.rig, err = rig.Start(ctx, rig.Config{Dir: c.Dir, Binary: c.Binary, Nodes: nodes, Balancer: c.Balancer}); err != nil {
		return nil, err
	}
	defer r.rig.Close()
	players, err := os.Create(filepath.Join(c.Dir, "players.log"))
	if err != nil {
		return nil, err
	}
	defer players.Close()
	over := make(chan struct{})
	var playing sync.WaitGroup
	var playErr error
	lives, abort := context.WithCancel(ctx)
	defer abort()
	playing.Go(func() {
		r.report.Play, playErr = loadtest.Run(lives, r.play(over, players))
		abort() // whoever waits for players waits in vain
	})
	r.breakAll(lives, plan)
	close(over)
	playing.Wait()
	if err := r.rig.Unexpected(); err != nil {
		r.fail("%v", err)
	}
	r.report.Moves = r.witness.Moves()
	r.report.Missing = missing(plan, r.report.Happened)
	return &r.report, playErr
}

// play is what the bots do. They stop when over is closed.
func (r *run) play(over <-chan struct{}, log io.Writer) loadtest.Config {
	return loadtest.Config{
		URL: "ws://" + r.rig.Balancer.Addr + "/", Kind: "ledger", Bots: r.Bots, Rooms: r.Rooms, RateHz: r.RateHz,
		Duration: 24 * time.Hour, Until: over, BackoffFirst: 100 * time.Millisecond, Observer: r.witness, Dial: r.dial,
		Log: slog.New(slog.NewTextHandler(log, nil)),
	}
}

// dial notes from where each bot speaks, by which the balancer knows it.
func (r *run) dial(ctx context.Context, bot int, network, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err == nil && bot >= 0 {
		r.mu.Lock()
		r.sockets[bot] = c.LocalAddr().String()
		r.mu.Unlock()
	}
	return c, err
}

// breakAll does one fault after the other, as long as everybody recovers.
func (r *run) breakAll(ctx context.Context, plan []Fault) {
	if err := r.heal(ctx, r.began); err != nil {
		r.fail("before the first fault: %v", err)
		return
	}
	pass(ctx, gapBefore) // the first window begins before its fault
	for i, f := range plan {
		if err := r.breakOne(ctx, f); err != nil {
			r.fail("fault %d, %s: %v", i+1, f, err)
			if !errors.Is(err, errDrain) { // who does not recover has nothing to break
				return
			}
		}
	}
}

// breakOne does one fault, waits until all is well, and measures. A fault that came too late is tried again, sooner.
func (r *run) breakOne(ctx context.Context, f Fault) error {
	for range tries {
		if err := r.heal(ctx, r.began); err != nil {
			return fmt.Errorf("before it: %w", err)
		}
		start, elsewhere, err := r.hit(ctx, f)
		if errors.Is(err, errMissed) {
			f.Lag /= 4
			continue
		}
		if err == nil || errors.Is(err, errDrain) {
			r.report.Happened[f.Kind]++
			pass(ctx, time.Until(start.Add(gapAfter)))
			r.measure(f.Kind, elsewhere, start)
		}
		return err
	}
	return nil // it is missing in the report
}

// hit does a fault and waits until all is well. It gives the beginning, and the bots whose own connection was not hit.
func (r *run) hit(ctx context.Context, f Fault) (start time.Time, elsewhere []int, err error) {
	n, rooms, err := victim(r.rig, f)
	if err != nil {
		return start, nil, err
	}
	what := f.Kind.String()
	if n != nil {
		if elsewhere, err = r.elsewhere(n); err != nil {
			return start, nil, err
		}
		what += fmt.Sprintf(" %s, with %d rooms and %d players", n.Name, rooms, r.Bots-len(elsewhere))
	}
	r.say("fault     %s, for %s", what, f.For)
	start = time.Now()
	err = inflict(ctx, r.rig, f, n)
	r.say("mended    %s", f.Kind)
	healErr := r.heal(ctx, time.Now())
	if healErr != nil {
		return start, nil, errors.Join(healErr, notMissed(err))
	}
	r.say("well      after %s", time.Since(start).Round(time.Millisecond))
	return start, elsewhere, err
}

// notMissed drops errMissed: whoever is not well after half a fault is not well.
func notMissed(err error) error {
	if errors.Is(err, errMissed) {
		return nil
	}
	return err
}

// heal waits until every bot plays, with something seen since a time and lately, and every node is ready. It gives what is still
// wrong when that takes too long.
func (r *run) heal(ctx context.Context, since time.Time) error {
	began, told := time.Now(), false
	for {
		err := errors.Join(r.rig.Healthy(), ctx.Err())
		if lately := time.Now().Add(-calm); lately.After(since) {
			since = lately
		}
		silent := r.witness.Silent(since)
		if len(silent) > 0 {
			err = errors.Join(err, fmt.Errorf("%d of %d bots see nothing", len(silent), r.Bots))
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		took := time.Since(began)
		if took > slow && !told {
			told = true
			r.describe(err, silent)
		}
		if took > recovery || r.rig.Unexpected() != nil {
			return fmt.Errorf("not well: %w", err)
		}
		pass(ctx, 50*time.Millisecond)
	}
}

// describe says who has not recovered yet, and where they are, and has the nodes write down how they are.
func (r *run) describe(err error, silent []int) {
	for _, n := range r.rig.Nodes {
		if n.Alive() {
			n.Record(time.Now().Format("150405"))
		}
	}
	r.say("slow      %s", strings.ReplaceAll(err.Error(), "\n", "; "))
	servers, _ := r.rig.Balancer.Servers()
	for _, bot := range silent {
		r.mu.Lock()
		local := r.sockets[bot]
		r.mu.Unlock()
		heard := r.witness.Moments(bot)
		since := "ever"
		if len(heard) > 0 {
			since = heard[len(heard)-1].Format(time.TimeOnly + ".000")
		}
		r.say("          bot %d in room %s at %s (%s): nothing since %s", bot, r.witness.Room(bot), servers[local], local, since)
	}
}

// elsewhere lists the bots whose own connection is not with a node.
func (r *run) elsewhere(n *rig.Node) ([]int, error) {
	servers, err := r.rig.Balancer.Servers()
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var bots []int
	for bot, local := range r.sockets {
		if at := servers[local]; at != "" && at != n.Name {
			bots = append(bots, bot)
		}
	}
	return bots, nil
}

func (r *run) measure(k Kind, bots []int, start time.Time) {
	var gaps []time.Duration
	for _, bot := range bots {
		gaps = append(gaps, Silence(r.witness.Moments(bot), start.Add(-gapBefore), start.Add(gapAfter)))
	}
	r.report.Gaps[k] = append(r.report.Gaps[k], gaps...)
	if len(gaps) > 0 {
		r.say("gaps      of %d players elsewhere: p50 %s ms, longest %s ms", len(gaps), Ms(Quantile(gaps, 0.5)), Ms(Quantile(gaps, 1)))
	}
}

// missing lists the kinds that were planned and did not happen.
func missing(plan []Fault, happened [kinds]int) (never []Kind) {
	var told [kinds]bool
	for _, f := range plan {
		if happened[f.Kind] == 0 && !told[f.Kind] {
			told[f.Kind] = true
			never = append(never, f.Kind)
		}
	}
	return never
}

func (r *run) fail(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	r.report.Failures = append(r.report.Failures, text)
	r.say("FAILED    %s", text)
}

func (r *run) say(format string, args ...any) {
	fmt.Fprintf(r.Log, "%s %7.2f  %s\n", time.Now().Format(time.TimeOnly+".000"), time.Since(r.began).Seconds(), fmt.Sprintf(format, args...))
}
