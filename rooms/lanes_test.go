package rooms

import (
	"fmt"
	"log/slog"
	"testing"
	"time"
)

// laneShard makes a shard on a clock of its own, on which each step takes work.
func laneShard(t *testing.T, work time.Duration) (*Shard, *time.Duration) {
	clock := time.Second
	s := NewShard(slog.New(slog.DiscardHandler), func() (uint64, uint64) { return 1, 2 })
	s.Clock = func() time.Duration { return clock }
	hook(t, func(*puppet, *Tick[order]) { clock += work })
	return s, &clock
}

// A lane whose rooms take too long together would make the last of them late at every tick, and all of them wait for one batch: some
// must move to another lane, which is due at another moment. Lanes of few rooms are not split for little: each costs a wake-up and a
// pipeline per tick.
func TestRoomsOfABusyLaneSpread(t *testing.T) {
	for _, try := range []struct {
		rooms      int
		step       time.Duration
		atLeast    int // lanes
		atMost     int
		workAtMost time.Duration
	}{
		{100, 60 * time.Microsecond, 3, 4, longWork * 7 / 4},
		{500, 4 * time.Microsecond, 5, 8, 2 * laneWork},
		{40, 10 * time.Microsecond, 1, 1, longWork},
	} {
		t.Run(fmt.Sprintf("%d rooms of %s", try.rooms, try.step), func(t *testing.T) {
			s, clock := laneShard(t, try.step)
			kind := puppetKind(Config{RateHz: 10})
			for i := range try.rooms {
				s.Take(&Mail{Type: MailCreate, Room: ID(fmt.Sprint(i)), Kind: kind, Epoch: 1, Nonce: 1}, *clock)
			}
			if len(s.lanes) != 1 {
				t.Fatalf("%d lanes before anything was measured", len(s.lanes))
			}
			for *clock < 15*time.Second {
				wake := s.Advance(*clock)
				s.Confirm(*clock)
				*clock = max(*clock, wake)
			}
			if len(s.lanes) < try.atLeast || len(s.lanes) > try.atMost {
				t.Errorf("%d lanes, want %d to %d", len(s.lanes), try.atLeast, try.atMost)
			}
			checkLanes(t, s, try.rooms, try.workAtMost)
		})
	}
}

// checkLanes wants each room in one lane, no lane busy for longer than work, each at a place of its own, and all rooms about as far: who is moved
// is due a little sooner once.
func checkLanes(t *testing.T, s *Shard, rooms int, work time.Duration) {
	t.Helper()
	total, places := 0, map[time.Duration]bool{}
	for _, l := range s.lanes {
		total += len(l.rooms)
		if l.work > work {
			t.Errorf("a lane of %d rooms works for %s", len(l.rooms), l.work)
		}
		if places[l.due%l.period] {
			t.Errorf("two lanes are due at %s of their period", l.due%l.period)
		}
		places[l.due%l.period] = true
		for _, c := range l.rooms {
			if c.lane != l {
				t.Fatalf("room %s is in a lane that is not its own", c.id)
			}
		}
	}
	if total != rooms {
		t.Errorf("%d rooms in lanes, want %d", total, rooms)
	}
	for _, c := range s.rooms { // over 10 s of room time or so
		if c.h.Tick < s.rooms["0"].h.Tick-8 || c.h.Tick > s.rooms["0"].h.Tick+8 {
			t.Errorf("room %s is at tick %d, room 0 at %d", c.id, c.h.Tick, s.rooms["0"].h.Tick)
		}
	}
}

// A lane must forget a room that ends in the middle of the lane's round, step the others once, and vanish with its last room.
func TestLaneForgetsRoomsThatEndWhileItIsStepped(t *testing.T) {
	steps := map[uint64]int{}
	hook(t, func(p *puppet, t *Tick[order]) {
		steps[t.Number()]++
		each(t, Signal, func(Event[order]) { panic("at once") })
	})
	s := NewShard(slog.New(slog.DiscardHandler), func() (uint64, uint64) { return 1, 2 })
	kind := puppetKind(Config{RateHz: 10})
	now := time.Second
	for i := range 10 {
		id := ID(fmt.Sprint(i))
		s.Take(&Mail{Type: MailCreate, Room: id, Kind: kind, Epoch: 1, Nonce: 1}, now)
		if i%3 == 0 { // closed in its first step, as its creation is not in the journal
			s.Take(&Mail{Type: MailSignal, Room: id}, now)
		}
	}
	now += 100 * time.Millisecond
	s.Advance(now)
	if steps[1] != 10 || s.Len() != 6 || len(s.lanes) != 1 || len(s.lanes[0].rooms) != 6 {
		t.Errorf("%d steps, %d rooms, lanes %d", steps[1], s.Len(), len(s.lanes))
	}
	s.Confirm(now)
	for i := range 10 {
		s.Take(&Mail{Type: MailRelease, Room: ID(fmt.Sprint(i))}, now)
		s.Confirm(now)
	}
	if s.Len() != 0 || len(s.lanes) != 0 || s.Advance(now) != 0 {
		t.Errorf("%d rooms and %d lanes are left", s.Len(), len(s.lanes))
	}
}

// A sleeping room must let the shard sleep, whatever its journal does: a wake-up in the past is a processor lost.
func TestWaitingRoomLetsTheShardSleep(t *testing.T) {
	for _, d := range []Durability{EveryChange, Periodic} {
		r := newRig(t)
		r.create(Config{Durability: d})
		seat := r.join("ann")
		r.hold = true
		for n := uint64(1); n < 5; n++ {
			r.input(seat, "ann", n, order{})
			r.wait(1100 * time.Millisecond)
		}
		for range 10 { // let whatever is due be done
			r.wait(3 * time.Second)
		}
		if wake := r.s.Advance(r.now); wake != 0 && wake <= r.now {
			t.Errorf("%s: asks to be called at %s, it is %s", d, wake, r.now)
		}
	}
}

// stolen is a watchdog that takes the first turn.
type stolen struct{ turns int }

func (w *stolen) Enter(*ID, time.Duration) uint64 { w.turns++; return uint64(w.turns) }
func (w *stolen) Leave(token uint64) bool         { return token != 1 }

// I9: a room that takes the shard's goroutine with it must not take the steps of those that were to come after it.
func TestRoomsBehindAStuckOneAreStepped(t *testing.T) {
	for _, rate := range []int{0, 20} {
		r := newRig(t)
		watch := new(stolen)
		r.s.Turn = watch
		kind := puppetKind(Config{RateHz: rate})
		for i := range 5 {
			r.mail(Mail{Type: MailCreate, Room: ID(fmt.Sprint(i)), Kind: kind, Epoch: 1, Nonce: 1})
		}
		r.now += time.Second
		var stuck ID
		lost := make(chan bool)
		go func() { // ends by Goexit in the first room
			defer close(lost)
			r.s.Advance(r.now)
		}()
		<-lost
		for id, c := range r.s.rooms {
			if c.h.Tick > 0 {
				stuck = id
			}
		}
		r.s.Dispossess(stuck)
		r.s.Advance(r.now)
		for id, c := range r.s.rooms {
			if c.h.Tick == 0 {
				t.Errorf("rate %d: room %s was forgotten", rate, id)
			}
		}
		if len(r.s.rooms) != 4 || len(r.s.Out.Ended) != 1 || r.s.Out.Ended[0].Room != stuck {
			t.Errorf("rate %d: %d rooms, ended %+v", rate, len(r.s.rooms), r.s.Out.Ended)
		}
	}
}
