package delta_test

import (
	"fmt"

	"tickover.dev/codec/delta"
)

func Example() {
	before := []byte("a state of some length, with score 7 and more after it")
	after := []byte("a state of some length, with score 12 and more after it")
	var s delta.Scratch
	program := delta.Append(nil, before, after, &s)
	got, err := delta.Apply(nil, before, program)
	fmt.Printf("%d bytes instead of %d: %s %v\n", len(program), len(after), got, err)
	// Output: 24 bytes instead of 55: a state of some length, with score 12 and more after it <nil>
}
