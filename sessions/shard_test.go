package sessions

import (
	"cmp"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"tickover.dev/netcode"
	"tickover.dev/rooms"
	"tickover.dev/rooms/host"
)

// shardRooms is Rooms over a shard that is stepped by hand.
type shardRooms struct {
	rig    *rig
	kinds  map[string]*rooms.Kind
	shard  *rooms.Shard
	began  time.Time
	rooms  map[rooms.ID]Room
	keys   map[string]rooms.ID
	tombs  map[rooms.ID]host.Tomb
	nextID int
	ended  []rooms.Ended

	full      bool  // Post refuses
	err       error // nothing can be reached
	slow      bool  // questions wait in asking
	asking    []func()
	hold      bool          // the journal does not answer
	held      []rooms.Entry // meanwhile
	admit     bool          // joins wait in admits, as for a game's Admit
	admitting []func(code, why string)
}

func newShardRooms(r *rig) *shardRooms {
	s := &shardRooms{
		rig: r, kinds: map[string]*rooms.Kind{}, rooms: map[rooms.ID]Room{}, keys: map[string]rooms.ID{},
		tombs: map[rooms.ID]host.Tomb{}, began: r.now,
	}
	for _, k := range []rooms.Kind{play, duel} {
		s.kinds[k.Name] = &k
	}
	seeds := rand.New(rand.NewPCG(1, 2))
	s.shard = rooms.NewShard(slog.New(slog.DiscardHandler), func() (uint64, uint64) { return seeds.Uint64(), seeds.Uint64() })
	return s
}

func (s *shardRooms) now() time.Duration { return s.rig.now.Sub(s.began) + time.Hour }

// advance steps the shard, answers its appends, and delivers what it shows.
func (s *shardRooms) advance() {
	s.shard.Advance(s.now())
	for {
		out := &s.shard.Out
		entries, frames, ended := slices.Clone(out.Appends), slices.Clone(out.Frames), slices.Clone(out.Ended)
		if len(out.Asks) > 0 {
			s.rig.tb.Fatal("the journal is asked a question")
		}
		out.Reset()
		if len(frames) > 0 {
			s.rig.deliver(frames)
		}
		for _, e := range ended {
			s.bury(e)
		}
		if s.hold {
			s.held = append(s.held, entries...)
			return
		}
		if entries = append(s.held, entries...); len(entries) == 0 && len(frames)+len(ended) == 0 {
			return
		}
		s.held = nil
		results := make([]rooms.Result, len(entries))
		for i := range results {
			results[i].Outcome = rooms.Confirmed
		}
		s.shard.TakeResults(entries, results, s.now())
	}
}

func (s *shardRooms) bury(e rooms.Ended) {
	s.ended = append(s.ended, e)
	room := s.rooms[e.Room]
	delete(s.rooms, e.Room)
	if at := room.Kind.Name + "/" + room.Key; s.keys[at] == e.Room {
		delete(s.keys, at)
	}
	s.tombs[e.Room] = host.Tomb{Why: e.Why, Result: e.Result}
	for _, h := range s.rig.hubs {
		h.RoomEnded(e)
	}
}

func (s *shardRooms) HasKind(name string) bool { return s.kinds[name] != nil }

func (s *shardRooms) Room(id rooms.ID, done func(Room, error)) {
	s.answer(func() { done(s.room(id)) })
}

func (s *shardRooms) Enter(e Entry, done func(Room, error)) {
	s.answer(func() { done(s.enter(e)) })
}

// answer answers a question, at once or when the test says so.
func (s *shardRooms) answer(f func()) {
	if s.slow {
		s.asking = append(s.asking, f)
		return
	}
	f()
}

// answerAll answers the questions that wait.
func (s *shardRooms) answerAll() {
	asking := s.asking
	s.asking = nil
	for _, f := range asking {
		f()
	}
}

func (s *shardRooms) room(id rooms.ID) (Room, error) {
	if r, ok := s.rooms[id]; ok {
		return r, s.err
	}
	if t, ok := s.tombs[id]; ok {
		return Room{}, cmp.Or(s.err, error(&EndedError{t}))
	}
	return Room{}, cmp.Or(s.err, ErrUnknownRoom)
}

func (s *shardRooms) enter(e Entry) (Room, error) {
	old, taken := s.rooms[s.keys[e.Kind+"/"+e.Target]]
	switch {
	case s.err != nil:
		return Room{}, s.err
	case e.Mode == netcode.JoinID:
		return s.room(rooms.ID(e.Target))
	case !s.HasKind(e.Kind):
		return Room{}, host.ErrUnknownKind
	case e.Mode == netcode.JoinKey && !taken:
		return Room{}, ErrUnknownKey
	case taken && e.Mode == netcode.JoinCreate:
		return Room{}, host.ErrKeyTaken
	case taken:
		return old, nil
	}
	s.nextID++
	r := Room{ID: rooms.ID(fmt.Sprintf("r-%d", s.nextID)), Kind: s.kinds[e.Kind], Key: e.Target}
	r.Door = &shardDoor{s, r.ID}
	s.rooms[r.ID] = r
	if e.Target != "" {
		s.keys[e.Kind+"/"+e.Target] = r.ID
	}
	err := r.Post(&rooms.Mail{Type: rooms.MailCreate, Kind: r.Kind, Name: e.Target, Body: e.Options, Epoch: 1000, Nonce: uint64(s.nextID)})
	return r, err
}

type shardDoor struct {
	rooms *shardRooms
	id    rooms.ID
}

func (d *shardDoor) Post(m *rooms.Mail) error {
	if d.rooms.full {
		return rooms.ErrMailboxFull
	}
	m.Room = d.id
	if err := d.rooms.shard.Take(m, d.rooms.now()); err != nil {
		if f := rooms.Refusal(m, err); f != nil {
			if n := &f.Seats[0].Notes[0]; n.Type == rooms.NoteGone { // as a host does
				n.Why, n.Result = cmp.Or(d.rooms.tombs[d.id].Why, n.Why), d.rooms.tombs[d.id].Result
			}
			d.rooms.rig.deliver([]*rooms.Frame{f})
		}
	}
	return nil
}

func (d *shardDoor) Join(m rooms.Mail, options []byte, refuse func(code, why string)) {
	m.Type, m.Body = rooms.MailJoin, options
	admitted := func(code, why string) {
		if code == "" && d.Post(&m) != nil {
			code, why = netcode.CodeOverloaded, "full"
		}
		if code != "" {
			refuse(code, why)
		}
	}
	if d.rooms.admit {
		d.rooms.admitting = append(d.rooms.admitting, admitted)
		return
	}
	admitted("", "")
}

// The game of the tests does what it is told.
var (
	play = rooms.Define(&game{}, rooms.Config{Name: "play", RateHz: 20, Seats: 4, Grace: 10 * time.Second, Empty: time.Second})
	duel = rooms.Define(&game{}, rooms.Config{Name: "duel", Seats: 2, Grace: 10 * time.Second, Empty: time.Hour})
)

type game struct {
	Hits  int
	Hands rooms.Seats[int]
}

type order struct {
	Do string `msgpack:"do"`
	N  int    `msgpack:"n"`
}

// Public shows the hits.
func (g *game) Public() any { return &struct{ Hits int }{g.Hits} }

// Private shows a seat what it holds.
func (g *game) Private(s rooms.Seat) any {
	if hand := g.Hands.Get(s); hand != nil {
		return *hand
	}
	return nil
}

// Step does as ordered.
func (g *game) Step(t *rooms.Tick[order]) {
	for e := range t.Events() {
		switch e.Type {
		case rooms.Joined:
			g.Hands.Put(e.Seat, 0)
		case rooms.Left:
			g.Hands.Delete(e.Seat)
		case rooms.Input:
			g.obey(t, e)
		}
	}
}

func (g *game) obey(t *rooms.Tick[order], e rooms.Event[order]) {
	switch e.Input.Do {
	case "hit":
		g.Hits++
	case "deal":
		*g.Hands.Get(e.Seat) = e.Input.N
	case "say":
		t.Broadcast("said", e.Input.N)
	case "shout": // N kilobytes
		t.Send(e.Seat, "shout", make([]byte, e.Input.N<<10))
	case "ask":
		t.Reply(e, e.Input.N)
	case "kick":
		t.Kick(rooms.Seat(e.Input.N), "")
	case "lock":
		t.Lock(true)
	case "end":
		t.End(e.Input.N)
	}
}
