// Package engine carries WebSocket messages between sockets and handlers on a few event loops.
//
// It accepts connections, answers the handshake, checks and unmasks frames, joins fragments, answers pings,
// gathers what a handler wants to send into one write per connection and turn, and closes what breaks the
// protocol, falls silent or does not read. It knows nothing of games, sessions or message contents. It speaks no
// TLS and negotiates no compression, which belong in front of it, and it judges neither origins nor credentials,
// which belong in the first message.
//
//	           accept, cap, 503                          one goroutine per loop
//	clients ──► acceptors ──────────► gnet loop 0 ──► frames ──► Handler 0 ──► Append, Send ─┐
//	                      └─────────► gnet loop 1 ──► frames ──► Handler 1                   │
//	other goroutines ── Loop.Post ──────► mailbox ─────────────► Task.Run                    │
//	clients ◄── one write per connection that has something to send ◄── end of the turn ◄────┘
//
// # Turns
//
// A loop works in turns: what one connection sent, one emptying of the mailbox, or one tick. Whatever a turn
// appends to a connection leaves in a single write at its end.
//
// # Concurrency
//
// A connection belongs to one loop for life. A handler, its connections and the tasks of its loop are touched by
// that loop's goroutine alone, so their state needs no locks, and nothing there may block. Loop.Post and the
// methods of Server are the only ones meant for other goroutines. A panic in a handler call closes the connection
// it was called for; a panic in a task ends that task; the loop goes on.
//
// # Bounds
//
// Everything that waits has a length and a policy: a message beyond Config.MaxMessageBytes closes its sender, a
// backlog beyond Config.MaxBacklogBytes closes its receiver, a mailbox beyond Config.MailboxLimit refuses, and a
// connection beyond Config.MaxConns is answered 503.
package engine
