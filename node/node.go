// Package node is one running node: it wires sockets, sessions, rooms and journal together, and serves the page, the HTTP API and
// the operator's pages beside them. A program with its own kinds of rooms calls Main:
//
//	func main() { node.Main(rooms.Define(&Clicker{}, rooms.Config{Name: "clicker"})) }
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"tickover.dev/engine"
	"tickover.dev/netcode"
	"tickover.dev/rooms"
	"tickover.dev/rooms/host"
	"tickover.dev/rooms/memjournal"
	"tickover.dev/sessions"
)

// Node is one running node.
type Node struct {
	// Set by Start, then read-only.
	config   Config
	log      *slog.Logger
	journal  *memjournal.Journal
	registry *sessions.Registry
	hub      *sessions.Hub
	rooms    *host.Host
	engine   *engine.Server
	page     *listener
	admin    *listener
	resumed  int // rooms taken over from the data folder
	failed   chan error

	ready    atomic.Bool
	stopOnce sync.Once
	stopErr  error
}

// Start runs a node. It returns once every address is listened on and the rooms of the data folder are back.
func Start(ctx context.Context, c Config) (n *Node, err error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	n = &Node{config: c, log: c.Log, journal: memjournal.New(), registry: sessions.NewRegistry(0), failed: make(chan error, 1)}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	defer func() {
		if err != nil {
			n.abandon()
		}
	}()
	if err := n.restore(); err != nil {
		return nil, err
	}
	auth, err := n.authenticate()
	if err != nil {
		return nil, err
	}
	n.hub = sessions.New(sessions.Config{Authenticate: auth, Registry: n.registry, Log: n.log})
	n.rooms, err = host.New(host.Config{Kinds: c.Kinds, Journal: n.journal, Sink: n.hub, Shards: c.Shards, Log: n.log})
	if err != nil {
		return nil, err
	}
	n.hub.Serve(n.rooms)
	if err := n.resume(ctx); err != nil {
		return nil, err
	}
	if err := n.listen(); err != nil {
		return nil, err
	}
	n.ready.Store(true)
	return n, nil
}

func (n *Node) authenticate() (sessions.Authenticate, error) {
	switch {
	case n.config.Authenticate != nil:
		return n.config.Authenticate, nil
	case n.config.JWTKey != "":
		return sessions.HS256([]byte(n.config.JWTKey))
	}
	return sessions.Guest, nil
}

// listen opens the three addresses, or says about each why not.
func (n *Node) listen() error {
	var errGame, errPage, errAdmin error
	n.engine, errGame = engine.Start(engine.Config{
		Addr: n.config.GameAddr, Loops: n.config.Loops, Path: "/", Subprotocol: netcode.Subprotocol, RejectText: true,
		MaxConns: n.config.Conns, MaxBacklogBytes: 1 << 20, BacklogCode: netcode.CloseBacklog, Log: n.log, New: n.hub.NewLoop,
	})
	if errGame == nil {
		go n.watchEngine()
	}
	n.page, errPage = serve(n.config.HTTPAddr, n.publicHandler(), n.log)
	n.admin, errAdmin = serve(n.config.AdminAddr, n.adminHandler(), n.log)
	return errors.Join(errGame, errPage, errAdmin)
}

// watchEngine passes on that the engine stopped by itself, which no node survives.
func (n *Node) watchEngine() {
	if err, ok := <-n.engine.Failed(); ok && err != nil {
		n.failed <- fmt.Errorf("game socket: %w", err)
	}
}

// Failed gives the error that makes the node useless, if one happens.
func (n *Node) Failed() <-chan error { return n.failed }

const (
	journalsFile = "journals.msgpack"
	sessionsFile = "sessions.msgpack"
)

func (n *Node) restore() error {
	if n.config.Data == "" {
		return nil
	}
	return errors.Join(
		n.journal.Restore(filepath.Join(n.config.Data, journalsFile)),
		n.registry.Restore(filepath.Join(n.config.Data, sessionsFile), time.Now()),
	)
}

// resume goes on with the rooms of the data folder. A room that cannot be resumed is reported and left where it is.
func (n *Node) resume(ctx context.Context) error {
	for _, id := range n.journal.Rooms() {
		if err := n.rooms.Resume(ctx, id, true); err != nil {
			if ctx.Err() != nil {
				return err
			}
			n.log.Error("room not resumed", "error", err)
			continue
		}
		n.resumed++
	}
	return nil
}

func (n *Node) save() error {
	if n.config.Data == "" {
		return nil
	}
	return errors.Join(
		n.journal.Save(filepath.Join(n.config.Data, journalsFile)),
		n.registry.Save(filepath.Join(n.config.Data, sessionsFile)),
	)
}

// GameAddr, HTTPAddr and AdminAddr are the addresses listened on, with real ports.
func (n *Node) GameAddr() netip.AddrPort  { return n.engine.Addr() }
func (n *Node) HTTPAddr() netip.AddrPort  { return n.page.addr() }
func (n *Node) AdminAddr() netip.AddrPort { return n.admin.addr() }

// Stop ends the node in order: nobody new gets in, connections are told to come back, rooms are released, and with a data folder
// everything is written. ctx bounds all of it. Later calls give the first one's error.
func (n *Node) Stop(ctx context.Context) error {
	n.stopOnce.Do(func() {
		n.ready.Store(false)
		n.hub.Refuse()
		n.rooms.Refuse()
		err := n.engine.Stop(ctx, netcode.CloseStopping, "node stopping")
		err = errors.Join(err, n.rooms.Stop(ctx))
		n.hub.Close()
		err = errors.Join(err, n.save(), n.page.stop(ctx), n.admin.stop(ctx))
		n.stopErr = err
	})
	return n.stopErr
}

// abandon ends what Start had begun.
func (n *Node) abandon() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if n.engine != nil {
		n.engine.Stop(ctx, netcode.CloseStopping, "")
	}
	if n.rooms != nil {
		n.rooms.Stop(ctx)
	}
	if n.hub != nil {
		n.hub.Close()
	}
	n.page.stop(ctx)
	n.admin.stop(ctx)
}

// listener is an HTTP server on one address.
type listener struct {
	net    net.Listener
	server *http.Server
	done   chan struct{}
}

func serve(addr string, h http.Handler, log *slog.Logger) (*listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	s := &listener{net: l, done: make(chan struct{}), server: &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}
	go func() {
		defer close(s.done)
		if err := s.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("http server", "addr", addr, "error", err)
		}
	}()
	return s, nil
}

func (l *listener) addr() netip.AddrPort { return l.net.Addr().(*net.TCPAddr).AddrPort() }

func (l *listener) stop(ctx context.Context) error {
	if l == nil {
		return nil
	}
	err := l.server.Shutdown(ctx)
	if err != nil {
		err = l.server.Close()
	}
	<-l.done
	return err
}

// kinds lists the kinds that players are shown, by name.
func (n *Node) kinds() []rooms.Kind { return n.config.Kinds }
