package local

import (
	"errors"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// child is one run of a program. Any goroutine may signal it; one waits for it.
type child struct {
	pid            int
	process        *os.Process
	stdout, stderr *os.File // to be read until they end, and closed, by whoever started it
}

// startChild starts a program in a process group of its own: a Ctrl-C in the terminal is for its parent, which knows in which order
// to stop what. The calling goroutine must be locked to its thread, and stay so until the child is gone: the kernel sends deathSignal
// when that thread ends.
func startChild(deathSignal syscall.Signal, env []string, name string, args ...string) (*child, error) {
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	errRead, errWrite, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, outRead.Close(), outWrite.Close())
	}
	cmd := exec.Command(name, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, outWrite, errWrite
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	dieWithParent(cmd.SysProcAttr, deathSignal)
	err = cmd.Start()
	outWrite.Close()
	errWrite.Close()
	if err != nil {
		return nil, errors.Join(err, outRead.Close(), errRead.Close())
	}
	return &child{pid: cmd.Process.Pid, process: cmd.Process, stdout: outRead, stderr: errRead}, nil
}

// signal sends a signal; os.ErrProcessDone if there is nobody to take it.
func (c *child) signal(s syscall.Signal) error { return c.process.Signal(s) }

// wait waits until the child is gone, and tells at once each time that it is frozen or thawed, whoever did that. It does what
// os.Process.Wait does not: that one hears of the end only.
func (c *child) wait(frozen func(bool)) unix.WaitStatus {
	for {
		var status unix.WaitStatus
		_, err := unix.Wait4(c.pid, &status, unix.WUNTRACED|unix.WCONTINUED, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err == nil && status.Stopped():
			frozen(true)
		case err == nil && status.Continued():
			frozen(false)
		default:
			c.process.Release()
			return status
		}
	}
}
