package node

import "time"

// isolation judges whether a node is cut off from Redis alone: it does not reach Redis, and most of its peers do. Then its rooms are
// others' soon, and its players are better off there. If nobody reaches Redis, they would find nothing better.
//
//	              alone for 1.5 s, on balance
//	with others ───────────────────────────────► cut off
//	     ▲                                          │
//	     └──────────────────────────────────────────┘
//	          Redis is reached for 1.5 s, on balance
//
// On balance: time of one kind makes up for as much of the other. So one heartbeat that gets through, or one peer's word, changes
// nothing, in either direction. It is for one goroutine.
type isolation struct {
	cutOff bool
	alone  time.Duration // the balance: 0 to cutOffAfter
	last   time.Time     // when it was last looked
}

const (
	// cutOffAfter is longer than a lease: the node's rooms have been others' for a while then.
	cutOffAfter = 1500 * time.Millisecond
	cutOffLook  = 100 * time.Millisecond
)

// look takes what is seen now, and reports whether the verdict has changed.
func (i *isolation) look(now time.Time, sees, peersSee bool) (changed bool) {
	passed := min(now.Sub(i.last), 2*cutOffLook) // a node that was frozen has seen nothing of the rest
	i.last = now
	if sees || !peersSee && !i.cutOff {
		passed = -passed
	}
	i.alone = min(max(i.alone+passed, 0), cutOffAfter)
	was := i.cutOff
	switch i.alone {
	case 0:
		i.cutOff = false
	case cutOffAfter:
		i.cutOff = true
	}
	return i.cutOff != was
}
