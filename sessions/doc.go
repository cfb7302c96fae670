// Package sessions is the glue between sockets and rooms. A session is a player's presence across connections: it is opened by
// hello, kept while its connection is lost, and resumed by whoever shows its secret. A view is what one session gets of one room;
// a replica is the newest of a room's public value on one loop, shared by the loop's views.
//
//	engine.Conn ──► Loop.Message ──► limits, netcode ──► host.Handle.Post ──► room
//	                                                                          │ confirmed
//	engine.Conn ◄── view ◄── replica (one per room and loop) ◄── Hub.Deliver ◄─┘
//
// # Concurrency
//
// Everything that belongs to a connection (its state, views, replicas) is touched by its loop's goroutine alone. Hub and Registry
// may be used from any goroutine; their locks are never held while calling out.
//
// # Bounds
//
// A session has at most 8 seats, a connection 60 messages a second after a burst of 120, a view one window of unacknowledged
// states (state is skipped, the newest is sent later), a seat 256 KiB of unacknowledged reliable messages (then its connection is
// closed), the registry so many sessions without a connection (then the oldest is forgotten).
package sessions
