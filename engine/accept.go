package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

// The engine accepts connections itself and enrolls them with gnet's loops. gnet's own acceptor ends the whole
// engine when descriptors run out, cannot be told to stop accepting, and accepts ahead of any limit that its
// callbacks could enforce; this one waits, stops, and never holds more than the limit and one connection per
// acceptor.

const (
	// Enough for the request of a client that sends it at once, which makes the refusal readable: closing a socket
	// with unread bytes resets it.
	refusalWait = 200 * time.Millisecond
	// Refusals waiting for their request; beyond that they are closed at once. Part of the descriptor reserve.
	maxRefusals = 32
	// Pauses between accepts that fail for want of descriptors or memory.
	minAcceptPause, maxAcceptPause = 5 * time.Millisecond, time.Second
)

// listen opens the listening socket. What accepted sockets inherit from it is set here, once.
func listen(cfg Config) (*net.TCPListener, error) {
	lc := net.ListenConfig{
		Control: func(_, _ string, raw syscall.RawConn) error {
			var failed error
			err := raw.Control(func(fd uintptr) {
				failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, cfg.SendBufferBytes)
			})
			return errors.Join(err, os.NewSyscallError("setsockopt SO_SNDBUF", failed))
		},
	}
	if cfg.SilenceTimeout > 0 {
		lc.KeepAlive = -1 // silence is noticed sooner than probes would, without their system calls
	}
	listener, err := lc.Listen(context.Background(), "tcp", cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("engine: listen: %w", err)
	}
	return listener.(*net.TCPListener), nil
}

// accept takes connections until the listener is closed.
func (s *Server) accept() {
	pause := minAcceptPause
	for {
		nc, err := s.listener.AcceptTCP()
		if err == nil {
			s.accepted.Add(1)
			err = s.admit(nc)
		}
		switch {
		case err == nil:
			pause = minAcceptPause
		case s.stopping.Load():
			return
		case scarce(err):
			s.acceptErrors.Add(1)
			s.cfg.Log.Warn("accept", "error", err, "conns", s.conns.Load(), "pause", pause)
			select {
			case <-time.After(pause):
			case <-s.stopped:
				return
			}
			pause = min(2*pause, maxAcceptPause)
		default:
			s.fail(fmt.Errorf("engine: accept: %w", err))
			return
		}
	}
}

// scarce reports whether err will pass once somebody lets go of something.
func scarce(err error) bool {
	for _, errno := range []error{unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// admit enrolls a connection with a loop, or refuses it. An error means that something is scarce.
func (s *Server) admit(nc *net.TCPConn) error {
	c := &Conn{remote: addrPort(nc.RemoteAddr())}
	if s.conns.Add(1) > int64(s.cfg.MaxConns) || s.stopping.Load() {
		s.yield()
		s.refused.Add(1)
		s.refuse(nc, s.full())
		return nil
	}
	if ok, tell := s.addresses.enter(c.remote.Addr(), s.since()); !ok {
		s.yield()
		s.refusedAddr.Add(1)
		if tell {
			s.cfg.Log.Warn("too many connections from one address: refused", "remote", c.remote.Addr(), "limit", s.addresses.limit)
		}
		s.refuse(nc, refuseAddress)
		return nil
	}
	// Enroll duplicates the descriptor, closes nc in any case and returns when OnOpen is done, so a loop that is
	// behind slows accepting down. It reports nothing if the poller refuses the descriptor: then OnOpen never ran.
	_, err := s.gnet.EnrollContext(nc, c)
	if err == nil && c.enrolled {
		return nil
	}
	s.leave(c)
	s.cfg.Log.Warn("enroll connection", "error", err, "remote", c.remote)
	if err != nil && !scarce(err) {
		err = nil // this connection's own trouble
	}
	return err
}

// addrPort is a TCP address as a value, IPv4 in its short form.
func addrPort(addr net.Addr) netip.AddrPort {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// full is what a connection is told that there is no place for.
func (s *Server) full() *refusal {
	if s.stopping.Load() {
		return refuseStopping
	}
	return refuseFull
}

// refuse answers at once and leaves the rest to the goroutine that reads refused requests.
func (s *Server) refuse(nc *net.TCPConn, r *refusal) {
	_ = nc.SetWriteDeadline(time.Now().Add(refusalWait))
	_, err := nc.Write(r.response()) // fits the empty send buffer, so it does not wait
	if err == nil {
		_ = nc.CloseWrite()
		select {
		case s.refusals <- nc:
			return
		default:
		}
	}
	_ = nc.Close()
}

// readRefused reads what refused clients had to say, so that they can read their answer.
func (s *Server) readRefused() {
	room := make([]byte, 4096)
	for nc := range s.refusals {
		_ = nc.SetReadDeadline(time.Now().Add(refusalWait))
		_, _ = nc.Read(room)
		_ = nc.Close()
	}
}

// bindLoops finds gnet's loops, which it shows only through connections: one end of a socket pair is enrolled per
// loop. gnet gives each new connection to the loop with the fewest, so each of them lands on another loop.
func (s *Server) bindLoops(client *gnet.Client) error {
	for _, l := range s.loops {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("engine: find loop %d: %w", l.index, os.NewSyscallError("socketpair", err))
		}
		defer unix.Close(pair[1]) // the loop reads the end of the stream and closes its end
		end := os.NewFile(uintptr(pair[0]), "loop")
		nc, err := net.FileConn(end)
		_ = end.Close()
		if err != nil {
			return fmt.Errorf("engine: find loop %d: %w", l.index, err)
		}
		if _, err := client.EnrollContext(nc, l); err != nil {
			return fmt.Errorf("engine: find loop %d: %w", l.index, err)
		}
		if l.events == nil || s.byEvents[l.events] != nil {
			return fmt.Errorf("engine: find loop %d: not found", l.index)
		}
		s.byEvents[l.events] = l
	}
	return nil
}
