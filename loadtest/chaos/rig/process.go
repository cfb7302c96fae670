package rig

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// process is a program that is started, ended, and started again.
type process struct {
	// Set when it is made, then read-only.
	name string // also of its log
	dir  string // of the log
	path string
	args []string
	env  []string // beside the parent's

	// Of the present run.
	cmd      *exec.Cmd
	exited   chan struct{} // closed when it is reaped; err is set before
	err      error
	expected atomic.Bool // somebody here ended it
}

// start runs the program. Its log goes on where an earlier run ended.
func (p *process) start() error {
	log, err := os.OpenFile(filepath.Join(p.dir, p.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	fmt.Fprintf(log, "--- started at %s\n", time.Now().Format(time.StampMilli))
	cmd := exec.Command(p.path, p.args...)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = log, log, dieWithParent()
	cmd.Env = append(os.Environ(), p.env...)
	exited := make(chan struct{})
	p.cmd, p.exited = cmd, exited
	p.expected.Store(false)
	started := make(chan error)
	go func() {
		// The kernel ends the child with the thread that started it, so that thread stays.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(exited)
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	return nil
}

// alive reports whether there is a run that has not ended.
func (p *process) alive() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// signal reports whether there was a living process that could be sent it.
func (p *process) signal(s syscall.Signal) bool {
	return p.alive() && p.cmd.Process.Signal(s) == nil
}

// kill ends it as kill -9 does, and reports whether it lived until then.
func (p *process) kill() bool {
	p.expected.Store(true)
	if !p.signal(syscall.SIGKILL) {
		return false
	}
	<-p.exited
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// errStuck is a process that did not end in time. It was killed.
var errStuck = errors.New("did not end in time")

// wait waits until it has ended by itself, for so long at most.
func (p *process) wait(limit time.Duration) error {
	select {
	case <-p.exited:
		if p.err != nil {
			return fmt.Errorf("%s ended: %w", p.name, p.err)
		}
		return nil
	case <-time.After(limit):
		p.kill()
		return fmt.Errorf("%s: %w: %s", p.name, errStuck, limit)
	}
}

// check gives an error if the process has ended and nobody here had ended it.
func (p *process) check() error {
	if p.cmd == nil || p.expected.Load() || p.alive() {
		return nil
	}
	return fmt.Errorf("%s ended by itself: %v", p.name, p.err)
}

// cpu is what the present run has used of all processors so far.
func (p *process) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	// 123 (name) S ppid … : the 14th and 15th fields are user and system time, in hundredths of a second. See proc(5).
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("stat of %s is too short", p.name)
	}
	user, errUser := strconv.Atoi(fields[11])
	system, errSystem := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(errUser, errSystem)
}

// errEnded is a process that is waited for and is no more.
var errEnded = errors.New("it has ended")

// eventually polls until ok gives no error, or errEnded, or time is up; then it gives the last one.
func eventually(ctx context.Context, limit time.Duration, ok func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := ok()
		if err == nil || errors.Is(err, errEnded) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not within %s: %w", limit, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Ports that are tried. Linux takes those of outgoing connections from 32768 on.
const (
	firstPort = 12_000
	lastPort  = 32_000
)

// freeAddrs draws addresses of this machine at which nobody listens.
func freeAddrs(n int) ([]string, error) {
	var addrs []string
	for range 100 * n {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+rand.N(lastPort-firstPort)))
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		defer l.Close() // kept until all are drawn: none is drawn twice
		if addrs = append(addrs, addr); len(addrs) == n {
			return addrs, nil
		}
	}
	return nil, errors.New("too few ports are free")
}
