// Package bus carries messages between nodes: numbered, in order, none twice. What is lost is noticed by its receiver, who is told
// whom to ask for the whole. It is no queue that keeps what nobody reads, and knows nothing of what is in a message.
//
//	Send ──► outbox: a batch per destination ──► Bus: the inbox of each boot ──► ledger: what comes next? ──► Receive
//	            ▲  resent, until answered │                                           │
//	            └─────────────────────────┘                                           └─ a gap, an inbox gone ──► Lost
//
// Outbox and ledger are state machines: no goroutine, no clock, no I/O. Link is the shell that runs them on two goroutines, over a
// Bus: package redisbus in production, membus in tests. The rule it follows is R15 of docs/failover/RULES.md.
//
// # Numbers
//
// A sender numbers its batches to each receiver, from 1, in a conversation. What is dropped uses up a number too, so a receiver
// that expects 5 and gets 7 has lost something; one that gets 4 has it already. A last message leaves no gap when it is lost:
// therefore a sender that falls silent tells its newest number once a pulse, for a while. A sender that had too many receivers, and
// has forgotten the numbers of one, begins a new conversation with it: that is a loss, and makes void what is still on its way from
// the old one.
//
//	batch 1 ─ batch 2 ─ batch 3 ─ (4: refused, the queue is full) ─ batch 5 ─ pulse 5 ─ pulse 5 ─ …
//	                                            Lost, when 5 comes ─┘
//
// Not noticed: a sender's very first messages, if the inbox they were in vanishes before they are read, and the sender dies, or
// says nothing more for ten pulses, before the inbox is there again.
//
// # Bytes
//
// What is put into an inbox is a packet. Numbers are big-endian, lengths are unsigned varints.
//
//	[version 1, kind 1, sender 4, conversation 8, number 8, at 8][length, message]…
//
// Kinds: 1 a batch of messages; 2 a pulse, which has no number of its own, but tells the newest one; 3 a ping of a node to itself.
// A conversation is named by the time of its beginning, at is when the first message was given to Send: both in Unix µs, by the
// sender's clock.
package bus
