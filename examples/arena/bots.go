package arena

import (
	"math"
	"time"

	"tickover.dev/rooms"
)

var botNames = [...]string{
	"Ada", "Bix", "Cleo", "Dot", "Edo", "Fay", "Gus", "Hex", "Ivy", "Jun", "Kit", "Lux", "Moe", "Nia", "Oz", "Pip", "Quin", "Rex",
	"Sol", "Taj", "Uma", "Vic", "Wren", "Xan", "Yara", "Zed",
}

// think steers a bot: it picks the nearest of a few ships, keeps a distance, circles, leads its shots a little and misses some.
func (a *Arena) think(t *tick, me rooms.Seat, s *Ship) {
	if t.Now() < s.Turn {
		return
	}
	r := t.Rand()
	s.Turn = t.Now() + time.Duration(150+r.IntN(250))*time.Millisecond
	q := a.Ships.Get(s.Target)
	if q == nil || q.HP <= 0 || s.Target == me || r.IntN(12) == 0 {
		s.Target = a.prey(t, me, s)
		q = a.Ships.Get(s.Target)
	}
	if q == nil {
		s.Keys = Input{DX: r.Float64()*2 - 1, DY: r.Float64()*2 - 1}
		return
	}
	distance := math.Hypot(q.X-s.X, q.Y-s.Y)
	to := math.Atan2(q.Y-s.Y, q.X-s.X)
	course := to
	switch {
	case distance < 140:
		course = to + math.Pi*0.8
	case distance < 320:
		course = to + math.Pi/2
		if me%2 == 0 {
			course = to - math.Pi/2
		}
	}
	s.Keys.DY, s.Keys.DX = math.Sincos(course + (r.Float64()-0.5)*0.6)
	lead := distance / shotSpeed * speed * 0.5
	aim := math.Atan2(q.Y+q.Keys.DY*lead-s.Y, q.X+q.Keys.DX*lead-s.X)
	s.Keys.Angle = aim + (r.Float64()-0.5)*0.35
	s.Keys.Fire = distance < shotSpeed && r.IntN(3) > 0
}

// prey is the nearest of three ships drawn by chance.
func (a *Arena) prey(t *tick, me rooms.Seat, s *Ship) rooms.Seat {
	best, nearest := rooms.Seat(0), math.Inf(1)
	for range 3 {
		seat, q := a.Ships.At(t.Rand().IntN(a.Ships.Len()))
		if d := math.Hypot(q.X-s.X, q.Y-s.Y); seat != me && q.HP > 0 && d < nearest {
			best, nearest = seat, d
		}
	}
	return best
}
