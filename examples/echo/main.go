// Command echo is the engine alone: a WebSocket server that sends every message back, text as text and binary as
// binary. It takes any path and no subprotocol, which makes it what protocol test suites and load generators are
// pointed at.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"tickover.dev/engine"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "echo:", err)
		stop()
		os.Exit(1)
	}
}

// Large enough for every case of the Autobahn test suite, whose longest message is 16 MiB.
const limitBytes = 32 << 20

// run serves until ctx ends.
func run(ctx context.Context, args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("echo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	addr := flags.String("addr", "127.0.0.1:9001", "address to listen on, host:port")
	if err := flags.Parse(args); err != nil {
		return err
	}
	server, err := engine.Start(engine.Config{
		Addr:            *addr,
		MaxMessageBytes: limitBytes,
		MaxBacklogBytes: limitBytes,
		MaxExtraFrames:  -1,
		SilenceTimeout:  -1,
		Pace:            -1,
		Log:             slog.New(slog.NewTextHandler(stderr, nil)),
		New:             func(*engine.Loop) engine.Handler { return echo{} },
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "echo: listening on ws://%s/\n", server.Addr())
	select {
	case <-ctx.Done():
	case err = <-server.Failed():
	}
	stopping, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if stopErr := server.Stop(stopping, engine.CodeGoingAway, "stopping"); err == nil {
		err = stopErr
	}
	return err
}

// echo is the handler; it has no state.
type echo struct{}

func (echo) Open(*engine.Conn) {}

func (echo) Message(c *engine.Conn, text bool, payload []byte) { c.Send(text, payload) }

func (echo) Closed(*engine.Conn, error) {}

func (echo) Tick(time.Time) {}
