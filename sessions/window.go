package sessions

// window counts the states that a client was sent and has not acknowledged. When the oldest of them is older than the window, or
// there are too many, no further state is sent: "the socket takes it" is no sign that anybody reads.
type window struct {
	list  []sentState  // oldest first
	rtt   int32        // smoothed, milliseconds; 0: not measured yet
	first [4]sentState // where list starts: a client that keeps up needs no more, and here it is in the view's own cache lines
}

type sentState struct {
	tick uint64
	atMs int64
}

const (
	minWindowMs = 250 // several ticks, and acknowledgements come only every 100 ms
	maxWindowMs = 2000
	maxUnacked  = 64
)

// open reports whether one more state may be sent.
func (w *window) open(nowMs int64) bool {
	if len(w.list) == 0 {
		return true
	}
	limit := min(max(minWindowMs, 2*int64(w.rtt)), maxWindowMs)
	return len(w.list) < maxUnacked && nowMs-w.list[0].atMs < limit
}

func (w *window) sent(tick uint64, nowMs int64) {
	if n := len(w.list); n > 0 && w.list[n-1].tick == tick {
		return
	}
	if w.list == nil {
		w.list = w.first[:0]
	}
	w.list = append(w.list, sentState{tick, nowMs})
}

// acknowledged forgets the states up to a tick, and learns from the newest of them how long the way is.
func (w *window) acknowledged(tick uint64, nowMs int64) {
	n := 0
	for n < len(w.list) && w.list[n].tick <= tick {
		n++
	}
	if n == 0 {
		return
	}
	sample := int32(min(nowMs-w.list[n-1].atMs, maxWindowMs))
	if w.rtt == 0 {
		w.rtt = sample
	} else {
		w.rtt += (sample - w.rtt) / 8 // as TCP smooths it, RFC 6298
	}
	w.list = append(w.list[:0], w.list[n:]...)
}
