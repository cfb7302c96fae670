package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// starveEnv makes the test binary run starve instead of its tests, in a process of its own.
const starveEnv = "ENGINE_TEST_STARVE"

func runAsChild() {
	if os.Getenv(starveEnv) == "" {
		return
	}
	if err := starve(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func TestRunningOutOfDescriptorsIsSurvived(t *testing.T) {
	// Without it, one moment without descriptors, whoever took them, ends the server for everybody.
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), starveEnv+"=1")
	if out, err := child.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// starve takes every descriptor away from a running server, lets clients knock, gives them back, and expects those
// clients and everybody else to be served.
func starve() error {
	limit := unix.Rlimit{Cur: 200, Max: 200}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	s, err := Start(Config{Addr: "127.0.0.1:0", Loops: 2, Log: slog.New(slog.DiscardHandler), New: func(*Loop) Handler { return echoing() }})
	if err != nil {
		return err
	}
	if want := 200 - 64 - 10; s.cfg.MaxConns != want {
		return fmt.Errorf("MaxConns %d, want %d", s.cfg.MaxConns, want)
	}
	before, err := roundTrip(s, nil)
	if err != nil {
		return fmt.Errorf("before: %w", err)
	}
	knockers, err := sockets(6) // before there is nothing left to open them with
	if err != nil {
		return err
	}
	var h hoard
	if err := h.takeAll(); err != nil {
		return err
	}
	if err := handOverFails(s, &h, knockers[0]); err != nil {
		return err
	}
	failures := s.Stats().AcceptErrors
	for _, fd := range knockers[1:] {
		if err := unix.Connect(fd, addressOf(s)); err != nil {
			return err
		}
	}
	if !within(patience, func() bool { return s.Stats().AcceptErrors > failures }) {
		return errors.New("the server never ran out of descriptors")
	}
	if _, err := roundTrip(s, before); err != nil {
		return fmt.Errorf("meanwhile: %w", err)
	}
	h.giveBack()
	for _, fd := range knockers[1:] {
		if err := answered(fd); err != nil {
			return fmt.Errorf("a client that came meanwhile: %w", err)
		}
	}
	if _, err := roundTrip(s, nil); err != nil {
		return fmt.Errorf("afterwards: %w", err)
	}
	select {
	case err := <-s.Failed():
		return err
	default:
		return nil
	}
}

// handOverFails leaves one descriptor: enough to accept, one too few to hand the connection to a loop.
func handOverFails(s *Server, h *hoard, fd int) error {
	h.giveOne()
	if err := unix.Connect(fd, addressOf(s)); err != nil {
		return err
	}
	if n, err := unix.Read(fd, make([]byte, 1)); n > 0 {
		return fmt.Errorf("a connection that there was no room for was answered: %w", err)
	}
	if !within(patience, func() bool { return s.Stats().AcceptErrors > 0 && s.Stats().Conns == 1 }) {
		return fmt.Errorf("after one failed hand-over: %+v", s.Stats())
	}
	// Accepting borrows a descriptor even when nobody is waiting, so the last one may be free only in a moment.
	var err error
	if !within(patience, func() bool { err = h.takeOne(); return err == nil }) {
		return err
	}
	return nil
}

// hoard holds descriptors that nobody else can have then.
type hoard []*os.File

func (h *hoard) takeOne() error {
	f, err := os.Open(os.DevNull)
	if err == nil {
		*h = append(*h, f)
	}
	return err
}

func (h *hoard) takeAll() error {
	for {
		if err := h.takeOne(); errors.Is(err, unix.EMFILE) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func (h *hoard) giveOne() {
	last := len(*h) - 1
	(*h)[last].Close()
	*h = (*h)[:last]
}

func (h *hoard) giveBack() {
	for len(*h) > 0 {
		h.giveOne()
	}
}

// sockets opens n sockets that are not connected yet.
func sockets(n int) (fds []int, err error) {
	for range n {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

func addressOf(s *Server) *unix.SockaddrInet4 {
	return &unix.SockaddrInet4{Port: int(s.Addr().Port()), Addr: s.Addr().Addr().As4()}
}

// answered shakes hands on a socket connected before.
func answered(fd int) error {
	f := os.NewFile(uintptr(fd), "knocker")
	nc, err := net.FileConn(f)
	f.Close()
	if err != nil {
		return err
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(patience))
	if _, err := nc.Write([]byte(goodRequest)); err != nil {
		return err
	}
	_, err = nc.Read(make([]byte, 1))
	return err
}
