// Package rig runs a whole installation of real processes on one machine, for tests that break it: nodes, a Redis, and HAProxy in
// front. It knows how to start them, how to hurt them, and how to see whether they are well; what is done when is for others.
//
//	bots ──► HAProxy ──► node-1 ──► wire-1 ─┐
//	                     node-2 ──► wire-2 ─┼──► Redis       a wire passes TCP on, until it is told not to
//	                     node-3 ──► wire-3 ─┘
//
// All processes are children that the kernel ends with their parent (on Linux), and all they write is in one folder. Ports are below
// those that the kernel gives to outgoing connections, so that whoever is started again finds its port free.
//
// It is not a supervisor: nobody is started again but by a call. The methods of one process, and those of a Rig, are for one
// goroutine; those of a Wire for any.
package rig
