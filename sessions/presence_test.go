package sessions

import (
	"slices"
	"testing"
	"time"

	"tickover.dev/rooms"
)

// Presence must tell of every session of a player and of no other's, whichever of them is forgotten first.
func TestAPlayersSessionsAreListedUntilTheyAreForgotten(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {1, 2, 0}} {
		g := NewRegistry(0)
		var opened []string
		for range 3 {
			opened = append(opened, g.open(rooms.Player{ID: "ann"}, attachment{}).id)
		}
		bob := g.open(rooms.Player{ID: "bob"}, attachment{&Loop{}, &conn{}})
		g.seat(bob.id, 1, Place{"r1", 2}, false, 8)
		left := slices.Clone(opened)
		for _, i := range order {
			slices.Reverse(left) // newest first
			var got []string
			for _, r := range g.Of("ann") {
				got = append(got, r.ID)
				if r.Connected || r.Player.ID != "ann" {
					t.Errorf("%+v", r)
				}
			}
			if !slices.Equal(got, left) {
				t.Fatalf("%v, want %v", got, left)
			}
			slices.Reverse(left)
			g.mu.Lock()
			g.forget(g.sessions[opened[i]])
			g.mu.Unlock()
			left = slices.DeleteFunc(left, func(id string) bool { return id == opened[i] })
		}
		if rs := g.Of("bob"); len(rs) != 1 || !rs[0].Connected || !slices.Equal(rs[0].Seats, []Place{{"r1", 2}}) {
			t.Errorf("%+v", rs)
		}
		if g.Of("ann") != nil || len(g.players) != 1 {
			t.Errorf("%d players are listed", len(g.players))
		}
	}
}

// A node that starts again knows who has something to return to, and a hundred of anybody's sessions are enough to know.
func TestRestoredSessionsAreListedAndBounded(t *testing.T) {
	g, path := NewRegistry(0), t.TempDir()+"/sessions"
	for range maxOf + 1 {
		g.open(rooms.Player{ID: "ann"}, attachment{})
	}
	if err := g.Save(path); err != nil {
		t.Fatal(err)
	}
	again := NewRegistry(0)
	if err := again.Restore(path, time.Now()); err != nil {
		t.Fatal(err)
	}
	if a, b := len(g.Of("ann")), len(again.Of("ann")); a != maxOf || b != maxOf {
		t.Errorf("%d, %d", a, b)
	}
	again.expire(time.Now().Add(time.Hour))
	if again.Of("ann") != nil || len(again.players) != 0 {
		t.Error("forgotten sessions are listed")
	}
}
