package sessions

import (
	"sync/atomic"

	"tickover.dev/engine"
	"tickover.dev/rooms"
)

// inquiry is a question to Rooms. What is answered before the question returns is handled in the same turn of the loop; what is
// answered later comes to it as a task.
//
//	         answered first
//	asking ─────────────────► answered    whoever asked goes on
//	   │  question returned first
//	   └────────────────────► waiting     the answer goes to the loop
type inquiry struct {
	loop  *Loop
	then  func(Room, error) // on the loop
	state atomic.Int32

	// Written once, before the state says so.
	room Room
	err  error
}

const (
	inquiryAsking int32 = iota
	inquiryAnswered
	inquiryWaiting
)

// inquire puts a question and goes on with its answer, on the loop.
func (l *Loop) inquire(put func(done func(Room, error)), then func(Room, error)) {
	q := &inquiry{loop: l, then: then}
	put(q.done)
	if !q.state.CompareAndSwap(inquiryAsking, inquiryWaiting) {
		then(q.room, q.err)
	}
}

func (l *Loop) inquireRoom(id rooms.ID, then func(Room, error)) {
	l.inquire(func(done func(Room, error)) { l.hub.rooms.Room(id, done) }, then)
}

func (l *Loop) inquireEntry(e Entry, then func(Room, error)) {
	l.inquire(func(done func(Room, error)) { l.hub.rooms.Enter(e, done) }, then)
}

func (q *inquiry) done(room Room, err error) {
	q.room, q.err = room, err
	if !q.state.CompareAndSwap(inquiryAsking, inquiryAnswered) {
		q.loop.accept(q)
	}
}

// Run implements engine.Task.
func (q *inquiry) Run(*engine.Loop) { q.then(q.room, q.err) }
