package rooms

import (
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"tickover.dev/netcode"
)

// simClient is a player with its session: it joins, plays, is cut off, returns, leaves, and repeats itself where nobody answers.
type simClient struct {
	w        *world
	session  string
	gen      uint64
	run      uint32
	request  uint64 // newest
	state    clientState
	seat     Seat
	attached bool // this connection's generation has its seat
	linkAt   time.Duration

	next     uint64 // input number
	open     []uint64
	progress time.Duration
	applied  uint64
	base     uint64 // inputs up to here are not this run's to check: what a Periodic room lost
	refused  map[uint64]bool

	reliable uint64
	epoch    Epoch
	tick     uint64
	public   uint64
	view     simPublic
}

type clientState uint8

const (
	clientOut clientState = iota
	clientJoining
	clientIn
	clientLeaving
	clientCut // the connection is lost
	clientReturning
)

const simWindow = 8

// send brings mail to the room in order, sometimes once more much later.
func (c *simClient) send(m Mail) {
	w := c.w
	m.Room, m.Session, m.Player = simRoom, c.session, Player{ID: c.session, Name: c.session}
	c.linkAt = max(c.linkAt, w.now+w.between(time.Millisecond, 30*time.Millisecond))
	w.in(c.linkAt-w.now, func() { w.owner.post(m) })
	if !w.calm && w.chance(10) {
		w.count("mail came twice")
		w.in(c.linkAt-w.now+w.between(0, 3*time.Second), func() { w.owner.post(m) })
	}
}

// act does something a player might do, and comes back for more.
func (c *simClient) act() {
	w := c.w
	pause := w.between(20*time.Millisecond, 200*time.Millisecond)
	if w.replays { // else hardly a tick is without events
		pause = w.between(20*time.Millisecond, 800*time.Millisecond)
	}
	switch c.state {
	case clientOut:
		if !w.calm || w.chance(50) {
			c.join()
		}
	case clientJoining:
		c.send(Mail{Type: MailJoin, Gen: c.gen, Run: c.run, Number: c.request})
		pause += 300 * time.Millisecond
	case clientLeaving:
		c.send(Mail{Type: MailLeave, Seat: c.seat, Gen: c.gen, Number: c.request})
		pause += 300 * time.Millisecond
	case clientReturning:
		c.send(Mail{Type: MailReturn, Seat: c.seat, Gen: c.gen, Run: c.run, Number: c.reliable})
		pause += 300 * time.Millisecond
	case clientCut:
		c.comeBack()
	case clientIn:
		c.play()
	}
	w.in(pause, c.act)
}

func (c *simClient) join() {
	c.request++
	c.state, c.attached = clientJoining, false
	c.send(Mail{Type: MailJoin, Gen: c.gen, Run: c.run, Number: c.request})
}

func (c *simClient) play() {
	w := c.w
	switch p := w.rng.IntN(100); {
	case w.calm || w.now < w.lull:
	case p < 60 && len(c.open) < simWindow:
		for range 1 + w.rng.IntN(2) {
			c.next++
			c.open = append(c.open, c.next)
			c.input(c.next)
		}
	case p < 75:
		c.send(Mail{Type: MailAck, Seat: c.seat, Gen: c.gen, Number: c.reliable})
	case p < 80:
		c.lose()
		return
	case p < 82:
		if len(c.open) > 0 {
			w.count("stay changed with old inputs in flight")
		}
		c.request++
		c.state = clientLeaving
		c.send(Mail{Type: MailLeave, Seat: c.seat, Gen: c.gen, Number: c.request})
		return
	case p < 84 && !w.healing && (!w.periodic || w.chance(10)): // a Periodic room forgives only with its next snapshot
		c.poison()
	}
	if len(c.open) > 0 && w.now-c.progress > 2*time.Second {
		c.resend()
	}
}

// poison has the room panic on the input sent next: once, or twice so that it is refused.
func (c *simClient) poison() {
	c.next++
	simPoison[poisonKey{c.seat, c.run, c.next}] = 1 + c.w.rng.IntN(2)
	c.open = append(c.open, c.next)
	c.input(c.next)
}

func (c *simClient) input(n uint64) {
	c.send(Mail{Type: MailInput, Seat: c.seat, Gen: c.gen, Run: c.run, Number: n, Body: appendAny(nil, simInput{N: n, Run: c.run})})
	if len(c.open) == 1 {
		c.progress = c.w.now
	}
}

func (c *simClient) resend() {
	c.progress = c.w.now
	for _, n := range c.open {
		c.input(n)
	}
}

// lose loses the connection; the session tells the room.
func (c *simClient) lose() {
	c.send(Mail{Type: MailDrop, Seat: c.seat, Gen: c.gen})
	c.cut()
}

// cut ends the connection without a word.
func (c *simClient) cut() {
	c.attached = false
	switch c.state {
	case clientIn:
		c.state = clientCut
	case clientOut, clientReturning, clientJoining, clientLeaving:
		c.gen++ // what it asks for now, or asks for again, comes over another connection
	}
}

func (c *simClient) comeBack() {
	if c.w.chance(60) && !c.w.calm {
		return
	}
	c.gen++
	c.state = clientReturning
	if c.w.chance(20) { // a new client object: it knows nothing
		if len(c.open) > 0 {
			c.w.count("stay changed with old inputs in flight")
		}
		c.newRun()
	}
	c.send(Mail{Type: MailReturn, Seat: c.seat, Gen: c.gen, Run: c.run, Number: c.reliable})
}

func (c *simClient) newRun() {
	c.run++
	c.next, c.applied, c.base, c.open, c.reliable, c.request = 0, 0, 0, nil, 0, 0
	clear(c.refused)
}

// deliver brings a frame to the players.
func (w *world) deliver(f *Frame) {
	for _, c := range w.clients {
		c.take(f)
	}
}

func (c *simClient) take(f *Frame) {
	if f.Epoch != 0 && f.Epoch < c.epoch {
		return // of a former owner
	}
	c.epoch = max(c.epoch, f.Epoch)
	var part *SeatPart
	for i := range f.Seats {
		p := &f.Seats[i]
		for _, n := range p.Notes {
			if n.Session == c.session {
				c.told(n)
			}
		}
		if p.Session == c.session && p.Seat == c.seat {
			part = p
		}
	}
	if !c.attached {
		return
	}
	if part != nil {
		c.takePart(part)
	}
	if f.Status == StatusRolledBack { // what it knows of its seat may never have been: returning tells
		c.lose()
		return
	}
	if f.Status == StatusResumed && len(c.open) > 0 {
		c.resend()
	}
	c.showAt(f)
}

// showAt shows the newest public value; between two frames with the same one, every tick looked so.
func (c *simClient) showAt(f *Frame) {
	if f.Status != StatusNone && f.Public == nil && f.Seats == nil {
		return
	}
	before, since := c.public, c.tick
	if f.Public != nil {
		c.public = xxhash.Sum64(f.Public)
		if err := decodeAny(f.Public, &c.view); err != nil || c.view.Wrong != "" {
			c.w.fail("I3: the game says %q (%v)", c.view.Wrong, err)
		}
	}
	if c.public == 0 {
		c.w.fail("a seated client was shown no state")
	}
	if before != c.public || since == 0 {
		since = f.Tick
	}
	for t := max(since, f.Tick-min(f.Tick, 100)); t <= f.Tick; t++ {
		c.w.sawPublic(t, c.public)
	}
	c.tick = f.Tick
}

func (c *simClient) told(n Note) {
	w := c.w
	w.note("note", uint64(n.Type), uint64(n.Seat), n.Gen, n.Request)
	if n.Gen != c.gen {
		return
	}
	switch n.Type {
	case NoteJoined:
		if c.state != clientJoining || n.Request != c.request {
			return
		}
		c.seat, c.state, c.attached = n.Seat, clientIn, true
		c.next, c.applied, c.open, c.reliable = n.Applied, n.Applied, nil, n.Reliable
		c.base, c.tick, c.public = n.Applied, 0, 0
		clear(c.refused)
		w.seen.seated[c.session] = runKey{c.seat, c.run}
	case NoteReturned:
		if (c.state == clientReturning || w.periodic && c.state == clientIn) && n.Seat == c.seat {
			c.returned(n)
		}
	case NoteLeft, NoteGone:
		if n.Seat != c.seat || c.state == clientOut || c.state == clientJoining {
			return
		}
		if c.state != clientLeaving && !w.periodic {
			w.fail("seat %d of %s is gone: %s", n.Seat, c.session, n.Why)
		}
		c.state, c.attached = clientOut, false
		delete(w.seen.seated, c.session)
		if w.chance(30) && !w.calm { // as another client object, on another connection
			c.gen++
			c.newRun()
		}
	case NoteRefused:
		again := n.Code == netcode.CodeOverloaded || n.Code == netcode.CodeShuttingDown || n.Code == netcode.CodeUnknownRoom
		if c.state == clientJoining && n.Request == c.request && !again {
			w.fail("join %d of %s refused: %s", n.Request, c.session, n.Code)
		}
	case NoteOverflow:
		if c.state == clientIn {
			c.lose()
		}
	}
}

func (c *simClient) returned(n Note) {
	c.state, c.attached, c.tick, c.public = clientIn, true, 0, 0
	switch {
	case !n.Resumed:
		c.reliable = n.Reliable
	case n.Reliable > c.reliable:
		c.w.fail("%s returned behind reliable message %d, it has seen %d", c.session, n.Reliable, c.reliable)
	}
	if c.w.periodic && n.Applied < c.applied { // rolled back
		c.base, c.applied = c.next, n.Applied
		if len(c.open) > 0 {
			c.base = c.open[0] - 1
		}
	}
	c.acked(n.Applied)
	if len(c.open) > 0 {
		c.w.count("resend across a drop")
		c.resend()
	}
}

func (c *simClient) acked(n uint64) {
	if n > c.applied {
		c.applied, c.progress = n, c.w.now
		key := runKey{c.seat, c.run}
		c.w.seen.acked[key] = max(c.w.seen.acked[key], n)
	}
	c.open = slices.DeleteFunc(c.open, func(o uint64) bool { return o <= n })
}

func (c *simClient) takePart(p *SeatPart) {
	if p.Run == c.run {
		if p.Applied > c.next && !c.w.periodic {
			c.w.fail("input %d of %s was acknowledged, %d is the newest", p.Applied, c.session, c.next)
		}
		c.acked(p.Applied)
		if p.Resend != 0 {
			c.resend()
		}
	}
	if len(p.Reliable) == 0 {
		return
	}
	var parser netcode.Parser
	parser.Reset(p.Reliable)
	for {
		t, err := parser.Next()
		if err != nil {
			return
		}
		n, hash := c.parse(&parser, t)
		key := relKey{c.seat, n}
		if old, ok := c.w.seen.rel[key]; ok && old != hash {
			c.w.fail("reliable message %d of seat %d has two contents", n, c.seat)
		}
		c.w.seen.rel[key] = hash
		switch {
		case n == c.reliable+1:
			c.reliable = n
		case n > c.reliable+1 && c.w.periodic: // rolled back behind its back
			c.lose()
			return
		case n > c.reliable+1:
			c.w.fail("reliable message %d of seat %d came behind %d", n, c.seat, c.reliable)
		}
	}
}

func (c *simClient) parse(parser *netcode.Parser, t netcode.Type) (number, hash uint64) {
	var m netcode.Message
	switch t {
	case netcode.TypeEvent:
		e := new(netcode.Event)
		c.must(parser.Read(e))
		number, m = e.Number, e
	case netcode.TypeReply:
		r := new(netcode.Reply)
		c.must(parser.Read(r))
		number, m = r.Number, r
	case netcode.TypeRefusal:
		r := new(netcode.Refusal)
		c.must(parser.Read(r))
		if r.Run == c.run && r.Code == netcode.CodeRoomFault {
			c.refused[r.Input] = true
			c.w.count("refused as room_fault")
		}
		number, m = r.Number, r
	}
	return number, xxhash.Sum64(m.Append(nil))
}

func (c *simClient) must(err error) {
	if err != nil {
		c.w.fail("reliable message: %v", err)
	}
}
