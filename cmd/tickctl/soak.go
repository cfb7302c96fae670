package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"tickover.dev/loadtest"
)

// soak is the command of that name.
type soak struct {
	URL      string            `help:"Of a node or the load balancer." default:"ws://localhost:7777/"`
	Kind     string            `help:"Of the rooms: ledger, which counts its inputs, or arena." default:"ledger"`
	Bots     int               `help:"How many." default:"100"`
	Rooms    int               `help:"How many; bot i plays in room i modulo N." default:"10"`
	Duration time.Duration     `help:"Of sending." default:"30s"`
	Rate     float64           `help:"Inputs per second and bot." default:"10"`
	Option   map[string]string `help:"Option of the rooms; may be repeated. Numbers and true or false are taken as such." placeholder:"KEY=VALUE" mapsep:"none"`
	JSON     bool              `name:"json" help:"The last line of the output is the report as one JSON object."`
	Verbose  bool              `short:"v" help:"Log lost connections."`
}

// Help is shown below the flags.
func (s *soak) Help() string {
	return `Bots arrive over two seconds, send at their rate whether or not they are answered, and at the end wait up to 20 s for
acknowledgements. Latencies count from the time that an input was due. A reconnect is no error.`
}

// Validate gives every complaint about the flags at once.
func (s *soak) Validate() error {
	cfg := s.config()
	return cfg.Validate()
}

func (s *soak) config() loadtest.Config {
	return loadtest.Config{
		URL: s.URL, Kind: s.Kind, Bots: s.Bots, Rooms: s.Rooms, Duration: s.Duration, RateHz: s.Rate, Options: options(s.Option),
	}
}

// Run soaks, and returns errFaults if the report is not clean.
func (s *soak) Run(ctx context.Context, out output) error {
	cfg := s.config()
	if !s.JSON {
		fmt.Fprintf(out.stdout, "%d bots in %d rooms of %s at %s, for %s\n", s.Bots, s.Rooms, s.Kind, s.URL, s.Duration)
	}
	if s.Verbose {
		cfg.Log = slog.New(slog.NewTextHandler(out.stderr, nil))
	} else if isTerminal(out.stderr) {
		cfg.Progress = func(p loadtest.Progress) { fmt.Fprint(out.stderr, "\r\x1b[K"+line(p, s.Bots)) }
		defer fmt.Fprint(out.stderr, "\n")
	}
	report, err := loadtest.Run(ctx, cfg)
	if err != nil {
		if s.JSON { // a script finds its object all the same
			json.NewEncoder(out.stdout).Encode(loadtest.Report{Scenario: s.Kind, Bots: s.Bots, Rooms: s.Rooms, Errors: 1})
		}
		return err
	}
	if s.JSON {
		for _, c := range report.Complaints {
			fmt.Fprintf(out.stderr, "tickctl: %s\n", c)
		}
		err = json.NewEncoder(out.stdout).Encode(report)
	} else {
		err = report.Write(out.stdout)
	}
	if err == nil && !report.Clean() {
		err = errFaults
	}
	return err
}

// line is how a run stands, in one line of a terminal.
func line(p loadtest.Progress, bots int) string {
	return fmt.Sprintf("%4.0f s  %d/%d playing  %d sent  %d acknowledged  %d frames  %d errors",
		p.Elapsed.Seconds(), p.Playing, bots, p.Sent, p.Acked, p.Frames, p.Errors)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// options reads values as what they look like.
func options(flags map[string]string) map[string]any {
	values := make(map[string]any, len(flags))
	for key, text := range flags {
		values[strings.TrimSpace(key)] = option(text)
	}
	return values
}

func option(text string) any {
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return i
	}
	if text == "true" || text == "false" {
		return text == "true"
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(f) && !math.IsInf(f, 0) {
		return f
	}
	return text
}
