package rooms_test

import (
	"errors"
	"fmt"

	"tickover.dev/rooms"
	"tickover.dev/rooms/roomtest"
)

// Guessing is the state of a room: somebody has to find a number. All of it is saved; what players see is up to Public.
type Guessing struct {
	Secret  int
	Guesses rooms.Seats[int] // how many each player has made
}

// Guess is what a player sends.
type Guess struct {
	Number int `msgpack:"number"` // 1 to 100
}

// Validate refuses what makes no sense; the room does not hear of it.
func (g Guess) Validate() error {
	if g.Number < 1 || g.Number > 100 {
		return errors.New("number: want 1 to 100")
	}
	return nil
}

// Public is what everybody sees: not the secret.
func (g *Guessing) Public() any { return &g.Guesses }

// Step is one tick, with everything that has happened since the last one.
func (g *Guessing) Step(t *rooms.Tick[Guess]) {
	for e := range t.Events() {
		switch e.Type {
		case rooms.Created:
			g.Secret = 1 + t.Rand().IntN(100)
		case rooms.Joined:
			g.Guesses.Put(e.Seat, 0)
		case rooms.Left:
			g.Guesses.Delete(e.Seat)
		case rooms.Input:
			*g.Guesses.Get(e.Seat)++
			switch n := e.Input.Number; {
			case n < g.Secret:
				t.Reject(e, "too_low", "it is more than that")
			case n > g.Secret:
				t.Reject(e, "too_high", "it is less than that")
			default:
				t.End(e.Player.Name)
			}
		}
	}
}

// A whole game: node.Main(guessing) is its server.
var guessing = rooms.Define(&Guessing{}, rooms.Config{Name: "guessing", Seats: 4})

// A whole game, played by two. At its end roomtest resumes the room from everything it has journaled, and sees it go on equal.
func Example() {
	play(guessing, func(r *roomtest.Room) {
		ann, bob := r.Join("ann"), r.Join("bob")
		fmt.Println("bob says 101:", bob.Play(Guess{101}))
		for low, high := 1, 100; !r.Ended(); {
			n := (low + high) / 2
			switch code := ann.Play(Guess{n}); code {
			case "too_low":
				low = n + 1
			case "too_high":
				high = n - 1
			}
		}
		guesses := roomtest.Public[rooms.Seats[int]](r)
		fmt.Println("bob's guesses:", *guesses.Get(bob.Seat))
		fmt.Println("found by", roomtest.Result[string](r))
	})
	// Output:
	// bob says 101: bad_input
	// bob's guesses: 0
	// found by ann
}
