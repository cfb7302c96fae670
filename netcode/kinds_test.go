package netcode_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
	"tickover.dev/netcode"
)

// kinds holds, for every message kind, a usual message and what it is when every field is as large as it may be. The zero message
// is the third that the tests use.
var kinds = []struct{ usual, largest netcode.Message }{
	{
		&netcode.Hello{
			Version: 1, Run: 3735928559, Token: "ann", Session: "s1", Secret: "k1",
			Rooms: []netcode.Held{{Room: "r1", Seat: 2, Reliable: 41}, {Room: "r2", Seat: 300}}, Attempt: 1_795_000_000_000,
		},
		&netcode.Hello{
			Version: netcode.MaxUint, Run: 1<<32 - 1, Token: fullToken, Session: fullName, Secret: fullName,
			Rooms: []netcode.Held{{Room: fullName, Seat: netcode.MaxUint, Reliable: netcode.MaxUint}}, Attempt: netcode.MaxUint,
		},
	},
	{
		&netcode.Join{Request: 1, Mode: netcode.JoinOrCreate, Kind: "arena", Target: "lobby", Options: []byte("\x81\xa4bots\x32")},
		&netcode.Join{Request: netcode.MaxUint, Mode: netcode.JoinKey, Kind: fullName, Target: fullName, Options: deep},
	},
	{&netcode.Leave{Request: 2, Room: 1}, &netcode.Leave{Request: netcode.MaxUint, Room: netcode.MaxUint}},
	{
		&usualInput,
		&netcode.Input{
			Room: netcode.MaxUint, Number: netcode.MaxUint, Reliable: netcode.MaxUint, State: netcode.MaxUint, Value: deep,
		},
	},
	{
		&netcode.Ack{Room: 1, Reliable: 97, State: 40213},
		&netcode.Ack{Room: netcode.MaxUint, Reliable: netcode.MaxUint, State: netcode.MaxUint},
	},
	{&netcode.Ping{Time: 81234}, &netcode.Ping{Time: netcode.MaxUint}},
	{
		&netcode.Welcome{Version: 1, Session: "s1", Secret: "k2", Player: "p1", Name: "ann", Time: 1_795_000_000_000, Kept: 1, Node: "node-1"},
		&netcode.Welcome{
			Version: netcode.MaxUint, Session: fullName, Secret: fullName, Player: fullName, Name: fullName, Time: netcode.MaxUint, Resumed: true,
			Kept: netcode.MaxUint, Node: fullName,
		},
	},
	{
		&netcode.Joined{
			Request: 1, Room: 1, ID: "r1", Kind: "arena", Key: "lobby", Seat: 2, RateHz: 20, Epoch: 1_795_000_000_000, Tick: 40000,
			Outcome: netcode.OutcomeResumed, Reliable: 41, Applied: 5800,
		},
		&netcode.Joined{
			Request: netcode.MaxUint, Room: netcode.MaxUint, ID: fullName, Kind: fullName, Key: fullName, Seat: netcode.MaxUint,
			RateHz: netcode.MaxUint, Epoch: netcode.MaxUint, Tick: netcode.MaxUint, Outcome: 255, Reliable: netcode.MaxUint,
			Applied: netcode.MaxUint,
		},
	},
	{
		&netcode.Left{Room: 1, Why: "ended", Result: []byte("\x81\xa6winner\x02")},
		&netcode.Left{Request: netcode.MaxUint, Room: netcode.MaxUint, Why: fullName, Result: deep},
	},
	{
		&netcode.Tick{Room: 1, Epoch: 1_795_000_000_000, Tick: 40213, Applied: 5821},
		&netcode.Tick{Room: netcode.MaxUint, Epoch: netcode.MaxUint, Tick: netcode.MaxUint, Applied: netcode.MaxUint},
	},
	{&netcode.State{Value: steer}, &netcode.State{Value: deep}},
	{&netcode.Private{Value: []byte("\x93\x01\x02\x03")}, &netcode.Private{Value: deep}},
	{
		&netcode.Event{Number: 98, Name: "down", Value: []byte("\x82\xa4seat\x02\xa2by\x05")},
		&netcode.Event{Number: netcode.MaxUint, Name: fullName, Value: deep},
	},
	{
		&netcode.Reply{Number: 99, Run: 3735928559, Input: 5821, Value: []byte("\xc3")},
		&netcode.Reply{Number: netcode.MaxUint, Run: 1<<32 - 1, Input: netcode.MaxUint, Value: deep},
	},
	{
		&netcode.Refusal{Number: 100, Run: 3735928559, Input: 5822, Code: "not_your_turn", Message: "wait for ann"},
		&netcode.Refusal{Number: netcode.MaxUint, Run: 1<<32 - 1, Input: netcode.MaxUint, Code: fullName, Message: fullToken},
	},
	{
		&netcode.Error{Request: 1, Code: netcode.CodeRoomFull, Message: "20 of 20 seats are taken", RetryMs: 500},
		&netcode.Error{Request: netcode.MaxUint, Code: fullName, Message: fullToken, RetryMs: netcode.MaxUint},
	},
	{&netcode.Pong{Time: 81234, Now: 1_795_000_000_123}, &netcode.Pong{Time: netcode.MaxUint, Now: netcode.MaxUint}},
	{&netcode.Resend{Room: 1, Number: 5810}, &netcode.Resend{Room: netcode.MaxUint, Number: netcode.MaxUint}},
	{
		&netcode.Status{Room: 1, Status: netcode.StatusResumed, Epoch: 1_795_000_000_001, Tick: 40213},
		&netcode.Status{Room: netcode.MaxUint, Status: 255, Epoch: netcode.MaxUint, Tick: netcode.MaxUint},
	},
	{
		&netcode.Gone{ID: "r1", Why: "ended", Result: []byte("\x81\xa6winner\x02")},
		&netcode.Gone{ID: fullName, Why: fullName, Result: deep},
	},
	{
		&netcode.Clock{Room: 1, Tick: 40213, Time: 1_795_000_010_650},
		&netcode.Clock{Room: netcode.MaxUint, Tick: netcode.MaxUint, Time: netcode.MaxUint},
	},
}

var (
	fullName  = strings.Repeat("é", netcode.MaxNameBytes/2)
	fullToken = strings.Repeat("t", netcode.MaxTokenBytes)
	// deep is the deepest value that a message may hold.
	deep = append(bytes.Repeat([]byte{0x91}, netcode.MaxDepth-1), 0xc0)
)

// nothing is what a missing or empty Raw field is on the wire.
var nothing = []byte{0xc0}

// blank makes an empty message of the same kind as m.
func blank(m netcode.Message) netcode.Message {
	return reflect.New(reflect.TypeOf(m).Elem()).Interface().(netcode.Message)
}

// zero makes a message of the kind of m as a parser reads it when all fields are missing.
func zero(m netcode.Message) netcode.Message {
	z := blank(m)
	v := reflect.ValueOf(z).Elem()
	for _, f := range v.Fields() {
		if f.Type() == reflect.TypeFor[[]byte]() {
			f.SetBytes(nothing)
		}
	}
	return z
}

// named gives what a message kind is called in docs/PROTOCOL.md.
func named(m netcode.Message) string { return strings.ToLower(reflect.TypeOf(m).Elem().Name()) }

// blankOf makes an empty message of a type, or gives nil for one that the protocol does not have.
func blankOf(t netcode.Type) netcode.Message {
	for _, k := range kinds {
		if k.usual.Type() == t {
			return blank(k.usual)
		}
	}
	return nil
}

// parse reads a frame that holds one message of m's kind into m.
func parse(frame []byte, m netcode.Message) error {
	if err := netcode.Check(frame); err != nil {
		return err
	}
	var parser netcode.Parser
	parser.Reset(frame)
	if _, err := parser.Next(); err != nil {
		return err
	}
	return parser.Read(m)
}

// elements cuts a well-formed array of fewer than 16 elements into these.
func elements(tb testing.TB, message []byte) [][]byte {
	tb.Helper()
	var all [][]byte
	for rest := message[1:]; len(rest) > 0; {
		n := 1
		for netcode.CheckValue(rest[:n]) != nil {
			if n++; n > len(rest) {
				tb.Fatalf("% x is not a value", rest)
			}
		}
		all = append(all, rest[:n])
		rest = rest[n:]
	}
	return all
}

// join puts elements, however many, into an array.
func join(all ...[]byte) []byte {
	n := len(all)
	message := []byte{0xdc, byte(n >> 8), byte(n)}
	if n < 16 {
		message = []byte{0x90 | byte(n)}
	}
	return append(message, bytes.Join(all, nil)...)
}

// plain encodes m by reflection and with another library: the dumb codec that the written one must agree with. A message is an
// array of its type and of the struct's fields in their order.
func plain(tb testing.TB, m netcode.Message, compact bool) []byte {
	tb.Helper()
	var buf bytes.Buffer
	e := msgpack.NewEncoder(&buf)
	e.UseCompactInts(compact)
	v := reflect.ValueOf(m).Elem()
	err := e.EncodeArrayLen(1 + v.NumField())
	if err == nil {
		err = e.EncodeUint(uint64(m.Type()))
	}
	for _, f := range v.Fields() {
		if err == nil {
			err = plainField(e, f)
		}
	}
	if err != nil {
		tb.Fatal(err)
	}
	return buf.Bytes()
}

func plainField(e *msgpack.Encoder, f reflect.Value) error {
	switch x := f.Interface().(type) {
	case bool:
		if x {
			return e.EncodeUint(1)
		}
		return e.EncodeUint(0)
	case string:
		return e.EncodeString(x)
	case []byte:
		if len(x) == 0 {
			return e.EncodeNil()
		}
		return e.Encode(msgpack.RawMessage(x))
	case []netcode.Held:
		all := make([]any, len(x)) // never nil, which would be written as nil
		for i, h := range x {
			all[i] = []any{h.Room, h.Seat, h.Reliable}
		}
		return e.Encode(all)
	default:
		return e.Encode(f.Uint())
	}
}
