package netcode

import "tickover.dev/codec"

// Type is the first element of every message. 1 to 15 go to the server, 16 to 63 to the client.
type Type uint8

const (
	TypeHello Type = 1 + iota
	TypeJoin
	TypeLeave
	TypeInput
	TypeAck
	TypePing
)

const (
	TypeWelcome Type = 16 + iota
	TypeJoined
	TypeLeft
	TypeTick
	TypeState
	TypePrivate
	TypeEvent
	TypeReply
	TypeRefusal
	TypeError
	TypePong
	TypeResend
	TypeStatus
	TypeGone
	TypeClock
)

// Message is any message of the protocol.
type Message interface {
	Type() Type
	// Append appends the message to dst and returns it; it allocates only to grow dst. It writes what it is given: that numbers
	// are at most MaxUint, strings within the bounds of the parser and Raw fields one value each, or empty for nil, is up to the
	// caller. Of strings that are not UTF-8 the bad bytes become U+FFFD.
	Append(dst []byte) []byte
	// read takes the fields behind the type. Raw fields refer to the frame.
	read(f *fields)
}

// Hello opens a session or resumes one.
//
//	[1, version, run, token, session, secret, [[room, seat, reliable], …], attempt]
type Hello struct {
	Version uint64
	Run     uint32 // the client object's random number
	Token   string
	Session string // "" for a new one
	Secret  string
	Rooms   []Held
	Attempt uint64 // grows with every hello of a session, over restarts of its client too; 0: not numbered
}

// Held is a seat that a client still holds, and the last reliable message it has seen there.
type Held struct {
	Room     string
	Seat     uint64
	Reliable uint64
}

// JoinMode says how Join finds its room.
type JoinMode uint8

const (
	JoinID       JoinMode = iota // Target is a room's id
	JoinCreate                   // a new room, with key Target unless it is ""
	JoinOrCreate                 // the room of Kind and key Target, or a new one
	JoinKey                      // the room of Kind and key Target
	joinModesCount
)

// Join asks for a seat.
//
//	[2, request, mode, kind, target, options any]
type Join struct {
	Request uint64
	Mode    JoinMode
	Kind    string
	Target  string
	Options []byte // one msgpack value, or empty
}

// Leave gives a seat up.
//
//	[3, request, room]
type Leave struct{ Request, Room uint64 }

// Input is one numbered input, with the acknowledgements of Ack.
//
//	[4, room, number, reliable, state, value any]
type Input struct {
	Room, Number    uint64
	Reliable, State uint64
	Value           []byte
}

// Ack acknowledges reliable messages by number, and states by tick.
//
//	[5, room, reliable, state]
type Ack struct{ Room, Reliable, State uint64 }

// Ping asks for a Pong.
//
//	[6, time]
type Ping struct{ Time uint64 }

// Welcome answers Hello.
//
//	[16, version, session, secret, player, name, time, outcome, kept, node]
type Welcome struct {
	Version uint64
	Session string
	Secret  string
	Player  string
	Name    string
	Time    uint64 // Unix milliseconds
	Resumed bool
	Kept    uint64 // so many Joined and Gone follow, for the seats the session had and those that Hello named
	Node    string // the name of the node that holds this connection, for people; "" if it is not known
}

// JoinOutcome says what a Joined means.
type JoinOutcome uint8

const (
	OutcomeJoined   JoinOutcome = iota
	OutcomeResumed              // nothing reliable is missing
	OutcomeSnapshot             // reliable messages up to Joined.Reliable are lost to this client
)

// Joined tells of a seat, new or kept.
//
//	[17, request, room, id, kind, key, seat, rate, epoch, tick, outcome, reliable, applied]
type Joined struct {
	Request     uint64
	Room        uint64
	ID          string
	Kind        string
	Key         string
	Seat        uint64
	RateHz      uint64
	Epoch, Tick uint64
	Outcome     JoinOutcome
	Reliable    uint64 // the stream continues behind this number
	Applied     uint64 // last input of the run that was applied or refused
}

// Left tells that a seat is given up.
//
//	[18, request, room, why, result any]
type Left struct {
	Request, Room uint64
	Why           string
	Result        []byte
}

// Tick opens a room's part of a frame.
//
//	[19, room, epoch, tick, applied]
type Tick struct{ Room, Epoch, Tick, Applied uint64 }

// State is what everybody in the room sees.
//
//	[20, value any]
type State struct{ Value []byte }

// Private is what only this seat sees.
//
//	[21, value any]
type Private struct{ Value []byte }

// Event is a reliable message of the game.
//
//	[22, number, name, value any]
type Event struct {
	Number uint64
	Name   string
	Value  []byte
}

// Reply answers an input. It is reliable.
//
//	[23, number, run, input, value any]
type Reply struct {
	Number uint64
	Run    uint32
	Input  uint64
	Value  []byte
}

// Refusal refuses an input, which it consumes. It is reliable.
//
//	[24, number, run, input, code, message]
type Refusal struct {
	Number  uint64
	Run     uint32
	Input   uint64
	Code    string
	Message string
}

// Error refuses a request; the connection stays.
//
//	[25, request, code, message, retry]
type Error struct {
	Request uint64
	Code    string
	Message string
	RetryMs uint64
}

// Pong answers Ping.
//
//	[26, time, now]
type Pong struct{ Time, Now uint64 }

// Resend asks for inputs again, from a number on.
//
//	[27, room, number]
type Resend struct{ Room, Number uint64 }

// RoomStatus is a room's condition.
type RoomStatus uint8

const (
	StatusPlaying RoomStatus = iota
	StatusPaused
	StatusResumed
	StatusFaulted
	StatusRolledBack // the room goes on from an older state: what was shown behind Tick is void
)

// Status tells of a change of a room's condition.
//
//	[28, room, status, epoch, tick]
type Status struct {
	Room        uint64
	Status      RoomStatus
	Epoch, Tick uint64
}

// Gone answers a held seat that is no more.
//
//	[29, id, why, result any]
type Gone struct {
	ID     string
	Why    string
	Result []byte
}

// Clock places a room's ticks in time: tick Tick was due at Time, those behind it follow at the room's rate.
//
//	[30, room, tick, time]
type Clock struct {
	Room, Tick uint64
	Time       uint64 // Unix milliseconds, by the server's clock
}

// head opens a message of n elements, its type included.
func head(dst []byte, n int, t Type) []byte { return append(dst, 0x90|byte(n), byte(t)) }

func putUints(dst []byte, us ...uint64) []byte {
	for _, u := range us {
		dst = codec.AppendUint(dst, u)
	}
	return dst
}

func putStrings(dst []byte, ss ...string) []byte {
	for _, s := range ss {
		dst = codec.AppendString(dst, s)
	}
	return dst
}

// putRaw appends one value; an empty one is written as nil.
func putRaw(dst, raw []byte) []byte {
	if len(raw) == 0 {
		return codec.AppendNil(dst)
	}
	return append(dst, raw...)
}
