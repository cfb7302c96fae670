package engine

import (
	"bytes"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/pires/go-proxyproto"
)

// proxyHeader is what a load balancer sends in front of a client's bytes.
func proxyHeader(t testing.TB, client string, version byte) []byte {
	t.Helper()
	h := proxyproto.HeaderProxyFromAddrs(version,
		net.TCPAddrFromAddrPort(netip.MustParseAddrPort(client)), net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.1:7777")))
	var b bytes.Buffer
	if _, err := h.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func trusting(c *Config) { c.TrustProxy = func(a netip.Addr) bool { return a.IsLoopback() } }

func TestATrustedProxyTellsWhoseConnectionItIs(t *testing.T) {
	// Without it all players behind a balancer are one address, for limits and for logs.
	remotes := make(chan string, 8)
	h := echoing()
	h.open = func(c *Conn) { remotes <- c.RemoteAddr().Addr().String() }
	s := start(t, h, trusting)
	for _, c := range []struct{ head, want string }{
		{string(proxyHeader(t, "203.0.113.7:1234", 2)), "203.0.113.7"},
		{string(proxyHeader(t, "[2001:db8::5]:99", 2)), "2001:db8::5"},
		{"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00", "127.0.0.1"}, // LOCAL: the proxy itself, asking after our health
		{"", "127.0.0.1"},
	} {
		whole := c.head + goodRequest
		at := connect(t, s)
		at.send([]byte(whole), clientFrame(true, ws.OpText, []byte("x"))) // with the first message in the same segment
		at.upgraded()
		at.wantFrame(ws.OpText, "x")
		if got := <-remotes; got != c.want {
			t.Errorf("remote %s, want %s", got, c.want)
		}
		slow := connect(t, s)
		for i := range whole {
			slow.send([]byte{whole[i]})
		}
		slow.upgraded()
		if got := <-remotes; got != c.want {
			t.Errorf("byte by byte: remote %s, want %s", got, c.want)
		}
	}
}

func TestProxyHeadersOfStrangersAreRefused(t *testing.T) {
	// Without it, every client can claim to be any other.
	s := start(t, echoing(), nil)
	c := connect(t, s)
	c.send(proxyHeader(t, "203.0.113.7:1234", 2), []byte(goodRequest))
	if got := c.status(); !strings.HasPrefix(got, "HTTP/1.1 403 ") {
		t.Errorf("answered %q", got)
	}
	if n := s.Stats().StrangeProxy; n != 1 {
		t.Errorf("%d counted", n)
	}
	dial(t, s) // nobody else is affected
}

func TestMalformedProxyHeadersAreRefused(t *testing.T) {
	s := start(t, echoing(), trusting)
	good := proxyHeader(t, "203.0.113.7:1234", 2)
	for name, head := range map[string][]byte{
		"version 1":     proxyHeader(t, "203.0.113.7:1234", 1),
		"version 3":     append(append(bytes.Clone(good[:12]), 0x31), good[13:]...),
		"short address": append(append(bytes.Clone(good[:14]), 0, 4), 1, 2, 3, 4),
		"endless":       append(bytes.Clone(good[:14]), 0xff, 0xff),
	} {
		c := connect(t, s)
		c.send(head, []byte(goodRequest))
		if got := c.status(); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
			t.Errorf("%s: answered %q", name, got)
		}
	}
}

func TestAddressesBehindAProxyCountForThemselves(t *testing.T) {
	// Without it, one client behind a balancer takes all places, or all clients there share one client's.
	s := start(t, echoing(), func(c *Config) {
		trusting(c)
		c.MaxConnsPerAddr = 2
	})
	from := func(addr string) *client {
		c := connect(t, s)
		c.send(proxyHeader(t, addr, 2), []byte(goodRequest))
		return c
	}
	from("203.0.113.7:1").upgraded()
	from("203.0.113.7:2").upgraded()
	if got := from("203.0.113.7:3").status(); !strings.HasPrefix(got, "HTTP/1.1 429 ") {
		t.Errorf("answered %q", got)
	}
	from("203.0.113.8:1").upgraded()
	s.addresses.mu.Lock()
	open := s.addresses.visitors[netip.MustParseAddr("203.0.113.7")].open
	s.addresses.mu.Unlock()
	if open < 2 || open > 3 { // the third lingers
		t.Errorf("%d open", open)
	}
}
