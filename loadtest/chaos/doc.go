// Package chaos breaks a running installation, one fault after the other by a schedule that a seed decides, while bots count what
// becomes of their inputs. Nothing may be lost, applied twice or shown in two versions, and after every fault everybody must be
// playing again.
//
//	seed ──► Schedule ──► faults, one at a time ──► rig: nodes, wires, Redis        real processes
//	                           │    ▲
//	             window of each │    │ everybody plays, all nodes are ready
//	                           ▼    │
//	              witness ◄── frames ── loadtest bots ──► HAProxy ──► nodes
//	                 │                       │
//	                 └── gaps per bot and fault, take-overs      └── ledger: lost, duplicated, forked
//
// A seed repeats the schedule, and not what the machine makes of it: a run that failed fails again often, not always.
//
// It looks from outside and knows nothing of servers. One goroutine runs the schedule; bots have their own.
package chaos
