package floor

import (
	"encoding/binary"
	"fmt"

	"tickover.dev/netcode"
)

// What players say and hear. Numbers in inputs are written in their widest form (docs/PROTOCOL.md allows it), so that an input is a
// template in which three places are patched, for a node and for the floor alike.

// request opens a WebSocket. The key is the example of RFC 6455, section 1.3, whose answer the floor knows by heart.
const request = "GET / HTTP/1.1\r\nHost: floor\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: " + netcode.Subprotocol + "\r\n\r\n"

const (
	headBytes  = 6  // of a client's frame: 2 and a mask of 4
	valueBytes = 32 // of an input's value
	stateBytes = 256

	// Places in an input: [4, 1, number ce…, 0, state ce…, bin c4 32 …]
	inputNumberAt = 4
	inputStateAt  = 10
	inputValueAt  = 16
	inputBytes    = inputValueAt + valueBytes
)

// inputFrame is a whole input with room for its header, mask included.
type inputFrame [headBytes + inputBytes]byte

var inputTemplate = inputFrame{
	0x82, 0x80 | inputBytes, 0, 0, 0, 0,
	0x96, byte(netcode.TypeInput), 1, 0xce, 0, 0, 0, 0, 0, 0xce, 0, 0, 0, 0, 0xc4, valueBytes,
}

// put writes input number, which acknowledges the state of tick, masked with mask.
func (f *inputFrame) put(number, tick, mask uint32) {
	*f = inputTemplate
	binary.BigEndian.PutUint32(f[2:], mask)
	p := f[headBytes:]
	binary.BigEndian.PutUint32(p[inputNumberAt:], number)
	binary.BigEndian.PutUint32(p[inputStateAt:], tick)
	for i := 0; i < valueBytes; i += 8 {
		binary.BigEndian.PutUint64(p[inputValueAt+i:], uint64(number)*0x9e3779b97f4a7c15) // never the same twice
	}
	wide := uint64(mask)<<32 | uint64(mask)
	for ; len(p) >= 8; p = p[8:] { // inputBytes is a multiple of 8
		binary.BigEndian.PutUint64(p, binary.BigEndian.Uint64(p)^wide)
	}
}

// appendFrame appends a message as a client's frame. The mask is 0, which leaves the bytes as they are: only inputs, which come in
// numbers, need to cost the server the same as a browser's.
func appendFrame(dst []byte, m netcode.Message) []byte {
	p := m.Append(nil)
	if len(p) > 125 {
		panic("floor: message too long for a short frame")
	}
	dst = append(dst, 0x82, 0x80|byte(len(p)), 0, 0, 0, 0)
	return append(dst, p...)
}

// cutFrame takes a server's frame off the front of b. ok is false if b does not hold all of it.
func cutFrame(b []byte) (opcode byte, payload, rest []byte, ok bool) {
	if len(b) < 2 {
		return 0, nil, nil, false
	}
	size, at := int(b[1]), 2
	if size == 126 {
		if len(b) < 4 {
			return 0, nil, nil, false
		}
		size, at = int(binary.BigEndian.Uint16(b[2:])), 4
	}
	if len(b) < at+size {
		return 0, nil, nil, false
	}
	return b[0] & 0x0f, b[at : at+size], b[at+size:], true
}

// tickOf reads the tick number of [19, room, epoch, tick, …] if the message begins with that. room is below 128 and epoch, in
// milliseconds since 1970, takes nine bytes; so the number is at a fixed place.
func tickOf(p []byte) (tick uint32, ok bool) {
	const at = 3 + 9
	if len(p) < at+5 || p[0] != 0x95 || p[1] != byte(netcode.TypeTick) || p[3] != 0xcf {
		return 0, false
	}
	switch p = p[at:]; {
	case p[0] < 0x80:
		return uint32(p[0]), true
	case p[0] == 0xcc:
		return uint32(p[1]), true
	case p[0] == 0xcd:
		return uint32(binary.BigEndian.Uint16(p[1:])), true
	case p[0] == 0xce:
		return binary.BigEndian.Uint32(p[1:]), true
	}
	return 0, false
}

// typeOf gives the type of a message's first array.
func typeOf(p []byte) netcode.Type {
	if len(p) < 2 {
		return 0
	}
	return netcode.Type(p[1])
}

// describe says for an error what a server sent instead of what was hoped for.
func describe(opcode byte, p []byte) string {
	if opcode == 0x8 && len(p) >= 2 {
		return fmt.Sprintf("close %d %s", binary.BigEndian.Uint16(p), p[2:])
	}
	return fmt.Sprintf("opcode %d, %d bytes: %.80q", opcode, len(p), p)
}
