package node

import (
	"testing"
	"time"
)

// glance is what a node sees for a while.
type glance struct {
	length         time.Duration
	sees, peersSee bool
}

// verdicts gives after how long an isolation changed its mind, each time.
func verdicts(glances []glance) (changes []time.Duration) {
	var i isolation
	began := time.Unix(1000, 0)
	now := began
	i.look(now, true, true)
	for _, g := range glances {
		for end := now.Add(g.length); now.Before(end); {
			now = now.Add(cutOffLook)
			if i.look(now, g.sees, g.peersSee) {
				changes = append(changes, now.Sub(began))
			}
		}
	}
	return changes
}

// A node that keeps players whose rooms are elsewhere has them watch a still picture; one that sends them away for a hiccup throws
// everybody out for nothing, and one that takes them back too soon does so again and again.
func TestOneLuckyHeartbeatChangesNothing(t *testing.T) {
	const s = time.Second
	alone, lucky := glance{900 * time.Millisecond, false, true}, glance{100 * time.Millisecond, true, true}
	outage, word := glance{900 * time.Millisecond, false, false}, glance{100 * time.Millisecond, false, true}
	well := glance{10 * s, true, true}
	for name, c := range map[string]struct {
		glances []glance
		want    []time.Duration
	}{
		"all is well":                      {[]glance{well}, nil},
		"cut off alone":                    {[]glance{{5 * s, false, true}}, []time.Duration{1500 * time.Millisecond}},
		"a hiccup":                         {[]glance{{s, false, true}, well, {s, false, true}, well}, nil},
		"a heartbeat gets through":         {[]glance{alone, lucky, alone, lucky, alone}, []time.Duration{1700 * time.Millisecond}},
		"Redis is away":                    {[]glance{{60 * s, false, false}, well}, nil},
		"a peer's word while it is away":   {[]glance{outage, word, outage, word, outage, word, outage, word}, nil},
		"peers are back a little sooner":   {[]glance{{20 * s, false, false}, {s, false, true}, well}, nil},
		"back again":                       {[]glance{{5 * s, false, true}, well}, []time.Duration{1500 * time.Millisecond, 6500 * time.Millisecond}},
		"a heartbeat while it is cut off":  {[]glance{{5 * s, false, true}, lucky, alone, lucky, alone}, []time.Duration{1500 * time.Millisecond}},
		"cut off, and then all others too": {[]glance{{5 * s, false, true}, {60 * s, false, false}}, []time.Duration{1500 * time.Millisecond}},
	} {
		got := verdicts(c.glances)
		if len(got) != len(c.want) {
			t.Errorf("%s: changed after %v, want %v", name, got, c.want)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s: changed after %v, want %v", name, got, c.want)
			}
		}
	}
}

// A process that was stopped for a minute has seen nothing in that time.
func TestAThawedNodeJudgesNothing(t *testing.T) {
	var i isolation
	now := time.Unix(1000, 0)
	i.look(now, true, true)
	if i.look(now.Add(time.Minute), false, true) {
		t.Error("cut off by one look")
	}
}
