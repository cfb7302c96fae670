// Package redissessions keeps sessions in Redis, where every node finds them. It is an adapter of sessions.Store; it knows nothing of
// connections or rooms.
//
//	tk:s:{session}  hash   g generation, n node, o connected (1, 0), c newest secret, p the one before it (SHA-256, 32 bytes each),
//	                       a number of the newest hello that was granted by p, 0 if it had none,
//	                       r the rest, packed: [format 1, msgpack…]
//	tk:p:{player}   zset   session ids by when they end, in Unix milliseconds: an index, which may name sessions that are no more
//
// A session is one key, and every change of it one script: no two nodes can resume it at once, and what an older generation saves
// is refused. Its key expires by itself. No secret is ever sent to Redis, only hashes of them.
//
// Nothing is sent twice from here. Where an answer is lost, the caller tries again: a resume with the secret that it still has,
// which is then the one before the newest, for a hello with a higher number; a save with the same record.
//
// The client must be one of redisconn.Open, or set up alike. Redis must be 7.0 or newer and must not evict keys.
//
// All methods may be called from any goroutine.
package redissessions
