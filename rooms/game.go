package rooms

import (
	"context"
	"fmt"
	"time"
)

// Game is the rules of one kind of room, implemented by a pointer to a struct. The struct's exported fields are the whole
// state: they are saved, moved, hashed and compared by the framework. Define refuses types that would not survive a move.
type Game[In any] interface {
	// Step advances the room by one tick. It is never called by two goroutines at once, and must not keep t.
	// Same state and same events should give the same result: take time, chance and timers from t, never from the machine.
	Step(t *Tick[In])
}

// Optional methods of a Game. They are pure functions of the state, called after steps, joins and resumes, so that nobody
// ever sends state by hand. They must not change the state.
type (
	// Publisher shows everyone the same value. It is sent when its encoding changed; the newest wins. An encoding of more than
	// 768 KiB fails the step as a panic does: it would not get through a connection. The same goes for Private.
	Publisher interface{ Public() any }
	// Dealer shows one seat what only that seat may see: cards, fog, a role. Sent like Public, to that seat.
	Dealer interface{ Private(Seat) any }
	// Migrator takes over a state that an older Version of the rules wrote, as msgpack. Without it fields match by name, and new
	// ones are zero.
	Migrator interface {
		Migrate(from int, state []byte) error
	}
	// Validator, on the input type (or its pointer), refuses values that decode but make no sense: ranges, NaN.
	// A refused input is answered with code "bad_input" and reaches neither Step nor the journal.
	Validator interface{ Validate() error }
)

// Config describes a kind. The zero value of each field is its default.
//
// StepLimit is measured from the moment the game's code is called (a tick's Step, Public and Private together, or Migrate), in real
// time. No call is cut short before it; one that has reached it loses its room at the next look of the watchdog, which is 20 ms later
// at most, or an eighth of the shortest StepLimit on the node if that is less (but at least 2 ms). Time in which the whole process was
// stopped for 100 ms or more does not count.
type Config struct {
	Name       string                                                 // how clients ask for it: 1 to 64 letters, digits, '-', '_', '.'
	RateHz     int                                                    // ticks per second, 0 to 128; 0: steps on events and timers only
	Seats      int                                                    // at most so many players and bots; default 16, at most 1,024
	Grace      time.Duration                                          // how long a dropped player keeps the seat; default 30 s
	Empty      time.Duration                                          // how long a room without players lives; default 60 s
	Version    int                                                    // of the rules: raise it when Step acts differently
	StepLimit  time.Duration                                          // a Step that takes as long loses its room, see above; default 500 ms
	Durability Durability                                             // what the journal keeps; default EveryChange
	Admit      func(context.Context, Admission) (data any, err error) // may do I/O; its data comes with Joined
	Do         func(context.Context, Job) (result any, err error)     // performs t.Do off the tick, at least once
	Hidden     bool                                                   // not for players: left out of the greeting and the page, marked in /v1/kinds
}

// Durability says what a room's journal keeps, and so what a crash can cost.
type Durability uint8

const (
	// EveryChange journals each changed state before anybody sees it. Exact; asks nothing of the game's code.
	EveryChange Durability = iota
	// Periodic journals a snapshot every second and shows ticks without waiting: a crash loses up to two seconds.
	Periodic
	// Replay journals what reached the room and, now and then, its whole state: for states that are large beside what happens to them.
	// As exact as EveryChange, for a game whose Step is deterministic: the same state and the same events give the same result, to
	// the last bit, also a minute later and on another machine. So in Step, and in all that it calls:
	//
	//   - no time.Now, no math/rand, no environment: take time and chance from the Tick;
	//   - no range over a map whose order shows, no select, no goroutines;
	//   - no variables outside of the state, also none that only remember what was computed before;
	//   - no slice or string of the state that another part of it refers to: after a move they are two.
	//
	// Floating point is fine. Rooms are replayed only by the same executable on processors that compute alike; any other node that takes
	// one over after a crash goes on from its newest snapshot and tells the players so (StatusRolledBack). Rooms that are handed
	// over, as on a restart, lose nothing. Package roomtest finds what is not deterministic, and so does shadow replay (Shard.ShadowEvery).
	Replay
)

func (d Durability) String() string {
	switch d {
	case Periodic:
		return "periodic"
	case Replay:
		return "replay"
	}
	return "every-change"
}

// Admission is a request for a seat, seen before it reaches the room.
type Admission struct {
	Room   ID
	Kind   string
	Player Player
	raw    []byte
}

// NewAdmission is for whoever calls Admit.
func NewAdmission(room ID, kind string, p Player, options []byte) Admission {
	return Admission{room, kind, p, options}
}

// Decode decodes the join's options into v, a pointer to a struct.
func (a Admission) Decode(v any) error { return decodeAny(a.raw, v) }

// Job is work a room asked for with Tick.Do. ID is stable over repeats: use it to do things once.
type Job struct {
	ID   string
	Name string
	Room ID
	raw  []byte
}

// Decode decodes the job's body into v.
func (j Job) Decode(v any) error { return decodeAny(j.raw, v) }

const (
	maxRateHz = 128
	maxSeats  = 1024
)

func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	if c.Seats == 0 {
		c.Seats = 16
	}
	def(&c.Grace, 30*time.Second)
	def(&c.Empty, time.Minute)
	def(&c.StepLimit, 500*time.Millisecond)
	return c
}

// complaints lists what is wrong with c, after defaults.
func (c Config) complaints() (errs []error) {
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !validName(c.Name, 64) {
		bad("Name %q: want 1 to 64 letters, digits, '-', '_', '.'", c.Name)
	}
	if c.RateHz < 0 || c.RateHz > maxRateHz {
		bad("RateHz %d: want 0 to %d", c.RateHz, maxRateHz)
	}
	if c.Seats < 1 || c.Seats > maxSeats {
		bad("Seats %d: want 1 to %d", c.Seats, maxSeats)
	}
	if c.Grace < 0 || c.Empty < 0 || c.StepLimit < 0 {
		bad("Grace, Empty and StepLimit must not be negative")
	}
	if c.Version < 0 {
		bad("Version %d: must not be negative", c.Version)
	}
	if c.Durability > Replay {
		bad("Durability %d: want EveryChange, Periodic or Replay", c.Durability)
	}
	return errs
}

// ValidName reports whether s may be the key of a room.
func ValidName(s string) bool { return validName(s, 64) }

// validName reports whether s is safe in URLs, metrics labels and logs.
func validName(s string, limit int) bool {
	for _, r := range s {
		ok := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.'
		if !ok {
			return false
		}
	}
	return s != "" && len(s) <= limit
}
