package sessions

import (
	"slices"
	"time"

	"tickover.dev/rooms"
)

// This file is what the registry knows of the rooms that sessions make.

const (
	creationBurst   = 8 // rooms that a session may create at once
	creationsPerSec = 1 // and from then on
)

// creation is a room that is being made.
type creation struct {
	run     uint32
	number  uint64
	waiting []func() // the same request, over other connections
}

// mayCreate takes one room off what a session may create, or says no. It outlives connections: cutting them earns nothing.
func (g *Registry) mayCreate(id string, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.sessions[id]
	if s == nil {
		return false
	}
	if s.refilledAt.IsZero() {
		s.creations = creationBurst
	} else {
		s.creations = min(s.creations+max(now.Sub(s.refilledAt).Seconds(), 0)*creationsPerSec, creationBurst)
	}
	s.refilledAt = now
	if s.creations < 1 {
		return false
	}
	s.creations--
	g.touch(s)
	return true
}

// making notes that a request is about to make a room. That counts until made.
func (g *Registry) making(id string, run uint32, number uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.sessions[id]; s != nil {
		s.making = append(s.making, creation{run: run, number: number})
	}
}

// made remembers which room a request has made; none: "". It gives what waits for that, to be called.
func (g *Registry) made(id string, r Request) (waiting []func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.sessions[id]
	if s == nil {
		return nil
	}
	for i, c := range s.making {
		if c.run == r.Run && c.number == r.Number {
			waiting = c.waiting
			s.making = slices.Delete(s.making, i, i+1)
			break
		}
	}
	g.touch(s)
	if r.Room == "" {
		return waiting
	}
	same := func(old Request) bool { return old.Run == r.Run && old.Number == r.Number }
	s.requests = append(slices.DeleteFunc(s.requests, same), r)
	if len(s.requests) > maxRequests {
		s.requests = slices.Delete(s.requests, 0, 1)
	}
	return waiting
}

// recall gives the room that a request has made, if it has. If it is about to, wait is called once that is over.
func (g *Registry) recall(id string, run uint32, number uint64, wait func()) (room rooms.ID, underWay bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.sessions[id]
	if s == nil {
		return "", false
	}
	for i := range s.making {
		if c := &s.making[i]; c.run == run && c.number == number {
			c.waiting = append(c.waiting, wait)
			return "", true
		}
	}
	for _, r := range s.requests {
		if r.Run == run && r.Number == number {
			return r.Room, false
		}
	}
	return "", false
}
