package sessions

import "tickover.dev/netcode"

// allowance is what a connection may still send. A message is one of the WebSocket; its parts are the arrays in it. Both refill
// with time, up to a burst.
type allowance struct {
	messages, parts float64
	refilledMs      int64
	dropped         uint32 // messages over the limit since the allowance was last full
}

const (
	// partsPerMessage is how many parts a second a client may send for each message a second: an input and an acknowledgement
	// for some rooms, with room to spare. Without it a message of 16 KiB could hold 5,000 pings.
	partsPerMessage = 8
	// partsBurst lets a client that resumes send everything it may hold again: 256 inputs in each of 8 rooms, twice.
	partsBurst = 2 * inputWindow * 8

	// floodMessages is how many messages beyond the limit, without a pause to make up for them, close the connection.
	floodMessages = 1000
	// answerEvery is how many dropped messages are told of with one error.
	answerEvery = 64
)

// refill adds what the time since the last call has earned.
func (a *allowance) refill(nowMs int64, perSec, burst float64) {
	earned := float64(max(nowMs-a.refilledMs, 0)) * perSec / 1000
	a.refilledMs = nowMs
	a.messages = min(a.messages+earned, burst)
	a.parts = min(a.parts+earned*partsPerMessage, partsBurst)
	if a.messages == burst {
		a.dropped = 0
	}
}

// allow takes one message off the allowance, or says no.
func (k *conn) allow() bool {
	c := &k.loop.hub.config
	k.allowance.refill(k.loop.nowMs, c.MessagesPerSec, c.MessageBurst)
	if k.allowance.messages >= 1 {
		k.allowance.messages--
		return true
	}
	k.overLimit()
	return false
}

// allowPart is allow for one array; the rest of its message is dropped with it.
func (k *conn) allowPart() bool {
	if k.allowance.parts >= 1 {
		k.allowance.parts--
		return true
	}
	k.overLimit()
	return false
}

// overLimit drops a message. The first of a series is answered, and then every 64th.
func (k *conn) overLimit() {
	k.loop.hub.stats.RateLimited.Add(1)
	k.allowance.dropped++
	switch {
	case k.state != stateReady || k.allowance.dropped >= floodMessages:
		k.hangUp(netcode.CloseFlood, "too many messages")
	case k.allowance.dropped%answerEvery == 1:
		k.refuse(0, netcode.CodeRateLimited, "too many messages: this one was dropped", 1000)
	}
}
