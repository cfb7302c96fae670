package redistest

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// Cluster is three masters that share the slots.
type Cluster struct {
	t       testing.TB
	Servers []*Server
	ids     []string // of the servers
}

const slots = 16384

// StartCluster starts a Cluster of three masters without replicas, each with lines of redis.conf as options. It takes some two
// seconds, which Redis waits before a new master accepts writes.
func StartCluster(t testing.TB, options ...string) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	for range 3 {
		s := prepare(t, append([]string{"cluster-enabled yes", "cluster-node-timeout 1000"}, options...))
		s.start(func() []string { return []string{"cluster-port " + strconv.Itoa(freePort(t))} })
		c.Servers = append(c.Servers, s)
		c.ids = append(c.ids, s.Do("cluster", "myid").(string))
	}
	n := len(c.Servers)
	for i, s := range c.Servers {
		s.Do("cluster", "set-config-epoch", i+1)
		s.Do("cluster", "addslotsrange", i*slots/n, (i+1)*slots/n-1)
		for _, other := range c.Servers[:i] {
			bus := s.busOf(other)
			s.Do("cluster", "meet", "127.0.0.1", other.port, bus)
		}
	}
	eventually(t, "the Cluster is formed", func() bool {
		for _, s := range c.Servers {
			text, err := s.try("cluster", "info")
			info := fmt.Sprint(text)
			if err != nil || !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_known_nodes:3") ||
				!strings.Contains(info, "cluster_size:3") {
				return false
			}
		}
		return true
	})
	return c
}

// busOf reads the port at which another server talks to the rest of the Cluster.
func (s *Server) busOf(other *Server) string {
	v := other.Do("config", "get", "cluster-port").([]any)
	return v[1].(string)
}

// URL is the Cluster's address for redisconn.
func (c *Cluster) URL() string {
	var addrs []string
	for _, s := range c.Servers {
		addrs = append(addrs, s.Addr())
	}
	return "redis+cluster://" + strings.Join(addrs, ",")
}

// Slot is where a key belongs.
func (c *Cluster) Slot(key string) int {
	return int(c.Servers[0].Do("cluster", "keyslot", key).(int64))
}

// BeginMove makes a key's slot be on its way from the server that has it to another, and moves the key. Until EndMove the first
// answers ASK for it. A further key of the slot must not exist.
func (c *Cluster) BeginMove(key string) (from, to int) {
	c.t.Helper()
	slot := c.Slot(key)
	from = slot * len(c.Servers) / slots
	for i, s := range c.Servers { // a slot that was moved before
		if n, _ := s.try("cluster", "countkeysinslot", slot); n == int64(1) {
			from = i
		}
	}
	to = (from + 1) % len(c.Servers)
	c.Servers[to].Do("cluster", "setslot", slot, "importing", c.ids[from])
	c.Servers[from].Do("cluster", "setslot", slot, "migrating", c.ids[to])
	c.Servers[from].Do("migrate", "127.0.0.1", c.Servers[to].port, key, 0, 5000)
	return from, to
}

// EndMove gives a key's slot to another server: from then on all others answer MOVED.
func (c *Cluster) EndMove(key string, to int) {
	c.t.Helper()
	slot := c.Slot(key)
	for i := range c.Servers { // the new owner first
		c.Servers[(to+i)%len(c.Servers)].Do("cluster", "setslot", slot, "node", c.ids[to])
	}
}

// TakeOver gives the slots that a dead server was started with to another, without its keys.
func (c *Cluster) TakeOver(dead, to int) {
	c.t.Helper()
	n := len(c.Servers)
	from, last := dead*slots/n, (dead+1)*slots/n-1
	for i, s := range c.Servers {
		if i != dead {
			s.Do("cluster", "delslotsrange", from, last)
		}
	}
	c.Servers[to].Do("cluster", "addslotsrange", from, last)
}
