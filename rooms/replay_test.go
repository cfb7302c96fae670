package rooms

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// restless has every puppet change at every tick, and count its inputs.
func restless(t *testing.T) {
	hook(t, func(p *puppet, t *Tick[order]) {
		p.N = p.N*31 + int(t.Rand().Uint32())
		each(t, Input, func(e Event[order]) {
			switch e.Input.Do {
			case "end soon":
				t.After(100*time.Millisecond, "end")
			case "job":
				t.Do("job", 1)
			case "say":
				t.Broadcast("said", strings.Repeat("x", e.Input.N))
			}
		})
		each(t, Timer, func(Event[order]) { t.End("over") })
	})
}

func replayRig(t *testing.T, rate int) (*rig, *core, Seat) {
	r := newRig(t)
	c := r.create(Config{RateHz: rate, Durability: Replay})
	seat := r.join("ann")
	r.s.Prove("r") // a snapshot that has her
	r.step()
	return r, c, seat
}

// A room whose state changes at every tick, with nothing reaching it, would else write an entry at every tick; and if it wrote the next one
// only when the horizon is reached, its players would see it stand still until the journal has answered.
func TestTicksWithoutEventsNeedNoEntryOfTheirOwn(t *testing.T) {
	restless(t)
	r, c, _ := replayRig(t, 20)
	r.hold = true // each append is answered one tick later
	entries, frames := len(r.all), r.frames
	for range 200 {
		r.step()
		if r.tick != c.h.Tick || r.tick > c.horizon {
			t.Fatalf("tick %d is shown at tick %d, the horizon is %d", r.tick, c.h.Tick, c.horizon)
		}
		r.answerHeld(Confirmed)
	}
	if shown, wrote := r.frames-frames, len(r.all)-entries; shown != 200 || wrote > 16 {
		t.Errorf("in 200 ticks %d frames were shown with %d entries", shown, wrote)
	}
	for range 40 { // and now the journal does not answer
		r.step()
		if r.tick > c.horizon {
			t.Fatalf("tick %d is shown, the horizon is %d", r.tick, c.horizon)
		}
	}
	if r.tick != c.horizon {
		t.Errorf("shown up to tick %d, the horizon is %d", r.tick, c.horizon)
	}
}

// What an input did must be in the journal before anybody sees it, also within the horizon of an earlier entry.
func TestTicksWithEventsWaitForTheirEntry(t *testing.T) {
	restless(t)
	r, _, seat := replayRig(t, 20)
	r.step()
	r.hold = true
	before := r.tick
	r.input(seat, "ann", 1, order{})
	r.step()
	r.step()
	if r.tick != before || r.parts[seat].Applied != 0 {
		t.Errorf("tick %d was shown, %d is in the journal", r.tick, before)
	}
	r.hold = false
	r.answerHeld(Confirmed)
	if r.tick != before+2 || r.parts[seat].Applied != 1 {
		t.Errorf("shown up to tick %d, want %d; %d inputs applied", r.tick, before+2, r.parts[seat].Applied)
	}
}

// A room that nobody watches must not write for nobody; but it must not let its tail grow until nobody can step it again.
func TestUnwatchedRoomsWriteOnlySnapshots(t *testing.T) {
	restless(t)
	r, c, seat := replayRig(t, 20)
	r.mail(Mail{Type: MailDrop, Seat: seat, Session: "ann", Gen: 1})
	r.step()
	entries := len(r.all)
	c.h.Seats.Get(seat).GraceEnd = time.Hour
	for range 2*maxTail + 10 {
		r.step()
	}
	wrote := r.all[entries:]
	if len(wrote) != 2 || wrote[0].Kind != EntrySnapshot || wrote[1].Kind != EntrySnapshot {
		t.Errorf("%d entries were written", len(wrote))
	}
}

// Each bound on the tail must have a snapshot written, or a take-over takes longer than players forgive.
func TestSnapshotsAreDueWhenTheTailIsLong(t *testing.T) {
	restless(t)
	for name, x := range map[string]struct {
		took time.Duration // of a step
		size int           // of an input
		want int           // ticks between snapshots, about
	}{
		"entries": {0, 1, maxDeltas}, "time": {100 * time.Microsecond, 1, 40}, "slow steps": {time.Second, 1, minTail}, "bytes": {0, 1000, 130},
	} {
		r := newRig(t)
		clock := time.Duration(0)
		r.s.Clock = func() time.Duration { clock += x.took; return clock }
		c := r.create(Config{RateHz: 20, Durability: Replay})
		seat := r.join("ann")
		last, gaps := uint64(0), []int(nil)
		for n := uint64(1); n <= 1000; n++ {
			r.input(seat, "ann", n, order{Do: strings.Repeat("x", x.size)})
			r.step()
			if r.all[len(r.all)-1].Kind == EntrySnapshot {
				gaps = append(gaps, int(c.h.Tick-last))
				last = c.h.Tick
			}
		}
		if len(gaps) < 3 || gaps[2] < x.want*8/10 || gaps[2] > x.want*12/10 {
			t.Errorf("%s: snapshots after %v ticks, want %d", name, gaps, x.want)
		}
	}
}

// A room that ended on the way to its horizon may have been shown to end; its next owner must not play on.
func TestRoomThatEndsBeforeItsHorizonStaysEnded(t *testing.T) {
	restless(t)
	r, c, seat := replayRig(t, 20)
	r.input(seat, "ann", 1, order{Do: "end soon"})
	r.step()
	last := r.all[len(r.all)-1]
	next, err := r.moved(c.kind, false)
	if err != nil {
		t.Fatal(err)
	}
	if len(next.ended) != 1 || next.ended[0].Why != "ended" {
		t.Fatalf("ended %+v", next.ended)
	}
	if got := next.all[0].ID.Tick; got != last.ID.Tick+2 || got >= last.Horizon {
		t.Errorf("ended at tick %d, the last entry is %d with horizon %d", got, last.ID.Tick, last.Horizon)
	}
}

// FAILOVER.md R18: what other rules have done cannot be done again; players must be told, and numbers must not be used twice.
func TestTailOfOtherRulesIsRolledBack(t *testing.T) {
	restless(t)
	r, c, seat := replayRig(t, 20)
	for n := uint64(1); n <= 5; n++ {
		r.input(seat, "ann", n, order{Do: "job"})
		r.step()
	}
	whole, seen := r.stored[0].ID.Tick, r.tick
	other := *c.kind
	other.rules += 2
	next, err := r.moved(&other, false)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(next.status, []Status{StatusRolledBack}) || next.tick != whole || next.tick >= seen {
		t.Errorf("told %v at tick %d; the snapshot is of tick %d, %d was shown", next.status, next.tick, whole, seen)
	}
	if n := next.s.Counters.OtherRules.Load(); n != 1 {
		t.Errorf("counted %d", n)
	}
	next.step()
	if got := next.s.rooms["r"].h.NextJob; got <= c.h.NextJob {
		t.Errorf("the next job is number %d, %d was begun", got+1, c.h.NextJob)
	}
	if _, gone := next.noted(NoteOverflow, "ann"); !gone {
		t.Errorf("ann was told %+v: nothing has her return", next.notes)
	}

	r.mail(Mail{Type: MailRelease})
	r.carryOut()
	next, err = r.moved(&other, false)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(next.status, []Status{StatusResumed}) || next.s.Counters.OtherRules.Load() != 0 {
		t.Errorf("released, and told %v", next.status)
	}
}

// A game that is not deterministic must not cost its players the room.
func TestDivergedRoomGoesOnFromItsSnapshot(t *testing.T) {
	secret := 0
	hook(t, func(p *puppet, t *Tick[order]) {
		each(t, Input, func(e Event[order]) {
			secret++
			p.N = secret
			if e.Input.Do == "panic" && secret > 2 {
				panic("the second time")
			}
		})
	})
	for _, do := range []string{"", "panic"} {
		secret = 0
		r, c, seat := replayRig(t, 20)
		r.input(seat, "ann", 1, order{})
		r.step()
		r.input(seat, "ann", 2, order{Do: do})
		r.step()
		next, err := r.moved(c.kind, false)
		if err != nil {
			t.Fatal(err)
		}
		got := next.s.rooms["r"]
		if !slices.Equal(next.status, []Status{StatusRolledBack}) || next.s.Counters.Diverged.Load() != 1 || got.game.(*room[*puppet, order]).game.N != 0 {
			t.Errorf("%q: told %v, counted %d", do, next.status, next.s.Counters.Diverged.Load())
		}
		next.mail(Mail{Type: MailReturn, Seat: seat, Session: "ann", Gen: 2, Run: 1, Number: 0})
		next.step()
		if n, ok := next.noted(NoteReturned, "ann"); !ok || n.Resumed || n.Applied != 0 {
			t.Errorf("%q: ann was told %+v", do, n)
		}
		next.mail(Mail{Type: MailInput, Seat: seat, Session: "ann", Gen: 2, Run: 1, Number: 3, Body: Encode(nil, order{})})
		next.step()
		if next.parts[seat].Applied != 3 {
			t.Errorf("%q: an input behind those that were lost was not applied", do)
		}
	}
}

// A damaged tail must not be taken for a sound one, nor take the node with it.
func TestDamagedTailIsRolledBack(t *testing.T) {
	restless(t)
	for _, rate := range []int{0, 20} {
		r, c, seat := replayRig(t, rate)
		r.input(seat, "ann", 1, order{})
		r.step()
		good := r.stored
		sound, err := r.moved(c.kind, false)
		if err != nil {
			t.Fatal(err)
		}
		want := sound.s.rooms["r"].hash()
		body := good[len(good)-1].Body
		for i := range body {
			r.stored = slices.Clone(good)
			spoilt := slices.Clone(body)
			spoilt[i] ^= 0x15
			r.stored[len(good)-1].Body = spoilt
			next, err := r.moved(c.kind, false)
			switch {
			case errors.Is(err, ErrCorrupt), errors.Is(err, ErrNewer): // the number of the format may be what is damaged
			case err != nil:
				t.Errorf("byte %d: %v", i, err)
			case next.s.Counters.Diverged.Load() != 1 && next.s.rooms["r"].hash() != want:
				t.Errorf("byte %d: resumed as another room", i)
			}
		}
	}
}

// Acknowledgements bound what a seat keeps. They must be in the journal, as a seat that keeps too much is given up in a step; but a room
// whose players only watch must not write for them.
func TestAcknowledgementsWaitForAnEntry(t *testing.T) {
	restless(t)
	r, c, seat := replayRig(t, 20)
	const each = 10 << 10
	for n := uint64(1); n <= 100; n++ { // four times what a seat may keep
		r.input(seat, "ann", n, order{Do: "say", N: each})
		r.step()
		r.mail(Mail{Type: MailAck, Seat: seat, Session: "ann", Gen: 1, Number: n})
	}
	if s := c.h.Seats.Get(seat); s.Lost || s.Acked < 99 {
		t.Fatalf("seat %+v", s)
	}
	entries := len(r.all)
	for range 20 { // ann says that she has seen it all, again and again
		r.mail(Mail{Type: MailAck, Seat: seat, Session: "ann", Gen: 1, Number: 100})
		r.step()
	}
	if n := len(r.all) - entries; n > 8 {
		t.Errorf("%d entries in 20 ticks", n)
	}
	if s := c.h.Seats.Get(seat); s.Acked != 100 || c.outs.Get(seat).ring.bytes != 0 {
		t.Errorf("seat %+v", s)
	}
	next, err := r.moved(c.kind, false)
	if err != nil || next.s.Counters.Diverged.Load() != 0 {
		t.Fatal(err)
	}
	if s := next.s.rooms["r"].h.Seats.Get(seat); s.Acked != 100 {
		t.Errorf("the next owner knows of %d messages", s.Acked)
	}
}

// A journal that loses its newest entries is sealed by a snapshot: nothing may be shown on the strength of what is lost.
func TestNothingIsShownWithinALostHorizon(t *testing.T) {
	restless(t)
	r, c, _ := replayRig(t, 20)
	for range 30 {
		r.step()
	}
	r.hold = true
	r.s.Reseal()
	before := r.tick
	r.step()
	r.step()
	if r.tick != before {
		t.Errorf("tick %d was shown before the seal", r.tick)
	}
	if sealed := r.held[0]; sealed.Kind != EntrySnapshot {
		t.Errorf("sealed with kind %d", sealed.Kind)
	}
	r.hold = false
	r.answerHeld(Confirmed)
	if r.tick != c.h.Tick {
		t.Errorf("shown up to tick %d of %d", r.tick, c.h.Tick)
	}
}

// What a kind's steps depend on must tell its rules apart; all else must not, or a restart rolls rooms back for nothing.
func TestRulesAreToldApart(t *testing.T) {
	base := Config{Name: "puppet", RateHz: 20, Durability: Replay}
	same, slow, newer, every := base, base, base, base
	same.StepLimit, slow.RateHz, newer.Version, every.Durability = time.Second, 10, 1, EveryChange
	rules := func(c Config) uint64 {
		k := Define(&puppet{}, c)
		return k.rules
	}
	if again := base; rules(base) != rules(again) || rules(base) != rules(same) || rules(base) == 0 {
		t.Error("equal rules are told apart")
	}
	if rules(base) == rules(slow) || rules(base) == rules(newer) || rules(every) != 0 {
		t.Error("different rules are not told apart")
	}
}

// A new build may journal a kind otherwise: its rooms must move to it, without loss if they were handed over.
func TestDurabilityMayChangeWithTheBuild(t *testing.T) {
	restless(t)
	for _, x := range []struct {
		from, to Durability
		release  bool
		want     Status
	}{
		{EveryChange, Replay, false, StatusResumed},
		{EveryChange, Replay, true, StatusResumed},
		{Replay, EveryChange, false, StatusRolledBack},
		{Replay, EveryChange, true, StatusResumed},
	} {
		r := newRig(t)
		r.create(Config{RateHz: 20, Durability: x.from})
		seat := r.join("ann")
		r.input(seat, "ann", 1, order{})
		r.step()
		if x.release {
			r.mail(Mail{Type: MailRelease})
			r.carryOut()
		}
		next, err := r.moved(puppetKind(Config{RateHz: 20, Durability: x.to}), false)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(next.status, []Status{x.want}) {
			t.Errorf("%s to %s, released %v: told %v", x.from, x.to, x.release, next.status)
		}
		again, err := next.moved(next.s.rooms["r"].kind, false) // and on, as what it is now
		if err != nil || !slices.Equal(again.status, []Status{StatusResumed}) {
			t.Errorf("%s to %s, released %v, and on: %v, told %v", x.from, x.to, x.release, err, again.status)
		}
	}
}
