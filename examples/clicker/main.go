// Command clicker is a whole game with its server: it counts clicks, for every player, over lost connections and restarts.
package main

import (
	"tickover.dev/node"
	"tickover.dev/rooms"
)

// Clicker is the state of a room. Its exported fields are saved, moved and compared by the framework.
type Clicker struct {
	Clicks rooms.Seats[int] `msgpack:"clicks"`
}

// Click is what a player sends.
type Click struct{}

// Public is what everybody sees; it is sent when it has changed.
func (c *Clicker) Public() any { return c }

// Step is one tick, with everything that has happened since the last one.
func (c *Clicker) Step(t *rooms.Tick[Click]) {
	for e := range t.Events() {
		switch e.Type {
		case rooms.Joined:
			c.Clicks.Put(e.Seat, 0)
		case rooms.Input:
			*c.Clicks.Get(e.Seat)++
		case rooms.Left:
			c.Clicks.Delete(e.Seat)
		}
	}
}

var kind = rooms.Define(&Clicker{}, rooms.Config{Name: "clicker"})

func main() { node.Main(kind) }
