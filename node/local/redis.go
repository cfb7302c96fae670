package local

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"tickover.dev/redisconn"
	"tickover.dev/redisconn/embedded"
)

// redisWithin bounds the start of a redis-server, which may have a folder of data to read, and redisStops its end.
const (
	redisWithin = 10 * time.Second
	redisStops  = 400 * time.Millisecond
)

// store is the Redis of a local cluster: somebody's, an own process, or the embedded one.
type store struct {
	url    string // for nodes
	what   string // for people
	notice string // what they should know beside; may be empty
	stop   func() // ends it, if it is ours
	away   func() bool
}

// openStore finds a Redis: the one that is asked for, else a redis-server, else none.
func openStore(ctx context.Context, c Config, say func(string, ...any)) (*store, error) {
	if c.Redis != "" {
		r := redisconn.Config{URL: c.Redis}
		report, err := check(ctx, r)
		if err != nil {
			return nil, err
		}
		return &store{url: c.Redis, what: fmt.Sprintf("%s  (Redis %s)", r, report.Version), stop: func() {}, away: never}, nil
	}
	binary, err := exec.LookPath("redis-server")
	if err == nil {
		return startRedis(ctx, binary, c, say)
	}
	if c.Data != "" {
		return nil, errors.New("--data: there is no redis-server in the PATH, and the embedded one keeps nothing")
	}
	addr, stop, err := embedded.Start()
	if err != nil {
		return nil, err
	}
	return &store{
		url: "redis://" + addr, what: "embedded in this process", stop: stop, away: never,
		notice: "There is no redis-server in the PATH: an embedded stand-in is used. It is slower, and forgets all when this ends.",
	}, nil
}

func never() bool { return false }

func check(ctx context.Context, r redisconn.Config) (redisconn.Report, error) {
	client, err := redisconn.Open(r)
	if err != nil {
		return redisconn.Report{}, err
	}
	defer client.Close()
	return redisconn.Check(ctx, client)
}

// redisServer is a redis-server of ours: it is started again when it dies, with what it had kept.
type redisServer struct {
	// Set by startRedis, then read-only.
	binary string
	args   []string
	dir    string // its socket, and its data if that is not kept
	death  syscall.Signal
	say    func(string, ...any)
	pause  time.Duration

	done chan struct{} // closed when it is over

	away atomic.Bool // it is dead or frozen

	mu sync.Mutex
	// Guarded by mu.
	run  *child
	over bool
}

func startRedis(ctx context.Context, binary string, c Config, say func(string, ...any)) (*store, error) {
	dir, err := os.MkdirTemp("", "tickover-")
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(dir, "redis.sock")
	s := &redisServer{binary: binary, dir: dir, say: say, pause: max(c.Restart, 100*time.Millisecond), death: syscall.SIGKILL, done: make(chan struct{})}
	s.args = []string{"--port", "0", "--unixsocket", socket, "--unixsocketperm", "700", "--dir", dir, "--save", "", "--appendonly", "no", "--loglevel", "warning"}
	keeps := "keeps nothing"
	if c.Data != "" {
		if err := os.MkdirAll(c.Data, 0o700); err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
		s.args = append(s.args, "--dir", c.Data, "--appendonly", "yes")
		s.death, keeps = syscall.SIGTERM, "keeps all in "+c.Data
	}
	ended := make(chan error, 1)
	var life sync.WaitGroup
	life.Go(func() { ended <- s.live() })
	stop := sync.OnceFunc(func() { s.stop(life.Wait) })
	at := url.URL{Scheme: "unix", Path: socket}
	version, err := s.answers(ctx, redisconn.Config{URL: at.String()}, ended)
	if err != nil {
		stop()
		return nil, err
	}
	what := fmt.Sprintf("redis-cli -s %s  (its own redis-server %s, %s)", socket, version, keeps)
	return &store{url: at.String(), what: what, stop: stop, away: s.away.Load}, nil
}

// answers waits until the server can be used.
func (s *redisServer) answers(ctx context.Context, at redisconn.Config, ended <-chan error) (version string, err error) {
	ctx, cancel := context.WithTimeout(ctx, redisWithin)
	defer cancel()
	for {
		report, err := check(ctx, at)
		if err == nil {
			return report.Version, nil
		}
		if !errors.Is(err, redisconn.ErrUnreachable) && !errors.Is(err, redisconn.ErrLoading) {
			return "", err
		}
		select {
		case <-ctx.Done():
			return "", err
		case err := <-ended:
			return "", err
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// live runs the server again and again. It gives an error if the first run ends by itself at once.
func (s *redisServer) live() error {
	runtime.LockOSThread() // see startChild
	defer runtime.UnlockOSThread()
	for first := true; ; first = false {
		pid, how, last, err := s.once()
		switch {
		case err != nil || s.isOver():
			return err
		case first && how.Exited() && how.ExitStatus() != 0:
			return fmt.Errorf("redis-server: %s", last)
		}
		s.away.Store(true)
		s.say("redis   pid %-7d ended: rooms wait. It is started again in %s.", pid, s.pause)
		select {
		case <-s.done:
			return nil
		case <-time.After(s.pause):
		}
	}
}

// once is one run of the server, from its start to its end. last is the last line it wrote.
func (s *redisServer) once() (pid int, how unix.WaitStatus, last string, err error) {
	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		return 0, 0, "", nil
	}
	c, err := startChild(s.death, os.Environ(), s.binary, s.args...)
	s.run = c
	s.mu.Unlock()
	if err != nil {
		return 0, 0, "", err
	}
	s.away.Store(false)
	var readers sync.WaitGroup
	readers.Go(func() { eachLine(c.stdout, func(line string) { last = line }) })
	readers.Go(func() { eachLine(c.stderr, func(string) {}) })
	how = c.wait(s.away.Store)
	readers.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.run = nil
	return c.pid, how, last, errors.Join(c.stdout.Close(), c.stderr.Close())
}

func (s *redisServer) isOver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}

// stop ends the server, in order if it can do that quickly.
func (s *redisServer) stop(wait func()) {
	s.signal(syscall.SIGTERM)
	impatient := time.AfterFunc(redisStops, func() { s.signal(syscall.SIGKILL) })
	wait()
	impatient.Stop()
	os.RemoveAll(s.dir)
}

func (s *redisServer) signal(sig syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.over = true
		close(s.done)
	}
	if s.run != nil {
		s.run.signal(sig)
	}
}
