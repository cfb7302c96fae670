package host

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"tickover.dev/netcode"
	"tickover.dev/rooms"
)

const (
	callTimeout = 30 * time.Second // of one call of a game's Admit or Do
	admitWait   = 2 * time.Second  // a join waits no longer for its turn at Admit
	maxWaiting  = 4096             // joins of one kind that wait for Admit, or are in it: each is a goroutine
)

// desk is where one kind's calls of Admit and Do wait: a kind that is slow keeps only itself waiting.
type desk struct {
	admits, jobs chan struct{} // one token for each call under way
	waiting      atomic.Int64  // joins that wait for Admit, or are in it
}

// call notes that a call which holds one of the places begins. The returned function ends it, and reports whether it kept its time.
// A call that ignores the end of its context loses its place, so that others get on: then tooLong is called, if not nil.
func (h *Host) call(kind, what string, places chan struct{}, tooLong func()) (end func() bool) {
	var over atomic.Bool
	timer := time.AfterFunc(h.callTimeout+h.callTimeout/8, func() {
		if !over.CompareAndSwap(false, true) {
			return
		}
		<-places
		h.overdue.Add(1)
		h.log.Error("a call goes on after its context has ended", "kind", kind, "call", what)
		if tooLong != nil {
			tooLong()
		}
	})
	return func() bool {
		timer.Stop()
		kept := over.CompareAndSwap(false, true)
		if kept {
			<-places
		}
		return kept
	}
}

// perform does a job that a room asked for and tells the room its result.
func (r *runner) perform(j rooms.JobRequest) {
	places := r.host.desks[j.Kind.Name].jobs
	if !enter(r.host.ctx, places) {
		return // the room does it again when it is resumed
	}
	end := r.host.call(j.Kind.Name, "Do", places, nil)
	ctx, cancel := context.WithTimeout(r.host.ctx, r.host.callTimeout)
	defer cancel()
	m := &rooms.Mail{Type: rooms.MailDone, Room: j.Room, Number: j.Number, Name: j.Job.Name}
	result, err := callDo(ctx, j)
	end()
	if r.host.ctx.Err() != nil {
		return
	}
	m.Body = result
	if err != nil {
		m.Why = err.Error()
	}
	for errors.Is(r.post(m, true), rooms.ErrMailboxFull) { // Done must not be lost: the room waits for it
		select {
		case <-r.host.ctx.Done():
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// callDo gives the result as msgpack.
func callDo(ctx context.Context, j rooms.JobRequest) (result []byte, err error) {
	if j.Kind.Do == nil {
		return nil, fmt.Errorf("kind %q has no Do", j.Kind.Name)
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	v, err := j.Kind.Do(ctx, j.Job)
	if err != nil {
		return nil, err
	}
	return rooms.Encode(nil, v), nil // inside: it panics on what msgpack cannot hold
}

// Join asks for a seat: through the kind's Admit, if it has one, then to the room. refuse is called, once and from any goroutine, if
// it does not get that far: Admit refused or takes too long, or its turn did not come within 2 s. options are the join's, as msgpack.
func (r *Handle) Join(m rooms.Mail, options []byte, refuse func(code, why string)) {
	m.Type, m.Body = rooms.MailJoin, options
	if r.Kind.Admit == nil {
		r.postJoin(&m, refuse)
		return
	}
	d := r.host.desks[r.Kind.Name]
	if d.waiting.Add(1) > maxWaiting {
		d.waiting.Add(-1)
		refuse(netcode.CodeOverloaded, "too many ask to be admitted just now")
		return
	}
	options = append([]byte(nil), options...)
	began := r.host.begin(func() {
		defer d.waiting.Add(-1)
		if code, why := r.admitTurn(d.admits); code != "" {
			refuse(code, why)
			return
		}
		end := r.host.call(r.Kind.Name, "Admit", d.admits, func() { refuse(netcode.CodeOverloaded, "admission takes too long") })
		data, code, why := r.admit(m, options)
		switch inTime := end(); {
		case !inTime: // it was refused already
		case code != "":
			refuse(code, why)
		default:
			m.Body = data
			r.postJoin(&m, refuse)
		}
	})
	if !began {
		d.waiting.Add(-1)
		refuse(netcode.CodeShuttingDown, "this node is stopping")
	}
}

func (r *Handle) postJoin(m *rooms.Mail, refuse func(code, why string)) {
	if err := r.Post(m); errors.Is(err, rooms.ErrMailboxFull) {
		refuse(netcode.CodeOverloaded, "the room takes nothing just now")
	} else if err != nil {
		refuse(netcode.CodeShuttingDown, "this node is stopping")
	}
}

// admitTurn waits for a place to call Admit from.
func (r *Handle) admitTurn(places chan struct{}) (code, why string) {
	ctx, cancel := context.WithTimeout(r.host.ctx, admitWait)
	defer cancel()
	switch {
	case enter(ctx, places):
		return "", ""
	case r.host.ctx.Err() != nil:
		return netcode.CodeShuttingDown, "this node is stopping"
	}
	return netcode.CodeOverloaded, "too many ask to be admitted just now"
}

func (r *Handle) admit(m rooms.Mail, options []byte) (data []byte, code, why string) {
	ctx, cancel := context.WithTimeout(r.host.ctx, r.host.callTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			r.host.log.Error("Admit panicked", "kind", r.Kind.Name, "error", p)
			data, code, why = nil, netcode.CodeNotAdmitted, "internal error"
		}
	}()
	v, err := r.Kind.Admit(ctx, rooms.NewAdmission(r.ID, r.Kind.Name, m.Player, options))
	if err != nil {
		return nil, netcode.CodeNotAdmitted, err.Error()
	}
	return rooms.Encode(nil, v), "", ""
}

// enter waits for a place, but no longer than ctx.
func enter(ctx context.Context, places chan struct{}) bool {
	select {
	case places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}
