package engine

import (
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func nobody(netip.Addr) bool { return false }

func TestOneAddressCannotTakeAllPlaces(t *testing.T) {
	// Without it, whoever holds a few thousand sockets open keeps everybody else out.
	var log strings.Builder
	s := start(t, echoing(), func(c *Config) {
		c.MaxConnsPerAddr, c.Exempt, c.Log = 4, nobody, slog.New(slog.NewTextHandler(&log, nil))
	})
	for range 4 {
		dial(t, s)
	}
	for range 3 {
		c := connect(t, s)
		c.send([]byte(goodRequest))
		if got := c.status(); !strings.HasPrefix(got, "HTTP/1.1 429 ") {
			t.Fatalf("answered %q", got)
		}
		if body, err := io.ReadAll(c.r); err != nil || len(body) == 0 {
			t.Errorf("body %q, %v", body, err)
		}
	}
	if st := s.Stats(); st.RefusedAddr != 3 || st.Refused != 0 || st.Conns != 4 {
		t.Errorf("stats: %+v", st)
	}
	if n := strings.Count(log.String(), "too many connections from one address"); n != 1 {
		t.Errorf("logged %d times: %s", n, &log)
	}
}

func TestProxiesAndNeighboursAreNotLimited(t *testing.T) {
	// Without it, everybody behind a load balancer is one address.
	s := start(t, echoing(), func(c *Config) { c.MaxConnsPerAddr = 1 })
	for range 5 {
		dial(t, s)
	}
	for addr, want := range map[string]bool{
		"127.0.0.1": true, "::1": true, "10.1.2.3": true, "192.168.0.9": true, "172.16.0.1": true, "fd00::1": true, "fe80::1": true,
		"8.8.8.8": false, "172.32.0.1": false, "2001:db8::1": false,
	} {
		if got := local(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: exempt %v", addr, got)
		}
	}
}

func TestAnAddressEarnsConnectionsWithTime(t *testing.T) {
	// Without it, connecting and hanging up again and again costs the others their acceptors, at no price.
	const limit = 32
	as := newAddresses(limit, nobody)
	a := netip.MustParseAddr("203.0.113.7")
	at := func(d time.Duration) int64 { return int64(time.Hour + d) }
	churn := func(d time.Duration) (n int) {
		for {
			if ok, _ := as.enter(a, at(d)); !ok {
				return n
			}
			as.leave(a, at(d))
			n++
		}
	}
	if n := churn(0); n != limit {
		t.Errorf("%d at once, want %d", n, limit)
	}
	if n := churn(time.Second); n != limit/16 {
		t.Errorf("%d a second later, want %d", n, limit/16)
	}
	if ok, _ := as.enter(netip.MustParseAddr("203.0.113.8"), at(time.Second)); !ok {
		t.Error("its neighbour pays for it")
	}
	if n := churn(time.Minute); n != limit {
		t.Errorf("%d a minute later, want %d", n, limit)
	}
	for range limit { // now it stays
		if ok, _ := as.enter(a, at(2*time.Minute)); !ok {
			t.Fatal("refused within its bound")
		}
	}
	if ok, _ := as.enter(a, at(time.Hour)); ok {
		t.Error("more stay than may")
	}
}

func TestOneCustomersIPv6IsOneAddress(t *testing.T) {
	// Without it, every home has 2^64 addresses to come from.
	as := newAddresses(2, nobody)
	for i, addr := range []string{"2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:2::3"} {
		if ok, _ := as.enter(netip.MustParseAddr(addr), 1); ok != (i < 2) {
			t.Errorf("%s: %v", addr, ok)
		}
	}
	if ok, _ := as.enter(netip.MustParseAddr("2001:db8:1:3::1"), 1); !ok {
		t.Error("the next network is refused")
	}
}

func TestAddressesAreForgotten(t *testing.T) {
	// Without it, a server that runs for long remembers everybody, and a botnet fills its memory.
	as := newAddresses(8, nobody)
	addr := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{100, byte(i >> 16), byte(i >> 8), byte(i)}) }
	const stay = 100
	for i := range stay {
		as.enter(addr(i), 0)
	}
	for i := range 2 * maxIdleAddresses {
		as.enter(addr(stay+i), 1)
		as.leave(addr(stay+i), 1)
	}
	if n := len(as.visitors); n > maxIdleAddresses+stay || as.idle.Len() != n-stay {
		t.Errorf("%d are remembered, %d of them idle", n, as.idle.Len())
	}
	as.enter(addr(0), int64(time.Minute))
	if n := len(as.visitors); n != stay || as.idle.Len() != 0 {
		t.Errorf("a minute later %d are remembered, %d of them idle", n, as.idle.Len())
	}
	as.leave(netip.MustParseAddr("1.2.3.4"), 2) // nobody knows it
}
