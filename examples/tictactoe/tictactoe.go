// Package tictactoe is the game for two, with thirty seconds a move. It steps only when something happens.
package tictactoe

import (
	"time"

	"tickover.dev/rooms"
)

// Kind is what a node serves.
var Kind = rooms.Define(&Game{}, rooms.Config{Name: "tictactoe", Seats: 2})

const moveTime = 30 * time.Second

// Game is the whole state of a room, and what everybody sees of it.
type Game struct {
	Board    [9]rooms.Seat       `msgpack:"board"` // who has the cell; 0: nobody
	Seats    []rooms.Seat        `msgpack:"seats"` // in the order they came
	Names    rooms.Seats[string] `msgpack:"names"`
	Turn     rooms.Seat          `msgpack:"turn"`   // 0: nobody's
	Winner   rooms.Seat          `msgpack:"winner"` // 0: nobody
	Over     bool                `msgpack:"over"`
	Line     []int               `msgpack:"line"`     // the three cells that won
	Deadline time.Duration       `msgpack:"deadline"` // of the move, in room time
	Now      time.Duration       `msgpack:"now"`
}

// Move is what a player sends.
type Move struct {
	Cell int `msgpack:"cell"` // 0 to 8, row by row
}

// Public shows all of it.
func (g *Game) Public() any { return g }

// Step plays moves, and lets those lose who leave or are too slow.
func (g *Game) Step(t *rooms.Tick[Move]) {
	g.Now = t.Now()
	for e := range t.Events() {
		switch e.Type {
		case rooms.Joined:
			g.join(t, e)
		case rooms.Left:
			g.end(t, g.other(e.Seat))
		case rooms.Timer:
			g.end(t, g.other(g.Turn))
		case rooms.Input:
			g.move(t, e)
		}
	}
}

func (g *Game) join(t *rooms.Tick[Move], e rooms.Event[Move]) {
	g.Seats = append(g.Seats, e.Seat)
	g.Names.Put(e.Seat, e.Player.Name)
	if len(g.Seats) == 2 {
		t.Lock(true)
		g.next(t, g.Seats[t.Rand().IntN(2)])
	}
}

func (g *Game) move(t *rooms.Tick[Move], e rooms.Event[Move]) {
	switch c := e.Input.Cell; {
	case e.Seat != g.Turn:
		t.Reject(e, "not_your_turn", "wait for the other player")
	case c < 0 || c > 8 || g.Board[c] != 0:
		t.Reject(e, "bad_cell", "that cell is not free")
	default:
		g.Board[c] = e.Seat
		g.next(t, g.other(e.Seat))
		g.judge(t, e.Seat)
	}
}

func (g *Game) next(t *rooms.Tick[Move], s rooms.Seat) {
	g.Turn, g.Deadline = s, t.Now()+moveTime
	t.After(moveTime, "move")
}

var lines = [...][]int{{0, 1, 2}, {3, 4, 5}, {6, 7, 8}, {0, 3, 6}, {1, 4, 7}, {2, 5, 8}, {0, 4, 8}, {2, 4, 6}}

func (g *Game) judge(t *rooms.Tick[Move], s rooms.Seat) {
	for _, l := range lines {
		if g.Board[l[0]] == s && g.Board[l[1]] == s && g.Board[l[2]] == s {
			g.Line = l
			g.end(t, s)
			return
		}
	}
	for _, c := range g.Board {
		if c == 0 {
			return
		}
	}
	g.end(t, 0)
}

func (g *Game) other(s rooms.Seat) rooms.Seat {
	for _, o := range g.Seats {
		if o != s {
			return o
		}
	}
	return 0
}

func (g *Game) end(t *rooms.Tick[Move], winner rooms.Seat) {
	if g.Over {
		return
	}
	g.Winner, g.Turn, g.Over = winner, 0, true
	t.End(winner)
}
