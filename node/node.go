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
	"net/netip"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"tickover.dev/cluster"
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
	shared   *shared // nil: everything is in memory
	engine   *engine.Server
	page     *listener
	admin    *listener
	doors    *doors
	api      *api
	inbox    *inboxCheck
	boot     cluster.Boot // of this run
	name     string       // for people
	lock     *os.File     // of the data folder, or nil
	resumed  int          // rooms taken over from the data folder
	taken    []string     // files of the data folder that were renamed, see take
	failed   chan error
	stopped  chan struct{}
	watching sync.WaitGroup

	keptRooms, keptSessions int // written by Stop

	disorderly bool // the data folder held rooms of a node that did not stop in order; they are gone

	state    atomic.Int32
	stopOnce sync.Once
	stopErr  error
}

// States of a node. It is never ready again once it has failed or is being stopped, even if that is seen while it starts.
const (
	stateStarting int32 = iota
	stateReady
	stateOver
)

// Start runs a node. It returns once every address is listened on and the rooms of the data folder are back. ctx bounds that, and
// is of no meaning afterwards. After an error nothing is left running.
func Start(ctx context.Context, c Config) (*Node, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	n := &Node{config: c, log: c.Log, journal: memjournal.New(), registry: sessions.NewRegistry(0), inbox: newInboxCheck()}
	n.failed, n.stopped = make(chan error, 1), make(chan struct{})
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	if err := n.start(ctx); err != nil {
		n.abandon()
		return nil, err
	}
	n.state.CompareAndSwap(stateStarting, stateReady)
	return n, nil
}

// start brings one part up after the other, those that others need first.
func (n *Node) start(ctx context.Context) error {
	if err := n.restore(); err != nil {
		return err
	}
	auth, err := n.config.authenticate()
	if err != nil {
		return err
	}
	keys, err := newAccess(&n.config, auth, n.log)
	if err != nil {
		return err
	}
	n.boot = cluster.NewBoot()
	on := sessions.Config{Authenticate: auth, Registry: n.registry, Log: n.log}
	runs := host.Config{Kinds: n.config.Kinds, Journal: n.journal, Shards: n.config.Shards, Log: n.log, ShadowEvery: n.config.shadowEvery()}
	if n.config.Redis != "" {
		if n.shared, err = openShared(ctx, &n.config, n.log); err != nil {
			return err
		}
		n.boot = n.shared.boot
		on.Store, on.Node = n.shared.session, n.boot.String()
		on.OnResume = func(session string, gen uint64, before string) { n.shared.rooms.Replaced(session, gen, before) }
		runs.Journal, runs.Nonce, runs.Ended, runs.Renew = n.shared.journal, n.shared.nonces.next, n.shared.ended, n.shared.renew
	}
	n.name = n.config.nameAs(n.boot)
	on.Name = n.name
	n.hub = sessions.New(on)
	if n.shared != nil {
		n.shared.makeRooms(n.hub)
		runs.Sink = n.shared.rooms
		n.api = newAPI(n, city{n.shared.rooms, n.shared.session}, keys)
	} else {
		alone := &village{node: n}
		runs.Sink = ear{n.hub, &alone.signals}
		n.api = newAPI(n, alone, keys)
	}
	if n.rooms, err = host.New(runs); err != nil {
		return err
	}
	if n.shared == nil {
		n.hub.Serve(remembered{sessions.Hosted(n.rooms), n.journal})
		err = n.resume(ctx)
	} else {
		n.shared.serve(n.rooms, &n.config, func() int { return int(n.hub.Stats().Connections.Load()) })
		n.hub.Serve(n.shared.rooms)
		err = n.shared.join(ctx, n.rooms, n.hub)
	}
	if err != nil {
		return err
	}
	return n.listen()
}

// listen opens the three addresses, or says about each why not. Nobody is served before all of them are open.
func (n *Node) listen() error {
	var errGame, errPage, errAdmin error
	n.page, errPage = listen(n.config.HTTPAddr)
	n.admin, errAdmin = listen(n.config.AdminAddr)
	n.doors = newDoors(&n.config)
	if err := n.take(); err != nil { // before the engine, which serves at once
		return errors.Join(errPage, errAdmin, err)
	}
	trusted, err := n.config.trusted()
	if err != nil {
		return err
	}
	n.engine, errGame = engine.Start(engine.Config{
		Addr: n.config.GameAddr, Loops: n.config.Loops, Path: "/", Subprotocol: netcode.Subprotocol, RejectText: true,
		MaxConns: n.config.Conns, MaxConnsPerAddr: n.config.ConnsPerAddress, MaxBacklogBytes: 1 << 20, BacklogCode: netcode.CloseBacklog, Log: n.log, New: n.hub.NewLoop,
		Allow: n.doors.allow, TrustProxy: trusted,
	})
	if err := errors.Join(
		busy("--game-addr", n.config.GameAddr, errGame), busy("--http-addr", n.config.HTTPAddr, errPage), busy("--admin-addr", n.config.AdminAddr, errAdmin),
	); err != nil {
		return err
	}
	n.watching.Go(func() { n.watch(n.engine.Failed()) })
	// The page is small; a profile may take minutes to write.
	n.page.serve(n.publicHandler(), 30*time.Second, n.log, n.fail)
	n.admin.serve(n.adminHandler(), 0, n.log, n.fail)
	return nil
}

// busy says what to do about an address that is in use.
func busy(flag, addr string, err error) error {
	if !errors.Is(err, unix.EADDRINUSE) {
		return err
	}
	host, port, _ := net.SplitHostPort(addr)
	other, _ := strconv.Atoi(port)
	if other += 1000; other > 65535 {
		other -= 2000
	}
	return fmt.Errorf("%s %s is in use: is another %s running? Choose another, e.g. %[1]s %[4]s",
		flag, addr, program(), net.JoinHostPort(host, strconv.Itoa(other)))
}

// watch passes on that the engine stopped by itself.
func (n *Node) watch(engineFailed <-chan error) {
	select {
	case err := <-engineFailed:
		n.fail(fmt.Errorf("game socket: %w", err))
	case <-n.stopped:
	}
}

// fail reports what makes the node useless. The first report counts.
func (n *Node) fail(err error) {
	n.state.Store(stateOver)
	select {
	case n.failed <- err:
	default:
	}
}

// Failed gives the error that makes the node useless, if one happens. Stop it then.
func (n *Node) Failed() <-chan error { return n.failed }

// GameAddr, HTTPAddr and AdminAddr are the addresses listened on, with real ports.
func (n *Node) GameAddr() netip.AddrPort  { return n.engine.Addr() }
func (n *Node) HTTPAddr() netip.AddrPort  { return n.page.addr() }
func (n *Node) AdminAddr() netip.AddrPort { return n.admin.addr() }

// Stop ends the node in order: nobody new gets in, connections are told to come back, rooms are released, and with a data folder
// everything is written. ctx bounds all of it. Later calls give the first one's error.
func (n *Node) Stop(ctx context.Context) error {
	n.stopOnce.Do(func() {
		n.state.Store(stateOver)
		n.hub.Refuse()
		n.rooms.Refuse()
		if n.shared != nil {
			n.shared.cluster.Leave()
		}
		n.stopErr = n.end(ctx, n.save)
	})
	return n.stopErr
}

// abandon ends what Start had begun, and leaves the data folder as it was.
func (n *Node) abandon() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := n.end(ctx, n.giveBack); err != nil {
		n.log.Warn("end of a node that did not start", "error", err)
	}
}

// end ends what there is, sockets first, and calls save when nothing changes any more.
func (n *Node) end(ctx context.Context, save func() error) error {
	close(n.stopped)
	if n.api != nil {
		n.api.cancel()
	}
	var errs []error
	if n.shared != nil && n.rooms != nil {
		errs = append(errs, n.stopRooms(ctx)) // other nodes have them before anybody here is cut off
	}
	if n.engine != nil {
		errs = append(errs, n.engine.Stop(ctx, netcode.CloseStopping, "node stopping"))
	}
	if n.shared == nil && n.rooms != nil {
		errs = append(errs, n.stopRooms(ctx))
	}
	if n.hub != nil {
		errs = append(errs, n.hub.Close(ctx))
	}
	if n.shared != nil {
		errs = append(errs, n.shared.leave(ctx))
	}
	errs = append(errs, save(), n.page.stop(ctx), n.admin.stop(ctx))
	n.watching.Wait()
	if n.lock != nil {
		errs = append(errs, n.lock.Close())
	}
	return errors.Join(errs...)
}

// stopRooms ends the rooms within three quarters of the time that is left: if one cannot be released, players are still told to come
// back, sessions are saved, and the other nodes learn that this one is gone.
func (n *Node) stopRooms(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)*3/4)
		defer cancel()
	}
	return n.rooms.Stop(ctx)
}

// kinds are those the node runs.
func (n *Node) kinds() []rooms.Kind { return n.config.Kinds }
