package sessions

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// countingLog counts its lines.
type countingLog struct {
	slog.Handler
	lines atomic.Int64
}

func newCountingLog() *countingLog { return &countingLog{Handler: slog.DiscardHandler} }

func (c *countingLog) logger() *slog.Logger { return slog.New(c) }

func (c *countingLog) count() int64 { return c.lines.Load() }

// Enabled implements slog.Handler.
func (c *countingLog) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (c *countingLog) Handle(context.Context, slog.Record) error {
	c.lines.Add(1)
	return nil
}
