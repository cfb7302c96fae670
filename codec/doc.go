// Package codec turns Go values into msgpack and back: room states for the journal, for hashes and for players, and
// inputs on their way in. A type is looked at once, by [For]; what comes out is a plan that any number of goroutines
// may use at the same time, that allocates only to grow its buffer, and that always gives the same bytes for the same
// value.
//
// It is not a general msgpack library. It knows no maps, pointers, interfaces or wall clocks, because a state that
// holds them does not survive a move to another node; [For] names every such field and what to keep instead. Ordered
// maps and optional values of other packages join in as a [Container].
//
// # Bytes
//
//	bool                  c2 | c3
//	int…, uint…           the shortest msgpack integer; a time.Duration is its nanoseconds
//	float64, float32      cb + 8 bytes | ca + 4 bytes; every NaN is written as the same one, -0 stays -0
//	string                str; bytes that are not UTF-8 are written as U+FFFD, as no decoder would take them back
//	[]byte, [N]byte       bin, as for any type of byte; nil is c0
//	[]T, [N]T             array; a nil slice is c0, an empty one 90
//	struct                map from field name to value, in the order of declaration
//	Container             whatever it writes: exactly one msgpack value
//
// A field is named by its Go name or by the tag `msgpack:"name"`. The fields of an embedded struct appear as if they
// were declared in the outer one; two fields of one name are refused.
//
// # Decoding
//
// Decoding is safe on bytes from strangers. Nothing is allocated because of a claimed length, only for elements that
// are there: since a nil is one byte, about two sizes of the largest element per byte of input at worst. Nesting is
// bounded by [MaxDepth]; every mistake is a [*DecodeError] that says where. Fields are matched by
// name: unknown ones are skipped, missing ones become zero, of doubles the last one counts. Nil gives the zero value of
// any type. An integer of any width goes into any integer or float that can hold it, a float into any float that can,
// never into an integer.
package codec
