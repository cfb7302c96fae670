package floor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Server is one server under test: a process of its own, so that the kernel can tell its costs from everybody else's.
type Server struct {
	// Game is where players connect.
	Game netip.AddrPort
	// Admin is where a node tells of itself; not valid for the floor.
	Admin netip.AddrPort

	process *exec.Cmd
	clock   int32
	ended   chan error // its process has; closed behind the error
}

const (
	startWithin = 10 * time.Second
	stopWithin  = 10 * time.Second
)

// greeting is how both kinds of server say where they listen.
var greeting = regexp.MustCompile(`(Game|Admin)\s+\w+://([0-9.]+:[0-9]+)/`)

// Start runs a program until it has said where it listens: with all the given names. What it complains of goes to stderr.
func Start(ctx context.Context, stderr io.Writer, names []string, path string, args ...string) (*Server, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stderr = stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &Server{process: cmd, ended: make(chan error, 1)}
	// The clock of a process by its id, see clock_getcpuclockid(3): exact to the nanosecond, all its threads, user and system.
	s.clock = int32(^cmd.Process.Pid<<3 | 2)
	said := make(chan map[string]netip.AddrPort, 1)
	go func() {
		defer close(s.ended)
		lines := bufio.NewScanner(stdout)
		said <- listen(lines, len(names))
		for lines.Scan() {
		}
		s.ended <- cmd.Wait()
	}()
	select {
	case at := <-said:
		s.Game, s.Admin = at["Game"], at["Admin"]
		for _, name := range names {
			if !at[name].IsValid() {
				return nil, errors.Join(fmt.Errorf("start %s: it did not say its %s address", path, name), s.Stop())
			}
		}
		return s, nil
	case <-time.After(startWithin):
		return nil, errors.Join(fmt.Errorf("start %s: not ready within %v", path, startWithin), s.Stop())
	}
}

// listen reads lines until n addresses were said.
func listen(lines *bufio.Scanner, n int) map[string]netip.AddrPort {
	at := map[string]netip.AddrPort{}
	for len(at) < n && lines.Scan() {
		if m := greeting.FindStringSubmatch(lines.Text()); m != nil {
			if addr, err := netip.ParseAddrPort(m[2]); err == nil {
				at[m[1]] = addr
			}
		}
	}
	return at
}

// StartNode runs a node on free ports of the loopback interface.
func StartNode(ctx context.Context, stderr io.Writer, path string) (*Server, error) {
	const addr = "127.0.0.1:0"
	return Start(ctx, stderr, []string{"Game", "Admin"}, path,
		"--game-addr", addr, "--http-addr", addr, "--admin-addr", addr, "--drain", "3s", "--log-level", "error")
}

// StartFloor runs the floor.
func StartFloor(ctx context.Context, stderr io.Writer, path string) (*Server, error) {
	return Start(ctx, stderr, []string{"Game"}, path)
}

// CPU is the processor time that the process has taken since it began.
func (s *Server) CPU() (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(s.clock, &t); err != nil {
		return 0, os.NewSyscallError("clock_gettime", err)
	}
	return time.Duration(t.Nano()), nil
}

// Resident is how much memory of the process is in RAM, in bytes. What the kernel keeps for its sockets is not in it.
func (s *Server) Resident() (int64, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(s.process.Process.Pid) + "/statm")
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0, fmt.Errorf("statm: %q", b)
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// Stop asks the process to end and waits for it; one that does not is killed, which is an error.
func (s *Server) Stop() error {
	_ = s.process.Process.Signal(syscall.SIGTERM) // fails if it has ended: then Wait says how
	select {
	case err := <-s.ended:
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGTERM {
			return nil // the floor does not catch it
		}
		return err
	case <-time.After(stopWithin):
		_ = s.process.Process.Kill()
		<-s.ended
		return fmt.Errorf("the server did not end within %v", stopWithin)
	}
}
