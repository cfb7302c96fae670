// Command picture is a node with the one kind of room that the fan-out measurement plays: 256 bytes that everybody sees and that
// change with every tick and every input. Its game does next to nothing, so what it costs is what tickover costs.
package main

import (
	"encoding/binary"
	"time"

	"tickover.dev/node"
	"tickover.dev/rooms"
)

func main() { node.Main(kind) }

var kind = rooms.Define(&picture{}, rooms.Config{Name: "picture", RateHz: int(time.Second / kindPeriod), Seats: 64})

// picture is what everybody in a room sees.
//
//	count of ticks 8 | dabs, one upon the other 248
type picture struct{ Pixels [256]byte }

const (
	countBytes = 8
	kindPeriod = time.Second / 20
)

// dab is one input: so many bytes of colour.
type dab [32]byte

// Public shows the picture as it is.
func (p *picture) Public() any { return &p.Pixels }

// Step counts, and puts each dab at its painter's place. Dabs of twenty painters overlap: nearly all of the picture changes.
func (p *picture) Step(t *rooms.Tick[dab]) {
	binary.LittleEndian.PutUint64(p.Pixels[:], t.Number())
	for e := range t.Events() {
		if e.Type != rooms.Input {
			continue
		}
		at := countBytes + int(e.Seat)*13%(len(p.Pixels)-countBytes-len(e.Input))
		for i, colour := range e.Input {
			p.Pixels[at+i] ^= colour
		}
	}
}
