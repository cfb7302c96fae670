// Package floor measures what messages and sessions cost a node, as the kernel counts it, and compares the messages with a floor:
// the smallest program that moves the same bytes over as many sockets (bare/floor.c). It starts servers as processes of their own,
// plays against them from one thread, and knows of them the wire and nothing else.
//
//	                 inputs, each player 20 a second in its own phase
//	crowd, 1 thread ────────────────────────────────────────────────► node: 256 B of state per room of 20 and tick, to all in it
//	                ◄────────────────────────────────────────────────   or
//	                 frames: header cut, tick number read, counted      floor: one prebuilt frame per tick, to all
//
// # Fair play
//
// Both servers get the same bytes at the same times: inputs of 48 bytes, masked, numbered, with the acknowledgement of the newest
// state. From both come frames of the same form, of which the crowd reads the same fields. A crowd keeps its own schedule, as
// players do, and does not answer frames. It reads once per millisecond and never sleeps on its sockets: waking it would be charged
// to the server, and on two processors the crowd must be cheap. Rounds of both servers take turns, and medians are compared.
//
// A server that skips states, or is late, would do less work: a round counts only if 97 to 103 % of the states arrived.
// What else ran on the machine meanwhile is printed with each round (other_cpus); above 0.2 a round says little.
//
// # Why the floor is C
//
// The same loop in Go, with raw system calls on a locked thread, took about 15 % more at 2,500 sockets and 5 to 60 % more at 1,000:
// each time the loop sleeps in epoll_wait, the runtime's monitor thread is up as well. A yardstick must not have such costs.
//
// # Concurrency
//
// A Crowd belongs to one goroutine. Fanout and Idle run on their caller's and leave nothing behind.
package floor
