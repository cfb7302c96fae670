package bus

import (
	"context"
	"sync"
	"time"

	"tickover.dev/cluster"
)

const (
	tendEvery   = time.Second            // inboxes are kept by it: see Inbox
	tryAgain    = 100 * time.Millisecond // after an inbox could not be read or made
	drainWithin = time.Second            // how long what is queued at the end may take
)

// Run makes this node's inbox, sends and receives until ctx ends, sends what is queued, if that is soon done, and takes the inbox
// away. It returns the cause. It is called once.
func (l *Link) Run(ctx context.Context) error {
	var sending sync.WaitGroup
	sending.Go(func() { l.send(ctx) })
	l.receive(ctx)
	sending.Wait()
	return context.Cause(ctx)
}

// parcel is what one Put carries. The sender's goroutine has one, for all.
type parcel struct {
	packets  []Packet
	outcomes []Outcome
	failed   bool // the last one was not answered
}

// send sends what is due, one Put after the other.
func (l *Link) send(ctx context.Context) {
	var p parcel
	for ctx.Err() == nil {
		if l.take(&p) {
			l.put(ctx, &p)
			continue
		}
		select {
		case <-l.timer.C:
		case <-ctx.Done():
		}
	}
	l.drain(ctx, &p)
}

// take gives what is due now; if that is nothing, the timer is set for the next.
func (l *Link) take(p *parcel) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	p.packets = l.out.take(now, p.packets[:0])
	l.idle, l.armed = len(p.packets) == 0, time.Time{}
	l.arm(now)
	return !l.idle
}

func (l *Link) put(ctx context.Context, p *parcel) {
	p.outcomes = p.outcomes[:0]
	for range p.packets {
		p.outcomes = append(p.outcomes, Unknown)
	}
	// It goes on if ctx ends: what it sends is sent, and the outcome is wanted.
	err := l.config.Bus.Put(context.WithoutCancel(ctx), p.packets, p.outcomes)
	switch {
	case err != nil && !p.failed:
		l.log.Warn("packets not known to be delivered; trying on", "error", err)
	case err == nil && p.failed:
		l.log.Info("packets are delivered again")
	}
	p.failed = err != nil
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out.settle(p.outcomes, time.Now())
}

// drain sends what is queued, as far as that goes without trouble. The ping that goes with it wakes the receiver.
func (l *Link) drain(ctx context.Context, p *parcel) {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	end := time.Now().Add(drainWithin)
	for more := true; more && time.Now().Before(end); {
		l.mu.Lock()
		l.out.hurry(time.Now())
		l.mu.Unlock()
		l.take(p)
		l.put(ctx, p)
		l.mu.Lock()
		more = l.out.queued > 0 && l.out.retryAt.IsZero()
		l.mu.Unlock()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.waiters {
		w.done <- ErrClosed
	}
	l.waiters = nil
}

// receive reads the inbox, which it makes first and takes away at last.
func (l *Link) receive(ctx context.Context) {
	inbox := l.open(ctx)
	if inbox == nil {
		return
	}
	close(l.ready)
	defer func() {
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainWithin)
		defer cancel()
		if err := inbox.Close(within); err != nil {
			l.log.Warn("inbox not taken away; it will expire", "error", err)
		}
	}()
	tended, failing := time.Now(), false
	for ctx.Err() == nil {
		var err error
		if time.Since(tended) >= tendEvery {
			if err = l.tend(ctx, inbox); err == nil {
				tended = time.Now()
			}
		}
		if err == nil {
			err = l.read(ctx, inbox)
		}
		if err != nil && ctx.Err() == nil {
			l.received.failures.Add(1)
			tended = time.Time{} // it may have vanished: look at once when the store is back
			if !failing {
				l.log.Warn("inbox not read", "error", err)
			}
			pause(ctx, tryAgain)
		}
		if failing && err == nil {
			l.log.Info("inbox is read again")
		}
		failing = err != nil
	}
}

func (l *Link) read(ctx context.Context, inbox Inbox) error {
	packets, err := inbox.Read(ctx)
	for _, p := range packets {
		l.deliver(p)
	}
	return err
}

// open makes the inbox, however long it takes; nil if ctx ends.
func (l *Link) open(ctx context.Context) Inbox {
	for failing := false; ctx.Err() == nil; pause(ctx, tryAgain) {
		inbox, err := l.config.Bus.Open(ctx, l.config.Self)
		if err == nil {
			return inbox
		}
		if !failing && ctx.Err() == nil {
			l.log.Warn("inbox not made; trying on", "error", err)
		}
		failing = true
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// tend keeps the inbox, and tells the handler if it has lost something, for everybody who may have had something in it.
func (l *Link) tend(ctx context.Context, inbox Inbox) error {
	lost, err := inbox.Tend(ctx)
	if !lost {
		return err
	}
	l.received.vanished.Add(1)
	l.log.Warn("inbox has lost packets")
	l.inMu.Lock()
	known := l.in.known()
	l.inMu.Unlock()
	for _, b := range known {
		l.lost(b)
	}
	return err
}

func (l *Link) lost(from cluster.Boot) {
	l.received.lost.Add(1)
	l.config.Handler.Lost(from)
}

// deliver takes one packet.
func (l *Link) deliver(packet []byte) {
	h, messages, err := parse(packet)
	switch {
	case err != nil:
		if l.received.malformed.Add(1) == 1 {
			l.log.Error("packet not read; no more of these will be logged", "error", err)
		}
		return
	case h.kind == kindPing:
		if h.sender == l.config.Self {
			l.ponged(0, h.number)
		}
		return
	}
	l.inMu.Lock()
	v := l.in.take(h)
	l.inMu.Unlock()
	if v.double {
		l.received.doubles.Add(1)
	}
	if v.lost {
		l.lost(h.sender)
	}
	if !v.deliver {
		return
	}
	l.received.crossed(time.Since(time.UnixMicro(h.at)))
	count := uint64(0)
	for len(messages) > 0 {
		var m []byte
		m, messages, _ = nextMessage(messages)
		count++
		l.config.Handler.Receive(h.sender, m)
	}
	l.received.batches.Add(1)
	l.received.messages.Add(count)
	l.received.bytes.Add(uint64(len(packet)))
}
