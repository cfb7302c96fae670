package simtest

import (
	"container/heap"
	"time"
)

// Queue is virtual time: what happens in a simulation, in order. What is due at the same time happens in the order in which it was put
// there, so that one seed gives one history. The zero value is an empty queue. It is for one goroutine.
type Queue struct {
	events events
	puts   uint64
}

type event struct {
	at    time.Duration
	order uint64
	do    func()
}

// Put has something happen at a time.
func (q *Queue) Put(at time.Duration, do func()) {
	q.puts++
	heap.Push(&q.events, event{at, q.puts, do})
}

// Next takes what happens next, if that is until end.
func (q *Queue) Next(end time.Duration) (at time.Duration, do func(), ok bool) {
	if len(q.events) == 0 || q.events[0].at > end {
		return 0, nil, false
	}
	e := heap.Pop(&q.events).(event)
	return e.at, e.do, true
}

// Puts is how often something was put into the queue: two runs of a seed have the same.
func (q *Queue) Puts() uint64 { return q.puts }

// events is a heap.
type events []event

func (q events) Len() int { return len(q) }
func (q events) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].order < q[j].order
}
func (q events) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *events) Push(x any)   { *q = append(*q, x.(event)) }
func (q *events) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = event{}
	*q = old[:len(old)-1]
	return e
}
