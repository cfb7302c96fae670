package rooms_test

import (
	"fmt"
	"time"

	"tickover.dev/rooms"
	"tickover.dev/rooms/roomtest"
)

// Potato is hot: who holds it for five seconds gets burnt. Timers are state, so the clock goes on wherever the room does.
type Potato struct {
	Holder rooms.Seat
	Burnt  []rooms.Seat
}

// Throw is what a player sends.
type Throw struct {
	To rooms.Seat `msgpack:"to"`
}

// Public shows everything.
func (p *Potato) Public() any { return p }

// Step does nothing between events: at rate 0 it is called for them and for timers alone.
func (p *Potato) Step(t *rooms.Tick[Throw]) {
	for e := range t.Events() {
		switch {
		case e.Type == rooms.Joined && p.Holder == 0:
			p.hold(t, e.Seat)
		case e.Type == rooms.Input && e.Seat == p.Holder:
			p.hold(t, e.Input.To)
		case e.Type == rooms.Timer && e.Name == "burn":
			p.Burnt = append(p.Burnt, p.Holder)
			t.Broadcast("burnt", p.Holder)
		}
	}
}

// hold sets the timer of that name anew: there is one of each name.
func (p *Potato) hold(t *rooms.Tick[Throw], s rooms.Seat) {
	p.Holder = s
	t.After(5*time.Second, "burn")
}

// Timers are set by name with After, go off as events, and survive everything that the room survives.
func ExampleTick_After() {
	potato := rooms.Define(&Potato{}, rooms.Config{Name: "potato"})
	play(potato, func(r *roomtest.Room) {
		ann, bob := r.Join("ann"), r.Join("bob")
		r.Wait(4 * time.Second)
		ann.Play(Throw{To: bob.Seat})
		r.Wait(4 * time.Second)
		fmt.Println("after 8 s burnt:", roomtest.Public[Potato](r).Burnt)
		r.Wait(2 * time.Second)
		fmt.Println("after 10 s burnt:", roomtest.Public[Potato](r).Burnt, "and ann was told", len(ann.Events("burnt")), "time")
	})
	// Output:
	// after 8 s burnt: []
	// after 10 s burnt: [2] and ann was told 1 time
}
