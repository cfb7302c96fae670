// Package local runs a whole cluster on one machine, to play with and to kill: the command `cluster` of every program with node.Main.
//
//	browser ──► page :7778        cards of the nodes, buttons that kill them, what a player noticed of it
//	   │
//	   └──ws──► balancer :7777 ─┬─► node-1 ─┐
//	                            ├─► node-2 ─┼─► redis-server, or the embedded one
//	                            └─► node-3 ─┘
//	            this process        child processes: started again when they die, gone when this process is
//
// It is not for production: one machine is one thing that breaks, the balancer does no TLS, and the page has buttons that kill.
// Those answer to this machine's own browser only, see guard.go.
//
// Run may be called once per process and program; nothing else is exported but its Config.
package local
