package client

import (
	"reflect"
	"strings"
	"testing"

	"tickover.dev/rooms"
)

// TestStateIsReadWithoutItsType: the first thing a newcomer tries on a frame. A map of msgpack's own refuses the number keys that
// every rooms.Seats has, and shows the same field as int8 now and as uint16 later.
func TestStateIsReadWithoutItsType(t *testing.T) {
	type player struct {
		Name  string
		Score float32
		Cards []uint16
	}
	type state struct {
		Seats rooms.Seats[player]
		Turn  rooms.Seat
		Next  rooms.Maybe[rooms.Seat]
		Huge  uint64
	}
	var s state
	s.Seats.Put(1, player{"ann", 1.5, []uint16{1, 300}})
	s.Seats.Put(70000, player{Name: "bob"})
	s.Turn, s.Huge = 70000, 1<<63
	want := map[string]any{
		"Seats": map[string]any{
			"1":     map[string]any{"Name": "ann", "Score": 1.5, "Cards": []any{int64(1), int64(300)}},
			"70000": map[string]any{"Name": "bob", "Score": 0.0, "Cards": nil},
		},
		"Turn": int64(70000), "Next": nil, "Huge": uint64(1 << 63),
	}
	value := rooms.Encode(nil, &s)
	got, err := Decode[map[string]any](value)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%#v, %v", got, err)
	}
	if got, err := Decode[any](value); err != nil || !reflect.DeepEqual(got, any(want)) {
		t.Errorf("%#v, %v", got, err)
	}
	if got, err := Decode[[]any](rooms.Encode(nil, []int{1, 200})); err != nil || !reflect.DeepEqual(got, []any{int64(1), int64(200)}) {
		t.Errorf("%#v, %v", got, err)
	}
	if got, err := Decode[map[string]any](rooms.Encode(nil, nil)); err != nil || got != nil {
		t.Errorf("%#v, %v", got, err)
	}
	seats, err := Decode[map[string]any](rooms.Encode(nil, &s.Seats)) // a game that shows nothing but its table
	if err != nil || len(seats) != 2 || seats["1"] == nil {
		t.Errorf("%#v, %v", seats, err)
	}
	if own, err := Decode[struct{ Seats map[uint64]player }](value); err != nil || own.Seats[1].Name != "ann" {
		t.Errorf("%+v, %v", own, err)
	}
}

// TestWrongTypeOfAStateSaysWhatToUse: "invalid code=1 decoding string/bytes length" tells nobody anything.
func TestWrongTypeOfAStateSaysWhatToUse(t *testing.T) {
	var clicks rooms.Seats[int]
	clicks.Put(1, 5)
	seats := rooms.Encode(nil, &clicks)
	for name, c := range map[string]struct {
		err  func() error
		want string
	}{
		"string keys": {func() error { _, err := Decode[map[string]int](seats); return err }, "map[uint64]V"},
		"no map":      {func() error { _, err := Decode[map[string]any](one); return err }, "got int64"},
		"no list":     {func() error { _, err := Decode[[]any](seats); return err }, "got map[string]interface"},
		"list key": {func() error {
			_, err := Decode[map[string]any]([]byte{0x81, 0x91, 1, 1})
			return err
		}, "want a string or an integer"},
	} {
		if err := c.err(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
