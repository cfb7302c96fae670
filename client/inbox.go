package client

import (
	"time"

	"tickover.dev/netcode"
)

// inbox lets every reliable message of a seat through once. They are numbered without gaps, and come again after a reconnect or a
// fail-over unless they were acknowledged.
type inbox struct{ seen uint64 }

// accept reports whether a message is new. A number is missing only if the server is wrong; a resume brings it again.
func (i *inbox) accept(number uint64) (fresh bool, err error) {
	switch {
	case number <= i.seen:
		return false, nil
	case number > i.seen+1:
		return false, violation("reliable message %d follows %d", number, i.seen)
	}
	i.seen = number
	return true, nil
}

// resume goes on behind the number that the server names, if it says that messages up to there are lost. Otherwise it goes on
// behind what was seen, whatever the server says: should that be wrong, accept finds the gap.
func (i *inbox) resume(continues uint64, outcome netcode.JoinOutcome) {
	if outcome == netcode.OutcomeSnapshot {
		i.seen = continues
	}
}

// ackAfter is how long news may wait for an input to ride on. The server holds back states after 250 ms without news from here.
const ackAfter = 100 * time.Millisecond

// acks decides when to say what has been seen: with every input, else 100 ms after the first news.
type acks struct {
	state     uint64 // last tick whose state was seen on this connection
	toldState uint64
	told      uint64    // last reliable number that was told
	since     time.Time // of the first untold news; zero: everything is told
}

// saw notes news; reliable is the last number seen.
func (a *acks) saw(now time.Time, reliable uint64) {
	if a.since.IsZero() && (a.state != a.toldState || reliable != a.told) {
		a.since = now
	}
}

func (a *acks) sawState(now time.Time, tick, reliable uint64) {
	a.state = tick
	a.saw(now, reliable)
}

// tell notes that everything seen so far goes out now.
func (a *acks) tell(reliable uint64) {
	a.told, a.toldState, a.since = reliable, a.state, time.Time{}
}

// restart is for a new connection, which has shown no state yet.
func (a *acks) restart(reliable uint64) { *a = acks{told: reliable} }

// due is when an acknowledgement must go out on its own; the zero time is never.
func (a *acks) due() time.Time {
	if a.since.IsZero() {
		return a.since
	}
	return a.since.Add(ackAfter)
}
