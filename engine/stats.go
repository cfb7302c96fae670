package engine

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// Stats are a server's counters since Start; Conns, Open and Mailbox are what there is now.
type Stats struct {
	Conns    int64 // connections, those in the handshake and those closing included
	Open     int64 // connections announced by Handler.Open and not yet by Handler.Closed
	Mailbox  int64 // tasks waiting, all loops
	MaxConns int64 // see Config

	Accepted     uint64 // connections accepted, refused ones included
	Refused      uint64 // connections over MaxConns or while stopping: answered 503
	RefusedAddr  uint64 // connections over MaxConnsPerAddr: answered 429
	Upgraded     uint64 // handshakes completed
	Rejected     uint64 // handshakes answered with any other refusal
	StrangeProxy uint64 // of them, PROXY headers from addresses that are not trusted
	AcceptErrors uint64 // accepts that failed for want of descriptors or memory

	MessagesIn, MessagesOut uint64 // whole messages; control frames do not count
	BytesIn, BytesOut       uint64 // bytes taken from and given to sockets, frames and handshakes included

	Flushes         uint64 // writes of frames: one per connection and turn that has something to send
	Wakes           uint64 // wake-ups of a loop for its mailbox
	Rests           uint64 // rests of busy loops, see Config.Pace
	MailboxRefusals uint64 // posts refused
	Panics          uint64 // in handlers and tasks, each survived and logged

	Turns       uint64
	Busy        time.Duration // time spent in turns, all loops together
	LongestTurn time.Duration // a turn this long made everything else on its loop wait

	// Closed counts connections once open by the close code that ended them, the peer's or ours; CodeAbnormal
	// stands for those that ended without a close frame.
	Closed map[uint16]uint64
}

// counters are what one loop has done. Only the loop adds to most of them; anyone reads.
type counters struct {
	open, upgraded, rejected                   atomic.Int64
	messagesIn, messagesOut, bytesIn, bytesOut atomic.Uint64
	flushes, turns                             atomic.Uint64
	busy, longestTurn                          atomic.Int64 // nanoseconds

	rests                       atomic.Uint64
	wakes, refusedPosts, panics atomic.Uint64 // from any goroutine
}

// tally counts within a turn, so that atomics are paid for once per turn and not per message.
type tally struct {
	messagesIn, messagesOut, bytesIn, bytesOut, flushes uint64
	rejected                                            int64
}

// add ends a turn that took so many nanoseconds.
func (s *counters) add(t *tally, nanos int64) {
	s.turns.Add(1)
	s.busy.Add(nanos)
	if nanos > s.longestTurn.Load() {
		s.longestTurn.Store(nanos)
	}
	addIf(&s.messagesIn, t.messagesIn)
	addIf(&s.messagesOut, t.messagesOut)
	addIf(&s.bytesIn, t.bytesIn)
	addIf(&s.bytesOut, t.bytesOut)
	addIf(&s.flushes, t.flushes)
	if t.rejected > 0 {
		s.rejected.Add(t.rejected)
	}
	*t = tally{}
}

func addIf(to *atomic.Uint64, n uint64) {
	if n > 0 {
		to.Add(n)
	}
}

// closeCounts counts the ends of connections by code. Peers choose from some 2,000 codes, so it stays small.
type closeCounts struct {
	mu sync.Mutex
	// Guarded by mu.
	byCode map[uint16]uint64
}

func (c *closeCounts) add(code uint16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byCode == nil {
		c.byCode = make(map[uint16]uint64)
	}
	c.byCode[code]++
}

func (c *closeCounts) read() map[uint16]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.byCode)
}

// Stats reads the counters. They are read one by one, so they may disagree by what happens meanwhile.
func (s *Server) Stats() Stats {
	st := Stats{
		Conns:        s.conns.Load(),
		Accepted:     s.accepted.Load(),
		Refused:      s.refused.Load(),
		RefusedAddr:  s.refusedAddr.Load(),
		StrangeProxy: s.strangeProxies.Load(),
		MaxConns:     int64(s.cfg.MaxConns),
		AcceptErrors: s.acceptErrors.Load(),
		Closed:       s.closeCounts.read(),
	}
	for _, l := range s.loops {
		st.Open += l.open.Load()
		st.Mailbox += int64(l.mailbox.waiting())
		st.Upgraded += uint64(l.upgraded.Load())
		st.Rejected += uint64(l.rejected.Load())
		st.MessagesIn += l.messagesIn.Load()
		st.MessagesOut += l.messagesOut.Load()
		st.BytesIn += l.bytesIn.Load()
		st.BytesOut += l.bytesOut.Load()
		st.Flushes += l.flushes.Load()
		st.Wakes += l.wakes.Load()
		st.Rests += l.rests.Load()
		st.MailboxRefusals += l.refusedPosts.Load()
		st.Panics += l.panics.Load()
		st.Turns += l.turns.Load()
		st.Busy += time.Duration(l.busy.Load())
		st.LongestTurn = max(st.LongestTurn, time.Duration(l.longestTurn.Load()))
	}
	return st
}
