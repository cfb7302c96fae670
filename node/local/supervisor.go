package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// state of a node, as its cards show it.
//
//	            says where it listens      SIGSTOP
//	starting ──────────────────────► alive ───────► frozen
//	    ▲                              │ ▲  SIGCONT   │
//	    │ --restart            SIGTERM │ └────────────┤
//	    │                              ▼              │ kill
//	    └──────── dead ◄─────────── draining ◄─ … ────┘
type state string

const (
	starting state = "starting"
	alive    state = "alive"
	frozen   state = "frozen"
	draining state = "draining" // it was told to stop, and hands over its rooms
	dead     state = "dead"
)

// Bounds of the supervisor.
const (
	readyWithin  = 20 * time.Second        // a node that takes longer to start will not
	stopWithin   = 1300 * time.Millisecond // what nodes get to stop in order when all do; then they are killed. Two seconds with Redis
	historyShown = 64
)

// member is one of the nodes, over all its lives.
type member struct {
	name string // never changes

	// Guarded by supervisor.mu.
	state  state
	asked  state // draining, if it was told to
	run    *child
	starts int
	game   string // addresses; "" until it has said so
	http   string
	facts  *facts // what it says of itself; nil: unknown
}

// happening is something that befell a node.
type happening struct {
	ID   int64  `json:"id"` // grows by one
	AtMs int64  `json:"at"` // Unix
	Node string `json:"node"`
	What string `json:"what"` // ready, frozen, thawed, draining, killed, stopped (in order), ended (by itself)
	PID  int    `json:"pid"`
}

// supervisor keeps the nodes running. Its methods may be called from any goroutine.
type supervisor struct {
	// Set by newSupervisor, then read-only.
	restart time.Duration
	command []string
	flags   []string
	say     func(format string, args ...any) // a line for whoever looks on
	logs    io.Writer                        // takes the nodes' logs, whole lines
	members []*member
	ready   chan struct{} // closed when every node has been ready once
	failed  chan error    // a node that could not be started
	env     []string      // of the nodes; set by run

	mu sync.Mutex
	// Guarded by mu.
	history  []happening
	last     int64
	over     bool // nothing is started any more
	unready  map[string]bool
	changed  chan struct{} // closed and replaced at each change
	balancer *balancer     // nil until serve
}

// newSupervisor starts nothing yet.
func newSupervisor(c Config, stdout, stderr io.Writer) *supervisor {
	s := &supervisor{
		restart: c.Restart, command: c.Command, logs: stderr,
		flags:   []string{"--game-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0", "--peer=127.0.0.1:0", "--log-level=" + c.LogLevel.String()},
		say:     func(format string, args ...any) { fmt.Fprintf(stdout, "  "+format+"\n", args...) },
		unready: map[string]bool{}, ready: make(chan struct{}), failed: make(chan error, 1), changed: make(chan struct{}),
	}
	for i := range c.Nodes {
		name := fmt.Sprintf("node-%d", i+1)
		s.members = append(s.members, &member{name: name, state: dead})
		s.unready[name] = true
	}
	return s
}

// run runs the nodes, with this Redis, until ctx ends. Then it stops them: in order for as long as that may take, those that are
// frozen at once.
func (s *supervisor) run(ctx context.Context, redis string) {
	s.env = nodeEnv(redis)
	var lives sync.WaitGroup
	for _, m := range s.members {
		lives.Go(func() { s.live(ctx, m) })
	}
	<-ctx.Done()
	s.mu.Lock()
	s.over = true
	for _, m := range s.members {
		if m.run != nil && m.state != frozen {
			m.asked = draining
			m.run.signal(syscall.SIGTERM)
		} else if m.run != nil {
			m.run.signal(syscall.SIGKILL)
		}
	}
	s.mu.Unlock()
	impatient := time.AfterFunc(stopWithin, s.kill)
	lives.Wait()
	impatient.Stop()
}

// kill ends all nodes at once.
func (s *supervisor) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	for _, m := range s.members {
		if m.run != nil {
			m.run.signal(syscall.SIGKILL)
		}
	}
}

// serve has a balancer follow the nodes.
func (s *supervisor) serve(b *balancer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.balancer = b
	s.change()
}

// backends are the nodes that can take players: those that drain only if there is no other. s.mu is held.
func (s *supervisor) backends() (list []backend) {
	for _, which := range []state{alive, draining} {
		for _, m := range s.members {
			if m.state == which {
				list = append(list, backend{m.name, m.game})
			}
		}
		if len(list) > 0 {
			return list
		}
	}
	return nil
}

// change tells everybody that something is different. s.mu is held.
func (s *supervisor) change() {
	if s.balancer != nil {
		s.balancer.use(s.backends())
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// happened notes what befell a node, and what state that leaves it in. s.mu is held.
func (s *supervisor) happened(m *member, what string, now state) {
	s.last++
	m.state = now
	s.history = append(s.history, happening{s.last, time.Now().UnixMilli(), m.name, what, m.run.pid})
	if len(s.history) > historyShown {
		s.history = slices.Delete(s.history, 0, len(s.history)-historyShown)
	}
	s.change()
}

// fault is what the buttons do to a node.
type fault string

var signals = map[fault]syscall.Signal{"kill": syscall.SIGKILL, "freeze": syscall.SIGSTOP, "thaw": syscall.SIGCONT, "drain": syscall.SIGTERM}

// Errors of act.
var (
	errNoNode  = errors.New("there is no such node")
	errNoFault = errors.New("nobody can do that to a node")
	errNotNow  = errors.New("the node is in no state for that")
)

// act does something to a node.
func (s *supervisor) act(name string, f fault) error {
	sig, known := signals[f]
	if !known {
		return errNoFault
	}
	i := slices.IndexFunc(s.members, func(m *member) bool { return m.name == name })
	if i < 0 {
		return errNoNode
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.members[i]
	// A frozen node would take a SIGTERM only when it is thawed, long after its rooms went elsewhere.
	if m.run == nil || f == "drain" && m.state != alive || f == "thaw" && m.state != frozen || f == "freeze" && m.state == frozen {
		return fmt.Errorf("%s is %s: %w", name, m.state, errNotNow)
	}
	if f == "drain" {
		m.asked = draining
		s.happened(m, "draining", draining)
	}
	return m.run.signal(sig)
}

// ended notes how a node went, and reports whether it is to be started again. s.mu is not held.
func (s *supervisor) ended(m *member, how unix.WaitStatus) (again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	what, tell := "ended", fmt.Sprintf("ended by itself (exit %d)", how.ExitStatus())
	switch {
	case how.Signaled() && how.Signal() == syscall.SIGKILL:
		what, tell = "killed", "was killed"
	case how.Signaled():
		tell = fmt.Sprintf("died (%s)", how.Signal())
	case how.ExitStatus() == 0:
		what, tell = "stopped", "stopped in order"
	}
	pid := m.run.pid
	s.happened(m, what, dead)
	m.run, m.asked, m.game, m.http, m.facts = nil, "", "", "", nil
	switch {
	case s.over:
		return false
	case s.unready[m.name] && how.Exited():
		s.fail(fmt.Errorf("%s ended before it was ready (exit %d): what it said is above", m.name, how.ExitStatus()))
		return false
	case s.restart == 0:
		s.say("%s  pid %-7d %s. It stays so (--restart 0).", m.name, pid, tell)
		return false
	}
	s.say("%s  pid %-7d %s. It is started again in %s.", m.name, pid, tell, s.restart)
	return true
}

// fail says why there can be no cluster. The first reason counts.
func (s *supervisor) fail(err error) {
	select {
	case s.failed <- err:
	default:
	}
}
