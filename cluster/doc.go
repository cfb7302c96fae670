// Package cluster is what nodes know of each other: who lives, who owns which room, and who takes over what a dead node leaves.
// It knows nothing of sockets and nothing of what happens in a room.
//
//	heartbeats ──► Watch: who is dead ──┐
//	                                    ├──► Sweep: what to claim, repair, forget ──► orders ──► Cluster carries them out
//	directory, journals' tops ──────────┘                            ▲                              │
//	                                                                 └────────── answers ───────────┘
//
// Watch and Sweep are state machines: no goroutine, no clock, no I/O. Cluster is the shell that runs them on goroutines against a
// store, package redisstore in production and memstore in tests. The rules they follow are in docs/failover/RULES.md (R4, R13, R14).
// Safety does not depend on anything here: whoever claims a room is fenced by the room's journal. What is here makes sure that
// somebody does, soon, and that it is one.
package cluster
