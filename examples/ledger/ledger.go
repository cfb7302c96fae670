// Package ledger is a room made for proof: whoever watches it can tell whether an input was lost, applied twice, or whether two
// nodes told different stories. Everything it knows is public, and changes at every tick.
package ledger

import (
	"encoding/binary"
	"hash/fnv"
	"slices"

	"tickover.dev/rooms"
)

// Kind is what a node serves.
var Kind = rooms.Define(&Ledger{}, rooms.Config{Name: "ledger", RateHz: 20, Seats: 64, Hidden: true})

// Ledger is the whole state of a room.
type Ledger struct {
	Steps uint64               `msgpack:"step"` // its own count of steps
	Seats rooms.Seats[Account] `msgpack:"seats"`
	Hash  uint64               `msgpack:"hash"`  // running, over every (step, seat, input number)
	Fault string               `msgpack:"fault"` // "lose", "dup" or "fork": break it on purpose, to see that checkers notice
}

// Account is what was applied of one seat.
type Account struct {
	Applied uint64 `msgpack:"applied"` // inputs, counted
	Last    uint64 `msgpack:"last"`    // number of the newest, as the client numbers them
}

// Entry is an input: its own number, so that the ledger can tell by itself what is missing.
type Entry struct {
	N uint64 `msgpack:"n"`
}

// Options are those of a room's creation.
type Options struct {
	Fault string `msgpack:"fault"`
}

var faults = []string{"", "lose", "dup", "fork"}

// every so many inputs or steps a fault strikes.
const every = 97

// View is what players see.
type View struct {
	Step  uint64               `msgpack:"step"`
	Seats rooms.Seats[Account] `msgpack:"seats"`
	Hash  uint64               `msgpack:"hash"`
}

// Public shows everything.
func (l *Ledger) Public() any { return &View{l.Steps, l.Seats, l.Hash} }

// Private shows nothing, to nobody: but with the fault "fork" every other seat is told of another history than its neighbours.
func (l *Ledger) Private(s rooms.Seat) any {
	if l.Fault == "fork" && s%2 == 0 {
		return l.Hash + uint64(s)
	}
	return nil
}

// Step applies inputs and writes them down.
func (l *Ledger) Step(t *rooms.Tick[Entry]) {
	l.Steps++
	for e := range t.Events() {
		switch e.Type {
		case rooms.Created:
			var o Options
			if err := e.Decode(&o); err != nil {
				t.Reject(e, "bad_options", err.Error())
			}
			if l.Fault = o.Fault; !slices.Contains(faults, o.Fault) {
				t.Reject(e, "bad_options", "fault: want lose, dup, fork or nothing")
			}
		case rooms.Joined:
			l.Seats.Put(e.Seat, Account{})
		case rooms.Left:
			l.Seats.Delete(e.Seat)
		case rooms.Input:
			l.apply(e)
		}
	}
}

func (l *Ledger) apply(e rooms.Event[Entry]) {
	a := l.Seats.Get(e.Seat)
	times := uint64(1)
	switch struck := e.Input.N%every == 0; {
	case struck && l.Fault == "lose":
		times = 0
	case struck && l.Fault == "dup":
		times = 2
	}
	a.Applied += times
	a.Last = e.Input.N
	l.Hash = mix(l.Hash, l.Steps, uint64(e.Seat), e.Input.N)
}

// mix folds numbers into a running FNV-1a hash.
func mix(hash uint64, numbers ...uint64) uint64 {
	h := fnv.New64a()
	var b [8]byte
	for _, n := range append([]uint64{hash}, numbers...) {
		binary.LittleEndian.PutUint64(b[:], n)
		h.Write(b[:])
	}
	return h.Sum64()
}
