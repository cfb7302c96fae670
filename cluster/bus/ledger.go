package bus

import (
	"slices"

	"tickover.dev/cluster"
)

// ledger knows which number comes next from each sender. It is for one goroutine.
type ledger struct {
	max     int // senders
	senders map[cluster.Boot]*sender
	heard   uint64 // grows with every packet
}

// sender is what is expected of one boot.
type sender struct {
	conversation uint64
	next         uint64
	heard        uint64 // the ledger's, when it was last heard of
	forgotten    bool   // it is taken for dead; its numbers are kept, as doubles of what it sent may still come
}

// verdict is what to do with a packet.
type verdict struct {
	lost    bool // tell that something was lost, first
	deliver bool // then deliver its messages
	double  bool // it was here before, or is void
}

func newLedger(maxSenders int) ledger {
	return ledger{max: maxSenders, senders: map[cluster.Boot]*sender{}}
}

// take judges a batch or a pulse.
//
//	number < next: a double         number = next: it is its turn         number > next: those between are lost
func (l *ledger) take(h header) (v verdict) {
	l.heard++
	s := l.senders[h.sender]
	switch {
	case s == nil:
		l.makeRoom()
		s = &sender{conversation: h.conversation, next: 1}
		l.senders[h.sender] = s
	case h.conversation < s.conversation:
		return verdict{double: true}
	case h.conversation > s.conversation: // it has forgotten this node, and what it had queued
		s.conversation, s.next = h.conversation, 1
		v.lost = true
	}
	comes := h.number
	if h.kind == kindPulse { // that is the newest, so what comes is the one after it
		comes++
	}
	if comes < s.next {
		return verdict{double: true}
	}
	v.lost = v.lost || comes > s.next || s.forgotten
	s.heard, s.forgotten, s.next = l.heard, false, comes
	if h.kind == kindBatch {
		v.deliver = true
		s.next++
	}
	return v
}

// makeRoom forgets the sender that was silent for longest, if there are too many: the next it says will count as a loss.
func (l *ledger) makeRoom() {
	if len(l.senders) < l.max {
		return
	}
	var oldest cluster.Boot
	for b, s := range l.senders {
		if oldest == 0 || s.heard < l.senders[oldest].heard {
			oldest = b
		}
	}
	delete(l.senders, oldest)
}

// forget has the next that is heard of a sender count as a loss.
func (l *ledger) forget(b cluster.Boot) {
	if s := l.senders[b]; s != nil {
		s.forgotten = true
	}
}

// known gives all senders that are not forgotten, in order.
func (l *ledger) known() []cluster.Boot {
	var known []cluster.Boot
	for b, s := range l.senders {
		if !s.forgotten {
			known = append(known, b)
		}
	}
	slices.Sort(known)
	return known
}
