package client

import (
	"context"
	"time"

	"github.com/gobwas/ws"

	"tickover.dev/netcode"
)

const (
	// pingAfter is how long a client may say nothing; the server gives up after 15 s.
	pingAfter = 5 * time.Second

	// messageHz and messageBurst stay under what the server allows: 60 messages a second after a burst of 120. What comes faster
	// waits for the next message and shares it.
	messageHz    = 50
	messageBurst = 100

	// goodbyeTimeout is how long Close lets the last messages take.
	goodbyeTimeout = time.Second

	// silence is how long nothing may be heard.
	silence = 15 * time.Second
)

// write sends what is due on one connection until it breaks or ctx ends, which says goodbye. Only one message is on its way at a
// time: while the peer does not read, inputs wait in their outbox and go out together.
func (c *Client) write(ctx context.Context, l *link, hello *netcode.Hello) {
	now := time.Now()
	buf := make([]byte, headBytes, 1024)
	if err := l.write(now, ws.OpBinary, hello.Append(buf)); err != nil {
		l.breakOff(err)
		return
	}
	timer := time.NewTimer(pingAfter)
	defer timer.Stop()
	for {
		now = time.Now()
		op, out, due, err := c.compose(now, buf[:headBytes])
		if err == nil && len(out) > headBytes {
			buf = out
			err = l.write(now, op, out)
			due = now
		}
		if err != nil {
			l.breakOff(err)
			return
		}
		if !due.After(now) {
			continue
		}
		timer.Reset(due.Sub(now))
		select {
		case <-c.wake:
		case <-timer.C:
		case <-l.broken:
			return
		case <-ctx.Done():
			c.goodbye(l, buf)
			return
		}
	}
}

// goodbye sends what is due and a close frame, and does not wait for a peer that does not read.
func (c *Client) goodbye(l *link, buf []byte) {
	now := time.Now()
	l.conn.SetWriteDeadline(now.Add(goodbyeTimeout))
	l.deadline = now.Add(writeTimeout)
	for {
		op, out, _, err := c.compose(now, buf[:headBytes])
		if err != nil || len(out) == headBytes {
			break
		}
		if l.write(now, op, out) != nil {
			break
		}
	}
	l.write(now, ws.OpClose, closeFrame(buf[:headBytes], uint16(ws.StatusNormalClosure)))
	l.breakOff(ErrClosed)
}

// compose appends the next message that is due to dst, or says when there will be one. A control frame is a message of its own.
func (c *Client) compose(now time.Time, dst []byte) (op ws.OpCode, out []byte, due time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.heard) >= silence {
		return 0, dst, now, errSilent
	}
	if c.pong != nil {
		out = append(dst, c.pong...)
		c.pong = nil
		return ws.OpPong, out, now, nil
	}
	due = c.heard.Add(silence)
	out = dst
	if at := c.pace.next(now); at.After(now) {
		c.armed = earlier(due, at)
		return ws.OpBinary, dst, c.armed, nil
	}
	if c.welcomed {
		out = c.appendRequests(out)
		for _, r := range c.rooms {
			if r.attached {
				out = c.appendRoom(now, out, r)
				due = earlier(due, r.out.due(now))
				due = earlier(due, r.ack.due())
			}
		}
		if len(out) == len(dst) && now.Sub(c.spoke) >= pingAfter {
			out = (&netcode.Ping{Time: uint64(now.UnixMilli())}).Append(out)
		}
		if len(out) > len(dst) {
			c.spoke = now
			c.pace.spend(now)
		}
		due = earlier(due, c.spoke.Add(pingAfter))
	}
	c.armed = due
	return ws.OpBinary, out, due, nil
}

// appendRoom appends the inputs that are to go out, each with what has been seen, or a due acknowledgement on its own.
func (c *Client) appendRoom(now time.Time, dst []byte, r *Room) []byte {
	r.out.tick(now)
	for {
		number, value, ok := r.out.next()
		if !ok || len(dst)+len(value) > maxOutBytes-64 { // 64: the other fields take at most 41
			break
		}
		m := netcode.Input{Room: r.number, Number: number, Reliable: r.in.seen, State: r.ack.state, Value: value}
		dst = m.Append(dst)
		if r.out.sentNext() {
			c.stats.Resent++
		}
		r.ack.tell(r.in.seen)
	}
	if due := r.ack.due(); !due.IsZero() && !due.After(now) {
		m := netcode.Ack{Room: r.number, Reliable: r.in.seen, State: r.ack.state}
		dst = m.Append(dst)
		r.ack.tell(r.in.seen)
	}
	return dst
}

// pace is a bucket of messages that may go out: one comes in every 1/messageHz, at most messageBurst are in it. It is kept as the
// time at which the bucket would be full.
type pace struct{ full time.Time }

// next is when a message may go out: now or later.
func (p *pace) next(now time.Time) time.Time {
	return latest(now, p.full.Add(-(messageBurst-1)*time.Second/messageHz))
}

func (p *pace) spend(now time.Time) { p.full = latest(now, p.full).Add(time.Second / messageHz) }

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// earlier gives the earlier of two moments, of which the zero one is never.
func earlier(a, b time.Time) time.Time {
	if b.IsZero() || !a.IsZero() && a.Before(b) {
		return a
	}
	return b
}
