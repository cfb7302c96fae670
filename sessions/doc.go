// Package sessions is the glue between sockets and rooms. A session is a player's presence across connections: it is opened by
// hello, kept while its connection is lost, and resumed by whoever shows its secret. A view is what one session gets of one room;
// a replica is the newest of a room's public value on one loop, shared by the loop's views.
//
//	engine.Conn ──► Loop.Message ──► limits, netcode ──► Room.Post ──────────► room
//	                                                                          │ confirmed
//	engine.Conn ◄── view ◄── replica (one per room and loop) ◄── Hub.Deliver ◄─┘
//
// Where rooms are is the business of Rooms, which may have to ask others: a request waits for it like for the room's own answer.
//
// # One node or many
//
// By itself a Registry keeps all sessions in memory. With a Store they are kept where all nodes find them, and a session may be
// resumed at any:
//
//	hello, new ──► Authenticate ──► Store.Open ─────────────────► welcome
//	hello, session and secret ────► Store.Resume: generation + 1 ► welcome ──► the node that had it: Hub.Superseded
//	seats, requests, detached ────► within 20 ms, together ──────► Store.Save, refused if the generation is not the newest
//
// The store is the fence: the newest generation wins, whatever nodes think. What a node that dies has not saved, clients make up for:
// they name the seats that they hold, and only the room knows whose a seat is.
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
// is forgotten). 64 hellos are with Authenticate and 64 with the store at a time (the rest waits for its turn, 10 s); 500 sessions are
// in one save, and one save is under way (the rest is kept and saved next). A loop whose mailbox is full closes its connections, which
// resume.
package sessions
