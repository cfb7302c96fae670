package engine

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"net"
	"net/http"

	"github.com/pires/go-proxyproto"
)

// A proxy or load balancer hides who connects, unless it says so in front of everything else: version 2 of the PROXY protocol, a header
// of 16 bytes and what its last two announce (https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt). It is believed from those
// that Config.TrustProxy names, who may also leave it out, as health checks do; anybody else who sends one is refused, or every client
// could claim to be any other.

const (
	proxyHeaderBytes = 16
	maxProxyBytes    = 2048 // header, addresses and extensions: far more than any proxy sends
)

var proxySignature = []byte("\r\n\r\n\x00\r\nQUIT\n")

var (
	refuseProxy    = &refusal{status: http.StatusForbidden, text: "PROXY protocol headers are not taken from this address"}
	refuseBadProxy = badRequest("malformed PROXY protocol header")
)

// proxied takes a PROXY header off the front of what a connection sends first. It returns how many bytes it took; ok is false while more
// must come, and after a refusal.
func (c *Conn) proxied(b []byte) (size int, ok bool) {
	if c.introduced {
		return 0, true
	}
	if n := min(len(b), len(proxySignature)); !bytes.Equal(b[:n], proxySignature[:n]) {
		c.introduced = true
		return 0, true
	} else if n < len(proxySignature) {
		return 0, false // it may yet be one
	}
	s := c.loop.server
	if s.cfg.TrustProxy == nil || !s.cfg.TrustProxy(c.remote.Addr()) {
		s.strangeProxies.Add(1)
		c.refuse(refuseProxy)
		return len(b), false
	}
	if len(b) < proxyHeaderBytes {
		return 0, false
	}
	size = proxyHeaderBytes + int(binary.BigEndian.Uint16(b[proxyHeaderBytes-2:]))
	if size <= maxProxyBytes && len(b) < size {
		return 0, false
	}
	var header *proxyproto.Header
	err := error(proxyproto.ErrInvalidLength)
	if size <= maxProxyBytes {
		header, err = proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(b[:size]), size))
	}
	if err != nil {
		c.refuse(refuseBadProxy)
		return len(b), false
	}
	c.introduced = true
	if header.Command.IsProxy() { // LOCAL is the proxy's own connection, as for a health check
		if source, _, known := header.TCPAddrs(); known && !c.becomes(source) {
			return len(b), false
		}
	}
	return size, true
}

// becomes gives the connection the address of the client behind the proxy, which from now on counts for it; or refuses it, if that has
// too many connections.
func (c *Conn) becomes(client net.Addr) bool {
	s, now := c.loop.server, c.loop.server.since()
	s.addresses.leave(c.remote.Addr(), now)
	c.remote = addrPort(client)
	ok, tell := s.addresses.enter(c.remote.Addr(), now)
	if ok {
		return true
	}
	s.addresses.claim(c.remote.Addr()) // given back when the connection is gone
	s.refusedAddr.Add(1)
	if tell {
		s.cfg.Log.Warn("too many connections from one address: refused", "remote", c.remote.Addr(), "limit", s.addresses.limit)
	}
	c.refuse(refuseAddress)
	return false
}
