package highcard

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"tickover.dev/rooms"
	"tickover.dev/rooms/roomtest"
)

// dealt is a room in which so many have been dealt their cards.
func dealt(t *testing.T, players int) (*roomtest.Room, []*roomtest.Player) {
	r := roomtest.New(t, Kind, nil)
	var all []*roomtest.Player
	for _, name := range []string{"ann", "bob", "cas", "dee"}[:players] {
		all = append(all, r.Join(name))
	}
	if code := all[0].Play(Move{Deal: true}); code != "" {
		t.Fatal(code)
	}
	return r, all
}

func state(r *roomtest.Room) (g Game) {
	r.State(&g)
	return g
}

// leaks reports whether what the others see depends on what only seat s may see: it puts other cards into that hand, and compares
// what goes out. A search for the cards themselves would take tricks and seats for them, and miss what was derived from them.
func leaks(g Game, s rooms.Seat, public func(*Game) any) bool {
	seen := func() (views [][]byte) {
		views = append(views, rooms.Encode(nil, public(&g)))
		for other := range g.Players.All() {
			if other != s {
				views = append(views, rooms.Encode(nil, g.Private(other)))
			}
		}
		return views
	}
	before := seen()
	p := g.Players.Get(s)
	for i := range p.Hand {
		p.Hand[i] = deckSize + 1 - p.Hand[i]
	}
	if p.Laid != 0 {
		p.Laid = deckSize + 1 - p.Laid
	}
	return !slices.EqualFunc(before, seen(), bytes.Equal)
}

// TestNobodysHandLeaks at any moment of a whole game: who reads the wire reads all that was sent, not only what a page draws.
func TestNobodysHandLeaks(t *testing.T) {
	r, players := dealt(t, 4)
	careless := func(g *Game) any { return g }
	for checks := 0; !r.Ended(); {
		for _, p := range players {
			for _, seat := range players {
				if leaks(state(r), seat.Seat, (*Game).Public) {
					t.Fatalf("somebody can tell what seat %d holds: %+v", seat.Seat, roomtest.Public[Table](r))
				}
				if !leaks(state(r), seat.Seat, careless) {
					t.Fatal("the check does not see a game that shows everything")
				}
				checks++
			}
			if code := p.Play(Move{Lay: roomtest.Private[Hand](p).Cards[0]}); code != "" {
				t.Fatal(code)
			}
		}
		if checks > handSize*len(players)*len(players) {
			t.Fatal("the game does not end")
		}
	}
}

// TestEverybodySeesTheOwnHand, and what was sent is what the room has dealt, no card twice.
func TestEverybodySeesTheOwnHand(t *testing.T) {
	r, players := dealt(t, 4)
	g, used := state(r), map[Card]bool{}
	for _, p := range players {
		hand := roomtest.Private[Hand](p)
		if !slices.Equal(hand.Cards, g.Players.Get(p.Seat).Hand) || len(hand.Cards) != handSize {
			t.Errorf("seat %d sees %v", p.Seat, hand)
		}
		for _, c := range hand.Cards {
			if used[c] || c < 1 || c > deckSize {
				t.Errorf("card %d is dealt twice, or is none", c)
			}
			used[c] = true
		}
	}
}

func TestHighestCardTakesTheTrick(t *testing.T) {
	r, players := dealt(t, 2)
	ann, bob := players[0], players[1]
	a, b := roomtest.Private[Hand](ann).Cards[0], roomtest.Private[Hand](bob).Cards[0]
	ann.Play(Move{Lay: a})
	if table := roomtest.Public[Table](r); !table.Players.Get(ann.Seat).Laid || table.Trick.Len() != 0 {
		t.Fatalf("half a trick shows %+v", table)
	}
	for in, want := range map[Move]string{{Lay: a}: "has_laid", {Deal: true}: "cannot_deal"} {
		if code := ann.Play(in); code != want {
			t.Errorf("%+v: refusal %q", in, code)
		}
	}
	if code := bob.Play(Move{Lay: a}); code != "not_yours" {
		t.Errorf("refusal %q", code)
	}
	bob.Play(Move{Lay: b})
	table, winner := roomtest.Public[Table](r), ann.Seat
	if b > a {
		winner = bob.Seat
	}
	if table.Players.Get(winner).Tricks != 1 || *table.Trick.Get(ann.Seat) != a || *table.Trick.Get(bob.Seat) != b {
		t.Fatalf("%+v", table)
	}
}

func TestSleepersCardsAreLaid(t *testing.T) {
	r, _ := dealt(t, 3)
	r.Wait(handSize*layTime + time.Second)
	if table := roomtest.Public[Table](r); !table.Over || !r.Ended() {
		t.Fatalf("%+v", table)
	}
}

func TestWhoIsLeftAloneWins(t *testing.T) {
	r, players := dealt(t, 2)
	players[0].Leave()
	if !r.Ended() || roomtest.Result[rooms.Seat](r) != players[1].Seat {
		t.Fatalf("%+v", roomtest.Public[Table](r))
	}
}

func TestNobodyEntersAfterTheDeal(t *testing.T) {
	r, _ := dealt(t, 2)
	if code := r.Join("eve").Refused(); code != "room_locked" {
		t.Fatalf("refusal %q", code)
	}
}

// TestWhoEntersWithTheDealIsTurnedAway: the lock comes too late for a join in the same step, and a player without cards would stop
// the game.
func TestWhoEntersWithTheDealIsTurnedAway(t *testing.T) {
	r := roomtest.New(t, Kind, nil)
	ann, _ := r.Join("ann"), r.Join("bob")
	ann.Send(Move{Deal: true})
	if code := r.Join("eve").Refused(); code != "room_locked" {
		t.Fatalf("refusal %q", code)
	}
	r.Wait(handSize*layTime + time.Second)
	if !r.Ended() {
		t.Fatal("the game does not end")
	}
}
