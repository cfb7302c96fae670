package client

import "time"

const (
	backoffFirst = 500 * time.Millisecond
	backoffMax   = 20 * time.Second

	// backoffSeated bounds the waits of a client with a seat: its grace runs, and somebody looks at a game that stands still.
	backoffSeated = 5 * time.Second

	// worked: a connection that held for so long proves that the server is well.
	worked = 5 * time.Second
)

// backoff spreads reconnects: full jitter, as in "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015), which clears a
// crowd fastest.
type backoff struct {
	first, max time.Duration
	bound      time.Duration // of the next wait; 0: first
}

// wait gives the time to wait before the next attempt, for a random number in [0, 1).
func (b *backoff) wait(seated bool, random float64) time.Duration {
	bound := min(max(b.bound, b.first), b.max)
	b.bound = min(2*bound, b.max)
	if seated {
		bound = min(bound, backoffSeated)
	}
	return time.Duration(random * float64(bound))
}

// reset starts from the first bound again.
func (b *backoff) reset() { b.bound = 0 }
