package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tickover.dev/netcode"
	"tickover.dev/rooms"
)

// callTimeout bounds one call of a game's Admit or Do.
const callTimeout = 30 * time.Second

// maxWaiting bounds the joins that wait for Admit, or are in it: each is a goroutine.
const maxWaiting = 4096

// perform does a job that a room asked for and tells the room its result.
func (r *runner) perform(j rooms.JobRequest) {
	if !r.host.enter(r.host.jobs) {
		return // the room does it again when it is resumed
	}
	defer func() { <-r.host.jobs }()
	ctx, cancel := context.WithTimeout(r.host.ctx, callTimeout)
	defer cancel()
	m := &rooms.Mail{Type: rooms.MailDone, Room: j.Room, Number: j.Number, Name: j.Job.Name}
	result, err := callDo(ctx, j)
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

// Join asks for a seat: through the kind's Admit, if it has one, then to the room. refuse is called, from any goroutine, if it does
// not get that far. options are the join's, as msgpack.
func (r *Handle) Join(m rooms.Mail, options []byte, refuse func(code, why string)) {
	m.Type, m.Body = rooms.MailJoin, options
	if r.Kind.Admit == nil {
		r.postJoin(&m, refuse)
		return
	}
	if r.host.waiting.Add(1) > maxWaiting {
		r.host.waiting.Add(-1)
		refuse(netcode.CodeOverloaded, "too many ask to be admitted just now")
		return
	}
	options = append([]byte(nil), options...)
	began := r.host.begin(func() {
		defer r.host.waiting.Add(-1)
		data, code, why := r.admit(m, options)
		if code != "" {
			refuse(code, why)
			return
		}
		m.Body = data
		r.postJoin(&m, refuse)
	})
	if !began {
		r.host.waiting.Add(-1)
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

func (r *Handle) admit(m rooms.Mail, options []byte) (data []byte, code, why string) {
	if !r.host.enter(r.host.admits) {
		return nil, netcode.CodeShuttingDown, "this node is stopping"
	}
	defer func() { <-r.host.admits }()
	ctx, cancel := context.WithTimeout(r.host.ctx, callTimeout)
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

// enter waits for a worker's place.
func (h *Host) enter(places chan struct{}) bool {
	select {
	case places <- struct{}{}:
		return true
	case <-h.ctx.Done():
		return false
	}
}
