package loadtest

import (
	"fmt"
	"math"
	"math/rand/v2"

	"tickover.dev/codec"
)

// Scenario is what bots do in rooms of one kind, and what can be told from what they see. It has no state: many goroutines use it.
type Scenario interface {
	// Input appends a bot's next input, one msgpack value, to dst. number is what the client will number it.
	Input(dst []byte, number uint64, random *rand.Rand) []byte
	// Check compares all stays in a room with its newest state. settled means that the state is recent enough to be final.
	Check(state []byte, stays []Stay) (v Verdict, settled bool, err error)
}

// Stay is one bot's time in one seat.
type Stay struct {
	Seat    uint64
	Sent    uint64 // inputs numbered: 1 to Sent
	Acked   uint64 // inputs consumed: 1 to Acked
	Refused uint64 // of these, refused
	Gone    bool   // the seat was lost before the end
	Again   bool   // and had again: a later stay has it
}

// Verdict counts the faults of one room.
type Verdict struct{ Lost, Duplicated uint64 }

// scenarioOf gives the scenario for rooms of a kind.
func scenarioOf(kind string) (Scenario, error) {
	switch kind {
	case "ledger":
		return ledger{}, nil
	case "arena":
		return arena{}, nil
	default:
		return nil, fmt.Errorf("kind %q has no scenario; there are ledger and arena", kind)
	}
}

// ledger rooms count every input: the room itself says what it has consumed.
type ledger struct{}

// Input is {"n": number}: the room can see gaps on its own.
func (ledger) Input(dst []byte, number uint64, _ *rand.Rand) []byte {
	return codec.AppendUint(codec.AppendString(codec.AppendMapLen(dst, 1), "n"), number)
}

func (ledger) Check(state []byte, stays []Stay) (Verdict, bool, error) {
	seats, err := parseLedger(state)
	if err != nil {
		return Verdict{}, false, err
	}
	v, settled := checkLedger(seats, stays)
	return v, settled, nil
}

// arena rooms are the example game: bots run about, turn and shoot. Nothing in the state can be checked.
type arena struct{}

type arenaInput struct {
	DX    int8    `msgpack:"dx"`
	DY    int8    `msgpack:"dy"`
	Angle float64 `msgpack:"angle"` // radians
	Fire  bool    `msgpack:"fire"`
}

func (arena) Input(dst []byte, _ uint64, random *rand.Rand) []byte {
	in := arenaInput{
		DX: int8(random.IntN(3) - 1), DY: int8(random.IntN(3) - 1),
		Angle: (2*random.Float64() - 1) * math.Pi, Fire: random.IntN(4) == 0,
	}
	dst, err := codec.Append(dst, &in)
	if err != nil {
		panic(err) // the type is right here
	}
	return dst
}

func (arena) Check([]byte, []Stay) (Verdict, bool, error) { return Verdict{}, true, nil }
