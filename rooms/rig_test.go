package rooms

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"tickover.dev/netcode"
)

// rig is one shard under test, its journal in the test's hands.
type rig struct {
	*testing.T
	s       *Shard
	now     time.Duration
	hold    bool // answers to appends are not given
	held    []Entry
	stored  []Entry // since the newest that holds state
	all     []Entry
	notes   []Note
	answers []Note
	status  []Status
	events  map[Seat][]string // names of reliable messages, in order
	parts   map[Seat]SeatPart // newest
	frames  int
	tick    uint64        // newest shown
	due     time.Duration // of the newest that was shown with one
	jobs    []JobRequest
	asks    []Ask
	ended   []Ended
}

// puppet does what the test's hook says.
type puppet struct {
	N    int
	Name string
	Rows Seats[int]
}

type order struct {
	Do string
	N  int
}

// onStep is called by every puppet's Step.
var onStep func(*puppet, *Tick[order])

func (p *puppet) Step(t *Tick[order]) {
	if onStep != nil {
		onStep(p, t)
	}
}

func (p *puppet) Public() any        { return p }
func (p *puppet) Private(s Seat) any { return p.Rows.Get(s) }

// hook has every puppet do f until the test ends.
func hook(t *testing.T, f func(*puppet, *Tick[order])) {
	onStep = f
	t.Cleanup(func() { onStep = nil })
}

// each calls f for every event of a type.
func each(t *Tick[order], typ EventType, f func(Event[order])) {
	for e := range t.Events() {
		if e.Type == typ {
			f(e)
		}
	}
}

func newRig(t *testing.T) *rig {
	r := &rig{T: t, now: time.Second, events: map[Seat][]string{}, parts: map[Seat]SeatPart{}}
	r.s = NewShard(slog.New(slog.DiscardHandler), func() (uint64, uint64) { return 1, 2 })
	return r
}

func puppetKind(c Config) *Kind {
	c.Name = "puppet"
	k := Define(&puppet{}, c)
	return &k
}

// create makes a room and steps it once.
func (r *rig) create(c Config) *core {
	r.Helper()
	k := puppetKind(c)
	if k.Err() != nil {
		r.Fatal(k.Err())
	}
	r.mail(Mail{Type: MailCreate, Kind: k, Name: "key", Epoch: 1, Nonce: 5})
	r.step()
	return r.s.rooms["r"]
}

func (r *rig) mail(m Mail) error {
	if m.Room == "" {
		m.Room = "r"
	}
	return r.s.Take(&m, r.now)
}

// step lets a twentieth of a second pass.
func (r *rig) step() { r.wait(50 * time.Millisecond) }

func (r *rig) wait(d time.Duration) {
	r.now += d
	r.s.Advance(r.now)
	r.carryOut()
}

// carryOut takes what the shard puts out, until there is no more.
func (r *rig) carryOut() {
	for range 100 {
		out := r.s.Out
		r.s.Out = Output{}
		if len(out.Frames)+len(out.Appends)+len(out.Jobs)+len(out.Asks)+len(out.Ended) == 0 {
			return
		}
		for _, f := range out.Frames {
			r.show(f)
		}
		r.jobs, r.asks, r.ended = append(r.jobs, out.Jobs...), append(r.asks, out.Asks...), append(r.ended, out.Ended...)
		if r.hold {
			r.held = append(r.held, out.Appends...)
			continue
		}
		for i := range out.Appends {
			r.confirm(out.Appends[i])
		}
		r.s.Advance(r.now)
	}
	r.Fatal("the shard never comes to rest")
}

func (r *rig) confirm(e Entry) {
	if e.Kind.HoldsState() {
		r.stored = nil
	}
	r.stored, r.all = append(r.stored, e), append(r.all, e)
	r.s.TakeResult(&e, Result{Outcome: Confirmed}, r.now)
}

// answerHeld answers the appends that were held back.
func (r *rig) answerHeld(o Outcome) {
	held := r.held
	r.held = nil
	for _, e := range held {
		if o == Confirmed {
			r.confirm(e)
			continue
		}
		r.s.TakeResult(&e, Result{Outcome: o}, r.now)
	}
	r.carryOut()
}

func (r *rig) show(f *Frame) {
	r.frames, r.tick = r.frames+1, max(r.tick, f.Tick)
	r.answers = append(r.answers, f.Answers...)
	if f.Due != 0 {
		r.due = f.Due
	}
	if f.Status != StatusNone {
		r.status = append(r.status, f.Status)
	}
	for _, p := range f.Seats {
		r.notes = append(r.notes, p.Notes...)
		r.events[p.Seat] = append(r.events[p.Seat], names(r.T, p.Reliable)...)
		p.Private, p.Reliable = slices.Clone(p.Private), nil
		r.parts[p.Seat] = p
	}
	f.Release()
}

func names(t *testing.T, reliable []byte) (list []string) {
	var p netcode.Parser
	p.Reset(reliable)
	for len(reliable) > 0 {
		typ, err := p.Next()
		if err != nil {
			return list
		}
		var e netcode.Event
		var no netcode.Refusal
		var yes netcode.Reply
		switch typ {
		case netcode.TypeEvent:
			err = p.Read(&e)
			list = append(list, e.Name)
		case netcode.TypeRefusal:
			err = p.Read(&no)
			list = append(list, "refused "+no.Code)
		case netcode.TypeReply:
			err = p.Read(&yes)
			list = append(list, "reply")
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// join seats a session and gives its seat.
func (r *rig) join(session string) Seat {
	r.Helper()
	r.mail(Mail{Type: MailJoin, Session: session, Gen: 1, Run: 1, Number: 1, Player: Player{ID: session, Name: session}})
	r.step()
	n, ok := r.noted(NoteJoined, session)
	if !ok {
		r.Fatalf("%s was not seated: %+v", session, r.notes)
	}
	return n.Seat
}

func (r *rig) input(seat Seat, session string, number uint64, o order) error {
	return r.mail(Mail{Type: MailInput, Seat: seat, Session: session, Gen: 1, Run: 1, Number: number, Body: Encode(nil, o)})
}

// noted finds the newest note of a type to a session.
func (r *rig) noted(t NoteType, session string) (Note, bool) {
	for _, n := range slices.Backward(r.notes) {
		if n.Type == t && n.Session == session {
			return n, true
		}
	}
	return Note{}, false
}

// moved gives the room, as its journal has it, to a new shard.
func (r *rig) moved(kind *Kind, cold bool) (*rig, error) {
	next := newRig(r.T)
	next.now = r.now
	last := r.stored[len(r.stored)-1]
	claim := Entry{Room: "r", ID: EntryID{Epoch: last.ID.Epoch + 1}, Prev: last.ID, Nonce: 6, Kind: EntryClaim}
	next.stored = append(slices.Clone(r.stored), claim)
	err := next.s.Adopt("r", kind, claim.ID.Epoch, 6, next.stored, func(Node) bool { return cold }, next.now)
	next.carryOut()
	return next, err
}

// restore answers a room's own claim.
func (r *rig) restore() {
	r.Helper()
	if len(r.asks) != 1 || r.asks[0].Type != AskRestore {
		r.Fatalf("asked %+v, want one restore", r.asks)
	}
	r.asks = nil
	last := r.stored[len(r.stored)-1]
	claim := Entry{Room: "r", ID: EntryID{Epoch: last.ID.Epoch + 1}, Prev: last.ID, Nonce: 7, Kind: EntryClaim}
	r.stored = append(r.stored, claim)
	r.s.TakeLoaded("r", claim.ID.Epoch, 7, slices.Clone(r.stored), nil, r.now)
	r.carryOut()
}
