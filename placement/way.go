package placement

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tickover.dev/cluster"
	"tickover.dev/netcode"
	"tickover.dev/rooms"
	"tickover.dev/rooms/host"
	"tickover.dev/sessions"
)

// way is how this node's players reach a room, wherever that is. It stays the same when the room moves.
//
//	         its owner is known: muster                   the roster is on its way
//	seeking ───────────────────────────► mustering ─────────────────────────────► open
//	   ▲                                     │                                      │
//	   └─────────────────────────────────────┴──────────────────────────────────────┘
//	      its owner has died, has lost the room, or says that it has not got it
//
// While it seeks, mail goes nowhere: clients send again what was not acknowledged, and the roster settles the rest. While it musters,
// mail waits, because it must come behind the roster (see rooms.MailRoster).
type way struct {
	id   rooms.ID
	kind *rooms.Kind
	key  string
	town *Rooms

	again  atomic.Bool // a roster is to be sent again soon
	queued bool        // it waits for its muster; guarded by rosters.mu

	at atomic.Pointer[end] // where mail goes just now

	mu sync.Mutex
	// Guarded by mu.
	waiting  []rooms.Mail // while it musters, with their bodies
	bytes    int
	joins    []waitingJoin
	muster   uint64    // the number of the newest muster; what an older one brings is void
	idleFrom time.Time // when it was first found that nobody here watches the room; zero: somebody does
}

// end is where a way leads.
type end struct {
	state state
	owner cluster.Boot
	epoch rooms.Epoch
	local *host.Handle // if the owner is this node
}

type state uint8

const (
	stateSeeking state = iota
	stateMustering
	stateOpen
)

type waitingJoin struct {
	mail    rooms.Mail
	options []byte
	refuse  func(code, why string)
}

// What may wait while a way musters. That takes a turn of each loop, so more means that something is stuck.
const (
	maxWaiting      = 4096
	maxWaitingBytes = 8 << 20
)

var _ sessions.Door = (*way)(nil)

func (w *way) room() sessions.Room { return sessions.Room{ID: w.id, Kind: w.kind, Key: w.key, Door: w} }

// Post implements sessions.Door.
func (w *way) Post(m *rooms.Mail) error {
	m.Room, m.Node = w.id, w.town.node()
	e := w.at.Load()
	switch e.state {
	case stateOpen:
		return w.send(e, m)
	case stateSeeking:
		return nil // see above
	}
	w.mu.Lock()
	if e = w.at.Load(); e.state != stateMustering { // it has just opened, or closed
		w.mu.Unlock()
		return w.send(e, m)
	}
	defer w.mu.Unlock()
	if len(w.waiting) >= maxWaiting || w.bytes+len(m.Body) > maxWaitingBytes {
		return rooms.ErrMailboxFull
	}
	waits := *m
	waits.Body = slices.Clone(m.Body)
	w.waiting, w.bytes = append(w.waiting, waits), w.bytes+len(m.Body)
	return nil
}

// send hands mail to the room's owner. w.mu is not held.
func (w *way) send(e *end, m *rooms.Mail) error {
	err := w.hand(e, m)
	if errors.Is(err, rooms.ErrGone) {
		w.lost(e)
		return nil
	}
	return err
}

func (w *way) hand(e *end, m *rooms.Mail) error {
	switch {
	case e.state == stateSeeking:
		return nil
	case e.local == nil:
		return w.town.sendMail(e.owner, m)
	}
	return e.local.Post(m)
}

// Join implements sessions.Door.
func (w *way) Join(m rooms.Mail, options []byte, refuse func(code, why string)) {
	m.Room, m.Node = w.id, w.town.node()
	e := w.at.Load()
	if e.state == stateMustering {
		w.mu.Lock()
		if e = w.at.Load(); e.state == stateMustering {
			defer w.mu.Unlock()
			if len(w.joins) < maxWaiting {
				w.joins = append(w.joins, waitingJoin{m, slices.Clone(options), refuse})
				return
			}
			refuse(netcode.CodeOverloaded, "too many wait for this room")
			return
		}
		w.mu.Unlock()
	}
	w.join(e, m, options, refuse)
}

// join asks the room's owner for a seat. w.mu is not held. While the owner is sought nobody is asked: the muster asks again.
func (w *way) join(e *end, m rooms.Mail, options []byte, refuse func(code, why string)) {
	switch {
	case e.state == stateSeeking:
	case e.local != nil:
		e.local.Join(m, options, func(code, why string) {
			if code == netcode.CodeShuttingDown { // the room goes elsewhere, and will be asked there
				w.lost(e)
				return
			}
			refuse(code, why)
		})
	case w.town.sendJoin(e.owner, &m, options) != nil:
		refuse(netcode.CodeOverloaded, "the room cannot be reached just now")
	}
}

// lead has the way lead to an owner from now on, unless it leads to a newer one already.
func (w *way) lead(owner cluster.Boot, epoch rooms.Epoch, local *host.Handle) {
	w.mu.Lock()
	old := w.at.Load()
	if old.state != stateSeeking && (epoch < old.epoch || epoch == old.epoch && owner == old.owner && local == old.local) {
		w.mu.Unlock()
		return
	}
	if fresh := *old == (end{}); fresh && local != nil { // nobody is here yet
		w.at.Store(&end{stateOpen, owner, epoch, local})
		w.mu.Unlock()
		return
	}
	if old.epoch != 0 {
		w.town.stats.Moves.Add(1)
	}
	w.mustering(&end{stateMustering, owner, epoch, local})
}

// sync has the owner told again who is here, and tell again what they may have missed.
func (w *way) sync() {
	w.mu.Lock()
	old := w.at.Load()
	if old.state == stateSeeking {
		w.mu.Unlock()
		return
	}
	w.mustering(&end{stateMustering, old.owner, old.epoch, old.local})
}

// mustering begins a muster, behind which the way is open. w.mu is held, and released.
func (w *way) mustering(to *end) {
	w.at.Store(to)
	w.muster++
	w.mu.Unlock()
	w.town.rosters.add(w)
}

// open sends the roster and everything that has waited for it. Only then mail goes straight again: it must not overtake any of that.
func (w *way) open(number uint64, here []rooms.RosterEntry) {
	w.mu.Lock()
	e := w.at.Load()
	if e.state != stateMustering || number != w.muster {
		w.mu.Unlock()
		return // another one is under way
	}
	err := w.hand(e, &rooms.Mail{Type: rooms.MailRoster, Room: w.id, Node: w.town.node(), Body: rooms.AppendRoster(nil, here)})
	for i := range w.waiting {
		err = cmp.Or(err, w.hand(e, &w.waiting[i]))
	}
	joins := w.joins
	w.waiting, w.bytes, w.joins = nil, 0, nil
	opened := *e
	opened.state = stateOpen
	w.at.Store(&opened)
	w.mu.Unlock()
	for _, j := range joins { // nothing else comes from a session before it has its seat
		w.join(&opened, j.mail, j.options, j.refuse)
	}
	switch {
	case errors.Is(err, rooms.ErrGone):
		w.lost(&opened)
	case err != nil: // part of it did not get through
		w.syncSoon()
	}
}

// lost notes that a way leads nowhere any more, if it still leads there, and looks for the room.
func (w *way) lost(was *end) {
	w.mu.Lock()
	now := w.at.Load()
	if now.state != stateSeeking && (now.owner != was.owner || now.epoch != was.epoch) {
		w.mu.Unlock()
		return
	}
	w.at.Store(&end{state: stateSeeking, owner: was.owner, epoch: was.epoch})
	w.waiting, w.bytes, w.joins = nil, 0, nil
	w.mu.Unlock()
	if now.state != stateSeeking {
		w.town.seek(w)
	}
}
