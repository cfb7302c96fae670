package rooms

import (
	"slices"
	"time"
)

// lane is the rooms of one rate that are due at the same moments. Rooms are put into as few lanes as keep one lane's work short:
// a shard wakes once per lane and period, and the entries of a lane leave in one batch (pipelines cost, not appends).
type lane struct {
	rateHz int
	period time.Duration
	due    time.Duration
	rooms  []*core
	work   time.Duration // how long stepping all of them takes, smoothed
}

const (
	laneWork     = 2 * time.Millisecond // a lane beyond it takes no more rooms, beyond 1.5 times it gives some away
	laneSpacing  = 5 * time.Millisecond // between the due times of a rate's lanes
	maxLateTicks = 5                    // so many late ticks are caught up; beyond them the schedule slides
)

// lanes are a shard's, of all rates.
type lanes []*lane

// add puts a room into the lane of its rate with room for it, or opens another.
func (ls *lanes) add(c *core, now time.Duration) {
	l := ls.pick(c.kind.RateHz, nil, now)
	c.lane, c.due = l, l.due
	l.rooms = append(l.rooms, c)
}

// pick finds the first lane of a rate that is not busy, opens one if the period has a place left, or takes the least busy.
func (ls *lanes) pick(rateHz int, not *lane, now time.Duration) *lane {
	var least *lane
	n := 0
	for _, l := range *ls {
		if l.rateHz != rateHz || l == not {
			continue
		}
		n++
		if l.work < laneWork && len(l.rooms) < maxLaneRooms {
			return l
		}
		if least == nil || l.work < least.work {
			least = l
		}
	}
	period := time.Second / time.Duration(rateHz)
	if least != nil && time.Duration(n+1)*laneSpacing > period {
		return least
	}
	l := &lane{rateHz: rateHz, period: period}
	l.due = now + time.Duration(n)*laneSpacing%period + period - now%period // lanes keep their distance from each other
	*ls = append(*ls, l)
	return l
}

// maxLaneRooms bounds a lane whose work is not measured yet: rooms may be made faster than lanes run.
const maxLaneRooms = 1024

func (ls *lanes) remove(c *core) {
	l := c.lane
	if l == nil {
		return
	}
	c.lane = nil
	if i := slices.Index(l.rooms, c); i >= 0 {
		last := len(l.rooms) - 1
		l.rooms[i] = l.rooms[last]
		l.rooms[last] = nil
		l.rooms = l.rooms[:last]
	}
	if len(l.rooms) == 0 {
		if i := slices.Index(*ls, l); i >= 0 {
			*ls = slices.Delete(*ls, i, i+1)
		}
	}
}

// stepLanes steps the rooms of every lane that is due. A room is stepped once per due time; it does not matter whether a call
// is broken off and made again, as each room knows its own next due time.
func (s *Shard) stepLanes(now time.Duration) {
	for i := 0; i < len(s.lanes); i++ {
		l := s.lanes[i]
		if l.due > now {
			continue
		}
		started := s.clock(now)
		for j := 0; j < len(l.rooms); j++ {
			c := l.rooms[j]
			s.stepLate(c, now)
			if j < len(l.rooms) && l.rooms[j] != c {
				j-- // it ended, and another took its place
			}
		}
		if i >= len(s.lanes) || s.lanes[i] != l {
			i--
			continue // its last room ended
		}
		l.due = after(l.due, now, l.period)
		l.work += (s.clock(now) - started - l.work) / 4
		if l.work > laneWork*3/2 {
			s.lighten(l, now)
		}
	}
}

// stepLate steps a room for each due time that has passed, at most maxLateTicks of them; the rest is slid over. Numbers are never
// skipped: the room is later than it would have been.
func (s *Shard) stepLate(c *core, now time.Duration) {
	period := c.lane.period
	if now-c.due >= maxLateTicks*period {
		c.due = after(c.due, now, period) - maxLateTicks*period
	}
	for c.due <= now {
		if !c.mayStep() {
			s.pause(c, now)
			c.due = after(c.due, now, period)
			return
		}
		if s.Lateness != nil {
			s.Lateness(s.clock(now) - c.due)
		}
		c.due += period // before the step: if it gets stuck, the room is not stepped again for this due time
		s.run(c, now, opTick)
		s.collect(c, now)
		if c.lane == nil {
			return
		}
	}
}

// after is the first of the times due, due+period, … that is later than now.
func after(due, now, period time.Duration) time.Duration {
	if due > now {
		return due
	}
	return due + ((now-due)/period+1)*period
}

// lighten moves a few rooms of a lane that takes too long to another one. Their schedule slides by less than a period.
func (s *Shard) lighten(l *lane, now time.Duration) {
	for range max(1, len(l.rooms)/8) {
		if len(l.rooms) < 2 {
			return
		}
		to := s.lanes.pick(l.rateHz, l, now)
		if to == nil || to.work > l.work {
			return
		}
		c := l.rooms[len(l.rooms)-1]
		l.rooms[len(l.rooms)-1] = nil
		l.rooms = l.rooms[:len(l.rooms)-1]
		c.due = after(to.due, now, l.period)
		c.lane = to
		to.rooms = append(to.rooms, c)
	}
	l.work = laneWork // measured anew
}

func (s *Shard) clock(now time.Duration) time.Duration {
	if s.Clock == nil {
		return now
	}
	return s.Clock()
}

// alarms is a heap of rooms without a rate, by their next deadline.
type alarms []*core

func (a alarms) Len() int           { return len(a) }
func (a alarms) Less(i, j int) bool { return a[i].wakeAt < a[j].wakeAt }
func (a alarms) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].alarmAt, a[j].alarmAt = i, j
}
func (a *alarms) Push(x any) { c := x.(*core); c.alarmAt = len(*a); *a = append(*a, c) }
func (a *alarms) Pop() any {
	old := *a
	c := old[len(old)-1]
	old[len(old)-1] = nil
	*a = old[:len(old)-1]
	return c
}
