package placement

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"tickover.dev/cluster"
	"tickover.dev/netcode"
	"tickover.dev/rooms"
	"tickover.dev/sessions"
)

// This file is signals: messages to rooms that come from no seat. A signal is sent again and again, wherever its room is by then, until
// it is answered; the room knows it by its id, so that it takes effect once.

// Signal is a message to a room. All of it is required but Body.
type Signal struct {
	ID   string // by which the room tells a repetition, among its last 64 signals; at most 64 bytes
	Name string // at most 64 bytes
	Body []byte // one msgpack value that netcode.CheckValue has passed, or nil
}

// Answer is what became of a signal. All of it is in the room's journal, if the room's durability is such.
type Answer struct {
	Value []byte // msgpack: the game's reply
	Code  string // not "": the game refused
	Why   string

	// Before means that the room had taken the signal before this copy of it came. The game's answer, if it gave one, went with that.
	Before bool
}

// ErrManySignals refuses a signal: as many as may wait for their answers do.
var ErrManySignals = errors.New("too many signals wait for an answer")

const (
	maxSignals = 256
	// signalAgain is how long an answer is waited for before the signal is sent again: it may have been lost on the way, with its room's
	// owner, or the game gives no answers. A room that steps once a second has answered by then.
	signalAgain = 1100 * time.Millisecond
)

// Signals is where the answers to signals are waited for: a counter in front of the rooms. The zero value is ready for use; any
// goroutine may call its methods.
type Signals struct {
	mu sync.Mutex
	// Guarded by mu.
	last    uint64
	waiting map[uint64]chan rooms.Note // by ticket
}

// open gives a ticket, which goes with the signal and comes back with its answers.
func (s *Signals) open() (ticket uint64, answers chan rooms.Note, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) >= maxSignals {
		return 0, nil, ErrManySignals
	}
	if s.waiting == nil {
		s.waiting = map[uint64]chan rooms.Note{}
	}
	s.last++
	answers = make(chan rooms.Note, 4) // one would do; of more copies than that nobody needs the answers
	s.waiting[s.last] = answers
	return s.last, answers, nil
}

func (s *Signals) close(ticket uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, ticket)
}

// Waiting is how many signals wait for an answer, at most 256.
func (s *Signals) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting)
}

// Take gives the answers that a frame brings to those who wait at this node. It never blocks, and leaves the frame as it is.
func (s *Signals) Take(f *rooms.Frame, self rooms.Node) {
	if len(f.Answers) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range f.Answers {
		if n.Type != rooms.NoteSignal || n.Node != self {
			continue
		}
		select {
		case s.waiting[n.Request] <- n:
		default:
		}
	}
}

// Ask sends a signal until it is answered or ctx ends. post sends it once; it gives errNotYet if the room may be reached later, and any
// other error if that is the end of it.
func (s *Signals) Ask(ctx context.Context, room rooms.ID, self rooms.Node, sig Signal, post func(*rooms.Mail) error) (Answer, error) {
	ticket, answers, err := s.open()
	if err != nil {
		return Answer{}, err
	}
	defer s.close(ticket)
	mail := rooms.Mail{Type: rooms.MailSignal, Room: room, Node: self, ID: sig.ID, Name: sig.Name, Body: sig.Body, Ticket: ticket}
	var refused rooms.Note // by a room that goes elsewhere, or is no more, as far as its code tells
	for {
		pause := signalAgain
		if err := post(&mail); errors.Is(err, errNotYet) {
			pause = findAgain
		} else if err != nil {
			return Answer{}, err
		}
		n, err := next(ctx, answers, pause)
		switch {
		case err != nil:
			return Answer{}, err
		case n.Type == 0: // none came
		case n.Code == "":
			return Answer{Value: n.Result}, nil
		case n.Code == codeDuplicate && refused.Code != "":
			return Answer{Code: refused.Code, Why: refused.Why}, nil // it was the game that used that code
		case n.Code == codeDuplicate:
			return Answer{Before: true}, nil
		case n.Code == netcode.CodeOverloaded:
			return Answer{}, rooms.ErrMailboxFull
		case movedOrEnded[n.Code]: // post finds out which
			refused = n
			if _, err := next(ctx, nil, findAgain); err != nil {
				return Answer{}, err
			}
		default:
			return Answer{Code: n.Code, Why: n.Why}, nil
		}
	}
}

// codeDuplicate is a room's answer to a signal that it knows.
const codeDuplicate = "duplicate"

// movedOrEnded are the codes of rooms that cannot take signals any more where they were asked.
var movedOrEnded = map[string]bool{
	netcode.CodeShuttingDown: true, netcode.CodeUnknownRoom: true, netcode.CodeRoomEnded: true, netcode.CodeRoomFault: true,
}

// next waits for an answer, but not for long; the zero Note is none.
func next(ctx context.Context, answers <-chan rooms.Note, pause time.Duration) (rooms.Note, error) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case n := <-answers:
		return n, nil
	case <-timer.C:
		return rooms.Note{}, nil
	case <-ctx.Done():
		return rooms.Note{}, fmt.Errorf("%w: %w", sessions.ErrUnavailable, context.Cause(ctx))
	}
}

// Signal sends a signal to a room, wherever it is. Errors are sessions.ErrUnknownRoom, *sessions.EndedError, rooms.ErrMailboxFull,
// ErrManySignals and, if there was no answer before ctx ended, sessions.ErrUnavailable.
func (r *Rooms) Signal(ctx context.Context, room rooms.ID, s Signal) (Answer, error) {
	return r.Signals.Ask(ctx, room, r.node(), s, func(m *rooms.Mail) error { return r.postSignal(ctx, m) })
}

func (r *Rooms) postSignal(ctx context.Context, m *rooms.Mail) error {
	if h, ok := r.Host.Room(m.Room); ok {
		if err := h.Post(m); !errors.Is(err, rooms.ErrGone) {
			return err
		}
		return errNotYet
	}
	at, err := r.Look(ctx, m.Room)
	if err != nil {
		if errors.Is(err, sessions.ErrUnavailable) {
			err = unreached(err)
		}
		return err
	}
	if _, lives := r.Cluster.Sight().Member(at.Owner); !lives || at.Owner == r.Cluster.Self() {
		r.wanted(at.Owner)
		return errNotYet
	}
	return r.sendMail(at.Owner, m)
}

// wanted has the rooms of a boot taken over, if it is gone.
func (r *Rooms) wanted(owner cluster.Boot) {
	if r.Cluster.Sight().IsGone(owner) {
		r.Cluster.Suspect(owner)
	}
}
