package rooms

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// stretches plays a room that gets an input at every tick and gives the shadows that come of it.
func stretches(t *testing.T, every, ticks int, o order) (list []*Shadow, snapshots int) {
	r := newRig(t)
	r.s.ShadowEvery = every
	r.create(Config{RateHz: 20, Durability: Replay})
	seat := r.join("ann")
	for n := uint64(1); n <= uint64(ticks); n++ {
		r.input(seat, "ann", n, o)
		r.now += 50 * time.Millisecond
		r.s.Advance(r.now)
		list = append(list, r.s.Out.Shadows...)
		r.s.Out.Shadows = nil
		r.carryOut()
		if last := r.all[len(r.all)-1]; last.Kind == EntrySnapshot {
			snapshots++
		}
	}
	return list, snapshots
}

// Production replays a sample: less would miss what differs for ever, more would cost what it is not worth.
func TestEverySoManiethStretchIsReplayed(t *testing.T) {
	restless(t)
	for every, want := range map[int]int{0: 0, 1: 8, 2: 4, 4: 2} {
		list, snapshots := stretches(t, every, 8*maxDeltas+50, order{})
		if len(list) != want || snapshots != 8-1 && snapshots != 8 {
			t.Errorf("every %d: %d shadows of %d snapshots, want %d", every, len(list), snapshots, want)
		}
		for _, s := range list {
			if d := s.Replay(); d != nil {
				t.Errorf("ticks %d to %d: %v", s.From, s.Tick, d)
			}
			if s.Tick-s.From < maxDeltas {
				t.Errorf("a stretch of %d ticks", s.Tick-s.From)
			}
		}
	}
}

// The first tick that differs is where to look, not the one at which it was noticed.
func TestDifferenceNamesTheTickAndTheField(t *testing.T) {
	last := uint64(0)
	hook(t, func(p *puppet, t *Tick[order]) {
		if again := t.Number() <= last; again && t.Number() == 100 {
			p.Rows.Put(7, 1)
		}
		last = max(last, t.Number())
	})
	list, _ := stretches(t, 1, maxDeltas+10, order{})
	if len(list) != 1 {
		t.Fatalf("%d shadows", len(list))
	}
	d := list[0].Replay()
	if d == nil || d.After != 99 || d.Tick != 100 || d.Field != "Rows: 0 rows != 1" || !errors.Is(d, ErrDiverged) {
		t.Errorf("difference %+v", d)
	}
}

// What the framework keeps for a room may differ, too: the generator if a game draws more lots than before, say.
func TestDifferenceOfTheGeneratorIsNamed(t *testing.T) {
	last := uint64(0)
	hook(t, func(_ *puppet, t *Tick[order]) {
		if t.Number() <= last {
			t.Rand().Uint64()
		}
		last = max(last, t.Number())
	})
	list, _ := stretches(t, 1, maxDeltas+10, order{})
	if d := list[0].Replay(); d == nil || !strings.HasPrefix(d.Field, "room.Rand: ") {
		t.Errorf("difference %+v", d)
	}
}

// A shadow runs where no room is restored: its panics must end there.
func TestPanicOfAShadowIsADifference(t *testing.T) {
	last := uint64(0)
	hook(t, func(_ *puppet, t *Tick[order]) {
		if t.Number() < last {
			panic("not twice")
		}
		last = t.Number()
	})
	list, _ := stretches(t, 1, maxDeltas+10, order{})
	if d := list[0].Replay(); d == nil || d.Err == nil || !strings.Contains(d.Error(), "not twice") {
		t.Errorf("difference %+v", d)
	}
}

// What a room keeps for its shadow is bounded (I8): longer stretches are not compared.
func TestLongStretchesAreNotKept(t *testing.T) {
	hook(t, func(p *puppet, _ *Tick[order]) { p.Name = strings.Repeat("x", maxStretchBytes/2) })
	list, snapshots := stretches(t, 1, 300, order{Do: strings.Repeat("x", 10_000)})
	if len(list) != 0 || snapshots == 0 {
		t.Errorf("%d shadows of %d snapshots", len(list), snapshots)
	}
}
