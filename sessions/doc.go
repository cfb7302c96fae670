// Package sessions is the glue between sockets and rooms. A session is a player's presence across connections: it is opened by
// hello, kept while its connection is lost, and resumed by whoever shows its secret. A view is what one session gets of one room;
// a replica is the newest of a room's public value on one loop, shared by the loop's views.
//
//	engine.Conn ──► Loop.Message ──► limits, netcode ──► Room.Post ──────────► room
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
// A session has at most 8 seats, those it asks for over any of its connections included, and makes 1 room a second after a burst of
// 8; a connection 60 messages a second after a burst of 120, and 8 parts for each message (refused, in the end closed); a view one
// window of unacknowledged states (skipped: the newest is sent later) and 256 inputs that its room has not answered (dropped: they
// are repeats); a seat 256 KiB of unacknowledged reliable messages (its connection is closed); a room 4,096 unanswered requests per
// loop (refused); the registry so many sessions without a connection, those with seats and those without counted apart (the oldest
// is forgotten). A loop whose mailbox is full closes its connections, which resume.
package sessions
