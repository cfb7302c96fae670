package rooms

import (
	"reflect"
	"testing"
	"time"
)

var carriedMail = []Mail{
	{Type: MailInput, Room: "r", Seat: 3, Node: 9, Session: "s", Gen: 2, Run: 1 << 31, Number: 77, Body: []byte{1, 2}},
	{Type: MailJoin, Room: "r", Session: "s", Gen: 1, Number: 1, Player: Player{ID: "p", Name: "Ann"}},
	{Type: MailSignal, Room: "r", ID: "id", Name: "n", Ticket: 8, Why: "w"},
}

// A field that is forgotten here is lost between nodes only.
func TestMailIsCarriedWhole(t *testing.T) {
	for _, m := range carriedMail {
		got, err := DecodeMail(AppendMail(nil, &m))
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%+v became %+v, %v", m, got, err)
		}
	}
}

func carriedFrame() *Frame {
	f := newFrame()
	f.Room, f.Epoch, f.Tick, f.Due, f.Status = "r", 5, 7, 123*time.Hour, StatusResumed
	f.Public = []byte{0x81, 0xa1, 'a', 1}
	f.Answers = []Note{{Type: NoteSignal, Node: 1, Request: 4}, {Type: NoteSignal, Node: 2, Request: 5, Code: "c", Result: []byte{7}}}
	f.Seats = []SeatPart{
		{Seat: 0, Notes: []Note{{Type: NoteGone, Node: 1, Session: "x", Gen: 3, Why: "unknown"}, {Type: NoteGone, Node: 2, Session: "y"}}},
		{Seat: 1, Session: "a", Node: 1, Applied: 9, Run: 2, Private: []byte{1}, Reliable: []byte{2, 3}, First: 1, Last: 2, Resend: 4},
		{Seat: 2, Session: "b", Node: 2, Applied: 8},
	}
	return f
}

// What is for another node's players must not reach this one's: their cards are in it.
func TestAFrameIsCarriedInPartsOfItsNodes(t *testing.T) {
	f := carriedFrame()
	for node, seats := range map[Node][]SeatPart{
		1: {{Seat: 0, Node: 1, Notes: f.Seats[0].Notes[:1]}, f.Seats[1]},
		2: {{Seat: 0, Node: 2, Notes: f.Seats[0].Notes[1:]}, f.Seats[2]},
		3: nil,
	} {
		got, err := DecodeFrame(AppendFrame(nil, f, node), node)
		if err != nil {
			t.Fatal(err)
		}
		if got.Room != "r" || got.Epoch != 5 || got.Tick != 7 || got.Due != f.Due || got.Status != f.Status || string(got.Public) != string(f.Public) {
			t.Errorf("node %d: head %+v", node, got)
		}
		if len(got.Seats) != len(seats) || len(seats) > 0 && !reflect.DeepEqual(got.Seats, seats) {
			t.Errorf("node %d: %+v, want %+v", node, got.Seats, seats)
		}
		if node < 3 && (len(got.Answers) != 1 || !reflect.DeepEqual(got.Answers[0], f.Answers[node-1])) {
			t.Errorf("node %d: answers %+v", node, got.Answers)
		}
		got.Release()
	}
}

func TestEndsAreCarriedWhole(t *testing.T) {
	e := Ended{Room: "r", Epoch: 5, Why: "ended", Code: "c", Result: []byte{1}}
	if got, err := DecodeEnded(AppendEnded(nil, &e)); err != nil || !reflect.DeepEqual(got, e) {
		t.Errorf("%+v became %+v, %v", e, got, err)
	}
}

// Another node may be of another version, or mad.
func FuzzCarried(f *testing.F) {
	for _, m := range carriedMail {
		f.Add(AppendMail(nil, &m))
	}
	f.Add(AppendFrame(nil, carriedFrame(), 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := DecodeMail(b); err == nil {
			again, err := DecodeMail(AppendMail(nil, &m))
			if err != nil || !reflect.DeepEqual(again, m) {
				t.Errorf("%+v became %+v, %v", m, again, err)
			}
		}
		if f, err := DecodeFrame(b, 1); err == nil {
			f.Release()
		}
		DecodeEnded(b)
	})
}
