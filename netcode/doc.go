// Package netcode is the wire between game clients and nodes: the messages of docs/PROTOCOL.md, their codec, and the check that
// bytes from strangers pass before anything looks into them. Values in, values out: it does no I/O, starts no goroutine and keeps
// no state, so everything in it may be called from anywhere; a Parser belongs to one goroutine at a time.
//
//	frame = array array array …        one WebSocket message, one or more msgpack arrays back to back
//	array = [type uint, field, …]      missing fields read as zero, unknown ones behind are skipped
//
//	        Check                Parser.Next        Parser.Read
//	bytes ────────► well-formed ────────────► type ───────────► message
//
// Raw fields (inputs, options, states, event values) are one msgpack value each. They are passed on as the bytes they came as;
// only the room knows their type.
package netcode
