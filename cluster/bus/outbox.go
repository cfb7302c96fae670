package bus

import (
	"slices"
	"time"

	"tickover.dev/cluster"
)

// outbox collects messages into batches, numbers them, and decides what is sent when, and what again. It is for one goroutine.
//
//	add ──► collecting ──take──► on its way ──settle──► delivered
//	            │                  ▲      │ unknown
//	            │                  └take──┤
//	            ▼                         ▼
//	   full: that message         no inbox, or given up: all that is queued
//	            └──────── dropped: its numbers are used up ────────┘
//
// Between a take that gave packets and their settle, there is no other take; add and forget may be called.
type outbox struct {
	config *Config
	peers  map[cluster.Boot]*peer
	order  []*peer // those of peers, oldest first

	queued  int       // bytes, of all peers
	fresh   int       // bytes that came since the last take
	flushAt time.Time // what is collected is due; zero: nothing is
	retryAt time.Time // the first of the peers' retries; zero: none
	pulseAt time.Time // zero: nobody needs any
	ping    ping

	sent         []sent // the packets on their way
	free         [][]byte
	conversation uint64 // the newest
	tally        tally
}

// peer is one destination.
type peer struct {
	boot         cluster.Boot
	conversation uint64
	last         uint64  // the newest number used up
	queue        []batch // oldest first
	open         bool    // the newest of queue takes messages
	queued       int     // bytes

	tries   int       // of the oldest batch that were not answered
	failing time.Time // when the first of them was
	retry   time.Time // when to try again

	spoke   time.Time // when there last was a message for it
	pulsing bool      // it is to be told the newest number
	sent    bool      // a batch was, since the last pulse
	pulse   [headerSize]byte
}

// batch is a packet that is being filled, or was.
type batch struct {
	number   uint64
	packet   []byte
	at       time.Time
	messages int
}

// sent is a packet on its way.
type sent struct {
	to     *peer  // nil: a ping
	number uint64 // of a batch; 0: a pulse
}

// ping asks for a packet to this node itself, again and again until it is told that one came.
type ping struct {
	at     time.Time // of the next; zero: nobody asks
	number uint64
	packet [headerSize]byte
}

// tally counts what became of messages.
type tally struct {
	batches, messages, bytes uint64 // delivered
	dropped, refused, gone   uint64 // messages: given up; not queued; whose destination had no inbox
	resent, pulses, evicted  uint64
}

const (
	maxFree     = 64       // buffers that are kept,
	maxFreeSize = 64 << 10 // each of so many bytes: 4 MiB in all
	retryFirst  = 20 * time.Millisecond
	retryLast   = 500 * time.Millisecond
	linger      = 10 // pulses after the last message
)

func newOutbox(c *Config) outbox {
	return outbox{config: c, peers: map[cluster.Boot]*peer{}}
}

// add queues a message. Its errors are Send's.
func (o *outbox) add(to cluster.Boot, message []byte, now time.Time) error {
	if len(message) > MaxMessage {
		return ErrTooLarge
	}
	p := o.peer(to, now)
	if p == nil {
		o.tally.refused++
		return ErrFull
	}
	p.spoke, p.pulsing = now, true
	if o.pulseAt.IsZero() {
		o.pulseAt = now.Add(o.config.Pulse)
	}
	most := headerSize + len(message) + 5 // at the most
	if p.queued+most > o.config.MaxQueued || o.queued+most > o.config.MaxQueuedAll {
		p.last++ // the gap by which it will be noticed
		p.open = false
		o.tally.refused++
		return ErrFull
	}
	if n := len(p.queue); !p.open || len(p.queue[n-1].packet)+most > maxPacket {
		o.begin(p, now)
	}
	b := &p.queue[len(p.queue)-1]
	before := len(b.packet)
	b.packet = appendMessage(b.packet, message)
	b.messages++
	o.account(p, len(b.packet)-before)
	if p.retry.IsZero() {
		o.due(b.at.Add(o.config.FlushAfter))
		if o.fresh += len(b.packet) - before; o.fresh >= o.config.FlushBytes {
			o.due(now)
		}
	}
	return nil
}

// begin opens a batch.
func (o *outbox) begin(p *peer, now time.Time) {
	var buf []byte
	if n := len(o.free); n > 0 {
		buf, o.free = o.free[n-1], o.free[:n-1]
	}
	p.last++
	h := header{kindBatch, o.config.Self, p.conversation, p.last, now.UnixMicro()}
	p.queue = append(p.queue, batch{number: p.last, packet: appendHeader(buf, h), at: now})
	p.open = true
	o.account(p, headerSize)
}

func (o *outbox) account(p *peer, bytes int) {
	p.queued += bytes
	o.queued += bytes
}

func (o *outbox) due(at time.Time) {
	if o.flushAt.IsZero() || at.Before(o.flushAt) {
		o.flushAt = at
	}
}

// hurry makes everything due, and a ping: the sender is about to end.
func (o *outbox) hurry(now time.Time) {
	o.due(now)
	o.ping.at = now
}

// peer finds a destination, or begins a conversation with it; nil if there are too many, all busy.
func (o *outbox) peer(to cluster.Boot, now time.Time) *peer {
	if p := o.peers[to]; p != nil {
		return p
	}
	if len(o.order) >= o.config.MaxPeers && !o.evict() {
		return nil
	}
	o.conversation = max(o.conversation+1, uint64(now.UnixMicro()))
	p := &peer{boot: to, conversation: o.conversation}
	if o.tally.evicted > 0 {
		p.last = 1 // this may be one that was evicted: its first number would claim that there was nothing before
	}
	o.peers[to] = p
	o.order = append(o.order, p)
	return p
}

// evict removes the destination that nothing was said to for longest, and with it the numbers.
func (o *outbox) evict() bool {
	var idlest *peer
	for _, p := range o.order {
		if len(p.queue) == 0 && !p.pulsing && (idlest == nil || p.spoke.Before(idlest.spoke)) {
			idlest = p
		}
	}
	if idlest == nil {
		return false
	}
	delete(o.peers, idlest.boot)
	o.order = slices.DeleteFunc(o.order, func(p *peer) bool { return p == idlest })
	o.tally.evicted++
	return true
}

// forget drops what is queued for a destination. Its numbers stay, in case that it lives. A packet to it may be on its way: so the
// buffers are left to the garbage collector.
func (o *outbox) forget(b cluster.Boot) {
	p := o.peers[b]
	if p == nil {
		return
	}
	for i := range p.queue {
		o.tally.dropped += uint64(p.queue[i].messages)
	}
	o.account(p, -p.queued)
	p.queue, p.open, p.pulsing = nil, false, false
	p.tries, p.retry = 0, time.Time{}
}

// wake is when to take next; zero: when there is something new.
func (o *outbox) wake() time.Time {
	first := o.flushAt
	for _, at := range [...]time.Time{o.retryAt, o.pulseAt, o.ping.at} {
		if first.IsZero() || !at.IsZero() && at.Before(first) {
			first = at
		}
	}
	return first
}

func reached(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }

// take appends what is to be sent now, if it is time. At most one batch goes to a destination: if the next went with it and only the
// first failed, it would have overtaken.
func (o *outbox) take(now time.Time, packets []Packet) []Packet {
	o.sent = o.sent[:0]
	if wake := o.wake(); !reached(wake, now) {
		return packets
	}
	pulse := reached(o.pulseAt, now)
	o.flushAt, o.retryAt, o.fresh = time.Time{}, time.Time{}, 0
	if pulse {
		o.pulseAt = time.Time{}
	}
	for _, p := range o.order {
		switch {
		case len(p.queue) > 0 && now.Before(p.retry):
			o.retrySoon(p)
		case len(p.queue) > 0:
			packets = o.takeBatch(p, packets)
		case pulse && p.pulsing && !p.sent:
			h := header{kindPulse, o.config.Self, p.conversation, p.last, now.UnixMicro()}
			packets = append(packets, Packet{p.boot, appendHeader(p.pulse[:0], h)})
			o.sent = append(o.sent, sent{to: p})
			o.tally.pulses++
		}
		if pulse {
			p.sent = false
			if p.pulsing {
				o.pulseAt = now.Add(o.config.Pulse)
			}
		}
	}
	if reached(o.ping.at, now) {
		h := header{kind: kindPing, sender: o.config.Self, number: o.ping.number, at: now.UnixMicro()}
		packets = append(packets, Packet{o.config.Self, appendHeader(o.ping.packet[:0], h)})
		o.sent = append(o.sent, sent{})
		o.ping.at = now.Add(o.config.Pulse / 4)
	}
	return packets
}

func (o *outbox) takeBatch(p *peer, packets []Packet) []Packet {
	if len(p.queue) == 1 {
		p.open = false
	}
	if p.tries > 0 {
		o.tally.resent++
	}
	p.sent = true
	o.sent = append(o.sent, sent{p, p.queue[0].number})
	return append(packets, Packet{p.boot, p.queue[0].packet})
}

func (o *outbox) retrySoon(p *peer) {
	if o.retryAt.IsZero() || p.retry.Before(o.retryAt) {
		o.retryAt = p.retry
	}
}

// settle takes the outcomes of what take gave.
func (o *outbox) settle(outcomes []Outcome, now time.Time) {
	for i, s := range o.sent {
		p := s.to
		switch {
		case p == nil:
			continue
		case s.number == 0:
			p.pulsing = p.pulsing && (outcomes[i] == Unknown || now.Sub(p.spoke) < linger*o.config.Pulse)
			continue
		case len(p.queue) == 0 || p.queue[0].number != s.number: // forgotten meanwhile
			continue
		}
		switch outcomes[i] {
		case Delivered:
			o.tally.batches++
			o.tally.messages += uint64(p.queue[0].messages)
			o.tally.bytes += uint64(len(p.queue[0].packet))
			o.pop(p, 1)
		case NoInbox:
			o.tally.gone += o.pop(p, len(p.queue))
		default:
			o.fail(p, now)
		}
		switch {
		case len(p.queue) == 0:
		case p.retry.IsZero():
			o.due(p.queue[0].at.Add(o.config.FlushAfter))
		default:
			o.retrySoon(p)
		}
	}
	o.sent = o.sent[:0]
}

// fail notes that nothing is known of the oldest batch: it is sent again, as it is, or given up with all that is behind it.
func (o *outbox) fail(p *peer, now time.Time) {
	if p.tries == 0 {
		p.failing = now
	}
	if now.Sub(p.failing) >= o.config.GiveUp {
		o.tally.dropped += o.pop(p, len(p.queue))
		return
	}
	p.retry = now.Add(min(retryFirst<<min(p.tries, 10), retryLast))
	p.tries++
}

// pop takes the oldest batches off, and gives the number of their messages. What follows is sent without delay.
func (o *outbox) pop(p *peer, n int) (messages uint64) {
	for i := range n {
		b := &p.queue[i]
		messages += uint64(b.messages)
		o.account(p, -len(b.packet))
		if cap(b.packet) <= maxFreeSize && len(o.free) < maxFree {
			o.free = append(o.free, b.packet[:0])
		}
	}
	p.queue = slices.Delete(p.queue, 0, n)
	p.open = p.open && len(p.queue) > 0
	p.tries, p.retry = 0, time.Time{}
	return messages
}
