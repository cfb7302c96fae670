package cluster

import (
	"cmp"
	"container/heap"
	"errors"
	"maps"
	"slices"
	"time"

	"tickover.dev/rooms"
)

// Sweep looks for rooms that nobody runs and sees that they are taken over, again and again, whatever else was noticed or missed
// (FAILOVER.md R14). It goes by the directory to find rooms and by their journals to judge them: the newest entry of a journal
// tells who wrote it.
//
//	listed: its owner is dead                      lost: the directory was behind
//	offered ──────────────────────┐  ┌──────────────► ask
//	                              ▼  │
//	            its owner is dead, has released it, or is this node, which lacks it
//	listed ──► ask ───────────────────────────────────────────► claim ──────► raise ──► done
//	            │ its owner lives: the directory is behind        │ lost        ▲ │
//	            ├─────────────────────────────────────────────────┼─────────────┘ │ this node runs it, and somebody
//	            └── no journal: forestall ─► remove ──► done      └──► done       ▼ has claimed it since
//	                      └── it has one by now: ask                            prove ──► done
//
// A claim names the epoch that it ends, and is lost if the room is in another by then: so nobody need ask first, where the directory or
// an offer tells of an epoch whose owner is one no more.
//
// A room without a journal has ended, or was never born: its creator may be frozen, or slow, and its first entry still be under way. So
// before its record is removed, and its key is anybody's, the journal is told to refuse that entry: else the room would live without a
// record, beside another one of its key, and be lost when its creator dies.
//
// A room that this node runs, and that it does not find listed, is checked: asked about in the same way. If its journal is gone as well,
// it has to prove itself: its own append finds that out, and the room is renewed; see Renewal.
//
// It is for one goroutine. Advance gives orders; each is answered once by Take.
type Sweep struct {
	// Set by NewSweep, then read-only.
	me     Boot
	config SweepConfig

	pursuits map[rooms.ID]*pursuit
	queue    byDue // those of them that no order is under way for
	underway int   // the others
	lists    map[Boot]*listing
	blind    bool          // the store was out of sight since it was last asked what this node owns
	since    time.Duration // see Watch.Since
	lost     time.Duration // see Watch.Lost
}

// SweepConfig says how eager a sweep is. The zero value has the defaults.
type SweepConfig struct {
	Every   time.Duration // between two looks at what a dead node owns; default 1 s
	Own     time.Duration // between two looks at what this node owns, while all is well with that; default 10 s
	Rank    time.Duration // how long each next heir waits for the ones before it; default 400 ms
	AtATime int           // orders about single rooms under way at once; default 64
}

// OrderType says what a sweep wants done.
type OrderType uint8

const (
	OrderOwned     OrderType = iota + 1 // list what Boot owns
	OrderTop                            // read the top of the room's journal
	OrderClaim                          // claim the room, whose newest epoch is Record.Epoch, and run it
	OrderRaise                          // write Record into the directory
	OrderProve                          // have the room write an entry: if it has another owner, it is told so by its journal
	OrderForestall                      // have the journal refuse the creation of the room in Record.Epoch: it has none
	OrderRemove                         // take Record off the directory: the room has no journal, and gets none
	OrderForget                         // take Boot off the members
)

// Order is something that a sweep wants done.
type Order struct {
	Type   OrderType
	Boot   Boot
	Record Record
}

// Answer is what became of an order.
type Answer struct {
	Order Order
	Err   error // those of package rooms mean what they do in a Journal; ErrCannotRun: never mind this room for a while

	Records []Record    // of OrderOwned
	Record  Record      // of OrderRaise: as it stands now
	Top     rooms.Top   // of OrderTop
	Epoch   rooms.Epoch // of OrderClaim: the new one
}

// ErrCannotRun is a room that this node cannot run: it lacks the kind, or the room does not resume.
var ErrCannotRun = errors.New("cluster: this node cannot run the room")

// pursuit is one room that is looked after.
type pursuit struct {
	record Record
	stage  stage
	asked  bool          // it goes by the journal, rather than by what the directory or an offer said
	due    time.Duration // of the next order
	claim  rooms.EntryID // somebody's, that nothing follows, and
	since  time.Duration // when it was first seen
}

type stage uint8

const (
	stageAsk stage = iota
	stageClaim
	stageCheck // of a room that this node runs, and that the directory has lost: has its journal been lost, too?
	stageRaise
	stageProve
	stageForestall
	stageRemove
)

// listing is when a boot's rooms were and will be listed.
type listing struct {
	due    time.Duration
	busy   bool
	stale  bool          // what the list under way says is too old
	wants  OrderType     // OrderOwned or, when nothing was left, OrderForget
	deadAt time.Duration // when it was first found dead
	over   bool          // it was taken off the members
}

// Own tells which rooms this node runs, and in which epoch.
type Own interface {
	Epoch(room rooms.ID) (rooms.Epoch, bool)
	All() []Record
}

// hurry has a list made at a time at the latest.
func (l *listing) hurry(at time.Duration) {
	l.due, l.stale = min(l.due, at), l.stale || l.busy
}

const (
	sweepEvery   = time.Second
	sweepOwn     = 10 * time.Second       // ten thousand rooms cost the store 10,000 reads
	sweepRank    = 400 * time.Millisecond // half a lease: by then the one before has claimed, or will not
	sweepAtATime = 64
	sweepRetry   = 100 * time.Millisecond // after an order that was not answered
	sweepCannot  = 5 * time.Second        // for which somebody's claim is left alone that nothing follows: he may not be able to run the room
	sweepAgain   = 2 * sweepCannot        // after a claim of this node's own that led to nothing: sooner, and nobody else would get a turn
)

// NewSweep makes the sweep of a node.
func NewSweep(me Boot, c SweepConfig) *Sweep {
	c.Every = cmp.Or(c.Every, sweepEvery)
	c.Own = cmp.Or(c.Own, sweepOwn)
	c.Rank = cmp.Or(c.Rank, sweepRank)
	c.AtATime = cmp.Or(c.AtATime, sweepAtATime)
	return &Sweep{me: me, config: c, pursuits: map[rooms.ID]*pursuit{}, lists: map[Boot]*listing{}}
}

// Advance gives what is to be done now, and when it wants to be called again at the latest.
func (s *Sweep) Advance(now time.Duration, w *Watch, own Own) (orders []Order, wake time.Duration) {
	if !w.Sighted() {
		s.blind = true
		return nil, now + sweepRetry
	}
	s.mark(now, w)
	wake = now + s.config.Every
	for _, b := range slices.Sorted(maps.Keys(s.lists)) {
		if l := s.lists[b]; !l.busy && l.due <= now {
			l.busy = true
			orders = append(orders, Order{Type: l.wants, Boot: b})
		} else if !l.busy {
			wake = min(wake, l.due)
		}
	}
	for len(s.queue) > 0 && s.queue[0].due <= now && s.underway < s.config.AtATime {
		p := heap.Pop(&s.queue).(*pursuit)
		if _, have := own.Epoch(p.record.Room); have && p.stage <= stageClaim {
			s.done(p) // it came back meanwhile
			continue
		}
		s.underway++
		orders = append(orders, p.order())
	}
	if len(s.queue) > 0 && s.underway < s.config.AtATime {
		wake = min(wake, s.queue[0].due)
	}
	return orders, wake
}

// mark notes whose rooms are to be listed: those of the dead, and this node's own.
func (s *Sweep) mark(now time.Duration, w *Watch) {
	own := s.lists[s.me]
	if own == nil {
		own = &listing{due: now + s.config.Every, wants: OrderOwned}
		s.lists[s.me] = own
	} else if s.blind || s.since != w.Since() || s.lost != w.Lost() { // others may have taken this node for dead, or the store may have lost something
		own.hurry(now)
	}
	s.blind, s.since, s.lost = false, w.Since(), w.Lost()
	for _, b := range w.Dead() {
		if s.lists[b] == nil {
			s.lists[b] = &listing{due: now, wants: OrderOwned, deadAt: now}
		}
	}
	for b, l := range s.lists {
		if _, known := w.Member(b); b != s.me && !l.busy && (known && !w.IsDead(b) || !known && l.over) {
			delete(s.lists, b) // it lives after all, or is forgotten
		}
	}
}

// Suspect has the rooms of a boot looked at that the directory names, and that is no member: it may have died between entering a
// room and telling of itself.
func (s *Sweep) Suspect(b Boot, now time.Duration, w *Watch) {
	if _, known := w.Member(b); !known && w.IsDead(b) && s.lists[b] == nil && len(s.lists) < maxSuspects {
		s.lists[b] = &listing{due: now, wants: OrderOwned, deadAt: now}
	}
}

// maxSuspects bounds the boots that are looked at on a suspicion.
const maxSuspects = 64

func (p *pursuit) order() Order {
	t := [...]OrderType{
		stageAsk: OrderTop, stageClaim: OrderClaim, stageCheck: OrderTop, stageRaise: OrderRaise, stageProve: OrderProve,
		stageForestall: OrderForestall, stageRemove: OrderRemove,
	}[p.stage]
	return Order{Type: t, Record: p.record}
}

// Take takes the answer to an order.
func (s *Sweep) Take(a Answer, now time.Duration, w *Watch, own Own) {
	if a.Order.Type == OrderOwned || a.Order.Type == OrderForget {
		s.listed(a, now, w, own)
		return
	}
	p := s.pursuits[a.Order.Record.Room]
	if p == nil {
		return
	}
	s.underway--
	p.due = now
	switch {
	case errors.Is(a.Err, ErrCannotRun):
		p.due, p.stage = now+sweepAgain, stageAsk
	case a.Err != nil && !isVerdict(a.Err):
		p.due += sweepRetry
		if p.stage == stageRemove {
			p.stage = stageAsk // it may have been renewed: by the time of the next try it may have a journal
		}
	default:
		s.step(p, a, w, own)
	}
	if s.pursuits[p.record.Room] == p {
		heap.Push(&s.queue, p)
	}
}

// isVerdict reports whether an error is a journal's answer, rather than none.
func isVerdict(err error) bool {
	return errors.Is(err, rooms.ErrGone) || errors.Is(err, rooms.ErrClaimLost) || errors.Is(err, rooms.ErrBorn)
}

// step moves a room on by an answer.
func (s *Sweep) step(p *pursuit, a Answer, w *Watch, own Own) {
	if p.stage == stageRaise && p.record.Owner == s.me { // whoever lists this node just now may take the room for a stray
		s.lists[s.me].hurry(p.due + s.config.Every)
	}
	switch {
	case p.stage == stageAsk || p.stage == stageCheck:
		s.judge(p, a, w, own)
	case p.stage == stageRaise && s.isBehind(p.record.Room, a.Record, own):
		p.stage = stageProve
	case p.stage == stageClaim && errors.Is(a.Err, rooms.ErrClaimLost) && !p.asked:
		p.stage = stageAsk
	case p.stage == stageForestall && errors.Is(a.Err, rooms.ErrBorn):
		p.stage = stageAsk
	case p.stage == stageForestall:
		p.stage = stageRemove
	case p.stage != stageClaim, errors.Is(a.Err, rooms.ErrClaimLost):
		s.done(p) // whoever has it writes the directory; if not, the next listing tells
	case errors.Is(a.Err, rooms.ErrGone):
		p.stage = stageForestall
	default:
		p.record.Owner, p.record.Epoch, p.stage = s.me, a.Epoch, stageRaise
	}
}

// judge decides by the top of its journal what a room needs.
func (s *Sweep) judge(p *pursuit, a Answer, w *Watch, own Own) {
	p.asked = true
	owner := BootOf(a.Top.Nonce)
	_, have := own.Epoch(p.record.Room)
	switch gone := errors.Is(a.Err, rooms.ErrGone); {
	case gone && have: // it is just being opened, or the store has lost its journal: its own append tells
		p.stage = stageProve
	case gone:
		p.stage = stageForestall
	case owner == s.me && have:
		p.record.Owner, p.record.Epoch, p.stage = s.me, a.Top.ID.Epoch, stageRaise
	case owner == s.me || a.Top.Kind == rooms.EntryRelease || w.IsDead(owner):
		p.record.Epoch, p.stage = a.Top.ID.Epoch, stageClaim
	case a.Top.Kind == rooms.EntryClaim: // whoever runs a room writes at once: this one may not be able to, and then nobody else would
		if p.claim != a.Top.ID {
			p.claim, p.since = a.Top.ID, p.due
		}
		if p.due-p.since >= sweepCannot {
			p.record.Epoch, p.stage = a.Top.ID.Epoch, stageClaim
		} else {
			p.due += sweepRetry
		}
	case !w.isMember(owner): // it may have left just now: whoever the directory names must be found when it is dead
		p.due += sweepRetry
	default: // it has an owner, who lives: the directory is behind
		p.record.Owner, p.record.Epoch, p.stage = owner, a.Top.ID.Epoch, stageRaise
	}
}

// isBehind reports whether this node runs a room that somebody has claimed since. A room that nobody watches writes nothing, and so
// would never find out.
func (s *Sweep) isBehind(room rooms.ID, now Record, own Own) bool {
	epoch, have := own.Epoch(room)
	return have && now.Owner != s.me && now.Epoch > epoch
}

func (s *Sweep) done(p *pursuit) { delete(s.pursuits, p.record.Room) }

// listed takes what a boot owns according to the directory.
func (s *Sweep) listed(a Answer, now time.Duration, w *Watch, own Own) {
	l := s.lists[a.Order.Boot]
	if l == nil {
		return
	}
	l.busy = false
	if a.Err != nil {
		l.due = now + sweepRetry
		return
	}
	l.due = now + s.config.Every
	switch {
	case a.Order.Boot == s.me:
		if well := s.compare(a.Records, now, own); well {
			l.due = now + s.config.Own
		}
		if l.stale {
			l.due, l.stale = now, false
		}
		return
	case a.Order.Type == OrderForget:
		l.wants, l.over = OrderOwned, true // it is a member until the next heartbeat
		return
	case len(a.Records) == 0:
		l.wants, l.due = OrderForget, now
		return
	}
	living := w.Living()
	for _, r := range a.Records {
		first := stageAsk
		if r.Owner == a.Order.Boot && r.Epoch != 0 && w.IsDead(r.Owner) {
			first = stageClaim
		}
		s.pursue(r, first, l.deadAt+s.turn(living, r), now)
	}
}

// Offer takes the hint that a room was released for this node, in its newest epoch. If the hint is lost, the room is found when its owner
// is dead.
func (s *Sweep) Offer(r Record, now time.Duration) { s.pursue(r, stageClaim, now, now) }

// turn is how long after a death it is this node's turn to claim a room.
func (s *Sweep) turn(living []Member, r Record) time.Duration {
	heirs := Heirs(living, r.Kind, r.Room)
	rank := slices.Index(heirs, s.me)
	if rank < 0 {
		rank = len(heirs) // it cannot run it, but may find that there is nothing to run
	}
	return time.Duration(rank) * s.config.Rank
}

// compare looks for rooms that the directory says this node has and it has not, and the other way round. It reports whether there are
// none.
func (s *Sweep) compare(listed []Record, now time.Duration, own Own) (well bool) {
	well = true
	known := make(map[rooms.ID]rooms.Epoch, len(listed))
	for _, r := range listed {
		known[r.Room] = r.Epoch
		if _, have := own.Epoch(r.Room); !have {
			well = false
			s.pursue(r, stageAsk, now, now)
		}
	}
	for _, r := range own.All() {
		switch epoch, ok := known[r.Room]; {
		case !ok: // its journal may be lost, too: then entering it is not enough
			well = false
			s.pursue(r, stageCheck, now, now)
		case epoch < r.Epoch:
			well = false
			s.pursue(r, stageRaise, now, now)
		}
	}
	return well
}

func (s *Sweep) pursue(r Record, at stage, due, now time.Duration) {
	if s.pursuits[r.Room] == nil {
		p := &pursuit{record: r, stage: at, due: max(due, now)}
		s.pursuits[r.Room] = p
		heap.Push(&s.queue, p)
	}
}

// byDue is a heap of pursuits. Ties are broken by id, so that one seed gives one history.
type byDue []*pursuit

func (q byDue) Len() int { return len(q) }
func (q byDue) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(q[i].due, q[j].due), cmp.Compare(q[i].record.Room, q[j].record.Room)) < 0
}
func (q byDue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *byDue) Push(x any)   { *q = append(*q, x.(*pursuit)) }
func (q *byDue) Pop() any {
	old := *q
	p := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return p
}
