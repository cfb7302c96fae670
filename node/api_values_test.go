package node

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"

	"tickover.dev/netcode"
)

// A number that becomes another, or a body that the game's decoder was never made for, would come to light in the middle of a game.
func TestValuesKeepTheirMeaning(t *testing.T) {
	for text, want := range map[string]string{
		"":                     "",
		"null":                 "\xc0",
		"true":                 "\xc3",
		"7":                    "\x07",
		"-0":                   "\x00",
		"-33":                  "\xd0\xdf",
		"18446744073709551615": "\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
		"18446744073709551616": "\xcb\x43\xf0\x00\x00\x00\x00\x00\x00",
		"1.0":                  "\x01",
		"2e3":                  "\xcd\x07\xd0",
		"1e17":                 "\xcb\x43\x76\x34\x57\x85\xd8\xa0\x00",
		"1.5":                  "\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00",
		`"é"`:                  "\xa2\xc3\xa9",
		`"\ud800"`:             "\xa3\xef\xbf\xbd",
		`{"b":[1],"a":{}}`:     "\x82\xa1a\x80\xa1b\x91\x01",
	} {
		if got, err := toMsgpack(json.RawMessage(text)); err != nil || string(got) != want {
			t.Errorf("%s: % x, %v", text, got, err)
		}
	}
	for _, text := range []string{"1e999", strings.Repeat("[", netcode.MaxDepth+1) + strings.Repeat("]", netcode.MaxDepth+1)} {
		if got, err := toMsgpack(json.RawMessage(text)); err == nil {
			t.Errorf("%s: % x", text, got)
		}
	}
}

// What games answer may be anything that Go can hold.
func TestAnyAnswerBecomesJSON(t *testing.T) {
	for want, v := range map[string]any{
		`null`:                       nil,
		`[1,-1,1.5,null]`:            []any{1, -1, 1.5, math.NaN()},
		`[null,null]`:                []float32{float32(math.Inf(1)), float32(math.NaN())},
		`"AQI="`:                     []byte{1, 2},
		`{"1":"a"}`:                  map[int]string{1: "a"},
		`{"true":[]}`:                map[bool][]int{true: {}},
		`{"[1,2]":3}`:                map[[2]int]int{{1, 2}: 3},
		`[null,7]`:                   []any{time.Unix(1, 2), 7},
		`{"A":18446744073709551615}`: struct{ A uint64 }{math.MaxUint64},
		`["<script>","\ufffd"]`:      []string{"<script>", "\xff"},
	} {
		b, err := msgpack.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		got := toJSON(b)
		if string(got) != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
		if !json.Valid(got) {
			t.Errorf("%s", got)
		}
	}
	for _, b := range []string{"", "\x81", "\xc1", "\xdd\xff\xff\xff\xff", "\xdf\xff\xff\xff\xff", "\xc9\xff\xff\xff\xff\x01", strings.Repeat("\x91", 1000) + "\x01"} {
		if got := toJSON([]byte(b)); string(got) != "null" {
			t.Errorf("% x: %s", b, got)
		}
	}
}

// There and back, a value is what it was.
func TestValuesSurviveBothWays(t *testing.T) {
	var draw func(depth int) *rapid.Generator[any]
	draw = func(depth int) *rapid.Generator[any] {
		leaves := []*rapid.Generator[any]{
			rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.String().AsAny(), rapid.Int64().AsAny(), rapid.Uint64().AsAny(),
			rapid.Float64Range(-1e300, 1e300).AsAny(),
		}
		if depth > 0 {
			leaves = append(leaves,
				rapid.SliceOfN(rapid.Deferred(func() *rapid.Generator[any] { return draw(depth - 1) }), 0, 4).AsAny(),
				rapid.MapOfN(rapid.String(), rapid.Deferred(func() *rapid.Generator[any] { return draw(depth - 1) }), 0, 4).AsAny())
		}
		return rapid.OneOf(leaves...)
	}
	rapid.Check(t, func(t *rapid.T) {
		text, err := json.Marshal(draw(4).Draw(t, "value"))
		if err != nil {
			t.Fatal(err)
		}
		packed, err := toMsgpack(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		var want, got any
		a, b := json.NewDecoder(bytes.NewReader(text)), json.NewDecoder(bytes.NewReader(toJSON(packed)))
		if err := a.Decode(&want); err != nil {
			t.Fatal(err)
		}
		if err := b.Decode(&got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%s became %v", text, got)
		}
	})
}
