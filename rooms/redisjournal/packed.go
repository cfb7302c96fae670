package redisjournal

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"tickover.dev/rooms"
)

// format is the version of packed entries. Newer ones are left to nodes that know them.
const format = 1

// headerSize is what stands before the body: see the package comment. The scripts know these places too.
const headerSize = 2 + 4*8

const (
	fieldName = "e"
	tombID    = "18446744073709551615-0" // above every entry; one more would not fit anyway
	tombEpoch = rooms.Epoch(1<<64 - 1)
	tombKind  = rooms.EntryKind(255)
	stoneKind = rooms.EntryKind(254) // of a tombstone that Forestall left
)

// appendPacked appends an entry's field.
func appendPacked(dst []byte, e *rooms.Entry) []byte {
	dst = append(dst, format, byte(e.Kind))
	dst = binary.BigEndian.AppendUint64(dst, e.Nonce)
	dst = binary.BigEndian.AppendUint64(dst, uint64(e.Prev.Epoch))
	dst = binary.BigEndian.AppendUint64(dst, e.Prev.Tick)
	dst = binary.BigEndian.AppendUint64(dst, e.Horizon)
	return append(dst, e.Body...)
}

// unpack reads the field of an entry whose id is known. It copies the body. Errors are rooms.ErrCorrupt and
// rooms.ErrNewer, and leave the entry alone.
func unpack(e *rooms.Entry, field string) error {
	switch {
	case len(field) == 0:
		return fmt.Errorf("%w: no field %q", rooms.ErrCorrupt, fieldName)
	case field[0] > format:
		return fmt.Errorf("%w: journal format %d, this node knows %d", rooms.ErrNewer, field[0], format)
	case field[0] != format:
		return fmt.Errorf("%w: journal format %d", rooms.ErrCorrupt, field[0])
	case len(field) < headerSize:
		return fmt.Errorf("%w: %d bytes", rooms.ErrCorrupt, len(field))
	}
	kind := rooms.EntryKind(field[1])
	isTomb := (kind == tombKind || kind == stoneKind) && e.ID.Epoch == tombEpoch
	if !isTomb && (kind < rooms.EntryCreate || kind > rooms.EntryRelease) {
		return fmt.Errorf("%w: entry of unknown kind %d", rooms.ErrCorrupt, kind)
	}
	b := []byte(field)
	e.Kind = kind
	number := func(i int) uint64 { return binary.BigEndian.Uint64(b[2+8*i:]) }
	e.Nonce, e.Horizon = number(0), number(3)
	e.Prev = rooms.EntryID{Epoch: rooms.Epoch(number(1)), Tick: number(2)}
	if e.Body = b[headerSize:]; len(e.Body) == 0 {
		e.Body = nil
	}
	return nil
}

func formatID(id rooms.EntryID) string {
	var b [41]byte
	dst := strconv.AppendUint(b[:0], uint64(id.Epoch), 10)
	dst = append(dst, '-')
	return string(strconv.AppendUint(dst, id.Tick, 10))
}

func parseID(s string) (rooms.EntryID, error) {
	epoch, tick, _ := strings.Cut(s, "-")
	e, errE := strconv.ParseUint(epoch, 10, 64)
	t, errT := strconv.ParseUint(tick, 10, 64)
	if errE != nil || errT != nil {
		return rooms.EntryID{}, fmt.Errorf("%w: entry id %q", rooms.ErrCorrupt, s)
	}
	return rooms.EntryID{Epoch: rooms.Epoch(e), Tick: t}, nil
}

// journalKey is a room's stream. The braces are a hash tag: a Cluster keeps all keys of a room on one server.
func (j *Journal) journalKey(room rooms.ID) string {
	return j.config.Prefix + "j:{" + string(room) + "}"
}

// shelfKey is where a quarantined room's stream is put aside.
func (j *Journal) shelfKey(room rooms.ID) string { return j.config.Prefix + "q:{" + string(room) + "}" }
