package node

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"tickover.dev/engine"
)

// This file is who may reach a node from a browser. Any page that a player opens can connect to any address that the player can
// reach, and by a name of its own that it has pointed there (DNS rebinding). Native clients send no origin: they speak for themselves.

// anyOrigin among Config.Origins lets everybody in.
const anyOrigin = "*"

// doors decides by the names in a request. It does not change: any goroutine may ask.
type doors struct {
	any     bool
	origins map[string]bool // as browsers write them, in lower case
	names   map[string]bool // that this node is known by, beside addresses
	guests  bool            // there is no token that a foreign page would not have
}

func newDoors(c *Config) *doors {
	d := &doors{origins: map[string]bool{}, names: map[string]bool{"localhost": true}, guests: c.guests()}
	if name, err := os.Hostname(); err == nil {
		d.names[strings.ToLower(name)] = true
	}
	for _, o := range c.Origins {
		o = strings.ToLower(o)
		d.any = d.any || o == anyOrigin
		d.origins[o] = true
		d.know(o)
	}
	d.know(c.PublicSocket)
	return d
}

// know adds the host of a URL, if it has one, to the names of this node.
func (d *doors) know(where string) {
	if u, err := url.Parse(where); err == nil && u.Hostname() != "" {
		d.names[strings.ToLower(u.Hostname())] = true
	}
}

// Errors of the doors: what whoever runs the node may want to change.
var (
	errOrigin = errors.New("pages of this origin may not connect: see --origins")
	errHost   = errors.New("this node is not known by this host name: name it in --origins, as https://NAME")
)

// allow decides on a game socket.
func (d *doors) allow(o engine.Opening) error {
	switch {
	case o.Origin == "" || d.any:
		return nil
	case d.guests && !d.knows(o.Host):
		return errHost
	case d.origins[strings.ToLower(o.Origin)]:
		return nil
	}
	if u, err := url.Parse(o.Origin); err == nil && u.Hostname() != "" && strings.EqualFold(u.Hostname(), hostName(o.Host)) {
		return nil // the page came from here, or from another port of the same host
	}
	return errOrigin
}

// knows reports whether a Host header names this node: an address cannot be rebound, and other names must be known.
func (d *doors) knows(host string) bool {
	name := hostName(host)
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	return d.any || d.names[strings.ToLower(name)]
}

// guard keeps foreign pages out of an HTTP API that asks for no password.
func (d *doors) guard(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !d.knows(r.Host):
			http.Error(w, errHost.Error(), http.StatusForbidden)
		case r.Header.Get("Sec-Fetch-Site") == "cross-site":
			http.Error(w, "other sites may not ask this", http.StatusForbidden)
		default:
			h.ServeHTTP(w, r)
		}
	})
}

// hostName is a Host header without its port and brackets.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}

// checkOrigin reports what is wrong with one of Config.Origins.
func checkOrigin(o string) error {
	u, err := url.Parse(o)
	if o == anyOrigin || err == nil && u.Hostname() != "" && (u.Scheme == "http" || u.Scheme == "https") && strings.EqualFold(o, u.Scheme+"://"+u.Host) {
		return nil
	}
	return fmt.Errorf("--origins %q: want https://HOST, http://HOST:PORT or *", o)
}
