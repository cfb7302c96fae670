package floor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// Fanout compares what a message costs a node with what it costs the floor.
type Fanout struct {
	Node, Floor string        // programs, see BuildNode and BuildFloor
	Players     []int         // sizes to measure
	Rounds      int           // per size
	Warm        time.Duration // of playing before a measurement
	Measure     time.Duration
	Profile     string // a file for a CPU profile of the node, taken in a round of its own after the last; "" for none

	Out    io.Writer // the result: one line per size
	Stderr io.Writer // what goes on, and what servers complain of
}

const (
	fanoutRateHz  = 20
	fanoutKind    = "picture"
	fanoutPerRoom = 20

	// A round in which fewer states arrive, or more because a server catches up with what it has missed before, is not measured
	// at all: such a server does other work per message.
	leastArrived, mostArrived = 0.97, 1.03
)

// sample is one measurement of one server.
type sample struct {
	outPerS    float64 // states delivered
	arrived    float64 // of what was expected
	ticks      float64 // by how much the players' newest tick went on, of what was expected: arrived is less if states were skipped
	cpuPerOut  float64 // microseconds of the server's, for one state out and one input in
	rssPerConn float64 // KiB
	client     float64 // processors that the load client took
	others     float64 // processors that everything else on the machine took
	late       time.Duration
}

// errTooFewRounds means that the machine was too busy, or the server too slow, to measure anything.
var errTooFewRounds = errors.New("too few rounds in which the states arrived")

// Run measures both servers in turns and prints, for each size, the medians:
//
//	fanout: conns=… out_per_s=… cpu_us_per_out=… floor_us_per_out=… ratio_to_floor=… rss_per_conn_kb=…
//
// The caller's goroutine should be locked to its thread.
func (f *Fanout) Run(ctx context.Context) error {
	var errs []error
	for _, n := range f.Players {
		ours, floor, err := f.rounds(ctx, n)
		if err != nil {
			return fmt.Errorf("%d players: %w", n, err)
		}
		if min(len(ours), len(floor)) < (f.Rounds+1)/2 {
			errs = append(errs, fmt.Errorf("%d players: %w: %d of the node, %d of the floor, of %d", n, errTooFewRounds, len(ours), len(floor), f.Rounds))
			continue
		}
		cost, least := median(ours, sample.cost), median(floor, sample.cost)
		fmt.Fprintf(f.Out, "fanout: conns=%d out_per_s=%.0f cpu_us_per_out=%.2f floor_us_per_out=%.2f ratio_to_floor=%.2f rss_per_conn_kb=%.1f\n",
			n, median(ours, func(s sample) float64 { return s.outPerS }), cost, least, cost/least, median(ours, func(s sample) float64 { return s.rssPerConn }))
	}
	if f.Profile != "" {
		_, err := f.round(ctx, true, slices.Max(f.Players), f.Profile)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// inTime reports whether the server did all of its work, and no other.
func (s sample) inTime() bool {
	return min(s.arrived, s.ticks) >= leastArrived && max(s.arrived, s.ticks) <= mostArrived
}

func (s sample) cost() float64 { return s.cpuPerOut }

// extraRounds replace those that were refused, if they can.
const extraRounds = 2

// rounds gives the samples that count, f.Rounds of each server if all goes well.
func (f *Fanout) rounds(ctx context.Context, players int) (ours, floor []sample, err error) {
	for i := range f.Rounds + extraRounds {
		for turn := range 2 {
			node := (i+turn)%2 == 1 // who begins takes turns as well
			if node && len(ours) == f.Rounds || !node && len(floor) == f.Rounds {
				continue
			}
			s, err := f.round(ctx, node, players, "")
			switch {
			case errors.Is(err, errFull):
				fmt.Fprintf(f.Stderr, "      refused: %v\n", err)
			case err != nil:
				return nil, nil, err
			case !s.inTime():
				fmt.Fprintf(f.Stderr, "      refused: %.1f %% of the states arrived, in %.1f %% of the ticks\n", 100*s.arrived, 100*s.ticks)
			case node:
				ours = append(ours, s)
			default:
				floor = append(floor, s)
			}
		}
	}
	return ours, floor, nil
}

// round measures one server once.
func (f *Fanout) round(ctx context.Context, node bool, players int, profile string) (s sample, err error) {
	name, start, program, enter := "floor", StartFloor, f.Floor, Connected
	if node {
		name, start, program, enter = "node", StartNode, f.Node, Joined
	}
	server, err := start(ctx, f.Stderr, program)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	empty, err := server.Resident()
	if err != nil {
		return s, err
	}
	crowd, err := Gather(ctx, CrowdConfig{
		Addr: server.Game, Players: players, Enter: enter, Kind: fanoutKind, PerRoom: fanoutPerRoom, Every: time.Second / fanoutRateHz,
	})
	if err != nil {
		return s, fmt.Errorf("%s: %w", name, err)
	}
	defer func() { err = errors.Join(err, crowd.Leave()) }()
	if _, err := crowd.Play(ctx, f.Warm); err != nil {
		return s, fmt.Errorf("%s: %w", name, err)
	}
	if profile != "" {
		wait := keepProfile(ctx, server, f.Measure, profile)
		defer func() { err = errors.Join(err, wait()) }()
	}
	s, err = measure(ctx, server, crowd, f.Measure, players, empty)
	if err != nil {
		return s, fmt.Errorf("%s: %w", name, err)
	}
	fmt.Fprintf(f.Stderr, "%-5s conns=%d arrived=%.3f ticks=%.3f cpu_us_per_out=%.2f rss_per_conn_kb=%.1f client_cpus=%.2f other_cpus=%.2f late_ms=%d\n",
		name, players, s.arrived, s.ticks, s.cpuPerOut, s.rssPerConn, s.client, s.others, s.late.Milliseconds())
	return s, nil
}

// measure plays for so long and gives what that cost the server. empty is what it took in memory without anybody.
func measure(ctx context.Context, server *Server, crowd *Crowd, d time.Duration, players int, empty int64) (sample, error) {
	before, err := readClocks(server)
	if err != nil {
		return sample{}, err
	}
	count, err := crowd.Play(ctx, d)
	if err != nil {
		return sample{}, err
	}
	after, err := readClocks(server)
	if err != nil {
		return sample{}, err
	}
	full, err := server.Resident()
	if err != nil {
		return sample{}, err
	}
	seconds := count.Elapsed.Seconds()
	expected := float64(players*fanoutRateHz) * seconds
	cpu, client, all := after.server-before.server, after.client-before.client, after.all-before.all
	return sample{
		outPerS:    float64(count.States) / seconds,
		arrived:    float64(count.States) / expected,
		ticks:      float64(count.Ticks) / expected,
		cpuPerOut:  cpu.Seconds() * 1e6 / float64(max(count.States, 1)),
		rssPerConn: float64(full-empty) / 1024 / float64(players),
		client:     client.Seconds() / seconds,
		others:     max(0, (all-cpu-client).Seconds()/seconds),
		late:       count.Late,
	}, nil
}

// median gives the middle of what of says about the samples; there is at least one.
func median(samples []sample, of func(sample) float64) float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	slices.Sort(values)
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}
