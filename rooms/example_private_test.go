package rooms_test

import (
	"fmt"

	"tickover.dev/rooms"
	"tickover.dev/rooms/roomtest"
)

// Auction takes sealed bids: everybody sees who has bid, and only the bidder how much.
type Auction struct {
	Bids rooms.Seats[int] // 0: none yet
}

// Bid is what a player sends.
type Bid struct {
	Coins int `msgpack:"coins"`
}

// Public is sent to all seats when it has changed.
func (a *Auction) Public() any {
	var placed rooms.Seats[bool]
	for seat, coins := range a.Bids.All() {
		placed.Put(seat, *coins > 0)
	}
	return &placed
}

// Private is sent to its seat when it has changed. It makes Auction a Dealer.
func (a *Auction) Private(s rooms.Seat) any { return a.Bids.Get(s) }

// Step sends nothing: Public and Private are asked after it.
func (a *Auction) Step(t *rooms.Tick[Bid]) {
	for e := range t.Events() {
		switch e.Type {
		case rooms.Joined:
			a.Bids.Put(e.Seat, 0)
		case rooms.Input:
			*a.Bids.Get(e.Seat) = e.Input.Coins
		case rooms.Left:
			a.Bids.Delete(e.Seat)
		}
	}
}

// What a game knows and not everybody may see is dealt by Private, seat by seat.
func ExampleDealer() {
	auction := rooms.Define(&Auction{}, rooms.Config{Name: "auction"})
	play(auction, func(r *roomtest.Room) {
		ann, bob := r.Join("ann"), r.Join("bob")
		ann.Play(Bid{Coins: 30})
		placed := roomtest.Public[rooms.Seats[bool]](r)
		fmt.Println("everybody sees: ann", *placed.Get(ann.Seat), "bob", *placed.Get(bob.Seat))
		fmt.Println("ann sees", roomtest.Private[int](ann), "and bob", roomtest.Private[int](bob))
	})
	// Output:
	// everybody sees: ann true bob false
	// ann sees 30 and bob 0
}
