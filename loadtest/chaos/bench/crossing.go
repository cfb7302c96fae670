package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"tickover.dev/client"
	"tickover.dev/loadtest/chaos/rig"
)

// crossing measures what it adds that a frame goes to another node: the time between the first player of a room who is shown a tick
// and each player of another node. As the owner shows it to its own players first, that is from its confirmation there to the socket
// there. Rooms without players on their owner are left out.
func crossing(ctx context.Context, p *plan) (lines []line, err error) {
	const bots = 1000
	seen := &sights{arrivals: map[sight][]arrival{}}
	c, err := gather(ctx, p, gathering{bots: bots, rooms: 50, rateHz: 1, rig: rig.Config{Nodes: 3, Relaxed: true}, observer: seen})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.disperse()) }()
	seen.reset()
	pass(ctx, 10*time.Second)
	all := seen.crossings(c)
	if len(all) == 0 {
		return nil, errors.New("no frame was seen on two nodes")
	}
	return []line{spread("frame_to_other_node", all, 10*time.Millisecond)}, nil
}

// sights remembers when bots saw ticks.
type sights struct {
	mu sync.Mutex
	// Guarded by mu.
	rooms    map[int]string
	arrivals map[sight][]arrival
}

type sight struct {
	room string
	tick uint64
}

type arrival struct {
	bot int
	at  time.Time
}

// Entered implements loadtest.Observer.
func (s *sights) Entered(bot int, room string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rooms == nil {
		s.rooms = map[int]string{}
	}
	s.rooms[bot] = room
}

// Frame implements loadtest.Observer.
func (s *sights) Frame(bot int, f client.Frame, at time.Time) {
	if f.State == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := sight{s.rooms[bot], f.Tick}
	s.arrivals[key] = append(s.arrivals[key], arrival{bot, at})
}

func (s *sights) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.arrivals)
}

// crossings gives the times between nodes. The owner of a room is the node that shows most of its ticks first.
func (s *sights) crossings(c *crowd) (all []time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	firsts := map[string]map[int]int{}
	for key, list := range s.arrivals {
		if firsts[key.room] == nil {
			firsts[key.room] = map[int]int{}
		}
		firsts[key.room][c.at[earliest(list).bot]]++
	}
	for key, list := range s.arrivals {
		first := earliest(list)
		owner := c.at[first.bot]
		if firsts[key.room][owner]*2 < total(firsts[key.room]) {
			continue
		}
		for _, a := range list {
			if c.at[a.bot] != owner {
				all = append(all, a.at.Sub(first.at))
			}
		}
	}
	return all
}

func earliest(list []arrival) arrival {
	first := list[0]
	for _, a := range list {
		if a.at.Before(first.at) {
			first = a
		}
	}
	return first
}

func total(counts map[int]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}
