package loadtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"tickover.dev/client"
)

// Config says who plays what, where and for how long.
type Config struct {
	URL      string        // of a node or a load balancer, ws:// or wss://
	Kind     string        // of the rooms: "ledger" or "arena"
	Bots     int           // 1 to 100,000; each costs a socket, three goroutines and about 35 kB
	Rooms    int           // 1 to Bots; bot i plays in room i modulo Rooms
	Duration time.Duration // of sending
	RateHz   float64       // inputs per second and bot; above 60 the server limits them
	Options  map[string]any

	// RampUp is over how long the bots arrive: 2 s, less for few.
	RampUp time.Duration
	// Patience is how long they wait for acknowledgements when they have stopped sending: 20 s.
	Patience time.Duration
	// BackoffFirst is where the clients' waits between attempts to connect begin: 0.5 s.
	BackoffFirst time.Duration

	// Until ends the sending early when it is closed. Acknowledgements are then waited for as if Duration was over.
	Until <-chan struct{}

	// Dial opens a bot's TCP connection; the probe is bot -1. nil: a net.Dialer. Called from many goroutines.
	Dial func(ctx context.Context, bot int, network, addr string) (net.Conn, error)
	// Observer is told what single bots live through. nil: nobody.
	Observer Observer

	// Progress is called once a second, if it is not nil.
	Progress func(Progress)
	// Log gets what the clients log. nil: nothing.
	Log *slog.Logger
}

// Observer is told what single bots live through. Its methods are called from the bots' goroutines, and must not block.
type Observer interface {
	// Entered is called when a bot has got a seat.
	Entered(bot int, room string)
	// Frame is called for every sign of life of a bot's room that reaches it.
	Frame(bot int, f client.Frame, at time.Time)
}

// Progress is how a run stands.
type Progress struct {
	Elapsed     time.Duration // of sending
	Playing     int           // bots in their room and connected
	Sent, Acked uint64        // inputs
	Frames      uint64
	Errors      uint64
}

// probeTimeout is how long the first connection may take.
const probeTimeout = 5 * time.Second

// enterTimeout is how long bots may take to get into their rooms before the sending begins without them.
const enterTimeout = 30 * time.Second

// Validate joins everything that is wrong with c.
func (c *Config) Validate() error {
	var complaints []error
	complain := func(format string, args ...any) { complaints = append(complaints, fmt.Errorf(format, args...)) }
	if err := (&client.Config{URL: c.URL}).Validate(); err != nil {
		complain("url %q is not of the form ws://host:port/", c.URL)
	}
	if _, err := scenarioOf(c.Kind); err != nil {
		complaints = append(complaints, err)
	}
	if c.Bots < 1 || c.Bots > 100_000 {
		complain("bots: %d is not between 1 and 100000", c.Bots)
	}
	if c.Rooms < 1 || c.Rooms > max(c.Bots, 1) {
		complain("rooms: %d is not between 1 and the number of bots", c.Rooms)
	}
	if c.Duration <= 0 {
		complain("duration: %v is not positive", c.Duration)
	}
	if !(c.RateHz > 0 && c.RateHz <= 1000) {
		complain("rate: %v is not between 0 and 1000 inputs per second", c.RateHz)
	}
	if _, err := client.Encode(nil, c.Options); err != nil {
		complain("options: %w", err)
	}
	return errors.Join(complaints...)
}

func (c *Config) fill() {
	if c.RampUp == 0 {
		c.RampUp = min(2*time.Second, time.Duration(c.Bots)*2*time.Millisecond)
	}
	if c.Patience == 0 {
		c.Patience = 20 * time.Second
	}
	if c.Dial == nil {
		c.Dial = func(ctx context.Context, _ int, network, addr string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, addr)
		}
	}
	if c.Observer == nil {
		c.Observer = nobody{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

// nobody observes nothing.
type nobody struct{}

func (nobody) Entered(int, string)                {}
func (nobody) Frame(int, client.Frame, time.Time) {}
