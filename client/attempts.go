package client

import (
	"time"

	"tickover.dev/netcode"
)

// attempts numbers hellos, so that one that was given up, and arrives when the next has been answered, can be told from that. Each
// number is higher than all before, those of an earlier process with the same secret included: it is the time in Unix milliseconds, or
// one more than the last. Nothing has to be kept for that: no process says a hello each millisecond.
type attempts struct {
	last  uint64
	stale bool // the last hello, although nothing came behind it, was called stale: the clock has gone back since the process before
}

// next gives the number of a hello that is said now; none, 0, if numbers are of no use.
func (a *attempts) next(now time.Time) uint64 {
	if a.stale {
		return 0
	}
	a.last = max(a.last+1, uint64(max(now.UnixMilli(), 0)))
	return a.last
}

// lost notes why the connection of the last hello has ended.
func (a *attempts) lost(code uint16) { a.stale = a.stale || code == netcode.CloseStale }

// welcomed notes that the last hello was answered: there is a new secret, for which no number is too low.
func (a *attempts) welcomed() { a.stale = false }
