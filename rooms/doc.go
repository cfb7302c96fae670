// Package rooms is the heart of tickover: what a game is (Game, Tick, Config, Define), and the state machine that steps rooms and
// makes each step durable before anybody sees it (Shard).
//
// A room is a game's state and a header of the framework's own: seats, numbers, timers, chance. A Shard steps its rooms, writes
// each change to the room's stream in a Journal, and gives out the Frame that shows it once the journal has confirmed it. Because
// everything that was shown is in the journal, another shard, on another node, goes on exactly there (docs/failover).
//
//	mail ─► window ─► step ─► header, game ─► entry ─► journal
//	                            │                        │ confirmed
//	                            └──────► frame ──────────┴─────────► sessions
//
// It is not a server: it has no goroutines, reads no clock and does no I/O. Package host runs shards on goroutines, memjournal keeps
// journals in memory, roomtest plays rooms in the tests of games, and journaltest is what every Journal must pass.
//
// A Shard and all its rooms belong to one goroutine. Frames are shared, and read-only. Kinds are read-only. A Journal may be used
// from any goroutine.
//
// Start reading at Game and Tick for the game's side, at core.advance for what a step is, and at commit for how steps become
// entries and entries frames. The simulation in sim_test.go runs all of it against every fault we know.
package rooms
