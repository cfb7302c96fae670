// Package loadtest plays many bots against running nodes, from outside and through the public protocol only, and checks what they
// see: that no input is lost or applied twice, that no two players are shown different histories of a room, and how long things
// take. It knows the client and the wire, and nothing of servers.
//
//	pacer ──due──► bots ──inputs──► nodes          one goroutine keeps the schedule of all bots
//	                ▲  │
//	              frames ──► measure   latencies from the scheduled time, silences
//	                   └───► tracker   per room: hash of the state at each tick, the newest state
//	                            │
//	at the end: stays of all bots + newest states ──► Scenario.Check ──► Report
//
// Load is open: an input has its time, whether or not the one before was answered, and its latency counts from that time. A bot
// whose window is full sends late, and the lateness is in the latency.
//
// # Counting
//
// A lost input was acknowledged and is not in the ledger, or was neither acknowledged nor refused in the end. A duplicated one is in
// the ledger too often. A forked history is a tick of a room at which two bots, or one bot at two times, saw different states,
// whatever the epochs. Errors are refusals that a correct server has no reason for, breaches of the protocol, lost seats and
// sessions, two rooms under one key, and bots that are not in their room at the end. A reconnect is no error, nor is the answer
// "overloaded", which means that nothing was applied and the client sends again.
//
// Run may be called from any goroutine; what it starts has ended when it returns.
package loadtest
