package rooms_test

import (
	"fmt"

	"tickover.dev/rooms"
)

// A Table is a map with an order, so that every node walks it the same way. Seats is the one by player: Seats[V] is Table[Seat, V].
func ExampleTable() {
	type score struct{ Points int }
	var scores rooms.Seats[score] // in a game: a field of the state
	for _, seat := range []rooms.Seat{7, 2, 4} {
		scores.Put(seat, score{})
	}
	scores.Get(4).Points += 3 // Get gives a pointer to the row, or nil
	if scores.Get(9) == nil {
		fmt.Println("nobody sits on 9")
	}
	for seat, s := range scores.All() {
		fmt.Println("seat", seat, "has", s.Points)
		if s.Points == 0 {
			scores.Delete(seat) // rows may be deleted on the way
		}
	}
	fmt.Println(scores.Len(), "is left")

	var stock rooms.Table[string, int]
	stock.Put("wood", 3)
	*stock.Get("wood")--
	fmt.Println("wood:", *stock.Get("wood"))
	// Output:
	// nobody sits on 9
	// seat 2 has 0
	// seat 4 has 3
	// seat 7 has 0
	// 1 is left
	// wood: 2
}

// A Maybe is what a pointer would be in a state, which must not have any. Players see the value or nil.
func ExampleMaybe() {
	type piece struct {
		Kind string
		Lock rooms.Maybe[rooms.Seat] // who has it in hand, if anybody
	}
	p := piece{Kind: "rook"}
	if _, ok := p.Lock.Get(); !ok {
		fmt.Println("nobody has it")
	}
	p.Lock = rooms.Some(rooms.Seat(3))
	if seat, ok := p.Lock.Get(); ok {
		fmt.Println("seat", seat, "has it")
	}
	p.Lock = rooms.Maybe[rooms.Seat]{} // put back
	fmt.Println(p.Lock.OK)
	// Output:
	// nobody has it
	// seat 3 has it
	// false
}
