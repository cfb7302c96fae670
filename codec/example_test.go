package codec_test

import (
	"fmt"
	"reflect"
	"time"

	"tickover.dev/codec"
)

func Example() {
	type Ship struct {
		Name string
		X, Y float64
	}
	type Arena struct {
		Ships []Ship
		Left  time.Duration
	}
	state := Arena{Ships: []Ship{{"Ida", 3, 4}}, Left: time.Minute}
	saved, err := codec.Append(nil, &state)
	if err != nil {
		panic(err)
	}
	var resumed Arena
	err = codec.Decode(saved, &resumed)
	fmt.Println(len(saved), resumed, err)
	// Output: 54 {[{Ida 3 4}] 1m0s} <nil>
}

func ExampleFor() {
	type Arena struct {
		Scores map[string]int
		Owner  *int
	}
	_, err := codec.For(reflect.TypeFor[Arena]())
	fmt.Println(err)
	// Output:
	// Arena.Scores is a map: its order differs between machines; use rooms.Table
	// Arena.Owner is a pointer: two pointers to one thing become two things; keep its Seat or index
}

func ExampleDecode() {
	type Input struct{ Keys struct{ DX float64 } }
	var in Input
	err := codec.Decode([]byte("\x81\xa4Keys\x81\xa2DX\xa4left"), &in)
	fmt.Println(err)
	// Output: codec: Keys.DX: want float, got string
}
