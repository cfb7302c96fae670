package engine

import (
	"container/list"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// addresses keeps one remote address from taking everybody's places, and acceptors from doing little else than greeting it. Each has a
// number of connections that it may hold, and as many that it may open at once, which it earns anew over refillTime. Any goroutine may
// call the methods.
//
// What it remembers is bounded: one visitor for each address with a connection, thus at most one for each connection, and maxIdleAddresses
// of those without, which are forgotten when they have earned everything again.
type addresses struct {
	// Set by newAddresses, then read-only.
	limit  int // negative: none
	exempt func(netip.Addr) bool

	mu sync.Mutex
	// Guarded by mu.
	visitors map[netip.Addr]*visitor
	idle     *list.List // visitors without a connection, the longest first
	told     int64      // when a refusal was last told the operator
}

// visitor is one address.
type visitor struct {
	addr  netip.Addr
	open  int
	may   float64 // connections that it may open now
	since int64   // server time of may
	idle  *list.Element
}

const (
	refillTime       = 16 * time.Second // 64 a second of the largest default
	maxIdleAddresses = 64 << 10         // some 10 MB; who commands more is not stopped by counting addresses
	tellRefusalEvery = 10 * time.Second
)

// 5 s: a third of a burst is earned by then.
var refuseAddress = &refusal{
	status: http.StatusTooManyRequests, text: "too many connections from this address", header: "Retry-After: 5\r\n",
}

func newAddresses(limit int, exempt func(netip.Addr) bool) *addresses {
	return &addresses{
		limit: limit, exempt: exempt, visitors: make(map[netip.Addr]*visitor), idle: list.New(), told: -int64(tellRefusalEvery),
	}
}

// local reports whether an address is of this machine or of networks that nobody is let into from outside: behind them are proxies, which
// speak for many, neighbours, and tests.
func local(a netip.Addr) bool { return a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() }

// network is what counts as one address: of IPv6 the 64 bits that even the smallest customer is given as a whole.
func network(a netip.Addr) netip.Addr {
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// enter takes a place for a connection from an address, or says no; tell means that an operator should hear of it.
func (as *addresses) enter(a netip.Addr, now int64) (ok, tell bool) {
	if as.limit < 0 || as.exempt(a) {
		return true, false
	}
	as.mu.Lock()
	defer as.mu.Unlock()
	as.forget(now)
	a = network(a)
	v := as.visitors[a]
	if v == nil {
		v = &visitor{addr: a, may: float64(as.limit), since: now}
		as.visitors[a] = v
	}
	as.earn(v, now)
	if ok = v.open < as.limit && v.may >= 1; ok {
		v.open++
		v.may--
	} else if now-as.told >= int64(tellRefusalEvery) {
		as.told, tell = now, true
	}
	as.enlist(v)
	return ok, tell
}

// claim takes a place without asking, for a connection that is refused as soon as it has been told so.
func (as *addresses) claim(a netip.Addr) {
	if as.limit < 0 || as.exempt(a) {
		return
	}
	as.mu.Lock()
	defer as.mu.Unlock()
	if v := as.visitors[network(a)]; v != nil {
		v.open++
		as.enlist(v)
	}
}

// leave gives the place of a connection back.
func (as *addresses) leave(a netip.Addr, now int64) {
	if as.limit < 0 || as.exempt(a) {
		return
	}
	as.mu.Lock()
	defer as.mu.Unlock()
	if v := as.visitors[network(a)]; v != nil {
		v.open--
		as.earn(v, now)
		as.enlist(v)
	}
}

// earn adds what the time since the last call has earned. as.mu is held.
func (as *addresses) earn(v *visitor, now int64) {
	limit := float64(as.limit)
	v.may = min(v.may+float64(now-v.since)/float64(refillTime)*limit, limit)
	v.since = now
}

// enlist puts a visitor without a connection at the end of the list, and takes one with a connection off it. as.mu is held.
func (as *addresses) enlist(v *visitor) {
	if v.idle != nil {
		as.idle.Remove(v.idle)
		v.idle = nil
	}
	if v.open == 0 {
		v.idle = as.idle.PushBack(v)
	}
}

// forget drops visitors that are as good as new, and the oldest if there are too many. as.mu is held.
func (as *addresses) forget(now int64) {
	for e := as.idle.Front(); e != nil; e = as.idle.Front() {
		v := e.Value.(*visitor)
		if as.idle.Len() < maxIdleAddresses && now-v.since < int64(refillTime) {
			return
		}
		as.idle.Remove(e)
		delete(as.visitors, v.addr)
	}
}
