// Package embedded is a Redis inside the process, for trying things out where there is no redis-server: miniredis, with what it
// lacks for our use. It keeps nothing on disk, is slow beyond some thousand commands a second, and forgets everything when it is
// stopped. It is not for production; a malformed command can even end the process, so it listens on 127.0.0.1 only.
//
// What is added to miniredis:
//
//   - A stream never takes an id twice, nor a smaller one, even if its newest entry was deleted. (Real streams remember their last id;
//     those of miniredis look at what is left.) Only database 0, and not inside MULTI.
//   - XADD and XTRIM that end too early are refused, where miniredis would panic.
//   - Keys expire as time goes by, and not only when a test says so. They are looked at every 100 ms.
package embedded

import (
	"bufio"
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
)

// expiryEvery is how late a key may expire. A round costs about 1 ms with 10,000 keys.
const expiryEvery = 100 * time.Millisecond

// Start starts a server on a free port of 127.0.0.1. stop ends it, and every connection to it.
func Start() (addr string, stop func(), err error) {
	m := miniredis.NewMiniRedis()
	if err := m.Start(); err != nil {
		return "", nil, fmt.Errorf("start embedded redis: %w", err)
	}
	s := &streams{server: m.Server(), last: map[string]id{}, mortal: map[string]bool{}}
	m.Server().SetPreHook(s.hook)
	done := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() { s.age(m, done) })
	return m.Addr(), sync.OnceFunc(func() {
		close(done)
		work.Wait()
		m.Close()
	}), nil
}

// id of a stream's entry.
type id [2]uint64

func (a id) above(b id) bool { return a[0] > b[0] || a[0] == b[0] && a[1] > b[1] }

// parseID reads a whole id, as in "5-7". Others are miniredis's business.
func parseID(s string) (v id, ok bool) {
	ms, seq, found := strings.Cut(s, "-")
	a, errA := strconv.ParseUint(ms, 10, 64)
	b, errB := strconv.ParseUint(seq, 10, 64)
	return id{a, b}, found && errA == nil && errB == nil
}

// streams remembers the last id of each stream.
type streams struct {
	server *server.Server // set by Start, then read-only

	mu sync.Mutex
	// Guarded by mu.
	last   map[string]id
	mortal map[string]bool // streams that may have been told to expire
}

const (
	passing   = "\x00passing" // the name of peers that stand in for others on commands that the hook has seen; nobody can call himself so
	refusal   = "ERR The ID specified in XADD is equal or smaller than the target stream top item"
	malformed = "ERR wrong number of arguments"
)

// hook sees every command before miniredis does, those of scripts too. It returns true if it has answered itself.
func (s *streams) hook(c *server.Peer, command string, args ...string) bool {
	if c.ClientName == passing {
		return false
	}
	switch command {
	case "XADD":
		return s.add(c, args)
	case "XTRIM":
		if len(args) < 3 || trimWords[strings.ToUpper(args[2])] && len(args) < 4 {
			c.WriteError(malformed)
			return true
		}
	case "DEL", "UNLINK":
		s.forget(args...)
	case "RENAME":
		if len(args) == 2 {
			s.rename(args[0], args[1])
		}
	case "EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT":
		if len(args) > 0 {
			s.mu.Lock()
			if _, known := s.last[args[0]]; known {
				s.mortal[args[0]] = true
			}
			s.mu.Unlock()
		}
	case "FLUSHALL", "FLUSHDB":
		s.mu.Lock()
		clear(s.last)
		clear(s.mortal)
		s.mu.Unlock()
	}
	return false
}

var trimWords = map[string]bool{"=": true, "~": true}

// add passes an XADD on unless its id is too small, and remembers the id if it was taken.
func (s *streams) add(c *server.Peer, args []string) bool {
	where := idArgument(args)
	if where < 0 {
		c.WriteError(malformed)
		return true
	}
	key := args[0]
	wanted, whole := parseID(args[where])
	s.mu.Lock()
	last, known := s.last[key]
	s.mu.Unlock()
	if known && whole && !wanted.above(last) {
		c.WriteError(refusal)
		return true
	}
	answer := s.pass(c, append([]string{"XADD"}, args...))
	c.WriteRaw(answer)
	if !strings.HasPrefix(answer, "$") { // an error, nothing, or queued by MULTI
		return true
	}
	_, rest, _ := strings.Cut(answer, "\r\n")
	if given, ok := parseID(strings.TrimSuffix(rest, "\r\n")); ok {
		s.mu.Lock()
		if given.above(s.last[key]) {
			s.last[key] = given
		}
		s.mu.Unlock()
	}
	return true
}

// pass has miniredis do a command, and gives its answer.
func (s *streams) pass(c *server.Peer, command []string) string {
	var answer bytes.Buffer
	w := bufio.NewWriter(&answer)
	inner := server.NewPeer(w)
	inner.Ctx, inner.Resp3, inner.ClientName = c.Ctx, c.Resp3, passing
	s.server.Dispatch(inner, command)
	c.Ctx = inner.Ctx
	inner.Flush()
	return answer.String()
}

// idArgument finds the id among the arguments of XADD; -1 if they end before it and a field with a value.
func idArgument(args []string) int {
	i := 1
	for i < len(args) {
		switch word := strings.ToUpper(args[i]); word {
		case "NOMKSTREAM":
			i++
		case "MAXLEN", "MINID":
			if i+1 < len(args) && trimWords[args[i+1]] {
				i++
			}
			i += 2
		default:
			if len(args) < i+3 {
				return -1
			}
			return i
		}
	}
	return -1
}

func (s *streams) forget(keys ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range keys {
		delete(s.last, k)
		delete(s.mortal, k)
	}
}

func (s *streams) rename(from, to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.last, to)
	delete(s.mortal, to)
	if last, known := s.last[from]; known {
		s.last[to], s.mortal[to] = last, s.mortal[from]
	}
	delete(s.last, from)
	delete(s.mortal, from)
}

// age lets keys expire, and forgets the ids of streams that did.
func (s *streams) age(m *miniredis.Miniredis, done chan struct{}) {
	ticker := time.NewTicker(expiryEvery)
	defer ticker.Stop()
	for at := time.Now(); ; {
		select {
		case <-done:
			return
		case <-ticker.C:
		}
		now := time.Now()
		m.FastForward(now.Sub(at))
		at = now
		s.mu.Lock()
		mortal := make([]string, 0, len(s.mortal))
		for k := range s.mortal {
			mortal = append(mortal, k)
		}
		s.mu.Unlock()
		for _, k := range mortal {
			if !m.Exists(k) {
				s.forget(k)
			}
		}
	}
}
