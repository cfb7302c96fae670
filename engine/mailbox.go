package engine

import (
	"sync"
	"time"
)

const (
	// A drain that took this long lets sockets have their turn before it goes on.
	maxDrain = 2 * time.Millisecond
	// The pause between two drains. The loop's own queue is emptied before sockets are looked at, so the next
	// wake-up must come from outside, a moment later. 50 us is about ten socket turns.
	drainPause = 50 * time.Microsecond
	// A queue that once grew beyond this is left to the garbage collector.
	keepTasks = 4096
)

// mailbox holds what other goroutines want a loop to do. Any goroutine may post; only the loop drains.
//
// The loop's own task queue is neither in order beyond a length nor bounded, so tasks wait here, and at most one
// wake-up waits there.
type mailbox struct {
	// Set before use, then read-only.
	limit int
	wake  func()      // makes the loop drain, from any goroutine
	again *time.Timer // wakes after drainPause

	mu sync.Mutex
	// Guarded by mu.
	queue   []Task
	armed   bool // a wake-up or a drain is under way: no need for another
	stopped bool
	due     pulse
	missed  int // sweeps asked for while the one before was undone, in a row

	// Owned by the loop.
	batch []Task
}

// pulse is what the server's ticker wants a loop to do, at most once however often it asks.
type pulse struct{ tick, sweep bool }

// post queues t, or says at once why not.
func (m *mailbox) post(t Task) error {
	m.mu.Lock()
	switch {
	case m.stopped:
		m.mu.Unlock()
		return ErrStopped
	case len(m.queue) >= m.limit:
		m.mu.Unlock()
		return ErrMailboxFull
	}
	m.queue = append(m.queue, t)
	m.unlockAndWake()
	return nil
}

// order queues the server's own task, whatever the limit.
func (m *mailbox) order(t Task) {
	m.mu.Lock()
	m.queue = append(m.queue, t)
	m.unlockAndWake()
}

// pulse asks for p and returns how many sweeps in a row found the one before them undone.
func (m *mailbox) pulse(p pulse) int {
	m.mu.Lock()
	switch {
	case p.sweep && m.due.sweep:
		m.missed++
	case p.sweep:
		m.missed = 0
	}
	missed := m.missed
	m.due.tick = m.due.tick || p.tick
	m.due.sweep = m.due.sweep || p.sweep
	m.unlockAndWake()
	return missed
}

// unlockAndWake ends a change made under mu. The wake-up is a system call and happens outside the lock.
func (m *mailbox) unlockAndWake() {
	first := !m.armed && !m.stopped
	m.armed = m.armed || first
	m.mu.Unlock()
	if first {
		m.wake()
	}
}

// take swaps the queue for an empty one. Nothing to do disarms the mailbox and reports false.
func (m *mailbox) take() (tasks []Task, due pulse, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.queue) == 0 && m.due == (pulse{}) || m.stopped {
		m.armed = false
		return nil, pulse{}, false
	}
	tasks, due = m.queue, m.due
	m.queue, m.due = m.batch[:0], pulse{}
	m.batch = nil
	return tasks, due, true
}

// done gives a finished batch's memory back for the next one.
func (m *mailbox) done(tasks []Task) {
	if cap(tasks) <= keepTasks {
		clear(tasks)
		m.batch = tasks
	}
}

// waiting is the number of tasks queued.
func (m *mailbox) waiting() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.queue)
}

// stop refuses tasks from now on.
func (m *mailbox) stop() {
	m.mu.Lock()
	m.stopped = true
	m.queue = nil
	m.mu.Unlock()
	m.again.Stop()
}
