package roomtest

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
)

// AllowFaults lets the game's Step panic without failing the test: for tests of what players see then.
func (r *Room) AllowFaults() { r.faultsAllowed = true }

// faults is the log of a room under test: what the room reports as an error, a panic of its game above all, fails the test.
type faults struct{ room *Room }

// Enabled implements slog.Handler.
func (f faults) Enabled(_ context.Context, l slog.Level) bool {
	return l >= slog.LevelError && !f.room.faultsAllowed
}

// Handle implements slog.Handler.
func (f faults) Handle(_ context.Context, r slog.Record) error {
	var text strings.Builder
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "stack" {
			fmt.Fprintf(&text, "\n%s", a.Value)
		} else {
			fmt.Fprintf(&text, " %s=%s", a.Key, a.Value)
		}
		return true
	})
	f.room.tb.Errorf("%s:%s", r.Message, text.String())
	return nil
}

// WithAttrs implements slog.Handler.
func (f faults) WithAttrs([]slog.Attr) slog.Handler { return f }

// WithGroup implements slog.Handler.
func (f faults) WithGroup(string) slog.Handler { return f }
