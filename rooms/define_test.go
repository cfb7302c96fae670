package rooms

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

type badGame struct {
	Scores map[string]int
	Next   *badGame
	secret int
	Done   chan bool
	Any    any
	When   func()
}

func (*badGame) Step(*Tick[badInput]) {}

type badInput struct{ P *int }

// complaints is what Define says of badGame: a reader must find every fault at once, and what to use instead.
const complaints = `kind "bad name!":
Name "bad name!": want 1 to 64 letters, digits, '-', '_', '.'
RateHz 500: want 0 to 128
Seats -1: want 1 to 1024
Grace, Empty and StepLimit must not be negative
Version -2: must not be negative
Durability 9: want EveryChange, Periodic or Replay
`

func TestDefineTellsAllComplaintsAtOnce(t *testing.T) {
	k := Define(&badGame{secret: 1}, Config{Name: "bad name!", RateHz: 500, Seats: -1, Grace: -time.Second, Version: -2, Durability: 9})
	if k.Err() == nil {
		t.Fatal("no complaint")
	}
	got := k.Err().Error()
	if !strings.HasPrefix(got, complaints) {
		t.Errorf("got\n%s\nwant it to begin with\n%s", got, complaints)
	}
	for _, field := range []string{"Scores", "Next", "secret", "Done", "Any", "When", "P"} {
		if !strings.Contains(strings.TrimPrefix(got, complaints), field) {
			t.Errorf("no complaint about %s in\n%s", field, got)
		}
	}
	var none *puppet
	if k := Define(none, Config{Name: "x"}); k.Err() == nil {
		t.Error("a nil start state was taken")
	}
	if k := new(Kind); k.Err() == nil {
		t.Error("a Kind that Define did not make was taken")
	}
}

// grown is the rules after the game had been rewritten: the count has another name.
type grown struct {
	Total int
	From  int
}

func (g *grown) Step(*Tick[order]) {}

func (g *grown) Migrate(from int, state []byte) error {
	var old puppet
	if err := Decode(state, &old); err != nil {
		return err
	}
	if old.N == 13 {
		panic("unlucky")
	}
	if old.N > 100 {
		return errors.New("too many")
	}
	g.Total, g.From = old.N, from
	return nil
}

// A room must survive a new version of its rules, and one that cannot must say why, not take the node with it.
func TestNewVersionMigratesTheState(t *testing.T) {
	for n, want := range map[int]string{7: "", 13: "panic", 101: "too many"} {
		hook(t, func(p *puppet, _ *Tick[order]) { p.N = n })
		r := newRig(t)
		r.create(Config{RateHz: 20, Version: 1})
		r.join("ann")
		k := Define(&grown{}, Config{Name: "puppet", RateHz: 20, Version: 2})
		next, err := r.moved(&k, false)
		if want != "" {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("N %d: %v, want an error with %q", n, err, want)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		g := next.s.rooms["r"].game.(*room[*grown, order]).game
		if g.Total != n || g.From != 1 {
			t.Errorf("migrated to %+v", g)
		}
		if _, err := replay(next.stored); err != nil || next.stored[0].Kind != EntrySnapshot {
			t.Errorf("its journal begins with kind %d: %v", next.stored[0].Kind, err)
		}
		if !slices.Contains(next.status, StatusResumed) {
			t.Error("nobody was told of the resume")
		}
	}
}

// Without Migrate, fields match by name: what is new is zero, whatever the start state says.
func TestFieldsMatchByNameWithoutMigrate(t *testing.T) {
	hook(t, func(p *puppet, _ *Tick[order]) { p.N = 7 })
	r := newRig(t)
	r.create(Config{RateHz: 20})
	k := Define(&wider{Lives: 3}, Config{Name: "puppet", RateHz: 20, Version: 2})
	next, err := r.moved(&k, false)
	if err != nil {
		t.Fatal(err)
	}
	if g := next.s.rooms["r"].game.(*room[*wider, order]).game; g.N != 7 || g.Lives != 0 {
		t.Errorf("resumed as %+v", g)
	}
}

type wider struct {
	Lives int
	N     int
}

func (*wider) Step(*Tick[order]) {}
