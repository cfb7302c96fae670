// Package client is one player's side of tickover: a connection that comes back, a session that survives it, and seats in rooms.
// It is for bots, tools and games written in Go, and speaks docs/PROTOCOL.md and nothing else.
//
//	c, err := client.Dial(ctx, client.Config{URL: "ws://localhost:7777/", Name: "ada"})
//	room, err := c.JoinOrCreate(ctx, "arena", "lobby", nil, client.Handler{OnFrame: draw})
//	number, err := room.Send(Keys{Up: true})
//
// What it promises: an input that [Room.Send] took is applied or refused exactly once and in order, and a reliable message is
// handed to the game exactly once and in order, whatever happens to connections and nodes, as long as the session lives. A room
// that is given up, by whomever, is told once, by Handler.OnLeft; after the client's own end ([Client.Done]) nothing is told. It is
// not a predictor or interpolator, and it decodes no states by itself: that is [Decode].
//
// # Concurrency
//
// All methods may be called from any goroutine. The callbacks of one client are called one after the other, in the order of the
// wire. They must not wait: no Join, Leave, Request, Kept, Handle or Close inside, as these wait for the goroutine that calls back.
// Send and everything that only reads is fine. Bytes given to a callback are valid until it returns.
//
//	             ┌──────────────── Client ────────────────┐
//	callbacks ◄──┤ live: dial, hello, read, back off  ◄───┼─── socket
//	             │         │ poke                         │
//	Send ────────┼► outbox ─► write: inputs, acks, pings ─┼──► socket
//	             └────────────────────────────────────────┘
//
// Two goroutines and one timer per connected client; what is kept is bounded: 256 inputs per room (refused beyond), 32 requests
// (refused beyond), one message being read (4 MiB) and one being written (16 KiB).
//
// # Layers
//
// outbox, inbox, acks and backoff are plain values that are told the time; they hold the rules and are tested without a socket.
// Room and Client guard them with one mutex; link moves bytes.
package client
