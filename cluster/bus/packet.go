package bus

import (
	"encoding/binary"
	"errors"
	"fmt"

	"tickover.dev/cluster"
)

// version of packets. Others are not read; what is lost by that shows in the numbers.
const version = 1

// kind of a packet.
type kind byte

const (
	kindBatch kind = 1 + iota
	kindPulse
	kindPing
)

const (
	headerSize = 2 + 4 + 3*8
	maxPacket  = 1 << 20
	// MaxMessage is the size of the largest message, in bytes: it fits a packet of its own.
	MaxMessage = maxPacket - headerSize - binary.MaxVarintLen32
)

// header is what a packet begins with: see the package comment.
type header struct {
	kind         kind
	sender       cluster.Boot
	conversation uint64
	number       uint64
	at           int64
}

var errPacket = errors.New("bus: malformed packet")

func appendHeader(dst []byte, h header) []byte {
	dst = append(dst, version, byte(h.kind))
	dst = binary.BigEndian.AppendUint32(dst, uint32(h.sender))
	dst = binary.BigEndian.AppendUint64(dst, h.conversation)
	dst = binary.BigEndian.AppendUint64(dst, h.number)
	return binary.BigEndian.AppendUint64(dst, uint64(h.at))
}

func appendMessage(dst, message []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(message)))
	return append(dst, message...)
}

// parse takes a packet apart. messages are well-formed: nextMessage will not find them to be otherwise half way.
func parse(packet []byte) (h header, messages []byte, err error) {
	switch {
	case len(packet) < headerSize || len(packet) > maxPacket:
		return h, nil, fmt.Errorf("%w: %d bytes", errPacket, len(packet))
	case packet[0] != version:
		return h, nil, fmt.Errorf("%w: version %d, this node knows %d", errPacket, packet[0], version)
	}
	h = header{
		kind: kind(packet[1]), sender: cluster.Boot(binary.BigEndian.Uint32(packet[2:])),
		conversation: binary.BigEndian.Uint64(packet[6:]), number: binary.BigEndian.Uint64(packet[14:]),
		at: int64(binary.BigEndian.Uint64(packet[22:])),
	}
	messages = packet[headerSize:]
	if h.kind < kindBatch || h.kind > kindPing || h.sender == 0 || h.number == 1<<64-1 {
		return h, nil, fmt.Errorf("%w: kind %d, number %d of %s", errPacket, h.kind, h.number, h.sender)
	}
	if isBatch := h.kind == kindBatch; isBatch != (len(messages) > 0) || isBatch && h.number == 0 {
		return h, nil, fmt.Errorf("%w: kind %d, number %d with %d bytes of messages", errPacket, h.kind, h.number, len(messages))
	}
	for rest := messages; len(rest) > 0; {
		var ok bool
		if _, rest, ok = nextMessage(rest); !ok {
			return h, nil, fmt.Errorf("%w: messages of %s end early", errPacket, h.sender)
		}
	}
	return h, messages, nil
}

// nextMessage cuts the first message off.
func nextMessage(messages []byte) (message, rest []byte, ok bool) {
	size, n := binary.Uvarint(messages)
	if n <= 0 || size > uint64(len(messages)-n) {
		return nil, nil, false
	}
	return messages[n : n+int(size) : n+int(size)], messages[n+int(size):], true
}
