package redistest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// process is one run of redis-server.
type process struct {
	os   *os.Process
	log  string // a file
	done chan struct{}
}

// startup bounds how long a server may take until it is ready, on a machine that is busy.
const startup = 10 * time.Second

var errPortTaken = errors.New("the port is taken")

// run starts a server and returns when it is ready.
func run(binary, log string, args ...string) (*process, error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p := &process{log: log, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel ends the child with the thread that started it, so that thread stays.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		cmd := exec.Command(binary, args...)
		cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = out, out, dieWithParent()
		err := cmd.Start()
		p.os = cmd.Process
		started <- err
		if err == nil {
			cmd.Wait()
		}
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	if err := p.ready(); err != nil {
		p.end(syscall.SIGKILL)
		return nil, err
	}
	return p, nil
}

// ready waits until the server says so in its log. Asking at its port could be answered by another that was faster to take it.
func (p *process) ready() error {
	for start := time.Now(); time.Since(start) < startup; {
		text, _ := os.ReadFile(p.log)
		if bytes.Contains(text, []byte("Ready to accept connections")) || bytes.Contains(text, []byte("Sentinel ID is")) {
			return nil
		}
		select {
		case <-p.done:
			text, _ = os.ReadFile(p.log)
			if bytes.Contains(text, []byte("Address already in use")) {
				return errPortTaken
			}
			return fmt.Errorf("redis-server ended: %s", text)
		case <-time.After(2 * time.Millisecond):
		}
	}
	text, _ := os.ReadFile(p.log)
	return fmt.Errorf("redis-server is not ready after %s: %s", startup, text)
}

// end sends a signal that ends the server, and waits until it is reaped.
func (p *process) end(signal syscall.Signal) {
	p.os.Signal(signal)
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
		p.os.Kill()
		<-p.done
	}
}
