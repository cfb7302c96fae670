// Command play runs chaos: make chaos SECONDS=60 SEED=7. It prints what happened, and as its last line the run in one. It exits
// with 1 if anything was found; what all processes wrote is kept then.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"tickover.dev/loadtest/chaos"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout))
}

// run is the whole program, without globals.
func run(ctx context.Context, args []string, out io.Writer) int {
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	c := chaos.Config{}
	seconds := flags.Int("seconds", 60, "how long things are broken; a fault every 5 s")
	only := flags.String("only", "", "kinds of faults, with commas between; none: all")
	flags.Uint64Var(&c.Seed, "seed", 0, "of the schedule; 0: any")
	flags.IntVar(&c.Bots, "bots", 60, "players")
	flags.IntVar(&c.Rooms, "rooms", 10, "that they play in; no multiple of 3 has players of each room on all nodes")
	flags.Float64Var(&c.RateHz, "rate", 10, "inputs per second and bot")
	flags.StringVar(&c.Binary, "server", "bin/tickover", "the server's binary")
	flags.StringVar(&c.Balancer, "haproxy", "deploy/haproxy.cfg", "the balancer's configuration")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if c.Seed == 0 {
		c.Seed = uint64(rand.Uint32())
	}
	c.Duration = time.Duration(*seconds) * time.Second
	kinds, err := chaos.ParseKinds(*only)
	if err != nil || *seconds < 1 || c.Bots < 1 || c.Rooms < 1 || c.Rooms > c.Bots {
		fmt.Fprintln(out, "chaos: bad flags:", err)
		return 2
	}
	c.Only = kinds
	return play(ctx, c, *seconds, out)
}

// play runs it, and keeps the folder if something was found.
func play(ctx context.Context, c chaos.Config, seconds int, out io.Writer) int {
	var err error
	if c.Dir, err = os.MkdirTemp("", fmt.Sprintf("tickover-chaos-%d-", c.Seed)); err != nil {
		fmt.Fprintln(out, "chaos:", err)
		return 1
	}
	log, err := os.Create(filepath.Join(c.Dir, "chaos.log"))
	if err != nil {
		fmt.Fprintln(out, "chaos:", err)
		return 1
	}
	defer log.Close()
	both := io.MultiWriter(out, log)
	c.Log = both
	fmt.Fprintf(both, "chaos: seed %d, %d s, %d bots in %d rooms\n", c.Seed, seconds, c.Bots, c.Rooms)
	report, err := chaos.Run(ctx, c)
	code := 0
	switch {
	case err != nil:
		fmt.Fprintln(both, "chaos:", err)
		code = 1
	case !report.Clean():
		code = 1
	}
	if report != nil {
		report.Write(both)
	}
	if code == 0 {
		os.RemoveAll(c.Dir)
	} else {
		fmt.Fprintf(both, "logs of everybody: %s\nagain: make chaos SECONDS=%d SEED=%d\n", c.Dir, seconds, c.Seed)
	}
	if report != nil {
		fmt.Fprintln(both, report.Line())
	}
	return code
}
