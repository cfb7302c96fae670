// Package roomtest plays rooms in tests: players join, send, drop and return, time passes as fast as it can be computed, and
// nothing runs beside the test's own goroutine. At the end of every test the room is resumed from every entry of its journal and
// stepped again with what happened then; a copy that differs from the original fails the test, because on another node it would
// have been another game.
package roomtest

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"tickover.dev/netcode"
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
	refused *rooms.Note // of the creation
	gen     uint64
	answers map[uint64]rooms.Note
	tickets uint64
}

// moment is one step, as the proof at the end needs it.
type moment struct {
	now     time.Duration
	mail    []rooms.Mail
	hash    uint64
	tick    uint64
	epoch   rooms.Epoch
	entries []rooms.Entry // the journal after the step, nil if it wrote nothing
}

const id = rooms.ID("room-under-test")

// New makes a room of a kind and steps it once. options are the creator's, or nil.
func New(tb testing.TB, kind rooms.Kind, options any) *Room {
	tb.Helper()
	if err := kind.Err(); err != nil {
		tb.Fatal(err)
	}
	r := &Room{tb: tb, kind: &kind, id: id, journal: memjournal.New(), answers: map[uint64]rooms.Note{}}
	r.shard = newShard()
	r.post(rooms.Mail{Type: rooms.MailCreate, Kind: r.kind, Name: "key", Body: encode(tb, options), Epoch: 1, Nonce: 1})
	tb.Cleanup(r.prove)
	return r
}

func newShard() *rooms.Shard {
	return rooms.NewShard(slog.New(slog.DiscardHandler), func() (uint64, uint64) { return 1, 2 })
}

// Player is one session in the room, with what it was sent.
type Player struct {
	room    *Room
	Seat    rooms.Seat
	session string
	gen     uint64
	number  uint64
	joined  bool
	refused *rooms.Note
	left    *rooms.Note
	private []byte
	events  []netcode.Event
	last    uint64 // reliable
	answers map[uint64]netcode.Refusal
	replies map[uint64][]byte
}

// Join takes a seat and steps once. Use Refused for the reason if the test expects none.
func (r *Room) Join(name string) *Player { return r.JoinWith(name, nil) }

// JoinWith is Join with options, as Admit would see them; what Admit returns reaches the game.
func (r *Room) JoinWith(name string, options any) *Player {
	r.gen++
	p := &Player{room: r, session: name, gen: r.gen, answers: map[uint64]netcode.Refusal{}, replies: map[uint64][]byte{}}
	r.players = append(r.players, p)
	r.post(rooms.Mail{
		Type: rooms.MailJoin, Session: name, Gen: p.gen, Run: 1, Number: 1,
		Player: rooms.Player{ID: "id-" + name, Name: name}, Body: encode(r.tb, options),
	})
	r.Step()
	return p
}

// Refused gives the code with which the join was refused, or "".
func (p *Player) Refused() string {
	if p.refused == nil {
		return ""
	}
	return p.refused.Code
}

// Send queues an input for the next step and gives its number.
func (p *Player) Send(in any) uint64 {
	p.number++
	p.room.post(rooms.Mail{
		Type: rooms.MailInput, Seat: p.Seat, Session: p.session, Gen: p.gen, Run: 1, Number: p.number, Body: encode(p.room.tb, in),
	})
	return p.number
}

// Play sends an input, steps, and gives the code of its refusal, or "".
func (p *Player) Play(in any) string {
	n := p.Send(in)
	p.room.Step()
	return p.answers[n].Code
}

// Reply gives what the game replied to input n, decoded into v, and whether it did.
func (p *Player) Reply(n uint64, v any) bool {
	b, ok := p.replies[n]
	if ok {
		Decode(p.room.tb, b, v)
	}
	return ok
}

// Drop loses the connection and steps.
func (p *Player) Drop() {
	p.room.post(rooms.Mail{Type: rooms.MailDrop, Seat: p.Seat, Session: p.session, Gen: p.gen})
	p.room.Step()
}

// Return comes back on the same seat and steps.
func (p *Player) Return() {
	p.room.gen++
	p.gen = p.room.gen
	p.room.post(rooms.Mail{Type: rooms.MailReturn, Seat: p.Seat, Session: p.session, Gen: p.gen, Run: 1, Number: p.last})
	p.room.Step()
}

// Leave gives the seat up and steps.
func (p *Player) Leave() {
	p.room.post(rooms.Mail{Type: rooms.MailLeave, Seat: p.Seat, Session: p.session, Gen: p.gen, Number: 2})
	p.room.Step()
}

// Left says why the seat was given up, or "".
func (p *Player) Left() string {
	if p.left == nil {
		return ""
	}
	return p.left.Why
}

// Events gives the reliable messages of a name that the player was sent, as msgpack.
func (p *Player) Events(name string) (values [][]byte) {
	for _, e := range p.events {
		if e.Name == name {
			values = append(values, e.Value)
		}
	}
	return values
}

// Private decodes what only this seat sees.
func Private[T any](p *Player) (v T) {
	Decode(p.room.tb, p.private, &v)
	return v
}

// Public decodes what everybody sees.
func Public[T any](r *Room) (v T) {
	Decode(r.tb, r.public, &v)
	return v
}

// Signal sends the room a signal, steps, and gives the code of its refusal, or "".
func (r *Room) Signal(name string, body any) (code string) {
	r.tickets++
	r.post(rooms.Mail{Type: rooms.MailSignal, Name: name, Body: encode(r.tb, body), Ticket: r.tickets})
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
		m.hash, m.tick, m.epoch = in.Hash, in.Tick, in.Epoch
		if wrote {
			m.entries = r.journal.Entries(r.id)
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

func (p *Player) show(part *rooms.SeatPart) {
	if part.Private != nil {
		p.private = slices.Clone(part.Private)
	}
	if len(part.Reliable) == 0 {
		return
	}
	var parser netcode.Parser
	parser.Reset(slices.Clone(part.Reliable))
	for {
		t, err := parser.Next()
		if err != nil {
			return
		}
		p.take(&parser, t)
	}
}

// take notes a reliable message, unless it came before.
func (p *Player) take(parser *netcode.Parser, t netcode.Type) {
	var (
		e   netcode.Event
		ok  netcode.Reply
		no  netcode.Refusal
		err error
		n   uint64
	)
	switch t {
	case netcode.TypeEvent:
		err, n = parser.Read(&e), e.Number
		n = e.Number
	case netcode.TypeReply:
		err = parser.Read(&ok)
		n = ok.Number
	case netcode.TypeRefusal:
		err = parser.Read(&no)
		n = no.Number
	}
	if err != nil {
		p.room.tb.Fatal(err)
	}
	if n != p.last+1 {
		if n > p.last+1 {
			p.room.tb.Errorf("reliable message %d after %d", n, p.last)
		}
		return
	}
	p.last = n
	switch t {
	case netcode.TypeEvent:
		p.events = append(p.events, e)
	case netcode.TypeReply:
		p.replies[ok.Input] = ok.Value
	case netcode.TypeRefusal:
		p.answers[no.Input] = no
	}
}

var errNoHistory = errors.New("no entry was ever written")

// ahead is how many steps each copy is followed.
const ahead = 10

// prove resumes the room from every entry and follows each copy for a while.
func (r *Room) prove() {
	if r.tb.Failed() || r.tb.Skipped() {
		return
	}
	copies, steps := 0, 0
	for i := range r.history {
		if r.history[i].entries == nil {
			continue
		}
		n, ok := r.follow(i)
		copies, steps = copies+1, steps+n
		if !ok {
			return
		}
	}
	if copies == 0 {
		r.tb.Error(errNoHistory)
	}
	r.tb.Logf("resumed from %d entries, %d steps followed, all equal", copies, steps)
}

func (r *Room) follow(from int) (steps int, ok bool) {
	start := r.history[from]
	entries := slices.Clone(start.entries)
	last := &entries[len(entries)-1]
	last.Horizon = last.ID.Tick // resume exactly here, not behind what might have been shown
	s := newShard()
	if err := s.Adopt(r.id, r.kind, start.epoch, 0, entries, false, start.now); err != nil {
		r.tb.Errorf("resume from tick %d: %v", start.tick, err)
		return 0, false
	}
	if in, _ := s.Inspect(r.id); in.Hash != start.hash {
		r.tb.Errorf("resumed from tick %d with another state than it had", start.tick)
		return 0, false
	}
	for i := from + 1; i < min(len(r.history), from+1+ahead); i++ {
		m := r.history[i]
		if m.epoch != start.epoch {
			break // the original was restored here
		}
		for _, mail := range m.mail {
			if mail.Type != rooms.MailCreate {
				s.Take(&mail, m.now)
			}
		}
		s.Advance(m.now)
		s.Confirm(m.now)
		in, ok := s.Inspect(r.id)
		if !ok {
			break
		}
		if in.Hash != m.hash {
			r.tb.Errorf("resumed from tick %d, tick %d differs from the original: Step keeps something outside its state, or is not deterministic", start.tick, m.tick)
			return steps, false
		}
		steps++
	}
	return steps, true
}
