package local

import (
	"crypto/rand"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
)

// This file is who may see the page, and who may press its buttons. A page anywhere on the web can send requests to this machine,
// and even by a name of its own that it has pointed here (DNS rebinding). So a button wants all of:
//
//   - a connection from this machine to this machine,
//   - a Host that is this machine's by nature, not by somebody's DNS: localhost, or a loopback address,
//   - the Origin of this very page,
//   - the token that only this page was given, and only if it was asked for in the same way.

// tokenHeader carries the page's token. A foreign page cannot send it without being asked first (CORS), and is never allowed to.
const tokenHeader = "X-Tickover-Token"

// guard decides by what is in a request. It does not change: any goroutine may ask.
type guard struct {
	token string
	names map[string]bool // that this machine is known by, beside addresses
}

func newGuard() *guard {
	g := &guard{token: rand.Text(), names: map[string]bool{"localhost": true}}
	if name, err := os.Hostname(); err == nil {
		name = strings.ToLower(name)
		g.names[name], g.names[name+".local"] = true, true
	}
	return g
}

// see reports whether a request may read.
func (g *guard) see(r *http.Request) bool {
	name := hostName(r.Host)
	_, err := netip.ParseAddr(name)
	return (err == nil || g.names[strings.ToLower(name)]) && r.Header.Get("Sec-Fetch-Site") != "cross-site"
}

// near reports whether a request comes from this machine's own browser: only that is given the token.
func (g *guard) near(r *http.Request) bool {
	name := hostName(r.Host)
	ip, err := netip.ParseAddr(name)
	peer, peerErr := netip.ParseAddrPort(r.RemoteAddr)
	switch {
	case peerErr != nil || !peer.Addr().Unmap().IsLoopback():
		return false
	case r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("Forwarded") != "": // a proxy here, for somebody elsewhere
		return false
	}
	return strings.EqualFold(name, "localhost") || err == nil && ip.Unmap().IsLoopback()
}

// press reports whether a request may do something to a node.
func (g *guard) press(r *http.Request) bool {
	return r.Method == http.MethodPost && g.near(r) && g.see(r) && r.Header.Get("Origin") == "http://"+r.Host &&
		subtle.ConstantTimeCompare([]byte(r.Header.Get(tokenHeader)), []byte(g.token)) == 1
}

// seen lets only those see h who may.
func (g *guard) seen(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.see(r) {
			http.Error(w, "not by this name, and not for other sites", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// hostName is a Host header without its port and brackets.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}
