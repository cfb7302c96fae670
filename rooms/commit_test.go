package rooms

import (
	"errors"
	"slices"
	"testing"
	"time"

	"tickover.dev/codec"
)

// Otherwise a pause of the process is followed by a burst of steps as long as the pause, which makes the next one.
func TestFiveLateTicksAreCaughtUpThenTheScheduleSlides(t *testing.T) {
	r := newRig(t)
	c := r.create(Config{RateHz: 20})
	before := c.h.Tick
	r.wait(3 * 50 * time.Millisecond)
	if n := c.h.Tick - before; n != 3 {
		t.Errorf("%d of 3 late ticks were caught up", n)
	}
	before = c.h.Tick
	r.wait(time.Hour)
	if n := c.h.Tick - before; n != maxLateTicks {
		t.Errorf("after an hour %d ticks were stepped, want %d", n, maxLateTicks)
	}
	if want := c.kind.period() * time.Duration(c.h.Tick); c.h.Now != want {
		t.Errorf("room time %s at tick %d, want %s: a number was skipped", c.h.Now, c.h.Tick, want)
	}
	before = c.h.Tick
	r.step()
	if c.h.Tick != before+1 {
		t.Errorf("after the slide a period is %d ticks", c.h.Tick-before)
	}
}

// A room that waits for its journal must say so once, and again when it goes on: also one that steps on events alone.
func TestPausedRoomSaysSoOnce(t *testing.T) {
	for _, rate := range []int{0, 20} {
		for _, how := range []Outcome{Confirmed, Refused} {
			r := newRig(t)
			r.create(Config{RateHz: rate})
			seat := r.join("ann")
			r.hold, r.status = true, nil
			for n := uint64(1); n <= 60; n++ {
				r.input(seat, "ann", n, order{})
				r.step()
				if how == Refused {
					r.answerHeld(Refused)
				}
			}
			if !slices.Equal(r.status, []Status{StatusPaused}) {
				t.Errorf("rate %d, %s: told %v, want paused once", rate, how, r.status)
			}
			r.hold = false
			for range 10 {
				r.answerHeld(Confirmed)
				r.step()
			}
			if !slices.Equal(r.status, []Status{StatusPaused, StatusPlaying}) || r.parts[seat].Applied != 60 {
				t.Errorf("rate %d, %s: told %v, %d of 60 inputs applied", rate, how, r.status, r.parts[seat].Applied)
			}
		}
	}
}

// What players saw must not be taken back by the next owner: it goes on behind the horizon, and nothing is shown beyond it.
func TestQuietTicksAreShownWithinTheHorizonOnly(t *testing.T) {
	r := newRig(t)
	c := r.create(Config{RateHz: 20})
	r.join("ann")
	entries, frames := len(r.all), r.frames
	for range 200 {
		r.step()
		if r.tick > c.horizon {
			t.Fatalf("tick %d shown, the horizon is %d", r.tick, c.horizon)
		}
	}
	if shown, wrote := r.frames-frames, len(r.all)-entries; shown < 15 || wrote >= shown {
		t.Errorf("in 10 quiet seconds %d frames were shown with %d entries", shown, wrote)
	}
	next, err := r.moved(c.kind, false)
	if err != nil {
		t.Fatal(err)
	}
	if got := next.s.rooms["r"]; got.h.Tick < r.tick || got.h.Now != got.kind.period()*time.Duration(got.h.Tick) {
		t.Errorf("resumed at tick %d (%s); tick %d had been shown", got.h.Tick, got.h.Now, r.tick)
	}
}

// A release right behind an entry used to take that entry's id: it was refused, and the room lost.
func TestReleaseBehindAnEntryTakesALaterID(t *testing.T) {
	for _, rate := range []int{0, 20} {
		r := newRig(t)
		c := r.create(Config{RateHz: rate})
		r.join("ann")
		r.mail(Mail{Type: MailRelease})
		r.carryOut()
		last := r.all[len(r.all)-1]
		if len(r.ended) != 1 || r.ended[0].Why != "released" || last.Kind != EntryRelease || last.Horizon != last.ID.Tick {
			t.Fatalf("rate %d: ended %+v with %s, kind %d", rate, r.ended, last.ID, last.Kind)
		}
		for i := 1; i < len(r.all); i++ {
			if r.all[i].ID.Compare(r.all[i-1].ID) <= 0 {
				t.Errorf("rate %d: entry %s behind %s", rate, r.all[i].ID, r.all[i-1].ID)
			}
		}
		if _, err := r.moved(c.kind, false); err != nil {
			t.Error(err)
		}
	}
}

// A release while the journal's answer is open must wait for it, in every way it can come.
func TestReleaseWaitsForTheOpenAppend(t *testing.T) {
	for _, how := range []string{"confirmed", "refused", "unknown"} {
		r := newRig(t)
		c := r.create(Config{RateHz: 20})
		seat := r.join("ann")
		r.hold = true
		r.input(seat, "ann", 1, order{})
		r.step()
		r.mail(Mail{Type: MailRelease})
		r.carryOut()
		sent := c.sent
		r.hold = false
		switch how {
		case "confirmed":
			r.answerHeld(Confirmed)
		case "refused":
			r.answerHeld(Refused)
			r.wait(time.Second)
		case "unknown":
			r.answerHeld(Unknown)
			r.s.TakeTop("r", Top{ID: sent.ID, Nonce: sent.Nonce}, nil, r.now)
			r.stored = append(r.stored, sent)
			r.carryOut()
		}
		if len(r.ended) != 1 || r.ended[0].Why != "released" || r.parts[seat].Applied != 1 {
			t.Errorf("%s: ended %+v, %d inputs applied", how, r.ended, r.parts[seat].Applied)
		}
	}
}

// The next owner of a room that never stepped would find one whose game was never told of its creation.
func TestRoomReleasedAtOnceHasBeenCreated(t *testing.T) {
	created := 0
	hook(t, func(_ *puppet, t *Tick[order]) { each(t, Created, func(Event[order]) { created++ }) })
	r := newRig(t)
	r.mail(Mail{Type: MailCreate, Kind: puppetKind(Config{RateHz: 20}), Epoch: 1, Nonce: 5})
	r.mail(Mail{Type: MailRelease})
	r.carryOut()
	if created != 1 || len(r.ended) != 1 || r.ended[0].Why != "released" {
		t.Errorf("created %d times, ended %+v", created, r.ended)
	}
}

// R2, case by case: what the top of the journal says about an entry whose answer was lost.
func TestTopDecidesAnUnknownAppend(t *testing.T) {
	c := core{commit: commit{epoch: 7, nonce: 70, last: EntryID{7, 10}, sent: Entry{ID: EntryID{7, 12}}}}
	for _, x := range []struct {
		name string
		top  Top
		want verdict
	}{
		{"stored", Top{ID: EntryID{7, 12}, Nonce: 70}, verdictConfirmed},
		{"not stored", Top{ID: EntryID{7, 10}, Nonce: 70}, verdictResend},
		{"a newer epoch", Top{ID: EntryID{8, 0}, Nonce: 80}, verdictFenced},
		{"a claim of the same epoch by another", Top{ID: EntryID{7, 12}, Nonce: 71}, verdictFenced},
		{"the store lost its tail", Top{ID: EntryID{7, 8}, Nonce: 70}, verdictLost},
		{"the store lost our claim, too", Top{ID: EntryID{6, 99}, Nonce: 60}, verdictLost},
		{"an entry that was replaced came in late", Top{ID: EntryID{7, 11}, Nonce: 70}, verdictLost},
	} {
		if got := c.afterTop(x.top); got != x.want {
			t.Errorf("%s: verdict %d, want %d", x.name, got, x.want)
		}
	}
}

// The first copy of an entry may come in after its owner asked and sent a second: that one is refused because of the first.
func TestSecondCopyIsNotFencedByTheFirst(t *testing.T) {
	r := newRig(t)
	c := r.create(Config{RateHz: 20})
	seat := r.join("ann")
	r.hold = true
	r.input(seat, "ann", 1, order{})
	r.step()
	first := c.sent
	r.answerHeld(Unknown)
	r.s.TakeTop("r", Top{ID: c.last, Nonce: c.nonce}, nil, r.now) // not there yet
	r.carryOut()
	r.asks = nil
	r.answerHeld(Fenced) // the second copy met the first
	if len(r.asks) != 1 || len(r.ended) != 0 {
		t.Fatalf("asked %v, ended %v: want the top read", r.asks, r.ended)
	}
	r.hold = false
	r.s.TakeTop("r", Top{ID: first.ID, Nonce: first.Nonce}, nil, r.now)
	r.carryOut()
	if r.parts[seat].Applied != 1 {
		t.Error("the input was not acknowledged")
	}
}

// After a lost tail the frame on its way is replaced; the answers in it must not be lost with it.
func TestResealKeepsNotesAndAnswers(t *testing.T) {
	hook(t, func(_ *puppet, t *Tick[order]) { each(t, Signal, func(e Event[order]) { t.Reply(e, 1) }) })
	r := newRig(t)
	c := r.create(Config{RateHz: 20})
	seat := r.join("ann")
	r.hold = true
	r.mail(Mail{Type: MailJoin, Session: "bob", Gen: 1, Run: 1, Number: 1})
	r.mail(Mail{Type: MailSignal, Name: "s", Ticket: 9})
	r.mail(Mail{Type: MailLeave, Seat: seat, Session: "ann", Gen: 1, Number: 2})
	r.step()
	r.answerHeld(Unknown)
	r.hold, r.stored = false, r.stored[:1]
	r.s.TakeTop("r", Top{ID: EntryID{1, 1}, Nonce: c.nonce}, nil, r.now)
	r.carryOut()
	_, joined := r.noted(NoteJoined, "bob")
	_, left := r.noted(NoteLeft, "ann")
	if !joined || !left || len(r.answers) != 1 || r.answers[0].Request != 9 {
		t.Errorf("joined %v, left %v, answers %+v", joined, left, r.answers)
	}
	if c.last.Tick <= c.sent.Prev.Tick || r.all[len(r.all)-1].Kind != EntrySnapshot {
		t.Errorf("sealed with %s, kind %d", c.last, r.all[len(r.all)-1].Kind)
	}
}

// A room without a rate sleeps until its next deadline: one that passes while an append is open must not be slept through.
func TestDeadlineDuringAnAppendIsNotSleptThrough(t *testing.T) {
	rung := 0
	hook(t, func(_ *puppet, t *Tick[order]) {
		each(t, Input, func(Event[order]) { t.After(time.Second, "bell"); t.AddBot("bot") })
		each(t, Timer, func(Event[order]) { rung++ })
	})
	r := newRig(t)
	c := r.create(Config{})
	seat := r.join("ann")
	r.hold = true
	r.input(seat, "ann", 1, order{})
	r.step()
	r.wait(2 * time.Second)
	r.hold = false
	r.answerHeld(Confirmed)
	if rung != 1 {
		t.Errorf("the bell rang %d times", rung)
	}
	if c.h.Seats.Len() != 2 {
		t.Errorf("%d seats are taken: the bot that was asked for never came", c.h.Seats.Len())
	}
}

// R12: a Periodic room plays on without its journal, but only as long as its loss bound allows, and it ends with a sound journal.
func TestPeriodicStopsAtItsBound(t *testing.T) {
	hook(t, func(p *puppet, t *Tick[order]) {
		p.N++
		each(t, Input, func(e Event[order]) {
			if e.Input.Do == "end" {
				t.End(nil)
			}
		})
	})
	r := newRig(t)
	c := r.create(Config{RateHz: 20, Durability: Periodic})
	seat := r.join("ann")
	r.wait(time.Second)
	r.wait(time.Second)
	r.hold = true
	saved, frames := c.savedAt, r.frames
	for range 200 {
		r.step()
	}
	if ahead := c.h.Now - saved; ahead > periodicBound || ahead < time.Second {
		t.Errorf("played on for %s without a snapshot", ahead)
	}
	if n := r.frames - frames; n < 20 || n > 41 {
		t.Errorf("%d frames were shown without a journal", n)
	}
	r.hold = false
	r.answerHeld(Confirmed)
	r.input(seat, "ann", 1, order{Do: "end"})
	r.step()
	if len(r.ended) != 1 {
		t.Fatal("the room did not end")
	}
	if _, err := replay(r.stored); err != nil {
		t.Errorf("its journal: %v", err)
	}
}

// A damaged journal must be refused, not played.
func TestCorruptJournalsAreRefused(t *testing.T) {
	hook(t, func(p *puppet, _ *Tick[order]) { p.N++ })
	r := newRig(t)
	c := r.create(Config{RateHz: 20})
	r.join("ann")
	for range 5 {
		r.step()
	}
	good := r.stored
	if len(good) < 4 {
		t.Fatalf("only %d entries", len(good))
	}
	for name, spoil := range map[string]func([]Entry) []Entry{
		"a missing entry": func(es []Entry) []Entry { return slices.Delete(es, 2, 3) },
		"a changed body": func(es []Entry) []Entry {
			es[2].Body = slices.Clone(es[2].Body)
			es[2].Body[len(es[2].Body)/2] ^= 0x40
			return es
		},
		"a cut body":      func(es []Entry) []Entry { es[2].Body = es[2].Body[:9]; return es },
		"entries swapped": func(es []Entry) []Entry { es[2], es[3] = es[3], es[2]; return es },
		"no state at all": func(es []Entry) []Entry { return es[1:] },
		"a format that never was": func(es []Entry) []Entry {
			es[0].Body = bodyCodec.Append(nil, pointerTo(&entryBody{Format: -1}))
			return es
		},
		"nothing": func([]Entry) []Entry { return nil },
	} {
		r.stored = good
		if err := newRig(t).s.Adopt("r", c.kind, 2, 6, spoil(slices.Clone(good)), nil, r.now); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v, want ErrCorrupt", name, err)
		}
	}
}

// What a newer node has written is well: if an older one took it for corrupt, it would bury rooms that another could run.
func TestWhatIsNewerIsNotCorrupt(t *testing.T) {
	type other struct { // of entryBody it keeps nothing but the place of the number
		Format int                `msgpack:"f"`
		Kind   Table[string, int] `msgpack:"k"`
	}
	newer, err := codec.Append(nil, &other{Format: entryFormat + 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []Durability{EveryChange, Replay} {
		hook(t, func(p *puppet, tick *Tick[order]) { each(tick, Input, func(Event[order]) { p.N++ }) })
		r := newRig(t)
		c := r.create(Config{RateHz: 20, Durability: d, Version: 3})
		seat := r.join("ann")
		for n := range uint64(3) {
			r.input(seat, "ann", n+1, order{})
			r.step()
		}
		good := r.stored
		if last := good[len(good)-1]; last.Kind != EntryDelta {
			t.Fatalf("%s: the newest entry is of kind %d", d, last.Kind)
		}
		for at := range good {
			es := slices.Clone(good)
			es[at].Body = newer
			if err := newRig(t).s.Adopt("r", c.kind, 2, 6, es, nil, r.now); !errors.Is(err, ErrNewer) || errors.Is(err, ErrCorrupt) {
				t.Errorf("%s: entry %d of %d: %v, want ErrNewer", d, at, len(es), err)
			}
		}
		older := puppetKind(Config{RateHz: 20, Durability: d, Version: 2})
		if err := newRig(t).s.Adopt("r", older, 2, 6, slices.Clone(good), nil, r.now); !errors.Is(err, ErrNewer) {
			t.Errorf("%s: a newer version of the kind: %v, want ErrNewer", d, err)
		}
	}
}

// Clients place ticks in time by what they are told: it must be right for every tick that is shown, and follow each slide.
func TestFramesSayWhenTheirTickWasDue(t *testing.T) {
	hook(t, func(p *puppet, _ *Tick[order]) { p.N++ })
	r := newRig(t)
	r.s.Unix = 1000 * time.Hour
	c := r.create(Config{RateHz: 20})
	r.join("ann")
	check := func(r *rig, what string, tick uint64, due time.Duration) {
		t.Helper()
		if c := r.s.rooms["r"]; r.tick != tick || r.due != r.s.Unix+due || r.tick != c.h.Tick {
			t.Errorf("%s: tick %d was due at %s, want %d at %s", what, r.tick, r.due-r.s.Unix, tick, due)
		}
	}
	check(r, "on time", c.h.Tick, r.now)
	r.wait(120 * time.Millisecond) // two ticks, the second 20 ms late
	check(r, "late", c.h.Tick, r.now-20*time.Millisecond)
	r.wait(time.Hour)
	check(r, "slid", c.h.Tick, r.now-20*time.Millisecond)
	r.wait(30 * time.Millisecond)
	r.hold = true
	r.step()
	r.wait(time.Minute) // at its bound before long: the schedule goes on without it
	for range 30 {
		r.step()
	}
	stopped := c.h.Tick
	r.hold = false
	r.answerHeld(Confirmed)
	check(r, "after a pause", stopped, r.now)
	next, err := r.moved(c.kind, false)
	if err != nil {
		t.Fatal(err)
	}
	next.s.Unix = 2000 * time.Hour // another machine's clock
	next.step()
	next.step()
	check(next, "moved", next.tick, next.now)

	still := newRig(t)
	still.s.Unix = time.Hour
	still.create(Config{})
	still.join("ann")
	if still.due != 0 {
		t.Error("a room without a rate says when its tick was due")
	}
}

// R12: players of a Periodic room that goes on from an old snapshot must not be told that it was resumed where it was; those of one
// that was released must.
func TestOnlyRoomsThatLostSomethingAreRolledBack(t *testing.T) {
	hook(t, func(p *puppet, _ *Tick[order]) { p.N++ })
	for _, x := range []struct {
		d       Durability
		release bool
		want    Status
	}{{Periodic, false, StatusRolledBack}, {Periodic, true, StatusResumed}, {EveryChange, false, StatusResumed}, {EveryChange, true, StatusResumed}, {Replay, false, StatusResumed}, {Replay, true, StatusResumed}} {
		r := newRig(t)
		c := r.create(Config{RateHz: 20, Durability: x.d})
		r.join("ann")
		for range 50 {
			r.step()
		}
		saved := r.all[len(r.all)-1].ID.Tick
		if x.release {
			r.mail(Mail{Type: MailRelease})
			r.carryOut()
			saved = r.all[len(r.all)-1].ID.Tick
		}
		next, err := r.moved(c.kind, false)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(next.status, []Status{x.want}) {
			t.Errorf("%s, released %v: told %v, want %v", x.d, x.release, next.status, x.want)
		}
		if x.d == Periodic && (next.tick != saved || !x.release && next.tick >= r.tick) {
			t.Errorf("goes on at tick %d; %d was saved, %d shown", next.tick, saved, r.tick)
		}
	}
}
