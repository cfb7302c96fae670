package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sys/unix"

	"tickover.dev/cluster"
	"tickover.dev/cluster/bus"
	"tickover.dev/cluster/bus/redisbus"
	"tickover.dev/cluster/obituary"
	"tickover.dev/cluster/redisstore"
	"tickover.dev/placement"
	"tickover.dev/redisconn"
	"tickover.dev/rooms"
	"tickover.dev/rooms/host"
	"tickover.dev/rooms/redisjournal"
	"tickover.dev/sessions"
	"tickover.dev/sessions/redissessions"
)

// shared is what a node with --redis has beside: everything that must outlive it is in Redis, and other nodes see it.
//
//	journals ─ own client: appends of rooms
//	directory, sessions ─ another: lookups must not wait behind appends
//	heartbeats ─ a third, with one connection: a node that is merely busy must not be taken for dead
//	inbox ─ a fourth, for sending, and a fifth that waits for what others send
//	watch ─ a sixth: did Redis restart, or fail over?
type shared struct {
	// Set by openShared and join, then read-only.
	boot    cluster.Boot
	log     *slog.Logger
	redis   redisconn.Config
	report  redisconn.Report
	clients []redis.UniversalClient
	nonces  *nonces
	journal *redisjournal.Journal
	store   *redisstore.Store
	session *redissessions.Store
	beats   *redisstore.Store
	inboxes *redisbus.Bus
	link    *bus.Link
	cluster *cluster.Cluster
	local   *placement.Local
	rooms   *placement.Rooms
	peers   *obituary.Listener
	watcher *obituary.Watcher
	sight   atomic.Pointer[cluster.Cluster] // for peers, once there is one
	cutOff  atomic.Bool                     // the node alone does not reach Redis: it takes no players

	running sync.WaitGroup
	stop    context.CancelFunc
}

// nonces numbers the claims and creations of one boot.
type nonces struct {
	boot cluster.Boot
	mu   sync.Mutex
	last uint32
}

func (n *nonces) next() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last++
	return n.boot.Nonce(n.last)
}

// openShared connects to Redis and looks whether it can be relied on.
func openShared(ctx context.Context, c *Config, log *slog.Logger) (_ *shared, err error) {
	s := &shared{boot: cluster.NewBoot(), log: log, redis: c.redis()}
	s.nonces = &nonces{boot: s.boot}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	appends, err := s.open(16) // a connection for each shard's batch, and some for claims
	if err != nil {
		return nil, err
	}
	if s.report, err = redisconn.Check(ctx, appends); err != nil {
		return nil, err
	}
	for _, w := range s.report.Warnings {
		log.Warn("redis", "warning", w)
	}
	lookups, err := s.open(8)
	if err != nil {
		return nil, err
	}
	beats, err := s.open(1)
	if err != nil {
		return nil, err
	}
	s.journal = redisjournal.New(appends, redisjournal.Config{Log: log})
	s.store, s.beats = redisstore.New(lookups, ""), redisstore.New(beats, "")
	s.session = redissessions.New(lookups, "")
	sends, err := s.open(2)
	if err != nil {
		return nil, err
	}
	reads, err := redisconn.OpenBlocking(s.redis)
	if err != nil {
		return nil, err
	}
	s.clients = append(s.clients, reads)
	s.inboxes = redisbus.New(sends, reads, redisbus.Config{})
	s.peers, err = listenPeers(c.Peer, s.boot, s.sees, log)
	return s, err
}

// sees reports whether this node reaches Redis.
func (s *shared) sees() bool {
	c := s.sight.Load()
	return c != nil && c.Sight().Sighted
}

// defaultPeer is the default of --peer: the only port that may be another one, as the members' records tell which it is.
const defaultPeer = ":7780"

// listenPeers opens the address where other nodes watch this one.
func listenPeers(addr string, boot cluster.Boot, sees func() bool, log *slog.Logger) (*obituary.Listener, error) {
	addr = cmp.Or(addr, ":0")
	l, err := obituary.Listen(addr, boot, sees)
	if addr == defaultPeer && errors.Is(err, unix.EADDRINUSE) {
		if l, err = obituary.Listen(":0", boot, sees); err == nil {
			log.Info("the peers' port is taken, another one is used", "peer", l.Addr())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("--peer: %w", err)
	}
	return l, nil
}

// peerAddr is where other nodes reach this one's peers' listener.
func (s *shared) peerAddr(c *Config) string {
	at := s.peers.Addr()
	host := c.Advertise
	if host == "" {
		if host = at.IP.String(); at.IP.IsUnspecified() {
			host = "127.0.0.1"
			if ip, ok := lanAddr(); ok {
				host = ip.String()
			}
		}
	}
	return net.JoinHostPort(host, strconv.Itoa(at.Port))
}

func (s *shared) open(conns int) (redis.UniversalClient, error) {
	c := s.redis
	c.Conns = conns
	client, err := redisconn.Open(c)
	if err == nil {
		s.clients = append(s.clients, client)
	}
	return client, err
}

// makeRooms makes the rooms that this node's players see: the whole cluster's.
func (s *shared) makeRooms(hub *sessions.Hub) {
	s.rooms = placement.New(placement.Config{Hub: hub, Directory: s.store, Tombs: s.journal, Log: s.log})
}

// serve makes what joins a host to the cluster. It comes before the host's first room.
func (s *shared) serve(h *host.Host, c *Config, conns func() int) {
	s.local = placement.NewLocal(s.boot, h, s.journal, conns, s.rooms)
	self := cluster.Member{Boot: s.boot, Name: c.nameAs(s.boot), HTTP: c.HTTPAddr, Game: c.GameAddr, Version: version(), Peer: s.peerAddr(c)}
	for _, k := range c.Kinds {
		self.Kinds = append(self.Kinds, k.Name)
	}
	s.cluster = cluster.New(cluster.Config{Self: self, Members: s.beats, Directory: s.store, Rooms: s.local, Log: s.log})
	s.link = bus.New(bus.Config{Self: s.boot, Bus: s.inboxes, Handler: s.rooms, Log: s.log})
	s.rooms.Serve(h, s.local, s.cluster, s.link)
}

// join makes the node a member. It returns when it has seen the others, and that none of them has its name.
func (s *shared) join(ctx context.Context, h *host.Host, hub *sessions.Hub) error {
	s.sight.Store(s.cluster)
	running, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.running.Go(func() { s.link.Run(running) })
	select {
	case <-s.link.Ready(): // others may write to this node as soon as it is a member
	case <-ctx.Done():
		return fmt.Errorf("make the node's inbox: %w", context.Cause(ctx))
	}
	s.running.Go(func() { s.cluster.Run(running) })
	s.watcher = obituary.NewWatcher(obituary.Config{
		Self: s.boot, Living: func() []cluster.Member { return s.cluster.Sight().Living }, Dead: s.rooms.Obituary, Log: s.log,
	})
	s.running.Go(func() { s.watcher.Run(running) })
	s.running.Go(func() { s.sendAway(running, hub) })
	s.running.Go(func() {
		redisconn.Watch(running, redisconn.WatchConfig{Config: s.redis, Lost: func(why string) {
			s.log.Warn("redis may have lost what it was given last: rooms write all they know", "why", why)
			h.Reseal()
			hub.Resave()
		}, Answers: s.answers})
	})
	return s.alone(ctx)
}

// sendAway asks the players of a node that is cut off alone to reconnect, and turns newcomers away, until it is back for good.
func (s *shared) sendAway(ctx context.Context, hub *sessions.Hub) {
	tick := time.NewTicker(cutOffLook)
	defer tick.Stop()
	i := isolation{last: time.Now()}
	for {
		select {
		case now := <-tick.C:
			if !i.look(now, s.sees(), s.watcher.PeersSee()) {
				continue
			}
			s.cutOff.Store(i.cutOff)
			if i.cutOff {
				s.log.Error("cut off from redis, which other nodes reach: players are sent to them")
				hub.SendAway("this node is cut off: reconnect")
			} else {
				s.log.Info("redis is reached again: players are taken again")
				hub.TakeAgain()
			}
		case <-ctx.Done():
			return
		}
	}
}

func (s *shared) answers(ok bool, why error) {
	if ok {
		s.log.Info("redis answers", "version", s.report.Version)
		return
	}
	s.log.Error("redis does not answer: rooms wait", "error", why)
}

// alone waits until the members are in sight, and refuses a name that a living one has.
func (s *shared) alone(ctx context.Context) error {
	self := s.cluster.Member()
	for {
		sight := s.cluster.Sight()
		twin := false
		for _, m := range sight.Living {
			if m.Name == self.Name && m.Boot != self.Boot {
				if s.cluster.Beats(m.Boot) {
					return fmt.Errorf("another node is called %q: give each its own --name", self.Name)
				}
				if !twin && obituary.Refused(ctx, m) { // this node's last run, most likely
					s.rooms.Obituary(m.Boot)
				}
				twin = true // else whether it lives shows within a lease
			}
		}
		if sight.Sighted && !twin {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("join the cluster: %w", context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// leave ends the node's membership. Its rooms must have been released.
func (s *shared) leave(ctx context.Context) error {
	if s.rooms != nil && s.link != nil {
		s.rooms.Close()
	}
	var err error
	if s.stop != nil {
		s.stop()
		s.running.Wait()
		if err = s.cluster.Farewell(ctx); err != nil {
			err = fmt.Errorf("leave the cluster: %w", err) // its rooms wait one lease
		}
	}
	return errors.Join(err, s.close())
}

func (s *shared) close() error {
	if s.peers != nil { // last: to other nodes it is this one's death
		defer s.peers.Close()
	}
	if s.journal != nil {
		s.journal.Close()
	}
	var errs []error
	for _, c := range s.clients {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// ended takes a room that is no more off the directory.
func (s *shared) ended(ctx context.Context, h *host.Handle, e rooms.Ended) { s.rooms.Ended(ctx, h, e) }

// renew enters a room into the directory again whose journal Redis has lost.
func (s *shared) renew(ctx context.Context, h *host.Handle, was rooms.Epoch) (rooms.Epoch, string, error) {
	return s.rooms.Renew(ctx, h, was)
}

// nameAs is what a boot of the node is called.
func (c *Config) nameAs(boot cluster.Boot) string { return cmp.Or(c.Name, nameOf(c.GameAddr, boot)) }

// nameOf gives the name of a node that was given none: its host's, and its game port.
func nameOf(gameAddr string, boot cluster.Boot) string {
	name, err := os.Hostname()
	if err != nil {
		name = "node"
	}
	_, port, _ := net.SplitHostPort(gameAddr)
	if port == "0" { // any
		port = boot.String()
	}
	return name + "-" + port
}
