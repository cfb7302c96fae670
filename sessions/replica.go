package sessions

import (
	"cmp"
	"slices"
	"time"

	"tickover.dev/netcode"
	"tickover.dev/rooms"
)

// replica is the newest of a room on one loop: what its views there share.
type replica struct {
	room  Room
	views []*view        // by seat
	asked []*joinRequest // not answered yet; a join is waited for even when its connection is closed, as its seat must be dropped
	last  *rooms.Frame   // the newest frame that has a public value; retained
	epoch rooms.Epoch    // of the newest frame, as is
	tick  uint64
	clock clock
}

// clock is where a room's ticks are in time, as its owner said when that last changed.
type clock struct {
	epoch   rooms.Epoch
	tick    uint64
	due     time.Duration // since 1970
	changes uint32        // 0: the room has none
}

// clockJitter is how far from where they are expected ticks may be due without being told of. The wire has milliseconds.
const clockJitter = time.Millisecond

// follow notes when a frame's tick was due, if that is not when it was to be expected.
func (c *clock) follow(f *rooms.Frame, rateHz int) {
	if f.Due == 0 {
		return
	}
	expected := c.due + time.Duration(f.Tick-c.tick)*time.Second/time.Duration(rateHz)
	if c.changes == 0 || f.Epoch != c.epoch || (f.Due-expected).Abs() > clockJitter {
		*c = clock{f.Epoch, f.Tick, f.Due, c.changes + 1}
	}
}

// maxAsked bounds the unanswered requests of one loop to one room: clients may come and go while a room waits for its journal.
const maxAsked = 4096

// replica finds or makes the replica of a room.
func (l *Loop) replica(room Room) *replica {
	r := l.replicas[room.ID]
	if r == nil {
		r = &replica{room: room}
		l.replicas[room.ID] = r
		l.hub.interest(room.ID, l.index, true)
	}
	return r
}

// trim lets go of a replica that nobody uses.
func (l *Loop) trim(r *replica) {
	if len(r.views)+len(r.asked) > 0 || l.replicas[r.room.ID] != r {
		return
	}
	delete(l.replicas, r.room.ID)
	l.hub.interest(r.room.ID, l.index, false)
	if r.last != nil {
		r.last.Release()
		r.last = nil
	}
}

// expect notes a request that the room is about to be asked, or reports false if it has too many.
func (r *replica) expect(j *joinRequest) bool {
	if len(r.asked) >= maxAsked {
		return false
	}
	j.replica = r
	r.asked = append(r.asked, j)
	return true
}

func (r *replica) forget(j *joinRequest) {
	r.asked = slices.DeleteFunc(r.asked, func(other *joinRequest) bool { return other == j })
}

// addView opens a view on a seat.
func (l *Loop) addView(k *conn, r *replica, seat rooms.Seat) *view {
	v := &view{conn: k, replica: r, seat: seat}
	i, _ := slices.BinarySearchFunc(r.views, seat, func(v *view, s rooms.Seat) int { return cmp.Compare(v.seat, s) })
	r.views = slices.Insert(r.views, i, v)
	k.addView(v)
	l.hub.stats.Views.Add(1)
	return v
}

// removeView closes a view. The caller takes it off its connection.
func (l *Loop) removeView(v *view) {
	r := v.replica
	r.views = slices.DeleteFunc(r.views, func(other *view) bool { return other == v })
	l.hub.stats.Views.Add(-1)
	l.trim(r)
}

// giveUp takes a view off its connection and the seat off its session.
func (l *Loop) giveUp(v *view) {
	v.conn.dropView(v)
	l.hub.config.Registry.unseat(v.conn.id, v.conn.gen, Place{v.replica.room.ID, v.seat})
	l.removeView(v)
}

// show hands a confirmed frame to the views of its room.
func (l *Loop) show(f *rooms.Frame) {
	r := l.replicas[f.Room]
	if r == nil {
		return
	}
	nowMs := l.hub.nowMs()
	current := r.take(f)
	for i := range f.Seats {
		for _, n := range f.Seats[i].Notes {
			l.note(r, f, n)
		}
	}
	for i, next := 0, 0; current && i < len(r.views); {
		v := r.views[i]
		for next < len(f.Seats) && f.Seats[next].Seat < v.seat {
			next++
		}
		var part *rooms.SeatPart
		if next < len(f.Seats) && f.Seats[next].Seat == v.seat && f.Seats[next].Session == v.conn.id {
			part = &f.Seats[next]
		}
		v.show(f, part, nowMs)
		if i < len(r.views) && r.views[i] == v { // else its connection was closed
			i++
		}
	}
	for i := range f.Seats { // only now, as the last words must be shown first
		for _, n := range f.Seats[i].Notes {
			l.lastNote(r, n)
		}
	}
	l.trim(r)
}

// take notes how far the room is, and reports whether the frame shows anything: one that is older than what was shown does not.
// A frame of tick 0 is an answer of the node. A status may be older: it is given behind the frames that wait for the journal.
func (r *replica) take(f *rooms.Frame) bool {
	switch {
	case f.Epoch < r.epoch, f.Epoch == r.epoch && f.Tick < r.tick:
		return f.Tick == 0 || f.Status != rooms.StatusNone
	case f.Tick == 0:
		return true
	}
	r.epoch, r.tick = f.Epoch, f.Tick
	r.clock.follow(f, r.room.Kind.RateHz)
	if f.Public != nil {
		f.Retain()
		if r.last != nil {
			r.last.Release()
		}
		r.last = f
	}
	return true
}

// close tells the views of a room that is no more on this node and has not said farewell itself.
func (l *Loop) close(id rooms.ID, why string, result []byte) {
	r := l.replicas[id]
	if r == nil {
		return
	}
	for len(r.views) > 0 {
		v := r.views[0]
		v.conn.send(&netcode.Left{Request: v.leaving, Room: v.number, Why: wireWhy(why), Result: result})
		l.giveUp(v)
	}
	for len(r.asked) > 0 {
		j := r.asked[0]
		r.forget(j)
		if j.isReturn() {
			l.gone(j, id, why, result)
		} else {
			l.refuseJoin(j, netcode.CodeRoomEnded, "the room has ended")
		}
	}
	l.trim(r)
}

// wireWhy is why a seat is no more, in the words of the protocol: how a room left this node is not a client's business.
func wireWhy(why string) string {
	switch why {
	case "left", "kicked", "ended", "grace", "unknown":
		return why
	}
	return "closed"
}
