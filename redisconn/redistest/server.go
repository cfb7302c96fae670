package redistest

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Durable are the options of a server that has everything on disk before it answers.
var Durable = []string{"appendonly yes", "appendfsync always"}

// Server is one redis-server.
type Server struct {
	t        testing.TB
	binary   string
	dir      string
	options  []string
	sentinel bool
	port     int
	process  *process
}

// Start starts a server, with lines of redis.conf as options. Without any it keeps nothing on disk.
func Start(t testing.TB, options ...string) *Server {
	t.Helper()
	s := prepare(t, options)
	s.start(func() []string { return nil })
	return s
}

// prepare makes a server that is not started yet.
func prepare(t testing.TB, options []string) *Server {
	t.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not in the PATH: install it (apt-get install redis-server), this test needs it")
	}
	silence.Do(func() { redis.SetLogger(quiet{}) })
	s := &Server{t: t, binary: binary, dir: t.TempDir(), options: options}
	t.Cleanup(s.Kill)
	return s
}

// start starts the server at any port that is free, or will be found to be taken; more gives options that are drawn for each try.
func (s *Server) start(more func() []string) {
	s.t.Helper()
	var err error
	for range 20 {
		s.port = freePort(s.t)
		s.configure(more())
		if s.process, err = s.run(); !errors.Is(err, errPortTaken) {
			break
		}
	}
	if err != nil {
		s.t.Fatalf("start redis-server: %v", err)
	}
}

func (s *Server) configure(more []string) {
	lines := append([]string{
		"port " + strconv.Itoa(s.port), "bind 127.0.0.1", "dir " + s.dir, "unixsocket " + s.Socket(), "daemonize no",
	}, more...)
	if !s.sentinel {
		lines = append(lines, `save ""`, "appendonly no")
	}
	lines = append(lines, s.options...)
	if err := os.WriteFile(s.conf(), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *Server) conf() string { return filepath.Join(s.dir, "redis.conf") }

func (s *Server) run() (*process, error) {
	args := []string{s.conf()}
	if s.sentinel {
		args = append(args, "--sentinel")
	}
	return run(s.binary, filepath.Join(s.dir, "log"), args...)
}

// Kill ends the server as kill -9 does. Ending it twice does nothing.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

// Stop ends the server in good order.
func (s *Server) Stop() { s.end(syscall.SIGTERM) }

func (s *Server) end(signal syscall.Signal) {
	if s.process != nil {
		s.process.end(signal)
		s.process = nil
	}
}

// Freeze stops the server without ending it (SIGSTOP): it does not answer, and its port still takes connections. Thaw has it go on.
func (s *Server) Freeze() { s.process.os.Signal(syscall.SIGSTOP) }

// Thaw ends a Freeze.
func (s *Server) Thaw() { s.process.os.Signal(syscall.SIGCONT) }

// Restart starts a server that was ended, with the same port and the same data. Somebody may have the port for a moment: it waits.
func (s *Server) Restart() {
	s.t.Helper()
	var err error
	for start := time.Now(); time.Since(start) < startup; {
		if s.process, err = s.run(); !errors.Is(err, errPortTaken) {
			break
		}
	}
	if err != nil {
		s.t.Fatalf("start redis-server again: %v", err)
	}
}

// Addr is the server's host:port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// URL is the server's address for redisconn.
func (s *Server) URL() string { return "redis://" + s.Addr() }

// Socket is the server's Unix socket. Its address for redisconn is "unix://" + Socket().
func (s *Server) Socket() string { return filepath.Join(s.dir, "redis.sock") }

// Do sends one command to the server, over a connection made for it, and fails the test if it is refused.
func (s *Server) Do(args ...any) any {
	s.t.Helper()
	v, err := s.try(args...)
	if err != nil {
		s.t.Fatalf("redis %v: %v", args, err)
	}
	return v
}

func (s *Server) try(args ...any) (any, error) {
	c := redis.NewClient(&redis.Options{Addr: s.Addr(), MaxRetries: -1, DialerRetries: 1, DisableIdentity: true, Protocol: 2})
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), startup)
	defer cancel()
	return c.Do(ctx, args...).Result()
}

// go-redis writes every failed dial to stderr. Tests here make dials fail on purpose.
var silence sync.Once

type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// freePort is one that nobody has at the moment.
func freePort(t testing.TB) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// eventually waits for what takes Redis a moment.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for start := time.Now(); time.Since(start) < 2*startup; time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never came true: %s", what)
}
