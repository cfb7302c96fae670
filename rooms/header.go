package rooms

import "time"

// header is the framework's half of a room's state. It is saved, moved and hashed with the game's half, so that a resumed room
// goes on with the same seats, numbers, timers and chance (FAILOVER.md R8).
type header struct {
	Tick     uint64
	Now      time.Duration
	Key      string
	Options  []byte // the creator's
	Rand     []byte // the generator's state
	NextSeat Seat
	Seats    Seats[seatState]
	Timers   Table[string, time.Duration]
	Locked   bool
	Ended    bool
	Why      string // of the end
	Result   []byte
	Metadata []byte
	Wishes   []wish // what the last step asked for: bots, kicks
	Jobs     Table[uint64, job]
	NextJob  uint64
	EmptyAt  time.Duration // when a room without players ends; 0 while there are some
	Signals  []string      // ids of the last signals, oldest first
}

// seatState is one taken seat.
type seatState struct {
	Session   string
	Gen       uint64 // connection generation; older drops and returns are ignored
	ID        string
	Name      string
	Bot       bool
	Connected bool
	GraceEnd  time.Duration // when a dropped player loses the seat
	Run       uint32
	Applied   uint64 // last input of Run that was applied or refused
	Request   uint64 // of the join
	Issued    uint64 // number of the newest reliable message
	Acked     uint64 // up to here reliable messages are acknowledged, or given up
}

func (s *seatState) player() Player {
	return Player{ID: s.ID, Name: s.Name, Bot: s.Bot, Connected: s.Connected}
}

// wish is something a step asked for, to happen in the next one.
type wish struct {
	Type   EventType
	Seat   Seat   // of a kick
	Number uint64 // of a job
	Name   string
	Why    string
}

// job is a Do under way.
type job struct {
	Name string
	Body []byte
}

// pend is something that waits for the next step.
type pend struct {
	Type    EventType
	Seat    Seat
	Session string
	Gen     uint64
	Run     uint32
	Number  uint64 // of an input; of a join or leave the request; of a return the last reliable message seen; of a job its id
	ID      string // of the player; of a signal
	Name    string // of the player, timer, signal, job
	Why     string
	Body    []byte
	Bot     bool
	Ticket  uint64 // of a signal: where its answer goes

	leaver Player // who sat on the seat of a Left
}

const (
	maxTimers    = 256
	maxJobs      = 256
	maxSignals   = 64        // remembered signal ids
	maxReliable  = 256 << 10 // unacknowledged reliable bytes per seat
	maxMailbox   = 1024      // events waiting for a room's next step
	maxNameBytes = 64
	inputWindow  = 256 // unacknowledged inputs per seat
)

// humans counts the seats that are not bots', and those with a connection.
func (h *header) humans() (seated, connected int) {
	for _, s := range h.Seats.All() {
		if s.Bot {
			continue
		}
		seated++
		if s.Connected {
			connected++
		}
	}
	return seated, connected
}

// seatOf finds a session's seat, or 0.
func (h *header) seatOf(session string) Seat {
	for seat, s := range h.Seats.All() {
		if !s.Bot && s.Session == session {
			return seat
		}
	}
	return 0
}

// nextDeadline is the earliest time at which the room has to step by itself.
func (h *header) nextDeadline() (time.Duration, bool) {
	next, ok := time.Duration(0), false
	sooner := func(d time.Duration) {
		if !ok || d < next {
			next, ok = d, true
		}
	}
	for _, due := range h.Timers.All() {
		sooner(*due)
	}
	for _, s := range h.Seats.All() {
		if !s.Connected && !s.Bot {
			sooner(s.GraceEnd)
		}
	}
	if h.EmptyAt > 0 {
		sooner(h.EmptyAt)
	}
	return next, ok
}
