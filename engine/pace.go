package engine

import (
	"context"
	"slices"
	"time"
)

// pacer makes a busy loop work at its own pace. Each time a loop looks for readable sockets it pays for a wait, a wake-up and the
// scheduler, about as much as for handling a small message; a loop that looks whenever one of its thousands of clients has said
// something pays that for nearly every message. So once sockets come in quick succession, the loop rests before it looks again, and
// finds dozens of them at once. What it owes waits no longer than a rest; a loop that only a few sockets keep busy never rests.
//
//	         busyTurns within busyWindow            the rest is over
//	reacting ─────────────────────────────► resting ────────────────► reacting
type pacer struct {
	rest  time.Duration // 0: never
	from  int64         // loop time at which the turns began to be counted
	turns int           // of sockets since then, and
	last  [4]*Conn      // the last of these: a few that are busy with themselves do not count
	asked bool          // a rest is due when gnet has handled what it has found
}

const (
	busyWindow = int64(time.Millisecond)
	busyTurns  = 8 // in a busyWindow: 8,000 messages a second
)

// turned counts a turn of c, and asks for a rest if there were many of different sockets.
func (l *Loop) turned(c *Conn) {
	p := &l.pacer
	if p.rest <= 0 || p.asked || slices.Contains(p.last[:], c) {
		return
	}
	if l.now-p.from > busyWindow {
		p.from, p.turns = l.now, 0
	}
	p.last[p.turns%len(p.last)] = c
	if p.turns++; p.turns < busyTurns {
		return
	}
	p.asked = true
	// It runs after the sockets that gnet has found so far. It fails only while gnet shuts down.
	_ = l.events.Execute(context.Background(), restTask{l})
}

// restTask is the loop's rest, as gnet runs it.
type restTask struct{ l *Loop }

// Run rests.
func (t restTask) Run(context.Context) error {
	p := &t.l.pacer
	time.Sleep(p.rest)
	p.asked, p.turns, p.from = false, 0, t.l.server.since()
	clear(p.last[:])
	t.l.rests.Add(1)
	return nil
}
