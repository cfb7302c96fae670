package redistest

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

// Sentinel is a master and a replica, under Sentinels.
type Sentinel struct {
	t               testing.TB
	Master, Replica *Server // as they were started; a fail-over changes their roles
	Sentinels       []*Server
	quorum          int
}

// MasterName is the name under which the Sentinels know the master.
const MasterName = "journal"

// StartSentinel starts a master, a replica that has caught up, and so many Sentinels. They take a master that does not answer for
// 300 ms to be dead. One Sentinel is the fastest; three, which is what people run, need two seconds more to find each other.
func StartSentinel(t testing.TB, sentinels int, options ...string) *Sentinel {
	t.Helper()
	s := &Sentinel{t: t, quorum: sentinels/2 + 1}
	s.Master = Start(t, append([]string{"repl-diskless-sync-delay 0"}, options...)...)
	s.Replica = Start(t, append([]string{"repl-diskless-sync-delay 0", fmt.Sprintf("replicaof 127.0.0.1 %d", s.Master.port)}, options...)...)
	eventually(t, "the replica has caught up", func() bool {
		text, err := s.Replica.try("info", "replication")
		return err == nil && strings.Contains(fmt.Sprint(text), "master_link_status:up")
	})
	for range sentinels {
		n := prepare(t, nil)
		n.sentinel = true
		n.start(func() []string {
			return []string{
				fmt.Sprintf("sentinel monitor %s 127.0.0.1 %d %d", MasterName, s.Master.port, s.quorum),
				fmt.Sprintf("sentinel down-after-milliseconds %s 300", MasterName),
				fmt.Sprintf("sentinel failover-timeout %s 3000", MasterName),
			}
		})
		n.Do("sentinel", "debug", "info-period", 200, "ask-period", 100, "publish-period", 200, "ping-period", 100)
		s.Sentinels = append(s.Sentinels, n)
	}
	eventually(t, "the Sentinels know the replica and each other", func() bool {
		for _, n := range s.Sentinels {
			text, err := n.try("info", "sentinel")
			if err != nil || !strings.Contains(fmt.Sprint(text), fmt.Sprintf("slaves=1,sentinels=%d", sentinels)) {
				return false
			}
		}
		return true
	})
	return s
}

// URL is the set-up's address for redisconn.
func (s *Sentinel) URL() string {
	var addrs []string
	for _, n := range s.Sentinels {
		addrs = append(addrs, n.Addr())
	}
	return "redis+sentinel://" + strings.Join(addrs, ",") + "/" + MasterName
}

// AwaitMaster waits until every Sentinel names this server, and it is a master.
func (s *Sentinel) AwaitMaster(want *Server) {
	s.t.Helper()
	eventually(s.t, "the fail-over is done", func() bool {
		for _, n := range s.Sentinels {
			v, err := n.try("sentinel", "get-master-addr-by-name", MasterName)
			at, ok := v.([]any)
			if err != nil || !ok || net.JoinHostPort(at[0].(string), at[1].(string)) != want.Addr() {
				return false
			}
		}
		text, err := want.try("info", "replication")
		return err == nil && strings.Contains(fmt.Sprint(text), "role:master")
	})
}
