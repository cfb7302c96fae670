// Package arena is a top-down shooter: move, aim, fire, score. Real time, 20 ticks a second, with bots that keep it lively.
package arena

import (
	"errors"
	"fmt"
	"math"
	"time"

	"tickover.dev/rooms"
)

// Kind is what a node serves.
var Kind = rooms.Define(&Arena{}, rooms.Config{Name: "arena", RateHz: 20, Seats: 64})

const (
	width, height = 1600.0, 1000.0
	speed         = 220.0 // units per second
	shotSpeed     = 620.0
	reach         = 22.0 // a shot this near hits
	damage        = 25
	reload        = 350 * time.Millisecond
	shotLife      = time.Second
	respawn       = 2 * time.Second
	maxBots       = 50
)

// Arena is the whole state of a room.
type Arena struct {
	Ships    rooms.Seats[Ship]
	Shots    []Shot
	NextShot uint32
}

// Ship is a player's or a bot's.
type Ship struct {
	Name   string
	Bot    bool
	X, Y   float64
	HP     int
	Score  int
	Keys   Input
	Ready  time.Duration // may fire again
	Back   time.Duration // is down until then
	Target rooms.Seat    // of a bot
	Turn   time.Duration // when a bot makes up its mind again
}

// Shot is in flight.
type Shot struct {
	ID     uint32
	X, Y   float64
	VX, VY float64
	By     rooms.Seat
	Dies   time.Duration
}

// Input is what a player holds down; the newest counts until the next comes.
type Input struct {
	DX    float64 `msgpack:"dx"` // -1 to 1
	DY    float64 `msgpack:"dy"`
	Angle float64 `msgpack:"angle"` // radians, 0 is to the right, clockwise on the screen
	Fire  bool    `msgpack:"fire"`
}

// Validate keeps a cheater's numbers out of the state.
func (in *Input) Validate() error {
	if sum := in.DX + in.DY + in.Angle; math.IsNaN(sum) || math.IsInf(sum, 0) {
		return errors.New("not a number")
	}
	if l := math.Hypot(in.DX, in.DY); l > 1 {
		in.DX, in.DY = in.DX/l, in.DY/l
	}
	in.Angle = math.Mod(in.Angle, 2*math.Pi)
	return nil
}

// Options are those of a room's creation.
type Options struct {
	Bots int `msgpack:"bots"`
}

type tick = rooms.Tick[Input]

// Step is one twentieth of a second.
func (a *Arena) Step(t *tick) {
	for e := range t.Events() {
		a.take(t, e)
	}
	for seat, s := range a.Ships.All() {
		if s.HP <= 0 {
			if t.Now() >= s.Back {
				spawn(t, s)
			}
			continue
		}
		if s.Bot {
			a.think(t, seat, s)
		}
		a.move(t, seat, s)
	}
	a.fly(t)
}

func (a *Arena) take(t *tick, e rooms.Event[Input]) {
	switch e.Type {
	case rooms.Created:
		a.create(t, e)
	case rooms.Joined:
		spawn(t, a.Ships.Put(e.Seat, Ship{Name: e.Player.Name, Bot: e.Player.Bot}))
	case rooms.Dropped:
		a.Ships.Get(e.Seat).Keys = Input{}
	case rooms.Left:
		a.Ships.Delete(e.Seat)
	case rooms.Input:
		a.Ships.Get(e.Seat).Keys = e.Input
	case rooms.Signal:
		if e.Name == "end" {
			t.End(a.leader())
		}
	}
}

func (a *Arena) create(t *tick, e rooms.Event[Input]) {
	o := Options{Bots: 12}
	if err := e.Decode(&o); err != nil {
		t.Reject(e, "bad_options", err.Error())
		return
	}
	if o.Bots < 0 || o.Bots > maxBots {
		t.Reject(e, "bad_options", fmt.Sprintf("bots: want 0 to %d", maxBots))
		return
	}
	for i := range o.Bots {
		t.AddBot(botNames[i%len(botNames)])
	}
}

func (a *Arena) move(t *tick, seat rooms.Seat, s *Ship) {
	dt := 1 / t.Rate()
	s.X = min(max(s.X+s.Keys.DX*speed*dt, reach), width-reach)
	s.Y = min(max(s.Y+s.Keys.DY*speed*dt, reach), height-reach)
	if s.Keys.Fire && t.Now() >= s.Ready {
		s.Ready = t.Now() + reload
		a.NextShot++
		sin, cos := math.Sincos(s.Keys.Angle)
		a.Shots = append(a.Shots, Shot{
			a.NextShot, s.X + cos*reach, s.Y + sin*reach, cos * shotSpeed, sin * shotSpeed, seat, t.Now() + shotLife,
		})
	}
}

// fly moves the shots on, and keeps those that hit nothing.
func (a *Arena) fly(t *tick) {
	dt, kept := 1/t.Rate(), a.Shots[:0]
	for _, sh := range a.Shots {
		sh.X, sh.Y = sh.X+sh.VX*dt, sh.Y+sh.VY*dt
		outside := sh.X < 0 || sh.Y < 0 || sh.X > width || sh.Y > height
		if t.Now() < sh.Dies && !outside && !a.hit(t, sh) {
			kept = append(kept, sh)
		}
	}
	a.Shots = kept
}

func (a *Arena) hit(t *tick, sh Shot) bool {
	for seat, s := range a.Ships.All() {
		if seat == sh.By || s.HP <= 0 || math.Hypot(s.X-sh.X, s.Y-sh.Y) > reach {
			continue
		}
		if s.HP -= damage; s.HP <= 0 {
			s.HP, s.Back = 0, t.Now()+respawn
			if by := a.Ships.Get(sh.By); by != nil {
				by.Score++
			}
			t.Broadcast("down", Down{seat, sh.By})
		}
		return true
	}
	return false
}

// Down tells everybody that By shot Seat down.
type Down struct {
	Seat rooms.Seat `msgpack:"seat"`
	By   rooms.Seat `msgpack:"by"`
}

func spawn(t *tick, s *Ship) {
	s.HP, s.Keys = 100, Input{}
	s.X, s.Y = 60+t.Rand().Float64()*(width-120), 60+t.Rand().Float64()*(height-120)
}

func (a *Arena) leader() rooms.Seat {
	best, score := rooms.Seat(0), -1
	for seat, s := range a.Ships.All() {
		if s.Score > score {
			best, score = seat, s.Score
		}
	}
	return best
}
