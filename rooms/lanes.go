package rooms

import (
	"slices"
	"time"
)

// lane is the rooms of one rate that are due at the same moments. A shard wakes once per lane and period, and the entries of a lane
// leave in one batch. Few lanes cost least, as wake-ups and pipelines cost, not appends; many short ones are soonest done: a room waits
// for those before it to be stepped, and its entry for the whole batch.
type lane struct {
	rateHz int
	period time.Duration
	due    time.Duration
	rooms  []*core
	place  int           // of its due time in the period, by laneSpacing
	work   time.Duration // how long stepping all of them takes, smoothed
}

const (
	laneRooms    = 32                      // a lane of fewer rooms is not split for the sake of
	laneWork     = 200 * time.Microsecond  // shorter work: of 1,000 rooms at 20 Hz that made confirming take 0.7 ms instead of 4
	longWork     = 2 * time.Millisecond    // beyond it, it is
	laneSpacing  = 2500 * time.Microsecond // between the due times of a rate's lanes
	maxLateTicks = 5                       // so many late ticks are caught up; beyond them the schedule slides
)

// isFull reports whether a lane takes no more rooms.
func (l *lane) isFull() bool {
	return l.work >= laneWork && len(l.rooms) >= laneRooms || l.work >= longWork || len(l.rooms) >= maxLaneRooms
}

// isOverfull reports whether it is to give some away.
func (l *lane) isOverfull() bool {
	return l.work > laneWork*3/2 && len(l.rooms) > laneRooms*3/2 || l.work > longWork*3/2
}

// lanes are a shard's, of all rates.
type lanes []*lane

// add puts a room into the lane of its rate with room for it, or opens another.
func (ls *lanes) add(c *core, now, phase time.Duration) {
	l := ls.pick(c.kind.RateHz, nil, now, phase)
	c.lane, c.due = l, l.due
	l.rooms = append(l.rooms, c)
}

// pick finds the first lane of a rate that takes more rooms, opens one if the period has a place left, or takes the least busy.
func (ls *lanes) pick(rateHz int, not *lane, now, phase time.Duration) *lane {
	var least *lane
	place := 0
	for _, l := range *ls { // a rate's lanes are in the order of their places
		if l.rateHz != rateHz {
			continue
		}
		if l.place == place {
			place++
		}
		switch {
		case l == not:
		case !l.isFull():
			return l
		case least == nil || l.work < least.work:
			least = l
		}
	}
	period := time.Second / time.Duration(rateHz)
	if least != nil && time.Duration(place+1)*laneSpacing > period {
		return least
	}
	l := &lane{rateHz: rateHz, period: period, place: place}
	phase += time.Duration(place) * laneSpacing
	l.due = now + phase%period + period - now%period
	at := slices.IndexFunc(*ls, func(o *lane) bool { return o.rateHz == rateHz && o.place > place })
	if at < 0 {
		at = len(*ls)
	}
	*ls = slices.Insert(*ls, at, l)
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
		if l.isOverfull() {
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

// lighten moves a few rooms of a lane that takes too long to one that takes clearly less. They are due less than a
// period sooner, once.
func (s *Shard) lighten(l *lane, now time.Duration) {
	before := len(l.rooms)
	for range max(1, before/8) {
		if len(l.rooms) < 2 {
			break
		}
		to := s.lanes.pick(l.rateHz, l, now, s.Phase)
		if to.work > l.work*3/4 {
			break
		}
		c := l.rooms[len(l.rooms)-1]
		l.rooms[len(l.rooms)-1] = nil
		l.rooms = l.rooms[:len(l.rooms)-1]
		c.due = after(to.due, now, l.period)
		c.lane = to
		to.rooms = append(to.rooms, c)
	}
	l.work = l.work * time.Duration(len(l.rooms)) / time.Duration(before)
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
