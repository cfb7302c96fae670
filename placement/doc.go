// Package placement finds, makes and reaches rooms wherever they are. It is what sessions see of a cluster, and what a cluster sees
// of the rooms on this node.
//
//	sessions ──► Rooms ──► directory: who has it? ──► this node's host
//	                                    │
//	cluster ──► Local ──────────────────┴──────────► this node's host and journal
//
// Everything may be called from any goroutine.
package placement
