package engine

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/panjf2000/gnet/v2"
)

// Handler receives everything that happens on one loop, always on that loop's goroutine. It must not block.
type Handler interface {
	// Open announces a connection whose handshake is done.
	Open(c *Conn)

	// Message delivers one whole message. The payload is valid only during the call.
	Message(c *Conn, text bool, payload []byte)

	// Closed follows once for every Open. err says why: a *CloseError after a close frame of either side,
	// otherwise an I/O error.
	Closed(c *Conn, err error)

	// Tick comes every Config.TickEvery, late rather than twice.
	Tick(now time.Time)
}

// Task is work posted to a loop. With a pointer receiver posting allocates nothing.
type Task interface{ Run(l *Loop) }

// Loop is one event loop: a goroutine, its connections, its handler and its mailbox.
type Loop struct {
	// Set by Start, then read-only.
	index        int
	server       *Server
	handler      Handler
	events       gnet.EventLoop
	drainTask    gnet.Runnable // the loop as a task of events
	log          *slog.Logger
	handshake    handshake
	maxBacklog   int
	backlogCode  uint16
	maxExtra     int
	silence      int64 // these in nanoseconds
	closeTimeout int64

	mailbox mailbox

	wakeMu sync.Mutex
	// Guarded by wakeMu, held across the wake-up: once fenced, no wake-up can reach a descriptor that gnet has
	// closed and the process has reused.
	fenced bool

	counters // atomic: written by the loop, read by anyone

	// Owned by the loop.
	rules   frameRules
	outputs outputPool
	pacer   pacer
	now     int64 // nanoseconds since the server's start, taken at the start of the turn
	depth   int   // of turns: gnet calls back from within writes and closes
	tally   tally // counted in this turn
	dirty   []*Conn
	ending  []*Conn // to be wound at the end of the turn
	live    roster  // open
	passing roster  // in a state with a deadline
	cursor  int     // where the next sweep of live goes on
}

// Index is the loop's number, 0 to len(Server.Loops())-1.
func (l *Loop) Index() int { return l.index }

// Post queues t to run on the loop, after everything posted before it. It reports ErrMailboxFull or ErrStopped at
// once and never waits. Any goroutine may call it. Tasks still queued when the server stops are dropped.
func (l *Loop) Post(t Task) error {
	err := l.mailbox.post(t)
	if err != nil {
		l.refusedPosts.Add(1)
	}
	return err
}

// wake makes the loop drain its mailbox.
func (l *Loop) wake() {
	l.wakeMu.Lock()
	defer l.wakeMu.Unlock()
	if l.fenced {
		return
	}
	l.wakes.Add(1)
	// It fails only while gnet shuts down, and then nothing runs any more.
	_ = l.events.Execute(context.Background(), l.drainTask)
}

// fence ends posting and waking for good.
func (l *Loop) fence() {
	l.mailbox.stop()
	l.wakeMu.Lock()
	l.fenced = true
	l.wakeMu.Unlock()
}

// drainTask is the loop as gnet runs it, kept apart so that Loop itself has no Run.
type drainTask struct{ l *Loop }

func (d drainTask) Run(context.Context) error {
	defer d.l.contain(nil)
	d.l.drain()
	return nil
}

// drain is the turn that runs what was posted, in order, for as long as maxDrain allows.
func (l *Loop) drain() {
	l.begin()
	defer l.end()
	for {
		tasks, due, ok := l.mailbox.take()
		if !ok {
			return
		}
		if due.tick {
			l.tick()
		}
		if due.sweep {
			l.sweep()
		}
		for _, t := range tasks {
			l.run(t)
		}
		l.mailbox.done(tasks)
		if l.server.since()-l.now > int64(maxDrain) {
			l.mailbox.again.Reset(drainPause)
			return
		}
	}
}

// begin starts a turn, or a part of the one that is under way.
func (l *Loop) begin() {
	if l.depth == 0 {
		l.now = l.server.since()
	}
	l.depth++
}

// end finishes what begin started. At the end of the turn everything gathered is written.
func (l *Loop) end() {
	if l.depth <= 1 { // 0 after a fault, see contain
		l.settle()
		l.counters.add(&l.tally, l.server.since()-l.now)
	}
	l.depth = max(0, l.depth-1)
}

// settle writes what the turn gathered, once per connection, and winds up connections that ended. Both may call
// back into handlers, which may say more.
func (l *Loop) settle() {
	for len(l.dirty) > 0 || len(l.ending) > 0 {
		for i := 0; i < len(l.dirty); i++ {
			l.flush(l.dirty[i])
		}
		clear(l.dirty)
		l.dirty = l.dirty[:0]
		for i := 0; i < len(l.ending); i++ {
			l.ending[i].wind()
		}
		clear(l.ending)
		l.ending = l.ending[:0]
	}
}

// flush writes c's output. A failing write calls OnClose, thus Handler.Closed, before it returns.
func (l *Loop) flush(c *Conn) {
	o := c.out
	if o == nil {
		return
	}
	c.out = nil
	o.seal()
	if p := o.bytes(); len(p) > 0 && c.state != stateGone {
		l.tally.flushes++
		c.writeNow(p)
	}
	l.outputs.put(o)
}

// moveTo changes c's state and with it the roster it is in.
func (l *Loop) moveTo(c *Conn, s connState) {
	l.rosterOf(c.state).remove(c)
	c.state = s
	l.rosterOf(s).add(c)
}

func (l *Loop) rosterOf(s connState) *roster {
	switch s {
	case stateOpen:
		return &l.live
	case stateGone:
		return nil
	default:
		return &l.passing
	}
}

// sweepParts is how many sweeps see all open connections once: silence is long, sweeps are frequent.
const sweepParts = 8

// sweep enforces deadlines: of all connections that are passing through a state, of a part of the open ones.
func (l *Loop) sweep() {
	for i := len(l.passing) - 1; i >= 0; i-- {
		if i < len(l.passing) { // winding one may take others along
			l.passing[i].wind()
		}
	}
	if l.server.cfg.SilenceTimeout > 0 {
		for range (len(l.live) + sweepParts - 1) / sweepParts {
			if l.cursor >= len(l.live) {
				l.cursor = 0
			}
			c := l.live[l.cursor]
			l.cursor++
			if l.now >= c.due {
				c.Close(CodeSilence, "nothing received for too long")
			}
		}
	}
	l.outputs.trim()
}

// closeAll is the server's order to send everybody away.
type closeAll struct {
	code   uint16
	reason string
}

// Run closes what is open and refuses what is about to.
func (o *closeAll) Run(l *Loop) {
	for len(l.live) > 0 {
		l.live[len(l.live)-1].Close(o.code, o.reason)
	}
	for i := len(l.passing) - 1; i >= 0; i-- {
		if i < len(l.passing) && l.passing[i].state == stateHandshake {
			l.passing[i].refuse(refuseStopping)
		}
	}
}

// The calls into code that is not ours. Each survives a panic.

func (l *Loop) opened(c *Conn) {
	defer l.caught(c, "Open")
	l.handler.Open(c)
}

func (l *Loop) deliver(c *Conn, text bool, payload []byte) {
	defer l.caught(c, "Message")
	l.handler.Message(c, text, payload)
}

func (l *Loop) closed(c *Conn, err error) {
	defer l.caught(c, "Closed")
	l.handler.Closed(c, err)
}

func (l *Loop) tick() {
	defer l.caught(nil, "Tick")
	l.handler.Tick(time.Now())
}

func (l *Loop) run(t Task) {
	defer l.caught(nil, "Task")
	t.Run(l)
}

// caught ends a panic: one fault costs at most the connection it came by.
func (l *Loop) caught(c *Conn, call string) {
	fault := recover()
	if fault == nil {
		return
	}
	l.panics.Add(1)
	l.log.Error("panic", "in", call, "fault", fault, "stack", string(debug.Stack()))
	if c != nil {
		c.Close(CodeInternal, "internal error")
	}
}

// roster is a list of connections that each know their place in it.
type roster []*Conn

func (r *roster) add(c *Conn) {
	if r == nil {
		return
	}
	c.slot = int32(len(*r))
	*r = append(*r, c)
}

func (r *roster) remove(c *Conn) {
	if r == nil {
		return
	}
	last := len(*r) - 1
	moved := (*r)[last]
	(*r)[c.slot], moved.slot = moved, c.slot
	(*r)[last] = nil
	*r = (*r)[:last]
}
