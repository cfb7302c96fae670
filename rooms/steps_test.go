package rooms

import (
	"testing"
	"time"
)

// Entries are read by whoever finds them.
func FuzzSteps(f *testing.F) {
	k := puppetKind(Config{RateHz: 20, Durability: Replay})
	slow := puppetKind(Config{Durability: Replay})
	c := newCore("r", k, nil, 1, 2)
	c.record(0, []pend{{Type: Input, Seat: 1, Session: "s", Gen: 300, Run: 1, Number: 70, Body: []byte{0xc0}, Tries: 2}, {Type: Signal, Name: "n", ID: "\xff"}})
	f.Add(c.steps)
	f.Fuzz(func(t *testing.T, steps []byte) {
		for _, kind := range []*Kind{k, slow} {
			c := newCore("r", kind, nil, 1, 2)
			c.stepEntry(&tailEntry{tick: 100, steps: steps})
			if c.h.Tick > 100 {
				t.Errorf("stepped to tick %d", c.h.Tick)
			}
		}
	})
}

// What is recorded must come back as it was.
func TestStepsComeBackAsTheyWere(t *testing.T) {
	_, c, seat := replayRig(t, 0)
	want := []pend{
		{Type: Input, Seat: seat, Session: "ann", Gen: 1 << 40, Run: 3, Number: 1 << 33, Body: []byte{1, 2}, Node: 7, Tries: 2},
		{Type: Input, Seat: seat, Session: "bob", Gen: 1, Run: 1, Number: 2},
		{Type: Joined, Session: "eve", ID: "id\xff", Name: "Eve\xfe", Gen: 9, Number: 4, Body: []byte("options")},
		{Type: Left, Seat: 99, Session: "nobody", Why: "left"},
		{Type: eventRoster, Node: 5, Body: AppendRoster(nil, nil)},
		{Type: Signal, ID: "5.1", Name: "hello"},
	}
	c.recording.forget()
	c.record(c.h.Now+time.Second, want)
	reader := newStepReader(c.steps)
	if n, more := reader.silent(); n != 0 || !more {
		t.Fatalf("%d silent steps", n)
	}
	now, got, err := reader.read(c)
	if err != nil || now != c.h.Now+time.Second || len(got) != len(want) {
		t.Fatalf("%s, %d events, %v", now, len(got), err)
	}
	for i := range want {
		a, b := got[i], want[i]
		if string(a.Body) != string(b.Body) {
			t.Errorf("body %x, want %x", a.Body, b.Body)
		}
		if a.Body, b.Body = nil, nil; !samePend(a, b) {
			t.Errorf("got %+v\nwant %+v", a, b)
		}
	}
	if _, more := reader.silent(); more {
		t.Error("there is more")
	}
}

func samePend(a, b pend) bool {
	return a.Type == b.Type && a.Seat == b.Seat && a.Session == b.Session && a.Gen == b.Gen && a.Run == b.Run && a.Number == b.Number &&
		a.ID == b.ID && a.Name == b.Name && a.Why == b.Why && a.Node == b.Node && a.Tries == b.Tries
}
