// Package redisbus keeps inboxes in Redis: one stream per boot, which its owner makes, reads, trims and takes away, and which nobody
// else makes. It is an adapter of bus.Bus, and knows nothing of numbers.
//
//	tk:in:<boot>   stream; each entry has one field, b: a packet
//
//	           trimmed by its owner, once a second          read from here
//	┌───────────────────────────────────────────────┐┌─────────────────────────────► added with NOMKSTREAM
//	 * (made) ─ packet ─ packet ─ packet ─ packet ─ packet ─ packet ─ packet ─ packet
//	 └─ the oldest go, read or not, when there are more than MaxPackets
//
// A stream whose owner has died expires. No command touches two keys, so it runs on Redis Cluster as it is; the clients must be those
// of redisconn, or set up alike, as retries within the client would reorder packets.
package redisbus
