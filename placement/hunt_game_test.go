package placement_test

import (
	"fmt"
	"time"

	"tickover.dev/rooms"
)

// table is the game: everything it is told, it counts.
type table struct {
	Seats rooms.Seats[account]
	Wrong string // what nobody may ever be shown
}

// account is what was applied of one seat.
type account struct {
	Stay uint32 // whose inputs these are
	Last uint64 // number of the newest
	All  uint64 // of all stays
	Said uint64 // reliable messages
}

// move is an input.
type move struct {
	Stay uint32
	N    uint64
	Do   string
}

func (g *table) Public() any { return g }
func (g *table) Step(t *rooms.Tick[move]) {
	for e := range t.Events() {
		switch e.Type {
		case rooms.Joined:
			g.Seats.Put(e.Seat, account{})
		case rooms.Left:
			g.Seats.Delete(e.Seat)
		case rooms.Input:
			g.play(t, e)
		}
	}
}

func (g *table) play(t *rooms.Tick[move], e rooms.Event[move]) {
	a := g.Seats.Get(e.Seat)
	if e.Input.Stay != a.Stay {
		a.Stay, a.Last = e.Input.Stay, 0
	}
	if e.Input.N != a.Last+1 && g.Wrong == "" {
		g.Wrong = fmt.Sprintf("seat %d: input %d of stay %d behind %d", e.Seat, e.Input.N, e.Input.Stay, a.Last)
	}
	a.Last = e.Input.N
	if a.All++; a.All%5 == 0 {
		a.Said++
		t.Send(e.Seat, "said", a.Said)
	}
	if e.Input.Do == "end" {
		t.End("over")
	}
}

const huntGrace = 30 * time.Second

var huntKinds = []rooms.Kind{
	rooms.Define(&table{}, rooms.Config{Name: "steps", RateHz: 20, Seats: 32, Grace: huntGrace, Empty: 3 * time.Second}),
	rooms.Define(&table{}, rooms.Config{Name: "turns", RateHz: 0, Seats: 32, Grace: huntGrace, Empty: 3 * time.Second}),
	rooms.Define(&table{}, rooms.Config{Name: "replay", RateHz: 20, Seats: 32, Grace: huntGrace, Empty: 3 * time.Second, Durability: rooms.Replay}),
}
