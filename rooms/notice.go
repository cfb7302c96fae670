package rooms

import (
	"bytes"
	"slices"

	"tickover.dev/codec"
)

// Notice is what listings show of a room. Like all that a frame shows, it is in the journal.
type Notice struct {
	Taken    int    `msgpack:"t"` // seats, by players and bots, those included whose players are away for a moment
	Seats    int    `msgpack:"s"` // there are
	Locked   bool   `msgpack:"l"`
	Metadata []byte `msgpack:"m"` // what Describe was given last, as msgpack; nil: nothing, or more than 4 KiB
}

// maxNoticed bounds the metadata that listings show: a page has hundreds of rooms.
const maxNoticed = 4 << 10

var noticeCodec = mustCompile[Notice]()

// Append appends the notice to dst.
func (n *Notice) Append(dst []byte) []byte { return noticeCodec.Append(dst, pointerTo(n)) }

// DecodeNotice reads what Append wrote.
func DecodeNotice(src []byte) (Notice, error) {
	var n Notice
	err := codec.Decode(src, &n)
	return n, err
}

// notice gives what listings are to show from now on, or nil if that is nothing new.
func (c *core) notice() *Notice {
	taken, metadata := c.h.Seats.Len(), c.h.Metadata
	if len(metadata) > maxNoticed {
		metadata = nil
	}
	if old := c.noticed; old != nil && taken == old.Taken && c.h.Locked == old.Locked && bytes.Equal(metadata, old.Metadata) {
		return nil
	}
	c.noticed = &Notice{Taken: taken, Seats: c.kind.Seats, Locked: c.h.Locked, Metadata: slices.Clone(metadata)}
	return c.noticed
}
