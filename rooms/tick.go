package rooms

import (
	"iter"
	"log/slog"
	"math/rand/v2"
	"time"
)

// Seat is a player's place in one room. Numbers start at 1, grow, and are never used again in a room; 0 is nobody.
type Seat uint32

// ID names a room. It is random and never reused.
type ID string

// Player is what a game may know of who sits on a seat.
type Player struct {
	ID        string // stable over sessions, from the token; "" for bots
	Name      string
	Bot       bool
	Connected bool
}

// EventType says what happened.
type EventType uint8

const (
	Created  EventType = iota + 1 // first event of a room; Decode gives the creator's options; Reject refuses the room
	Joined                        // a player or bot took a seat; Decode gives what Admit returned; Reject turns it away unseen
	Dropped                       // the connection is gone; the seat is kept for Config.Grace
	Returned                      // back on the same seat
	Left                          // final; Why is "left", "kicked" or "grace"
	Input                         // Event.Input is decoded and valid; Reply or Reject answer the sender
	Timer                         // a timer set with After; Name says which
	Signal                        // a message from HTTP, an operator or another room; Name and Decode; Reply or Reject answer it
	Done                          // a job given to Do has finished; Name, Decode, and Why if it failed
)

var eventNames = [...]string{"none", "created", "joined", "dropped", "returned", "left", "input", "timer", "signal", "done"}

func (t EventType) String() string {
	if int(t) < len(eventNames) {
		return eventNames[t]
	}
	return "unknown"
}

// Event is one thing that reached the room since the last tick.
type Event[In any] struct {
	Type   EventType
	Seat   Seat   // 0 for Created, Timer, Signal, Done
	Player Player // who sits there
	Input  In     // for Input
	Name   string // for Timer, Signal, Done
	Why    string // for Left; for Done the error, if the job failed for good
	index  int    // in the step's pend list
	raw    []byte
}

// Decode decodes the body of Created (options), Joined (what Admit returned, or the join's options), Signal and Done into v,
// a pointer. What the body does not say leaves v as it is: set defaults first.
func (e Event[In]) Decode(v any) error { return decodeAny(e.raw, v) }

// Tick is one step as the game sees it. It is valid until Step returns.
type Tick[In any] struct {
	c      *core
	events []Event[In]
}

// Room is the room's id, the same for as long as it lives and on every node: for links, and for what is kept outside of the room.
// Log has it already.
func (t *Tick[In]) Room() ID { return t.c.id }

// Key is the human name under which players find the room, "" if it was created without one. A key is free again when its room has
// ended: what is kept outside goes by Room.
func (t *Tick[In]) Key() string { return t.c.h.Key }

// Number is the tick's number: 1 for the first, never going back, the same on every node.
func (t *Tick[In]) Number() uint64 { return t.c.h.Tick }

// Now is the room's time since it was created. At a fixed rate it is Number × period exactly.
func (t *Tick[In]) Now() time.Duration { return t.c.h.Now }

// Rate is in ticks per second.
func (t *Tick[In]) Rate() float64 { return float64(t.c.kind.RateHz) }

// Rand is the room's own generator. Its state moves with the room.
func (t *Tick[In]) Rand() *rand.Rand { return t.c.rand }

// Log is the room's logger.
func (t *Tick[In]) Log() *slog.Logger { return t.c.log }

// Events walks what happened since the last tick, in the one order that every node agrees on.
func (t *Tick[In]) Events() iter.Seq[Event[In]] {
	return func(yield func(Event[In]) bool) {
		for i := range t.events {
			if !yield(t.events[i]) {
				return
			}
		}
	}
}

// Seats walks the taken seats in order. The players are copies.
func (t *Tick[In]) Seats() iter.Seq2[Seat, Player] {
	return func(yield func(Seat, Player) bool) {
		for seat, s := range t.c.h.Seats.All() {
			if !yield(seat, s.player()) {
				return
			}
		}
	}
}

// Send sends v to one seat, reliably and in order with all else sent to it, across reconnects and fail-over.
// For state use Public and Private: they need no sending.
func (t *Tick[In]) Send(to Seat, name string, v any) { t.c.send(to, name, v) }

// Broadcast is Send to every seat taken at this moment, bots left out.
func (t *Tick[In]) Broadcast(name string, v any) { t.c.broadcast(name, v) }

// Reply answers an Input or a Signal with v.
func (t *Tick[In]) Reply(e Event[In], v any) { t.c.reply(e.index, v) }

// Reject refuses an Input, a Signal, a Joined or the Created: code is a stable word for programs, why is for people.
// A rejected Joined leaves no trace; a rejected Created ends the room before anybody entered it.
func (t *Tick[In]) Reject(e Event[In], code, why string) { t.c.reject(e.index, code, why) }

// After sets the named timer to go off once, d from now; it replaces the one of that name. Timers are state: they survive moves.
// A room has at most 256.
func (t *Tick[In]) After(d time.Duration, name string) { t.c.after(d, name) }

// Cancel stops the named timer, if it is set.
func (t *Tick[In]) Cancel(name string) { t.c.cancel(name) }

// AddBot asks for a seat for a bot; it comes as Joined in the next step, unless the room is full.
func (t *Tick[In]) AddBot(name string) { t.c.addBot(name) }

// Kick takes the seat away for good; Left comes in the next step.
func (t *Tick[In]) Kick(s Seat, why string) { t.c.kick(s, why) }

// Lock keeps new players out until it is called with false.
func (t *Tick[In]) Lock(locked bool) { t.c.lock(locked) }

// Describe sets the metadata that room listings show.
func (t *Tick[In]) Describe(metadata any) { t.c.describe(metadata) }

// Do asks for Config.Do to be called with this job after the tick is confirmed. The result comes back as Done.
// A room has at most 256 jobs under way; beyond them Done comes at once with Why "too many jobs".
func (t *Tick[In]) Do(name string, body any) { t.c.do(name, body) }

// End ends the room after this tick, with a result that players and returners are told.
func (t *Tick[In]) End(result any) { t.c.end("ended", result) }
