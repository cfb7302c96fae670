package engine

import (
	"context"
	"testing"

	"golang.org/x/sys/unix"
)

// shutdownForTest makes the next write to c fail at once.
func (c *Conn) shutdownForTest(t *testing.T) {
	if err := unix.Shutdown(c.socket.Fd(), unix.SHUT_WR); err != nil {
		t.Error(err)
	}
}

// stopForTest is Stop, but lets the test's clean-up stop without an error.
func (s *Server) stopForTest(ctx context.Context) (err error) {
	s.stopOnce.Do(func() { err = s.stop(ctx, 4000, "") })
	return err
}
