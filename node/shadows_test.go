package node

import (
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"tickover.dev/rooms"
)

// forgetful keeps something outside of its state, as no game of durability replay may.
type forgetful struct{ Steps, Mood int }

var moods atomic.Int64

func (f *forgetful) Public() any { return f }

func (f *forgetful) Step(*rooms.Tick[one]) {
	if f.Steps++; f.Steps == 3 {
		f.Mood = int(moods.Add(1))
	}
}

// A game that is not deterministic is found at its author's desk, with the first node that runs it, or it is found by players when a node
// dies.
func TestANodeFindsGamesThatAreNotDeterministic(t *testing.T) {
	n := start(t, func(c *Config) {
		c.Kinds = []rooms.Kind{rooms.Define(&forgetful{}, rooms.Config{Name: "forgetful", RateHz: 128, Durability: rooms.Replay})}
	})
	r, err := n.rooms.Create("forgetful", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	large := rooms.Encode(nil, strings.Repeat("x", 8000)) // a snapshot, which ends a stretch, is due when much was given since the last
	number := 0
	eventually(t, "a shadow differs", func() bool {
		number++
		r.Post(&rooms.Mail{Type: rooms.MailSignal, ID: strconv.Itoa(number), Name: "large", Body: large})
		return n.rooms.Stats().Replays.ShadowsDiffer > 0
	})
	_, text := get(t, "http://"+n.AdminAddr().String()+"/metrics", "")
	if !strings.Contains(text, `tickover_shadows_total{outcome="differs"} 1`) {
		t.Error("it is not measured")
	}
}

// Where players play, shadows must cost little; and whoever wants none must get none.
func TestShadowsAreSampledInProduction(t *testing.T) {
	for _, c := range []struct {
		config Config
		want   int
	}{
		{Config{}, 1},
		{Config{Redis: "redis://x"}, productionShadows},
		{Config{Redis: "redis://x", ShadowEvery: 1}, 1},
		{Config{ShadowEvery: 3}, 3},
		{Config{ShadowEvery: -1}, 0},
	} {
		if got := c.config.shadowEvery(); got != c.want {
			t.Errorf("--redis %q, --shadow-every %d: %d, want %d", c.config.Redis, c.config.ShadowEvery, got, c.want)
		}
	}
}
