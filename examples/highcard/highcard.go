// Package highcard is a game of hidden hands for two to four. Everybody holds five cards that nobody else sees and lays one of them
// face down; when all have, the cards are turned up and the highest takes the trick. It steps only when something happens.
package highcard

import (
	"slices"
	"time"

	"tickover.dev/rooms"
)

// Kind is what a node serves.
var Kind = rooms.Define(&Game{}, rooms.Config{Name: "highcard", Seats: 4})

const (
	deckSize = 52
	handSize = 5
	layTime  = 30 * time.Second // then the first card of the hand is laid for whoever has not
)

// Card is 1 to 52, no two alike; the higher one wins. 0 is no card.
type Card int

// Game is the whole state of a room. Hand and Laid of its players are what must not get out: see Public.
type Game struct {
	Players rooms.Seats[Player]
	Trick   rooms.Seats[Card] // the last one, face up
	Dealt   bool
	Over    bool
}

// Player is one seat's half of the state.
type Player struct {
	Name   string
	Hand   []Card
	Laid   Card // face down
	Tricks int
}

// Move is what a player sends: the wish to deal, or a card.
type Move struct {
	Deal bool `msgpack:"deal"` // begins the game with who is there, and lets nobody else in
	Lay  Card `msgpack:"lay"`  // a card of the own hand
}

// Table is what everybody sees.
type Table struct {
	Players rooms.Seats[Back] `msgpack:"players"`
	Trick   rooms.Seats[Card] `msgpack:"trick"` // the last one, face up
	Dealt   bool              `msgpack:"dealt"`
	Over    bool              `msgpack:"over"`
}

// Back is a player seen from across the table.
type Back struct {
	Name   string `msgpack:"name"`
	Cards  int    `msgpack:"cards"` // in hand
	Laid   bool   `msgpack:"laid"`  // a card lies face down
	Tricks int    `msgpack:"tricks"`
}

// Hand is what its player alone sees.
type Hand struct {
	Cards []Card `msgpack:"cards"`
	Laid  Card   `msgpack:"laid"` // 0: none yet
}

// Public copies what may be seen, field by field: a Public that gave the game itself would show every hand.
func (g *Game) Public() any {
	t := Table{Trick: g.Trick, Dealt: g.Dealt, Over: g.Over}
	for seat, p := range g.Players.All() {
		t.Players.Put(seat, Back{p.Name, len(p.Hand), p.Laid != 0, p.Tricks})
	}
	return &t
}

// Private deals a seat its own hand.
func (g *Game) Private(s rooms.Seat) any {
	p := g.Players.Get(s)
	if p == nil {
		return nil
	}
	return &Hand{p.Hand, p.Laid}
}

// Step deals, takes cards and turns them up.
func (g *Game) Step(t *rooms.Tick[Move]) {
	for e := range t.Events() {
		switch e.Type {
		case rooms.Joined:
			if g.Dealt { // in this very step: the lock keeps out those who come later
				t.Reject(e, "room_locked", "the game has begun")
				continue
			}
			g.Players.Put(e.Seat, Player{Name: e.Player.Name})
		case rooms.Left:
			g.Players.Delete(e.Seat)
			g.turnUp(t)
		case rooms.Timer:
			for _, p := range g.Players.All() {
				if p.Laid == 0 {
					p.lay(0)
				}
			}
			g.turnUp(t)
		case rooms.Input:
			g.play(t, e)
		}
	}
}

func (g *Game) play(t *rooms.Tick[Move], e rooms.Event[Move]) {
	p := g.Players.Get(e.Seat)
	switch i := slices.Index(p.Hand, e.Input.Lay); {
	case e.Input.Deal && (g.Dealt || g.Players.Len() < 2):
		t.Reject(e, "cannot_deal", "a game begins once, with two or more players")
	case e.Input.Deal:
		g.deal(t)
	case p.Laid != 0:
		t.Reject(e, "has_laid", "wait for the others")
	case i < 0:
		t.Reject(e, "not_yours", "that card is not in your hand")
	default:
		p.lay(i)
		g.turnUp(t)
	}
}

// deal shuffles with the room's own generator: a resumed room deals the same cards.
func (g *Game) deal(t *rooms.Tick[Move]) {
	t.Lock(true)
	g.Dealt = true
	deck := t.Rand().Perm(deckSize)
	for _, p := range g.Players.All() {
		for _, c := range deck[:handSize] {
			p.Hand = append(p.Hand, Card(c+1))
		}
		slices.Sort(p.Hand)
		deck = deck[handSize:]
	}
	t.After(layTime, "lay")
}

// lay puts the i-th card of the hand face down.
func (p *Player) lay(i int) {
	p.Laid = p.Hand[i]
	p.Hand = slices.Delete(p.Hand, i, i+1)
}

// turnUp ends the trick if every card is there, and the game with the last trick or when nobody is left to play against.
func (g *Game) turnUp(t *rooms.Tick[Move]) {
	if !g.Dealt || g.Over {
		return
	}
	if g.Players.Len() < 2 {
		g.end(t)
		return
	}
	winner, high, left := (*Player)(nil), Card(0), 0
	for _, p := range g.Players.All() {
		if p.Laid == 0 {
			return
		}
		if left = len(p.Hand); p.Laid > high {
			winner, high = p, p.Laid
		}
	}
	winner.Tricks++
	g.Trick.Clear()
	for seat, p := range g.Players.All() {
		g.Trick.Put(seat, p.Laid)
		p.Laid = 0
	}
	t.After(layTime, "lay")
	if left == 0 {
		g.end(t)
	}
}

// end gives the winner's seat, or 0 if several have as many tricks. One who is left alone wins.
func (g *Game) end(t *rooms.Tick[Move]) {
	winner, most := rooms.Seat(0), -1
	for seat, p := range g.Players.All() {
		switch {
		case p.Tricks > most:
			winner, most = seat, p.Tricks
		case p.Tricks == most:
			winner = 0
		}
	}
	g.Over = true
	t.Cancel("lay")
	t.End(winner)
}
