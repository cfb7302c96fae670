package rooms

import (
	"fmt"
	"time"
)

// simGame keeps a ledger of every input it was given.
type simGame struct {
	Hash  uint64
	Rows  Seats[simRow]
	Jobs  uint64
	Rung  uint64
	Beats bool // it changes and speaks also when nothing happens
	Wrong string
}

type simRow struct {
	Run   uint32
	Last  uint64
	Count uint64
	Sum   uint64
}

type simInput struct {
	N   uint64
	Run uint32
}

type simPublic struct {
	Hash  uint64
	Jobs  uint64
	Wrong string
}

// simPoison is how often the room still panics on an input. It is outside of the state, as a bug of the machine would be.
var simPoison = map[poisonKey]int{}

type poisonKey struct {
	seat  Seat
	run   uint32
	input uint64
}

func (g *simGame) Public() any        { return simPublic{g.Hash, g.Jobs, g.Wrong} }
func (g *simGame) Private(s Seat) any { return g.Rows.Get(s) }
func (g *simGame) mix(values ...uint64) {
	for _, v := range values {
		g.Hash = (g.Hash ^ v) * 1099511628211
	}
}

func (g *simGame) Step(t *Tick[simInput]) {
	for e := range t.Events() {
		g.mix(uint64(e.Type), t.Number(), uint64(e.Seat))
		switch e.Type {
		case Joined:
			g.Rows.Put(e.Seat, simRow{})
			t.Broadcast("joined", e.Player.Name)
		case Left:
			g.Rows.Delete(e.Seat)
		case Timer:
			g.Rung++
			t.Broadcast("rung", g.Rung)
		case Done:
			g.Jobs++
		case Input:
			g.take(t, e)
		}
	}
	if g.Beats && (t.Number()%5 == 0 || t.Rate() == 0) {
		g.mix(t.Number(), uint64(t.Now()), t.Rand().Uint64())
		if t.Number()%10 == 0 {
			t.Broadcast("beat", t.Number())
		}
	}
}

func (g *simGame) take(t *Tick[simInput], e Event[simInput]) {
	n, row := e.Input.N, g.Rows.Get(e.Seat)
	if row == nil {
		g.Wrong = fmt.Sprintf("input %d of seat %d, where nobody sits", n, e.Seat)
		return
	}
	if row.Run != e.Input.Run {
		*row = simRow{Run: e.Input.Run}
	}
	if n <= row.Last {
		g.Wrong = fmt.Sprintf("input %d of seat %d came behind %d", n, e.Seat, row.Last)
	}
	g.mix(n, t.Rand().Uint64())
	row.Last, row.Count, row.Sum = n, row.Count+1, row.Sum+n*n
	if left := simPoison[poisonKey{e.Seat, e.Input.Run, n}]; left > 0 {
		simPoison[poisonKey{e.Seat, e.Input.Run, n}]--
		panic("poison")
	}
	switch {
	case n%17 == 0:
		t.Reject(e, "unlucky", "as a rule")
	case n%5 == 0:
		t.Reply(e, n)
	case n%7 == 0:
		t.Broadcast("seven", g.Hash)
	case n%11 == 0:
		t.Do("job", n)
	case n%13 == 0:
		t.After(300*time.Millisecond, "bell")
	}
}
