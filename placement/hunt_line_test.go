package placement_test

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"tickover.dev/engine"
	"tickover.dev/netcode"
	"tickover.dev/sessions"
)

// This file is what the engine is to a node, without sockets: loops, and WebSockets over pipes.

// loop is one event loop.
type loop struct {
	*sessions.Loop
	n    *node
	wake chan struct{} // one token: there are tasks

	// Owned by the loop.
	spoken []*line // that have something to write

	mu sync.Mutex
	// Guarded by mu.
	tasks   []engine.Task
	stopped bool
}

// turn is something to do on a loop.
type turn func()

func (t turn) Run(*engine.Loop) { t() }

const maxTasks = 1 << 14

func newLoop(n *node) *loop {
	l := &loop{n: n, wake: make(chan struct{}, 1)}
	l.Loop = n.hub.NewLoopOn(l.post)
	n.running.Go(l.run)
	return l
}

func (l *loop) post(t engine.Task) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.stopped:
		return engine.ErrStopped
	case len(l.tasks) >= maxTasks:
		return engine.ErrMailboxFull
	}
	l.tasks = append(l.tasks, t)
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return nil
}

func (l *loop) run() {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-l.wake:
		case now := <-tick.C:
			l.Tick(now)
		case <-l.n.ctx.Done():
			l.mu.Lock()
			l.stopped = true
			l.mu.Unlock()
			return
		}
		l.mu.Lock()
		tasks := l.tasks
		l.tasks = nil
		l.mu.Unlock()
		for _, t := range tasks {
			t.Run(nil)
		}
		for _, k := range l.spoken {
			k.flush()
		}
		l.spoken = l.spoken[:0]
	}
}

// line is one WebSocket's server side. It implements sessions.Socket.
type line struct {
	loop   *loop
	number int // of the node's
	pipe   net.Conn

	// Owned by the loop.
	plug   *sessions.Line
	out    []byte // since the turn began
	closed bool

	mu sync.Mutex
	// Guarded by mu.
	frames  [][]byte // to be written
	backlog int      // bytes in them
	last    bool     // nothing comes behind them
	news    chan struct{}
}

// dial connects a client to the node; the client gets the other end of the pipe.
func (n *node) dial(ctx context.Context, number int) (net.Conn, error) {
	here, there := net.Pipe()
	k := &line{loop: n.loops[number%len(n.loops)], pipe: here, news: make(chan struct{}, 1)}
	n.mu.Lock()
	if !n.open {
		n.mu.Unlock()
		return nil, errors.New("connection refused")
	}
	n.lined++
	k.number, n.lines[k] = n.lined, true
	n.mu.Unlock()
	n.running.Go(k.serve)
	return there, nil
}

// hangUpAll closes all connections, in order if there is a code.
func (n *node) hangUpAll(code uint16) {
	n.mu.Lock()
	all := slices.SortedFunc(maps.Keys(n.lines), func(a, b *line) int { return a.number - b.number })
	n.mu.Unlock()
	for _, k := range all {
		if code == 0 {
			k.pipe.Close()
			continue
		}
		k.loop.post(turn(func() { k.Close(code, "") }))
	}
}

// serve reads what a client says until that ends.
func (k *line) serve() {
	n := k.loop.n
	defer func() {
		k.pipe.Close()
		n.mu.Lock()
		delete(n.lines, k)
		n.mu.Unlock()
	}()
	if n.awake() != nil {
		return
	}
	u := ws.Upgrader{Protocol: func(p []byte) bool { return string(p) == netcode.Subprotocol }}
	if _, err := u.Upgrade(k.pipe); err != nil {
		return
	}
	var writing sync.WaitGroup
	writing.Go(k.write)
	k.loop.post(turn(func() { k.plug = k.loop.Plug(k) }))
	for {
		data, op, err := wsutil.ReadClientData(k.pipe)
		if err != nil || op != ws.OpBinary || n.awake() != nil {
			break
		}
		k.loop.post(turn(func() {
			if !k.closed {
				k.plug.Message(data)
			}
		}))
	}
	k.loop.post(turn(func() {
		if !k.closed {
			k.closed = true
			k.plug.Closed()
		}
	}))
	k.end()
	k.pipe.Close()
	writing.Wait()
}

// Append implements sessions.Socket.
func (k *line) Append(p []byte) {
	if len(k.out) == 0 {
		k.loop.spoken = append(k.loop.spoken, k)
	}
	k.out = append(k.out, p...)
}

// Close implements sessions.Socket.
func (k *line) Close(code uint16, reason string) {
	if k.closed {
		return
	}
	if k.plug == nil { // in the middle of its handshake
		k.pipe.Close()
		return
	}
	k.flush()
	k.put(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusCode(code), reason)))
	k.closed = true
	k.end()
	k.plug.Closed()
}

// Backlog implements sessions.Socket.
func (k *line) Backlog() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.backlog
}

func (k *line) flush() {
	if len(k.out) > 0 {
		k.put(ws.NewBinaryFrame(k.out))
		k.out = nil
	}
}

func (k *line) put(f ws.Frame) {
	b, err := ws.CompileFrame(f)
	if err != nil {
		k.loop.n.w.fail("frame: %v", err)
		return
	}
	k.mu.Lock()
	k.frames, k.backlog = append(k.frames, b), k.backlog+len(b)
	k.mu.Unlock()
	k.signal()
}

func (k *line) end() {
	k.mu.Lock()
	k.last = true
	k.mu.Unlock()
	k.signal()
}

func (k *line) signal() {
	select {
	case k.news <- struct{}{}:
	default:
	}
}

// write writes what there is to write until the end.
func (k *line) write() {
	defer k.pipe.Close()
	for {
		k.mu.Lock()
		frames, last := k.frames, k.last
		k.frames = nil
		k.mu.Unlock()
		for _, b := range frames {
			if k.loop.n.awake() != nil {
				return
			}
			k.pipe.SetWriteDeadline(time.Now().Add(10 * time.Second))
			if _, err := k.pipe.Write(b); err != nil {
				return
			}
			k.mu.Lock()
			k.backlog -= len(b)
			k.mu.Unlock()
		}
		if last && len(frames) == 0 {
			return
		}
		if len(frames) == 0 {
			<-k.news
		}
	}
}
