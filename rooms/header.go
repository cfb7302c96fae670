package rooms

import (
	"slices"
	"time"
)

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
	Departed []departure   // the last stays that ended, oldest first
	Loose    bool          // inputs that were acknowledged have been rolled back, so there may be gaps before others
}

// seatState is one taken seat. Every entry's hash is over all of them, so their fields have short names there.
type seatState struct {
	Who       occupant      `msgpack:"p"`
	Gen       uint64        `msgpack:"g"` // connection generation; older drops and returns are ignored
	Connected bool          `msgpack:"c"`
	GraceEnd  time.Duration `msgpack:"e"` // when a dropped player loses the seat
	Run       uint32        `msgpack:"r"`
	Applied   uint64        `msgpack:"a"` // last input of Run that was applied or refused
	Request   uint64        `msgpack:"q"` // of the join
	Issued    uint64        `msgpack:"m"` // number of the newest reliable message
	Acked     uint64        `msgpack:"k"` // up to here reliable messages are acknowledged, or given up
	Node      Node          `msgpack:"w"` // where the session is connected, or was last
	Lost      bool          `msgpack:"l"` // messages were given up that the session does not know of yet: it is sent none until it returns
}

func (s *seatState) player() Player {
	return Player{ID: s.Who.ID, Name: s.Who.Name, Bot: s.Who.Bot, Connected: s.Connected}
}

// departure is a stay that ended. A late copy of its join must not take a new seat.
type departure struct {
	Session string
	Run     uint32
	Request uint64 // the newest request of that run the room knows of
}

// depart notes that a stay ended, by the request given (0: by none of the session's own).
func (h *header) depart(s *seatState, request uint64) {
	if len(h.Departed) >= maxDeparted {
		h.Departed = append(h.Departed[:0], h.Departed[1:]...)
	}
	h.Departed = append(h.Departed, departure{s.Who.Session, s.Run, max(s.Request, request)})
}

// departed reports whether a join is one that was done, and its stay is over.
func (h *header) departed(session string, run uint32, request uint64) bool {
	for _, d := range h.Departed {
		if d.Session == session && d.Run == run && request <= d.Request {
			return true
		}
	}
	return false
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
	Node    Node // where it comes from
	Bot     bool
	Ticket  uint64 // of a signal: where its answer goes
	Tries   uint8  // steps with it that panicked

	leaver Player // who sat on the seat of a Left
}

const (
	maxTimers       = 256
	maxJobs         = 256
	maxSignals      = 64        // remembered signal ids
	maxReliable     = 256 << 10 // unacknowledged reliable bytes per seat
	maxMailbox      = 1024      // events waiting for a room's next step
	maxMailboxBytes = 4 << 20   // of them, with their bodies
	maxNameBytes    = 64
	maxDeparted     = 64 // remembered stays that ended
)

// humans counts the seats that are not bots', and those with a connection.
func (h *header) humans() (seated, connected int) {
	for _, s := range h.Seats.All() {
		if s.Who.Bot {
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
		if !s.Who.Bot && s.Who.Session == session {
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
		if !s.Connected && !s.Who.Bot {
			sooner(s.GraceEnd)
		}
	}
	if h.EmptyAt > 0 {
		sooner(h.EmptyAt)
	}
	return next, ok
}

// window is a list of pending events that keeps their bodies in memory of its own, used again after reset.
type window struct {
	list  []pend
	arena []byte
}

// add copies p and its body.
func (w *window) add(p pend) {
	if len(p.Body) > 0 {
		from := len(w.arena)
		w.arena = append(w.arena, p.Body...)
		p.Body = w.arena[from:len(w.arena):len(w.arena)]
	}
	w.list = append(w.list, p)
}

// addAll copies all of from.
func (w *window) addAll(from *window) {
	for i := range from.list {
		w.add(from.list[i])
	}
}

// batch is how many of the first elements may go into one step: all, unless some were in a step that panicked. Those go alone,
// so that only they can come to harm.
func (w *window) batch() int {
	n := 0
	for n < len(w.list) && w.list[n].Tries == w.list[0].Tries {
		n++
	}
	return n
}

// drop forgets the first n elements.
func (w *window) drop(n int) {
	if n == len(w.list) {
		w.reset()
		return
	}
	w.list = slices.Delete(w.list, 0, n)
}

// suspects reports whether an element was in a step that panicked.
func (w *window) suspects() bool {
	return slices.ContainsFunc(w.list, func(p pend) bool { return p.Tries > 0 })
}

// bytes is roughly what the window holds.
func (w *window) bytes() int { return len(w.arena) + len(w.list)*64 }

// reset empties the window and keeps its memory, if that is not much.
func (w *window) reset() {
	const keepBytes = 16 << 10
	clear(w.list)
	w.list, w.arena = w.list[:0], w.arena[:0]
	if cap(w.arena) > keepBytes {
		w.arena = nil
	}
}
