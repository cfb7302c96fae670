// Package rooms is the heart of tickover: what a game is, and the state machine that steps rooms and makes each step durable before
// anybody sees it.
//
// # For games
//
// A game is one struct with a Step method; [Define] makes a [Kind] of it, which a server takes (package node). Of this package it
// needs no more than this:
//
//	Define, Config     the rules' name, rate, seats, and how long things last
//	Game, Tick         Step, called once a tick, and all it may do: answer, send, set timers, draw lots, end the room
//	Event, EventType   what happened since the last tick: Joined, Input, Left, Timer and five more
//	Seat, Player       a place in the room, whose number is never reused, and who sits there
//	Seats, Table       what a game keeps per player, or under any other key: maps with an order
//	Maybe              a value that may be absent: a state has no pointers
//	Publisher, Dealer  the optional methods Public and Private: what everybody sees, what one seat sees
//	Validator          the optional method of inputs that refuses nonsense before Step sees it
//	Migrator           the optional method that takes over the state of an older Version
//	Admission, Job     what Config.Admit and Config.Do get: the two places where a game may wait for the world
//
// Step never waits, and takes time, chance and timers from its Tick: saving, moving, reconnecting and numbering are done outside of
// it. Package roomtest plays rooms in the tests of games. The examples below are a whole game and one for each of timers
// ([Tick.After]), tables, absent values and hidden hands ([Dealer]); the folder examples has larger ones:
//
//	examples/clicker    the smallest game with its server
//	examples/tictactoe  turns, with a clock
//	examples/highcard   hidden hands
//	examples/arena      twenty ticks a second, bots
//	examples/ledger     a room made to check the framework
//
// # For the framework
//
// Everything else here is the seam between rooms, journals and sessions. A room is a game's state and a header of the framework's
// own: seats, numbers, timers, chance. A [Shard] steps its rooms, writes each change, or what led to it, to the room's stream in a
// [Journal], and gives out the [Frame] that shows it once the journal has confirmed it. Because everything that was shown is in the
// journal, another shard, on another node, goes on exactly there (docs/failover).
//
//	mail ─► window ─► step ─► header, game ─► entry ─► journal
//	                            │                        │ confirmed
//	                            └──────► frame ──────────┴─────────► sessions
//
// It is not a server: it has no goroutines, reads no clock and does no I/O. Package host runs shards on goroutines, memjournal keeps
// journals in memory, and journaltest is what every Journal must pass.
//
// A Shard and all its rooms belong to one goroutine. Frames are shared, and read-only. Kinds are read-only. A Journal may be used
// from any goroutine.
//
// Start reading at core.advance for what a step is, and at commit for how steps become entries and entries frames; replay.go is how that
// differs for rooms of Durability [Replay], and how they come back. The simulation in
// sim_test.go runs all of it against every fault we know.
package rooms
