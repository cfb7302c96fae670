// Package redisjournal keeps rooms' journals in Redis: one stream per room, which is its durable truth and its owner's fence in one.
// It is an adapter of rooms.Journal; it decides nothing about ownership that the journal's own order does not decide.
//
// A room's stream is at tk:j:{room}. Ids are <epoch>-<tick>; each entry has one field, packed:
//
//	e: [format 1, kind 1, nonce 8, previous entry's epoch 8 and tick 8, horizon 8, body…]   (bytes; numbers are big-endian)
//
// A claim is written before its predecessor is known: it has none, and Load fills it in. A tombstone, of kind 255, has the epoch that
// buried the room there, and the room's end as its body. One that forestalls a room, of kind 254, has the newest epoch that it is for there:
// a creation of a newer one takes its place.
//
//	5-1 create ─ 5-2 delta ─ 5-3 snapshot ─ 5-4 delta ─ 9-0 claim ─ 9-5 snapshot ─ … ─ 18446744073709551615-0 tombstone
//	└── trimmed by 5-3 ────┘
//
// What makes it exact (docs/failover/RULES.md):
//
//   - Redis refuses an id that is not above the newest one of the stream. A claim is an entry of a higher epoch; from then on it
//     refuses everything of the epochs before. A tombstone is the highest id there is, so it refuses everything.
//   - Only a creation makes a stream, and only where there is none. All other appends say NOMKSTREAM.
//   - An entry that holds state trims all before it, in the same command. The newest entry always stays.
//   - Nothing is sent twice from here. An answer that was lost is reported as such (rooms.Unknown), and the room looks at the top.
//   - An entry counts as stored only if Redis answers with its very id.
//
// The client must be one of redisconn.Open, or set up alike: without retries and redirects. go-redis's own would report entries as
// fenced that were stored, and store others behind a refused one. On a Cluster an entry that was redirected is Refused, and the
// client told to learn where things are; while a slot is being moved, its rooms wait.
//
// Redis must be 7.0 or newer, must not evict streams (maxmemory-policy noeviction), and must be a server that keeps its last id per
// stream; redisconn.Check looks. What its replication or its disk loses, is lost here too: see rooms.Shard.Reseal.
//
// All methods may be called from any goroutine.
package redisjournal
