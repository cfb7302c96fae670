package obituary

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tickover.dev/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func listen(t *testing.T, addr string, boot cluster.Boot) *Listener {
	t.Helper()
	l, err := Listen(addr, boot, func() bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// watch watches members from node 1, and gives what it is told.
func watch(t *testing.T, members ...cluster.Member) (<-chan cluster.Boot, *Watcher) {
	dead := make(chan cluster.Boot, 8)
	w := NewWatcher(Config{
		Self: 1, Living: func() []cluster.Member { return members }, Dead: func(b cluster.Boot) { dead <- b },
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	return dead, w
}

func (l *Listener) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

// The pause that players feel when a node dies is this, and a claim.
func TestTheEndOfAProcessIsToldAtOnce(t *testing.T) {
	l := listen(t, "127.0.0.1:0", 2)
	dead, w := watch(t, cluster.Member{Boot: 2, Peer: l.Addr().String()})
	eventually(t, "the two have met", w.PeersSee) // a connection alone is no acquaintance: the greeting may be under way
	died := time.Now()
	l.Close()
	select {
	case b := <-dead:
		if d := time.Since(died); b != 2 || d > 500*time.Millisecond {
			t.Errorf("boot %s after %s", b, d)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("never told")
	}
}

// A restarted node has taken the address before anybody asked again.
func TestAnotherBootAtTheAddressIsADeath(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { // the address is open all the time; first boot 2 answers, then 3
		for boot := cluster.Boot(2); ; boot++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			greet(c, boot)
			c.Close()
		}
	}()
	dead, _ := watch(t, cluster.Member{Boot: 2, Peer: l.Addr().String()})
	select {
	case b := <-dead:
		if b != 2 {
			t.Errorf("boot %s", b)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("never told")
	}
}

// A connection that ends is no death: a middlebox may have dropped it. Nor is an address where nobody ever was.
func TestWhatTellsNothingIsNoDeath(t *testing.T) {
	l := listen(t, "127.0.0.1:0", 2)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close() // nobody is there
	dead, _ := watch(t, cluster.Member{Boot: 2, Peer: l.Addr().String()}, cluster.Member{Boot: 9, Peer: free.Addr().String()})
	var cut net.Conn
	for range 5 {
		eventually(t, "it is watched", func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			for c := range l.conns {
				if c != cut {
					cut = c
					c.Close()
					return true
				}
			}
			return false
		})
	}
	select {
	case b := <-dead:
		t.Errorf("%s was declared dead", b)
	case <-time.After(300 * time.Millisecond):
	}
}

// Strangers may connect: they must not keep peers out for long, nor crash anything.
func TestStrangersAreHeldOff(t *testing.T) {
	l := listen(t, "127.0.0.1:0", 2)
	for range maxConns + 10 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
	}
	eventually(t, "they are gone", func() bool { return l.count() == 0 })
	dead, _ := watch(t, cluster.Member{Boot: 2, Peer: l.Addr().String()})
	eventually(t, "a peer gets in", func() bool { return l.count() == 1 })
	if len(dead) > 0 {
		t.Error("declared dead")
	}
}

// Everybody must be watched by somebody, whoever lives.
func TestEveryMemberIsWatchedByItsThreePredecessors(t *testing.T) {
	var all []cluster.Member
	for i := range 7 {
		all = append(all, cluster.Member{Boot: cluster.Boot(100 + i*7919%31), Peer: "127.0.0.1:" + strconv.Itoa(i)})
	}
	by := map[cluster.Boot]int{}
	for _, m := range all {
		peers := Peers(m.Boot, all)
		if len(peers) != 3 || slices.ContainsFunc(peers, func(p cluster.Member) bool { return p.Boot == m.Boot }) {
			t.Fatalf("%s watches %v", m.Boot, peers)
		}
		for _, p := range peers {
			by[p.Boot]++
		}
	}
	for _, m := range all {
		if by[m.Boot] != 3 {
			t.Errorf("%s is watched by %d", m.Boot, by[m.Boot])
		}
	}
}

// Where the store is hardly reached by anybody, the word of one peer who has just reached it must not empty a node.
func TestPeersSeeWhenMostOfThemDo(t *testing.T) {
	now := time.Unix(1000, 0)
	sees, blind, old := saying{now, true}, saying{now, false}, saying{now.Add(-3 * tellEvery), true}
	for _, c := range []struct {
		said []saying
		want bool
	}{
		{nil, false},
		{[]saying{sees}, true},
		{[]saying{old}, false},
		{[]saying{sees, old, old}, true},
		{[]saying{sees, blind}, false},
		{[]saying{sees, sees, blind}, true},
		{[]saying{sees, blind, blind}, false},
	} {
		said := map[cluster.Boot]saying{}
		for i, s := range c.said {
			said[cluster.Boot(i+1)] = s
		}
		if got := mostSee(said, now); got != c.want {
			t.Errorf("%+v: %t", c.said, got)
		}
	}
}

// A node that is cut off from the store alone must know it: its players are better off elsewhere.
func TestPeersTellWhetherTheyReachTheStore(t *testing.T) {
	var sight atomic.Bool
	l, err := Listen("127.0.0.1:0", 2, sight.Load)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w := NewWatcher(Config{
		Self: 1, Living: func() []cluster.Member { return []cluster.Member{{Boot: 2, Peer: l.Addr().String()}} }, Dead: func(cluster.Boot) {},
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	eventually(t, "it is watched", func() bool { return l.count() == 1 })
	if w.PeersSee() {
		t.Error("a blind peer sees")
	}
	sight.Store(true)
	eventually(t, "the peer sees", w.PeersSee)
	sight.Store(false)
	eventually(t, "the peer is blind", func() bool { return !w.PeersSee() })
	cancel()
	<-done
}
