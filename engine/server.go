package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"
)

const (
	// Deadlines are checked this often, or more often if they are shorter than four times that.
	maxSweepEvery, minSweepEvery = 100 * time.Millisecond, 5 * time.Millisecond
	// How long Stop waits for goroutines that have nothing left to do.
	hardStop = 5 * time.Second
)

// Server is a listening engine. All its methods may be called from any goroutine.
type Server struct {
	// Set by Start, then read-only.
	cfg      Config
	started  time.Time
	listener *net.TCPListener
	gnet     *gnet.Client // loops without a listener; see accept.go
	loops    []*Loop
	byEvents map[gnet.EventLoop]*Loop

	addresses *addresses

	conns    atomic.Int64 // sockets that hold a place under MaxConns
	stopping atomic.Bool
	drained  chan struct{} // one signal when conns falls to zero while stopping
	stopped  chan struct{} // closed when stopping begins
	quiet    chan struct{} // closed when the ticker is to end
	refusals chan *net.TCPConn
	failed   chan error // has room for the one it may get
	failOnce sync.Once

	acceptors, ticker, refuser sync.WaitGroup

	stopOnce sync.Once
	stopErr  error // written within stopOnce

	accepted, refused, refusedAddr, acceptErrors atomic.Uint64
	strangeProxies                               atomic.Uint64
	closeCounts                                  closeCounts
}

// Start listens and serves until Stop. It returns every complaint about cfg at once, joined.
func Start(cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	listener, err := listen(cfg)
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg:       cfg,
		started:   time.Now(),
		listener:  listener,
		byEvents:  make(map[gnet.EventLoop]*Loop, cfg.Loops),
		drained:   make(chan struct{}, 1),
		stopped:   make(chan struct{}),
		quiet:     make(chan struct{}),
		refusals:  make(chan *net.TCPConn, maxRefusals),
		failed:    make(chan error, 1),
		addresses: newAddresses(cfg.MaxConnsPerAddr, cfg.Exempt),
	}
	for i := range cfg.Loops {
		s.loops = append(s.loops, newLoop(s, i))
	}
	if err := s.run(); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return s, nil
}

// newLoop prepares a loop that gnet does not run yet.
func newLoop(s *Server, index int) *Loop {
	l := &Loop{
		index:        index,
		server:       s,
		log:          s.cfg.Log.With("loop", index),
		handshake:    handshake{path: s.cfg.Path, subprotocol: s.cfg.Subprotocol, maxBytes: s.cfg.MaxHandshakeBytes, allow: s.cfg.Allow},
		maxBacklog:   s.cfg.MaxBacklogBytes,
		backlogCode:  s.cfg.BacklogCode,
		silence:      int64(s.cfg.SilenceTimeout),
		closeTimeout: int64(s.cfg.CloseTimeout),
		maxExtra:     s.cfg.MaxExtraFrames,
		rules:        frameRules{maxMessage: s.cfg.MaxMessageBytes, rejectText: s.cfg.RejectText},
	}
	l.pacer.rest = s.cfg.Pace
	l.drainTask = drainTask{l}
	l.mailbox.limit = s.cfg.MailboxLimit
	l.mailbox.wake = l.wake
	l.mailbox.again = time.AfterFunc(time.Hour, l.wake)
	l.mailbox.again.Stop()
	return l
}

// run starts gnet's loops, the handlers on them, and only then everything that feeds them.
func (s *Server) run() error {
	client, err := gnet.NewClient(&events{server: s},
		gnet.WithNumEventLoop(s.cfg.Loops),
		gnet.WithTCPNoDelay(gnet.TCPDelay), // leaves the socket as package net made it: without delay
		gnet.WithLogger(gnetLog{s.cfg.Log}))
	if err != nil {
		return fmt.Errorf("engine: %w", err)
	}
	if err := client.Start(); err != nil {
		return fmt.Errorf("engine: start loops: %w", err)
	}
	s.gnet = client
	if err := s.bindLoops(client); err != nil {
		return errors.Join(err, client.Stop())
	}
	for _, l := range s.loops {
		if l.handler = s.cfg.New(l); l.handler == nil {
			return errors.Join(fmt.Errorf("engine: New made no handler for loop %d", l.index), client.Stop())
		}
	}
	s.ticker.Go(s.tick)
	s.refuser.Go(s.readRefused)
	for range s.cfg.Loops {
		s.acceptors.Go(s.accept)
	}
	return nil
}

// tick drives the loops' deadlines and their handlers' ticks, until the loops are about to end.
func (s *Server) tick() {
	sweepEvery := s.cfg.sweepEvery()
	sweeps, ticks := time.NewTicker(sweepEvery), time.NewTicker(s.cfg.TickEvery)
	defer sweeps.Stop()
	defer ticks.Stop()
	for {
		var p pulse
		select {
		case <-s.quiet:
			return
		case <-sweeps.C:
			p.sweep = true
		case <-ticks.C:
			p.tick = true
		}
		for _, l := range s.loops {
			// Counted in sweeps and not read off a clock: a process that was frozen itself accuses nobody.
			if time.Duration(l.mailbox.pulse(p))*sweepEvery > s.cfg.stuckAfter {
				s.fail(fmt.Errorf("loop %d: %w", l.index, ErrLoopStuck))
			}
		}
	}
}

// since is the loops' clock.
func (s *Server) since() int64 { return int64(time.Since(s.started)) }

func (s *Server) loopOf(el gnet.EventLoop) *Loop { return s.byEvents[el] }

// leave gives up an admitted connection's places.
func (s *Server) leave(c *Conn) {
	s.addresses.leave(c.remote.Addr(), s.since())
	s.yield()
}

// yield gives up a place under MaxConns.
func (s *Server) yield() {
	if s.conns.Add(-1) == 0 && s.stopping.Load() {
		select {
		case s.drained <- struct{}{}:
		default:
		}
	}
}

// fail reports the first failure.
func (s *Server) fail(err error) {
	s.failOnce.Do(func() {
		s.cfg.Log.Error("engine failed", "error", err)
		s.failed <- err
	})
}

// Addr is the address the server listens on, with the real port.
func (s *Server) Addr() netip.AddrPort { return addrPort(s.listener.Addr()) }

// Loops are the server's event loops, by index. Do not change the slice.
func (s *Server) Loops() []*Loop { return s.loops }

// Failed delivers at most one error: the server stopped serving though nobody asked it to. Treat it as fatal.
func (s *Server) Failed() <-chan error { return s.failed }

// Stop refuses new connections, sends every open one a close frame with code and reason, waits for the answers
// (at most Config.CloseTimeout, and at most until ctx ends), closes what is left and returns when no goroutine of
// the server runs any more. It reports the context's cause if that cut the wait short, and ErrLoopStuck if a loop
// does not come round, in which case goroutines are left. Later calls wait for the first and return what it did.
func (s *Server) Stop(ctx context.Context, code uint16, reason string) error {
	s.stopOnce.Do(func() { s.stopErr = s.stop(ctx, code, reason) })
	return s.stopErr
}

func (s *Server) stop(ctx context.Context, code uint16, reason string) error {
	s.stopping.Store(true)
	close(s.stopped)
	// First nobody new, so that everybody is known to a loop.
	err := s.listener.Close()
	if !finished(&s.acceptors, hardStop) {
		return errors.Join(err, ErrLoopStuck)
	}
	close(s.refusals)
	for _, l := range s.loops {
		l.mailbox.order(&closeAll{code: code, reason: reason})
	}
	err = errors.Join(err, s.awaitDrained(ctx))
	close(s.quiet)
	s.ticker.Wait()
	s.refuser.Wait()
	for _, l := range s.loops {
		l.fence()
	}
	var ending sync.WaitGroup
	ending.Go(func() { _ = s.gnet.Stop() }) // reports what has been logged
	if !finished(&ending, hardStop) {
		return errors.Join(err, ErrLoopStuck)
	}
	return err
}

// awaitDrained waits until every connection has ended. The loops enforce Config.CloseTimeout; should one of them
// not, there is an end to waiting as well.
func (s *Server) awaitDrained(ctx context.Context) error {
	patience := time.NewTimer(s.cfg.CloseTimeout + hardStop)
	defer patience.Stop()
	for s.conns.Load() > 0 {
		select {
		case <-s.drained:
		case <-patience.C:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("engine: stop: %w", context.Cause(ctx))
		}
	}
	return nil
}

// finished waits for a group, but not for ever.
func finished(group *sync.WaitGroup, patience time.Duration) bool {
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	select {
	case <-done:
		return true
	case <-time.After(patience):
		return false
	}
}
