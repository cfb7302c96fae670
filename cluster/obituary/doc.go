// Package obituary tells of the death of a node's process within milliseconds of it, long before its lease is over.
//
// Each node keeps an idle TCP connection to the three living members behind it, by boot. When a process ends, however it ends, its
// kernel closes its connections; and nobody listens where it listened. So: a connection that ends, and a new one that is refused, or
// meets another boot, mean that the process is dead. Anything else (silence, a time-out, no route) means nothing: a frozen process, or
// a network that is cut, is the lease's business.
//
//	watching ──── the connection ends ───► asking ──── refused, or another boot ───► dead: told once
//	   ▲                                     │
//	   └───────── it answers, or nothing ────┘
//
// A wrong obituary costs a bounce of rooms, never safety: whoever claims a room is fenced by its journal.
//
// The connection serves for one more thing. A node that does not reach the store cannot know whether anybody does; so the one that is
// watched says twice a second whether it does. A node that is cut off while most of its peers are not sends its players elsewhere.
//
// What is said on such a connection, by both ends, at once: "tko1" and the sender's boot, 4 bytes, big-endian. Then, by the end that
// is watched, twice a second: 's', it reaches the store, or 'b', it is blind.
package obituary
