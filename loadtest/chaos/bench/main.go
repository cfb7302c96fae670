// Command bench measures how long players see nothing when nodes die, freeze or are drained, and what it costs that they see so
// little of it: make bench-failover KILLS=30. Each figure is one line:
//
//	failover: name=owner_killed p50_ms=61.0 p99_ms=118.3 goal_ms=400 n=5940
//
// It measures real processes on this machine, and wants it for itself. What needs a look inside is in this folder's benchmarks.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"tickover.dev/loadtest/chaos"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// plan is what is measured, and how.
type plan struct {
	server string
	kills  int // of owners; the other figures follow from it
	dir    string
	stderr io.Writer
}

// figure is one thing that is measured.
type figure struct {
	name    string
	measure func(context.Context, *plan) ([]line, error)
}

// figures are in the order of their running. Those of one line of names share their players.
var figures = []figure{
	{"outages", outages},
	{"thousand_rooms", thousandRooms},
	{"crossing", crossing},
	{"journal_cpu", journalCPU},
}

// line is a figure's result.
type line struct {
	name     string
	p50, p99 float64
	goal     float64 // of p99
	goalP50  float64 // 0: none
	unit     string  // "": ms
	n        int
}

func (l line) String() string {
	unit := cmp.Or(l.unit, "ms")
	s := fmt.Sprintf("failover: name=%s p50_%s=%.1f p99_%[2]s=%.1[4]f goal_%[2]s=%[5]g n=%[6]d", l.name, unit, l.p50, l.p99, l.goal, l.n)
	if l.goalP50 > 0 {
		s += fmt.Sprintf(" goal_p50_%s=%g", unit, l.goalP50)
	}
	return s
}

// spread makes a line of times.
func spread(name string, all []time.Duration, goal time.Duration) line {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return line{name: name, p50: ms(chaos.Quantile(all, 0.5)), p99: ms(chaos.Quantile(all, 0.99)), goal: ms(goal), n: len(all)}
}

// run is the whole program, without globals.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (code int) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	p := plan{stderr: stderr}
	flags.IntVar(&p.kills, "kills", 30, "how often an owner is killed; it is frozen and drained a third as often")
	flags.StringVar(&p.server, "server", "bin/tickover", "the server's binary")
	only := flags.String("only", "", "figures, with commas between; none: all")
	if err := flags.Parse(args); err != nil || p.kills < 1 {
		return 2
	}
	dir, err := os.MkdirTemp("", "tickover-failover-")
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	p.dir = dir
	for _, f := range figures {
		if *only != "" && !slices.Contains(strings.Split(*only, ","), f.name) {
			continue
		}
		lines, err := f.measure(ctx, &p)
		for _, l := range lines {
			fmt.Fprintln(stdout, l)
		}
		if err != nil {
			fmt.Fprintf(stderr, "bench: %s: %v\n", f.name, err)
			code = 1
		}
		if ctx.Err() != nil {
			break
		}
	}
	if code != 0 {
		fmt.Fprintf(stderr, "bench: logs of everybody: %s\n", dir)
		return code
	}
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(stderr, "bench:", errors.Unwrap(err))
	}
	return 0
}
