package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// listener is an HTTP server on one address.
type listener struct {
	net    *capped
	server *http.Server  // nil until serve
	done   chan struct{} // closed when it serves no more
}

// maxHTTPConns bounds the connections of one HTTP server, so that they leave descriptors for players; more of them wait. A browser
// takes up to six.
const maxHTTPConns = 256

// listen takes an address. Whoever connects waits until serve.
func listen(addr string) (*listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &listener{net: &capped{Listener: l, open: make(chan struct{}, maxHTTPConns), closed: make(chan struct{})}, done: make(chan struct{})}, nil
}

// capped is a listener with at most so many connections open.
type capped struct {
	net.Listener
	open   chan struct{} // holds one for each, and for the one that is waited for
	count  atomic.Int64  // of those open
	closed chan struct{}
	once   sync.Once
}

// Accept waits for a place, and then for a connection.
func (c *capped) Accept() (net.Conn, error) {
	select {
	case c.open <- struct{}{}:
	case <-c.closed:
		return nil, net.ErrClosed
	}
	conn, err := c.Listener.Accept()
	if err != nil {
		<-c.open
		return nil, err
	}
	c.count.Add(1)
	return &cappedConn{Conn: conn, leave: sync.OnceFunc(func() {
		c.count.Add(-1)
		<-c.open
	})}, nil
}

// Close ends Accept.
func (c *capped) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Listener.Close()
}

type cappedConn struct {
	net.Conn
	leave func()
}

// Close gives the place back.
func (c *cappedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

// serve answers requests until stop. writeTimeout bounds one answer, 0 not at all. fail is told if it ends by itself.
func (l *listener) serve(h http.Handler, writeTimeout time.Duration, log *slog.Logger, fail func(error)) {
	l.server = &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: writeTimeout,
		IdleTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	go func() { // stop waits for it
		defer close(l.done)
		if err := l.server.Serve(l.net); !errors.Is(err, http.ErrServerClosed) {
			fail(fmt.Errorf("http server on %s: %w", l.addr(), err))
		}
	}()
}

func (l *listener) addr() netip.AddrPort { return l.net.Addr().(*net.TCPAddr).AddrPort() }

// conns is how many connections are open.
func (l *listener) conns() int64 { return l.net.count.Load() }

// stop lets requests end as long as ctx lasts. A nil listener has nothing to stop.
func (l *listener) stop(ctx context.Context) error {
	switch {
	case l == nil:
		return nil
	case l.server == nil:
		return l.net.Close()
	}
	err := l.server.Shutdown(ctx)
	if err != nil {
		err = l.server.Close()
	}
	<-l.done
	return err
}
