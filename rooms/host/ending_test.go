package host

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"tickover.dev/rooms"
	"tickover.dev/rooms/memjournal"
)

// brief is a game that is over with the first input.
type brief struct{ Steps int }

func (g *brief) Step(t *rooms.Tick[order]) {
	for e := range t.Events() {
		if e.Type == rooms.Input {
			t.End("won")
		}
	}
}

// reluctant is a journal whose appends can be held, and that buries nobody while it has a reason not to.
type reluctant struct {
	*memjournal.Journal
	holding atomic.Bool
	held    chan []rooms.Entry
	why     atomic.Pointer[error]
	asked   atomic.Int64
}

func (j *reluctant) Append(batch []rooms.Entry, done func([]rooms.Result)) {
	if j.holding.Load() {
		j.held <- batch
		return
	}
	j.Journal.Append(batch, done)
}

func (j *reluctant) Bury(ctx context.Context, room rooms.ID, e rooms.Epoch, end []byte, ttl time.Duration) error {
	j.asked.Add(1)
	if why := j.why.Load(); why != nil {
		return *why
	}
	return j.Journal.Bury(ctx, room, e, end, ttl)
}

// startBrief starts a host of such rooms, and gives what its Ended is told.
func startBrief(t *testing.T) (*Host, *sink, *reluctant, chan rooms.Ended) {
	t.Helper()
	s, j, told := newSink(), &reluctant{Journal: memjournal.New(), held: make(chan []rooms.Entry, 16)}, make(chan rooms.Ended, 16)
	h, err := New(Config{
		Kinds: []rooms.Kind{rooms.Define(&brief{}, rooms.Config{Name: "game", RateHz: 50})}, Journal: j, Sink: s, Shards: 1,
		Ended: func(_ context.Context, _ *Handle, e rooms.Ended) { told <- e },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := h.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return h, s, j, told
}

func finish(r *Handle, seat rooms.Seat, session string) {
	r.Post(&rooms.Mail{Type: rooms.MailInput, Seat: seat, Session: session, Gen: 1, Run: 1, Number: 1, Body: rooms.Encode(nil, order{})})
}

// Somebody may claim a room between its end and its burial. Whoever takes it off the directory then hides it from everybody: if the
// claimant dies, its journal is left for good.
func TestARoomThatWasClaimedBeforeItsBurialIsKept(t *testing.T) {
	h, s, j, told := startBrief(t)
	r, seat := join(t, h, s, "ann")
	lost := rooms.ErrClaimLost
	j.why.Store(&lost)
	finish(r, seat, "ann")
	if e := <-told; !e.Kept {
		t.Errorf("told %+v of a room that somebody else has", e)
	}
}

// A room whose players were told of its end must not come back to life here because the store did not answer its burial.
func TestAnEndThatWasToldStands(t *testing.T) {
	h, s, j, _ := startBrief(t)
	r, seat := join(t, h, s, "ann")
	away := errors.New("away")
	j.why.Store(&away)
	finish(r, seat, "ann")
	eventually(t, "the room is over", func() bool { return j.asked.Load() > 0 })
	j.why.Store(nil)
	if epoch, err := h.Claim(t.Context(), r.ID, 0, func(rooms.Node) bool { return true }); !errors.Is(err, rooms.ErrGone) {
		t.Errorf("claimed in epoch %d, %v", epoch, err)
	}
	if _, err := j.Tomb(t.Context(), r.ID); err != nil {
		t.Errorf("its tomb: %v", err)
	}
}

// Who comes back in the moment of the end must learn who has won, and not that nobody knows the seat.
func TestAReturnInTheMomentOfTheEndIsToldOfIt(t *testing.T) {
	h, s, j, _ := startBrief(t)
	r, seat := join(t, h, s, "ann")
	j.holding.Store(true)
	finish(r, seat, "ann")
	end := <-j.held
	for h.Len() > 0 { // ticks without the end may come first
		var results []rooms.Result
		j.Journal.Append(end, func(rs []rooms.Result) { results = rs })
		run := r.runner
		run.mu.Lock() // the answer and the return come in one round
		run.inbox.answered = append(run.inbox.answered, answered{end, results})
		run.inbox.mail = append(run.inbox.mail, rooms.Mail{Type: rooms.MailReturn, Room: r.ID, Seat: seat, Session: "ann", Gen: 9, Run: 1})
		run.mu.Unlock()
		run.signal()
		select {
		case end = <-j.held:
		case <-time.After(200 * time.Millisecond): // nothing more comes of a room that is over
		}
	}
	var n rooms.Note
	eventually(t, "the return is answered", func() (ok bool) { n, ok = s.note(rooms.NoteGone, "ann"); return ok })
	if n.Why != "ended" || len(n.Result) == 0 {
		t.Errorf("told %q with result %x", n.Why, n.Result)
	}
}
