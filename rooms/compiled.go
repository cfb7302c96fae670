package rooms

import (
	"fmt"
	"reflect"
	"unsafe"

	"tickover.dev/codec"
)

// The framework's own halves of states and entries go through the same codec as games.
var (
	headerCodec = mustCompile[header]()
	bodyCodec   = mustCompile[entryBody]()
)

func mustCompile[T any]() *codec.Codec {
	c, err := codec.For(reflect.TypeFor[T]())
	if err != nil {
		panic(err)
	}
	return c
}

func pointerTo[T any](v *T) unsafe.Pointer { return unsafe.Pointer(v) }

// jobID is stable over repeats of a job, also by another node.
func jobID(room ID, number uint64) string { return fmt.Sprintf("%s-%d", room, number) }
