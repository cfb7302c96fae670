package local

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// This file is the life of one node: started, waited for, started again.

// live runs a node again and again until ctx ends, or it is to stay dead.
func (s *supervisor) live(ctx context.Context, m *member) {
	runtime.LockOSThread() // see startChild
	defer runtime.UnlockOSThread()
	for {
		if again := s.once(ctx, m); !again {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(s.restart):
		}
	}
}

// once is one run of a node, from its start to its end.
func (s *supervisor) once(ctx context.Context, m *member) (again bool) {
	args := slices.Concat(s.command[1:], []string{"--name=" + m.name}, s.flags)
	c, err := s.launch(m, args)
	if err != nil {
		s.fail(fmt.Errorf("start %s: %w", m.name, err))
		return false
	}
	if c == nil { // all is over
		return false
	}
	var readers sync.WaitGroup
	readers.Go(func() { s.listen(m, c) })
	readers.Go(func() { s.relay(m, c) })
	late := time.AfterFunc(readyWithin, func() { s.late(m, c) })
	how := c.wait(func(is bool) { s.froze(m, c, is) })
	late.Stop()
	readers.Wait() // its last words are told before its death is
	return s.ended(m, how)
}

// launch starts the process, unless all is over. It holds the lock meanwhile: a node that is started is one that is stopped, too.
func (s *supervisor) launch(m *member, args []string) (*child, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return nil, nil
	}
	c, err := startChild(syscall.SIGKILL, s.env, s.command[0], args...)
	if err != nil {
		return nil, err
	}
	m.run, m.state = c, starting
	m.starts++
	s.change()
	return c, nil
}

// where is how a node says at which address it serves what.
var where = regexp.MustCompile(`^ +(Play|Kinds|Game|Admin) +\w+://([^/ ]+)/`)

// listen reads what a node tells newcomers: that has its addresses in it, and comes when it is ready.
func (s *supervisor) listen(m *member, c *child) {
	defer c.stdout.Close()
	found := map[string]string{}
	eachLine(c.stdout, func(line string) {
		if at := where.FindStringSubmatch(line); at != nil && found["Admin"] == "" {
			found[at[1]] = at[2]
			if at[1] == "Admin" {
				s.isReady(m, c, found["Game"], found["Play"]+found["Kinds"])
			}
		}
	})
}

// relay tells what a node logs, under its name.
func (s *supervisor) relay(m *member, c *child) {
	defer c.stderr.Close()
	eachLine(c.stderr, func(line string) { fmt.Fprintf(s.logs, "%s  %s\n", m.name, line) })
}

// longestLine is what is kept of a line; the rest comes as lines of its own.
const longestLine = 16 << 10

func eachLine(r io.Reader, tell func(string)) {
	lines := bufio.NewReaderSize(r, longestLine)
	for {
		line, err := lines.ReadSlice('\n')
		if len(line) > 0 {
			tell(strings.TrimRight(string(line), "\r\n"))
		}
		if err != nil && err != bufio.ErrBufferFull {
			return
		}
	}
}

func (s *supervisor) isReady(m *member, c *child, game, http string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.game, m.http = game, http
	if m.state == starting {
		s.happened(m, "ready", alive)
	}
	if !s.unready[m.name] {
		s.say("%s  pid %-7d is back.", m.name, c.pid)
		return
	}
	delete(s.unready, m.name)
	if len(s.unready) == 0 {
		close(s.ready)
	}
}

// late gives up on a node that does not get ready. What is frozen meanwhile has an excuse.
func (s *supervisor) late(m *member, c *child) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.run != c || m.state != starting {
		return
	}
	if s.unready[m.name] {
		s.fail(fmt.Errorf("%s is not ready after %s", m.name, readyWithin))
		return
	}
	c.signal(syscall.SIGKILL) // and it is started again
}

// froze notes that a node was stopped, or goes on.
func (s *supervisor) froze(m *member, c *child, is bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if is == (m.state == frozen) {
		return
	}
	if is {
		m.facts = nil // what it said is no more true: its rooms are about to go
		s.happened(m, "frozen", frozen)
		s.say("%s  pid %-7d is frozen: others take its rooms. kill -CONT %[2]d thaws it.", m.name, c.pid)
		return
	}
	now := alive
	switch {
	case m.asked == draining:
		now = draining
	case m.game == "":
		now = starting
	}
	s.happened(m, "thawed", now)
	s.say("%s  pid %-7d is thawed.", m.name, c.pid)
}

// nodeEnv is the environment of nodes: this process's, without what would contradict a local cluster, and with the address of
// Redis, which may hold a password and so is no flag.
func nodeEnv(redis string) []string {
	mine := []string{"TICKOVER_REDIS=", "TICKOVER_DATA=", "TICKOVER_NAME=", "TICKOVER_ADVERTISE="}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return slices.ContainsFunc(mine, func(prefix string) bool { return strings.HasPrefix(v, prefix) })
	})
	return append(env, "TICKOVER_REDIS="+redis)
}
