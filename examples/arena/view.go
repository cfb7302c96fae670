package arena

import (
	"math"

	"tickover.dev/rooms"
)

// View is what everybody sees: whole units and degrees, which is all a screen can show.
type View struct {
	Size  [2]int16              `msgpack:"size"`
	Ships rooms.Seats[ShipView] `msgpack:"ships"`
	Shots []ShotView            `msgpack:"shots"`
}

// ShipView is one ship.
type ShipView struct {
	Name  string `msgpack:"name"`
	X     int16  `msgpack:"x"`
	Y     int16  `msgpack:"y"`
	Aim   int16  `msgpack:"a"` // degrees
	HP    int8   `msgpack:"hp"`
	Score int32  `msgpack:"score"`
	Bot   bool   `msgpack:"bot"`
	Up    bool   `msgpack:"up"` // not waiting to come back
}

// ShotView is one shot.
type ShotView struct {
	ID  uint32     `msgpack:"id"`
	X   int16      `msgpack:"x"`
	Y   int16      `msgpack:"y"`
	Aim int16      `msgpack:"a"`
	By  rooms.Seat `msgpack:"by"`
}

// Public shows the arena.
func (a *Arena) Public() any {
	v := &View{Size: [2]int16{width, height}, Shots: make([]ShotView, 0, len(a.Shots))}
	for seat, s := range a.Ships.All() {
		v.Ships.Put(seat, ShipView{
			s.Name, int16(s.X), int16(s.Y), degrees(s.Keys.Angle), int8(s.HP), int32(s.Score), s.Bot, s.HP > 0,
		})
	}
	for _, sh := range a.Shots {
		v.Shots = append(v.Shots, ShotView{sh.ID, int16(sh.X), int16(sh.Y), degrees(math.Atan2(sh.VY, sh.VX)), sh.By})
	}
	return v
}

func degrees(angle float64) int16 {
	return int16(math.Mod(math.Mod(angle*180/math.Pi, 360)+360, 360))
}
