package rooms

import (
	"fmt"
	"log/slog"
	"testing"
	"time"
)

// counter changes with every input; its state is about 64 bytes.
type counter struct {
	A, B, C, D int64
	X, Y       float64
}

type bump struct{ N int64 }

func (c *counter) Step(t *Tick[bump]) {
	for e := range t.Events() {
		if e.Type == Input {
			c.A += e.Input.N
		}
	}
}

func (c *counter) Public() any { return c }

// mover changes at every tick.
type mover struct{ counter }

func (m *mover) Step(t *Tick[bump]) { m.A++; m.X += 0.5 }

// benchShard steps n rooms with one player each, on a journal that confirms at once.
func benchShard(b *testing.B, kind Kind, n int) {
	if err := kind.Err(); err != nil {
		b.Fatal(err)
	}
	s := NewShard(slog.New(slog.DiscardHandler), func() (uint64, uint64) { return 1, 2 })
	now := time.Duration(0)
	for i := range n {
		id := ID(fmt.Sprint("room-", i))
		s.Take(&Mail{Type: MailCreate, Room: id, Kind: &kind, Epoch: 1, Nonce: 1}, now)
		s.Take(&Mail{Type: MailJoin, Room: id, Session: "s", Gen: 1, Run: 1, Number: 1, Player: Player{Name: "p"}}, now)
	}
	results := make([]Result, n)
	for i := range results {
		results[i].Outcome = Confirmed
	}
	turn := func() {
		s.Advance(now)
		for len(s.Out.Appends) > 0 || len(s.Out.Frames) > 0 {
			appends := s.Out.Appends
			for _, f := range s.Out.Frames {
				f.Release()
			}
			s.Out.Frames = s.Out.Frames[:0]
			s.Out.Appends = nil
			s.TakeResults(appends, results[:len(appends)], now)
			if s.Out.Appends == nil {
				s.Out.Appends = appends[:0]
			}
		}
		now += time.Second / time.Duration(kind.RateHz)
	}
	for range 20 {
		turn()
	}
	b.ReportAllocs()
	for b.Loop() {
		turn()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/tick")
}

func BenchmarkIdleRooms(b *testing.B) {
	benchShard(b, Define(&counter{}, Config{Name: "counter", RateHz: 10}), 1000)
}

func BenchmarkChangingRooms(b *testing.B) {
	benchShard(b, Define(&mover{}, Config{Name: "mover", RateHz: 10}), 1000)
}

// melee is a state of about 4 KB: fighters that change with their inputs, and rocks that change at every tick, if they drift.
type melee struct {
	Fighters Seats[fighter]
	Rocks    []rock
	Drift    float64
}

type rock struct{ X, Y float64 }

type fighter struct {
	X, Y, Angle float64
	VX, VY      float64
	Health      int
	Steered     uint64
}

type steer struct {
	Turn, Push float32
	Fire       bool
}

func (m *melee) Step(t *Tick[steer]) {
	for e := range t.Events() {
		switch e.Type {
		case Joined:
			m.Fighters.Put(e.Seat, fighter{Health: 100, X: float64(e.Seat)})
		case Input:
			f := m.Fighters.Get(e.Seat)
			f.Angle += float64(e.Input.Turn)
			f.VX += float64(e.Input.Push)
			f.Steered++
		}
	}
	for _, f := range m.Fighters.All() {
		f.X, f.Y = f.X+f.VX/20, f.Y+f.VY/20
	}
	for i := range m.Rocks {
		m.Rocks[i].X += m.Drift
		m.Rocks[i].Y -= m.Drift / 3
	}
}

func (m *melee) Public() any { return &m.Fighters }

// BenchmarkMelee is a tick with an input from each of 20 players, to the confirmed frame.
func BenchmarkMelee(b *testing.B) {
	for _, drift := range []float64{0, 0.37} {
		for _, d := range []Durability{EveryChange, Replay} {
			b.Run(fmt.Sprintf("drift=%v/%s", drift, d), func(b *testing.B) { benchMelee(b, drift, d) })
		}
	}
}

func benchMelee(b *testing.B, drift float64, d Durability) {
	const players = 20
	state := melee{Drift: drift, Rocks: make([]rock, 100)}
	for i := range state.Rocks {
		state.Rocks[i] = rock{float64(i) * 1.7, float64(i%13) / 0.7}
	}
	kind := Define(&state, Config{Name: "melee", RateHz: 20, Seats: players, Durability: d})
	s := NewShard(slog.New(slog.DiscardHandler), func() (uint64, uint64) { return 1, 2 })
	start := time.Now()
	s.Clock = func() time.Duration { return time.Since(start) }
	now, bytes, snapshots := time.Duration(0), 0, 0
	s.Take(&Mail{Type: MailCreate, Room: "r", Kind: &kind, Epoch: 1, Nonce: 1}, now)
	inputs := make([]Mail, players)
	for i := range inputs {
		session := fmt.Sprintf("a-session-of-%08d", i)
		s.Take(&Mail{Type: MailJoin, Room: "r", Session: session, Gen: 1, Run: 1, Number: 1, Player: Player{Name: "p"}}, now)
		inputs[i] = Mail{Type: MailInput, Room: "r", Seat: Seat(i + 1), Session: session, Gen: 1, Run: 1, Body: Encode(nil, steer{Turn: 0.25, Push: 0.1})}
	}
	turn := func() {
		now += 50 * time.Millisecond
		s.Advance(now)
		for len(s.Out.Appends) > 0 || len(s.Out.Frames) > 0 {
			for _, f := range s.Out.Frames {
				f.Release()
			}
			s.Out.Frames = s.Out.Frames[:0]
			appends := s.Out.Appends
			s.Out.Appends = s.Out.Appends[:0]
			for i := range appends {
				bytes += len(appends[i].Body)
				if appends[i].Kind.HoldsState() {
					snapshots++
				}
				s.TakeResult(&appends[i], Result{Outcome: Confirmed}, now)
			}
		}
		for i := range inputs {
			inputs[i].Number++
			s.Take(&inputs[i], now)
		}
	}
	for range 600 {
		turn()
	}
	in, _ := s.Inspect("r")
	bytes, snapshots = 0, 0
	b.ReportAllocs()
	for b.Loop() {
		turn()
	}
	b.ReportMetric(float64(bytes)/float64(b.N), "journalB/tick")
	b.ReportMetric(1000*float64(snapshots)/float64(b.N), "snapshots/1000")
	b.ReportMetric(float64(len(in.State)), "stateB")
}
