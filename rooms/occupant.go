package rooms

import (
	"reflect"
	"unsafe"

	"tickover.dev/codec"
)

// occupant is who has a seat. That never changes while the seat is taken, so it is encoded once: every entry holds, or is the
// difference to, all seats of the room, and their names were the longest part of them to write.
type occupant struct {
	person
	coded []byte // nil: not yet
}

type person struct {
	Session string `msgpack:"s"` // "": a bot's
	ID      string `msgpack:"i"`
	Name    string `msgpack:"n"`
	Bot     bool   `msgpack:"b"`
}

// CompileCodec makes an occupant part of a coded header; see codec.Container.
func (*occupant) CompileCodec(compile func(reflect.Type) (*codec.Codec, error)) (codec.Funcs, error) {
	t := reflect.TypeFor[person]()
	plain, err := compile(t)
	if err != nil {
		return codec.Funcs{}, err
	}
	return codec.Funcs{
		Elem: []reflect.Type{t},
		Append: func(dst []byte, p unsafe.Pointer) []byte {
			o := (*occupant)(p)
			if o.coded == nil {
				o.coded = plain.Append(nil, unsafe.Pointer(&o.person))
			}
			return append(dst, o.coded...)
		},
		Decode: func(r *codec.Reader, p unsafe.Pointer) error {
			o := (*occupant)(p)
			*o = occupant{}
			return plain.Read(r, unsafe.Pointer(&o.person))
		},
	}, nil
}
