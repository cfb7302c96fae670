// Package roomtest plays rooms in tests: players join, send, drop and return, time passes as fast as it can be computed, and
// nothing runs beside the test's own goroutine. At the end of every test the room is resumed from every entry of its journal and
// stepped again with what happened then; a copy that differs from the original fails the test, because on another node it would
// have been another game. Rooms of Durability Replay are also stepped again from their snapshots to each of their entries, and the test
// fails with the field that comes out otherwise.
package roomtest

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"tickover.dev/rooms"
	"tickover.dev/rooms/memjournal"
)

// Room is one room under test.
type Room struct {
	tb      testing.TB
	kind    *rooms.Kind
	id      rooms.ID
	shard   *rooms.Shard
	journal *memjournal.Journal
	now     time.Duration
	players []*Player
	public  []byte
	mail    []rooms.Mail // since the last step
	history []moment
	ended   *rooms.Ended
	gen     uint64

	faultsAllowed bool
	answers       map[uint64]rooms.Note
	tickets       uint64
	requests      uint64
}

// moment is one step, as the proof at the end needs it.
type moment struct {
	now     time.Duration
	mail    []rooms.Mail
	hash    uint64
	tick    uint64
	epoch   rooms.Epoch
	entries []rooms.Entry // the journal after the step, nil if it wrote nothing
	shadow  *rooms.Shadow // of a Replay room: from its newest snapshot to here
	state   []byte        // the game's
}

const id = rooms.ID("room-under-test")

// New makes a room of a kind and steps it once. options are the creator's, or nil.
func New(tb testing.TB, kind rooms.Kind, options any) *Room {
	tb.Helper()
	if err := kind.Err(); err != nil {
		tb.Fatal(err)
	}
	r := &Room{tb: tb, kind: &kind, id: id, journal: memjournal.New(), answers: map[uint64]rooms.Note{}}
	r.shard = newShard(slog.New(faults{r}))
	r.shard.ShadowEvery = 1
	r.post(rooms.Mail{Type: rooms.MailCreate, Kind: r.kind, Name: "key", Body: encode(tb, options), Epoch: 1, Nonce: 1})
	tb.Cleanup(r.prove)
	return r
}

func newShard(log *slog.Logger) *rooms.Shard {
	return rooms.NewShard(log, func() (uint64, uint64) { return 1, 2 })
}

// Signal sends the room a signal, steps, and gives the code of its refusal, or "".
func (r *Room) Signal(name string, body any) (code string) {
	r.tickets++
	r.post(rooms.Mail{ // with an id: the room would give it one of its epoch, which copies do not share
		Type: rooms.MailSignal, ID: fmt.Sprint("signal-", r.tickets), Name: name, Body: encode(r.tb, body), Ticket: r.tickets,
	})
	r.Step()
	return r.answers[r.tickets].Code
}

// Ended reports whether the room is over.
func (r *Room) Ended() bool { return r.ended != nil }

// Result decodes the room's result; the test fails if it has not ended.
func Result[T any](r *Room) (v T) {
	r.tb.Helper()
	if r.ended == nil {
		r.tb.Fatal("the room has not ended")
	}
	Decode(r.tb, r.ended.Result, &v)
	return v
}

// State decodes the game's whole state into v, a pointer to the game's struct.
func (r *Room) State(v any) {
	r.tb.Helper()
	in, ok := r.shard.Inspect(r.id)
	if !ok {
		r.tb.Fatal("the room is gone")
	}
	Decode(r.tb, in.State, v)
}

// Decode decodes msgpack into v, a pointer, and fails the test if it cannot.
func Decode(tb testing.TB, b []byte, v any) {
	tb.Helper()
	if len(b) == 0 {
		tb.Fatal("there is nothing to decode: it was never sent")
	}
	if err := rooms.Decode(b, v); err != nil {
		tb.Fatal(err)
	}
}

func encode(tb testing.TB, v any) []byte {
	tb.Helper()
	if v == nil {
		return nil
	}
	return rooms.Encode(nil, v)
}

func (r *Room) post(m rooms.Mail) {
	m.Room = r.id
	m.Body = slices.Clone(m.Body)
	if err := r.shard.Take(&m, r.now); err != nil && r.ended == nil {
		r.tb.Fatalf("mail %d: %v", m.Type, err)
	}
	r.mail = append(r.mail, m)
}

// Step lets one tick pass; at rate 0 it steps only if something is due.
func (r *Room) Step() {
	if hz := r.kind.RateHz; hz > 0 {
		r.now += time.Second / time.Duration(hz)
	}
	r.advance()
}

// Wait lets room time pass; timers go off, graces end.
func (r *Room) Wait(d time.Duration) {
	for end := r.now + d; r.now < end && r.ended == nil; {
		if r.kind.RateHz > 0 {
			r.Step()
			continue
		}
		r.now = min(r.now+10*time.Millisecond, end)
		r.advance()
	}
}

func (r *Room) advance() {
	m := moment{now: r.now, mail: r.mail}
	r.mail = nil
	r.shard.Advance(r.now)
	wrote := r.carryOut(r.shard)
	if in, ok := r.shard.Inspect(r.id); ok {
		m.hash, m.tick, m.epoch, m.state = in.Hash, in.Tick, in.Epoch, in.State
		if wrote {
			m.entries, m.shadow = r.journal.Entries(r.id), r.shard.Shadow(r.id)
		}
		r.history = append(r.history, m)
	}
}

// carryOut does what the shard asks for, until it asks for nothing more.
func (r *Room) carryOut(s *rooms.Shard) (wrote bool) {
	for {
		out := s.Out
		s.Out = rooms.Output{}
		if len(out.Appends)+len(out.Frames)+len(out.Asks)+len(out.Jobs)+len(out.Ended) == 0 {
			return wrote
		}
		wrote = wrote || len(out.Appends) > 0
		for _, f := range out.Frames {
			r.show(f)
			f.Release()
		}
		for _, a := range out.Asks {
			r.answer(s, a)
		}
		if len(out.Appends) > 0 {
			r.journal.Append(out.Appends, func(results []rooms.Result) { s.TakeResults(out.Appends, results, r.now) })
		}
		for _, j := range out.Jobs {
			r.do(j)
		}
		for _, e := range out.Ended {
			r.ended = &e
		}
	}
}

func (r *Room) answer(s *rooms.Shard, a rooms.Ask) {
	switch a.Type {
	case rooms.AskTop:
		top, err := r.journal.Top(context.Background(), a.Room)
		s.TakeTop(a.Room, top, err, r.now)
	case rooms.AskRestore:
		nonce := uint64(a.Seen) + 1
		epoch, err := r.journal.Claim(context.Background(), a.Room, a.Seen, nonce)
		var entries []rooms.Entry
		if err == nil {
			entries, err = r.journal.Load(context.Background(), a.Room, epoch)
		}
		s.TakeLoaded(a.Room, epoch, nonce, entries, err, r.now)
	case rooms.AskRenew: // nothing is lost here: the test has buried the room
		s.TakeRenewed(a.Room, rooms.Renewal{}, rooms.ErrGone, r.now)
	}
}

func (r *Room) do(j rooms.JobRequest) {
	m := rooms.Mail{Type: rooms.MailDone, Number: j.Number, Name: j.Job.Name}
	if r.kind.Do == nil {
		m.Why = "the kind has no Do"
	} else if v, err := r.kind.Do(context.Background(), j.Job); err != nil {
		m.Why = err.Error()
	} else {
		m.Body = encode(r.tb, v)
	}
	r.post(m)
}

func (r *Room) show(f *rooms.Frame) {
	if f.Public != nil {
		r.public = slices.Clone(f.Public)
	}
	for _, a := range f.Answers {
		r.answers[a.Request] = a
	}
	for i := range f.Seats {
		part := &f.Seats[i]
		for _, n := range part.Notes {
			r.note(n)
		}
		for _, p := range r.players {
			if p.joined && p.Seat == part.Seat {
				p.show(part)
			}
		}
	}
}

func (r *Room) note(n rooms.Note) {
	for _, p := range r.players {
		if p.session != n.Session || p.gen != n.Gen {
			continue
		}
		switch n.Type {
		case rooms.NoteJoined:
			p.Seat, p.joined = n.Seat, true
		case rooms.NoteRefused:
			p.refused = &n
		case rooms.NoteLeft, rooms.NoteGone:
			p.left = &n
		}
	}
}
