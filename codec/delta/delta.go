// Package delta writes down how one byte string turns into another: for the journal, where a room's state differs from
// the one before in a few fields. It knows nothing of what the bytes mean, and it is not a compressor: it finds what
// new shares with old, not what repeats within new.
//
// The idea is that of rsync and VCDIFF (RFC 3284): a program of two instructions, copy from old and insert literally.
// What is special here is that the bytes of a state mostly stay where they were, so a copy says where it starts only
// by its distance from where it would start if nothing had moved: that is 0, one byte, nearly always.
//
//	program  = length of new uvarint, instruction …
//	insert   = n<<1   uvarint, n bytes
//	copy     = n<<1|1 uvarint, distance varint
//	varints  = those of encoding/binary; signed ones zigzag
//
//	old   ├── same ──┤ 5 ├───── same ─────┤                 ├── same ──┤
//	          copy n,0 │    copy n,0                            copy n,+17
//	new   ├── same ──┤ 7 ├───── same ─────┤├── same ──┤
//	              insert 1
//
// A copy starts, at distance 0, as many bytes after the end of the previous copy as have been inserted since; the first
// one at 0 plus what was inserted.
//
// Nothing in a program tells whether it is applied to the right old bytes; the journal has hashes for that. Functions
// are pure but for the [Scratch] they are given, so any goroutine may call them.
package delta

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// MaxBytes is the largest result that [Apply] makes: 16 MiB, far above any state that can be written every tick.
const MaxBytes = 16 << 20

// What is wrong with a program that [Apply] refuses.
var (
	ErrProgram = errors.New("delta: malformed program")        // it was damaged, or never was one
	ErrBounds  = errors.New("delta: copy from outside of old") // it belongs to other bytes
	ErrLength  = errors.New("delta: result of another length") // than the program says, or beyond MaxBytes
)

// Apply appends to dst what the program makes of old, and returns the extended buffer; after an error, dst as it was.
// The program may come from anywhere: Apply never makes more than [MaxBytes], nor allocates for lengths that are only
// claimed. The memory of dst must be apart from old and program.
func Apply(dst, old, program []byte) ([]byte, error) {
	claimed, rest, err := takeUvarint(program)
	if err != nil {
		return dst, err
	}
	if claimed > MaxBytes {
		return dst, fmt.Errorf("%w: %d bytes", ErrLength, claimed)
	}
	start, end := len(dst), len(dst)+int(claimed)
	out := slices.Grow(dst, min(int(claimed), len(old)+len(program)))
	from := 0 // where in old a copy at distance 0 starts
	for len(rest) > 0 {
		var head uint64
		if head, rest, err = takeUvarint(rest); err != nil {
			return dst, err
		}
		if head>>1 > uint64(end-len(out)) {
			return dst, fmt.Errorf("%w: more than %d bytes", ErrLength, claimed)
		}
		n := int(head >> 1)
		if head&1 == 0 {
			if n > len(rest) {
				return dst, fmt.Errorf("%w: insert of %d bytes where %d are left", ErrProgram, n, len(rest))
			}
			out, rest = append(out, rest[:n]...), rest[n:]
			from += n
			continue
		}
		distance, k := binary.Varint(rest)
		if k <= 0 {
			return dst, fmt.Errorf("%w: copy without distance", ErrProgram)
		}
		rest = rest[k:]
		if distance < int64(-from) || distance > int64(len(old)-from-n) {
			return dst, fmt.Errorf("%w: %d bytes at %d%+d of %d", ErrBounds, n, from, distance, len(old))
		}
		from += int(distance)
		out = append(out, old[from:from+n]...)
		from += n
	}
	if len(out) != end {
		return dst, fmt.Errorf("%w: %d bytes instead of %d", ErrLength, len(out)-start, claimed)
	}
	return out, nil
}

func takeUvarint(b []byte) (v uint64, rest []byte, err error) {
	v, k := binary.Uvarint(b)
	if k <= 0 {
		return 0, b, fmt.Errorf("%w: bad varint", ErrProgram)
	}
	return v, b[k:], nil
}
