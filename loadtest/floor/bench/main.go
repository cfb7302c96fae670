// Command bench measures what messages and sessions cost a node, in processor time and memory.
//
//	go run ./loadtest/floor/bench [fanout]    a message out and one in, compared with the floor: four minutes
//	go run ./loadtest/floor/bench idle        a session that does nothing: about a minute
//
// It builds what it measures, so it runs within the module, and it wants the machine for itself: two processors at least.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"tickover.dev/loadtest/floor"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	// The crowds' thread: a goroutine that stays on its thread pays less for its system calls.
	runtime.LockOSThread()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// commands is the command line: one field per measurement.
type commands struct {
	Fanout fanout `cmd:"" default:"withargs" help:"What a message costs, compared with the floor."`
	Idle   idle   `cmd:"" help:"What memory a session takes that does nothing."`
}

// output is where commands write, and where they build.
type output struct {
	stdout, stderr io.Writer
	dir            string
}

// run is the whole tool, without globals.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "tickover-floor-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var c commands
	parser, err := kong.New(&c,
		kong.Name("bench"), kong.Description("Measures what messages and sessions cost a node."),
		kong.Writers(stdout, stderr), kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(output{stdout, stderr, dir}),
	)
	if err != nil {
		return err
	}
	command, err := parser.Parse(args)
	if err != nil {
		return err
	}
	return command.Run()
}

type fanout struct {
	Players []int         `help:"Sizes." default:"1000,2500"`
	Rounds  int           `help:"Rounds per size and server." default:"5"`
	Warm    time.Duration `help:"Play before each measurement." default:"2s"`
	Measure time.Duration `help:"Length of each measurement." default:"8s"`
	Limit   time.Duration `help:"Give up after so long, building included." default:"6m"`
	Profile string        `help:"Keep a CPU profile of the node under the largest size." placeholder:"FILE"`
}

// Run measures.
func (f fanout) Run(ctx context.Context, o output) error {
	ctx, cancel := context.WithTimeoutCause(ctx, f.Limit, fmt.Errorf("not done within %v", f.Limit))
	defer cancel()
	node, err := floor.BuildNode(ctx, o.stderr, o.dir)
	if err != nil {
		return err
	}
	bare, err := floor.BuildFloor(ctx, o.stderr, o.dir)
	if err != nil {
		return err
	}
	b := floor.Fanout{
		Node: node, Floor: bare, Players: f.Players, Rounds: f.Rounds, Warm: f.Warm, Measure: f.Measure, Profile: f.Profile,
		Out: o.stdout, Stderr: o.stderr,
	}
	return b.Run(ctx)
}

type idle struct {
	Sessions int `help:"Sessions." default:"15000"`
}

// Run measures.
func (i idle) Run(ctx context.Context, o output) error {
	node, err := floor.BuildNode(ctx, o.stderr, o.dir)
	if err != nil {
		return err
	}
	b := floor.Idle{Node: node, Sessions: i.Sessions, Out: o.stdout, Stderr: o.stderr}
	return b.Run(ctx)
}
