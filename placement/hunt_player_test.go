package placement_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"tickover.dev/client"
	"tickover.dev/netcode"
)

// player is somebody who plays with the real client, through connections that break, in one process after the other.
type player struct {
	// Set by newPlayer, then read-only.
	w      *world
	name   string
	dice   *rand.Rand // for the player's own goroutine
	kind   string
	ctx    context.Context
	cancel context.CancelFunc
	done   sync.WaitGroup

	// Owned by the player's goroutine.
	secrets []client.Saved // newest last
	dialed  time.Time      // when the present process began,
	resumed bool           // with a session
	joins   int

	mu sync.Mutex
	// Guarded by mu.
	process *process
	moving  bool // is to leave the room with a key
}

// process is one run of a client.
type process struct {
	*client.Client
	p *player

	gaveUp bool // it did not wait for the answer to a join; for the player's goroutine

	mu sync.Mutex
	// Guarded by mu.
	conns []net.Conn
	deaf  bool // it does not connect any more
	stays []*stay
}

// stay is a seat as the player knows it.
type stay struct {
	room   *client.Room
	proofs int // inputs sent in the calm, one after the other; for the player's goroutine

	// Guarded by the world's mu.
	id      uint32 // in its inputs
	next    uint64 // number of the last input
	applied uint64
	epoch   uint64
	tick    uint64
	heard   uint64 // the game's own number of the last reliable message
	holed   bool   // the next one may be any: some are missing, or went to the process before, which had told nobody
	state   *table // the newest that was shown
	asked   bool   // to leave
	late    bool   // the client may be leaving it, as it came when nobody waited for it any more
	left    string // why it is over
}

// huntProofs is how many inputs a player has applied in the calm to be served.
const huntProofs = 3

func newPlayer(w *world, i int) *player {
	p := &player{w: w, name: fmt.Sprint("player-", i), kind: huntKinds[i%len(huntKinds)].Name}
	p.dice = w.dice(p.name)
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

func (p *player) start() {
	p.done.Go(func() {
		for p.ctx.Err() == nil && !p.w.over() {
			p.act()
			p.pause(between(p.dice, 20*time.Millisecond, 120*time.Millisecond))
		}
	})
}

func (p *player) pause(d time.Duration) {
	select {
	case <-p.ctx.Done():
	case <-time.After(d):
	}
}

// stop ends the player.
func (p *player) stop() {
	p.cancel()
	if c := p.current(); c != nil {
		c.Close()
	}
	p.done.Wait()
	if c := p.current(); c != nil {
		c.Close()
	}
}

func (p *player) current() *process {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.process
}

func (p *player) become(c *process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.process = c
}

// cut breaks the player's connection.
func (p *player) cut() {
	if c := p.current(); c != nil {
		c.cut()
	}
}

func (c *process) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		conn.Close()
	}
	c.conns = nil
}

func (p *player) moveOn() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.moving = true
}

// dialer opens connections to any node.
func (c *process) dialer(dice *rand.Rand) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		w := c.p.w
		w.wait(between(dice, time.Millisecond, 300*time.Millisecond))
		c.mu.Lock()
		deaf := c.deaf
		c.mu.Unlock()
		nodes := w.living()
		if len(nodes) == 0 || deaf {
			w.wait(100 * time.Millisecond)
			return nil, errors.New("nobody listens")
		}
		n := nodes[dice.IntN(len(nodes))]
		w.note("dial", c.p.name, n.boot)
		conn, err := n.dial(ctx, dice.IntN(100))
		if err == nil {
			c.mu.Lock()
			c.conns = append(c.conns, conn)
			c.mu.Unlock()
		}
		return conn, err
	}
}

// dial begins a process, which goes on with a session if there is one.
func (p *player) dial(ctx context.Context, resume *client.Saved) (*process, error) {
	c := &process{p: p}
	dice := rand.New(rand.NewPCG(p.dice.Uint64(), 2))
	ctx, cancel := context.WithTimeout(ctx, 8*time.Second)
	defer cancel()
	cl, err := client.Dial(ctx, client.Config{
		URL: "ws://town/", Token: p.name, Resume: resume, Dial: c.dialer(dice), BackoffFirst: 1, BackoffMax: 1, // the dialer waits
	})
	c.Client = cl
	return c, err
}

// act does one thing.
func (p *player) act() {
	w := p.w
	c := p.current()
	w.mu.Lock()
	calm := w.calm
	w.mu.Unlock()
	switch {
	case c == nil:
		p.begin()
		return
	case c.Err() != nil:
		w.fail("%s was sent away for good: %v", p.name, c.Err())
		return
	}
	p.remember(c)
	s := p.seat(c)
	if s == nil {
		p.enter(c)
		return
	}
	p.mu.Lock()
	moving := p.moving
	p.moving = false
	p.mu.Unlock()
	if moving && !calm {
		p.leave(c, s)
		return
	}
	switch roll := p.dice.IntN(1000); {
	case calm:
		if s.room.Unacknowledged() == 0 && s.proofs < huntProofs {
			s.proofs++
			p.send(s, "")
		}
	case roll < 400:
		for range 1 + p.dice.IntN(3) {
			p.send(s, "")
		}
	case roll < 900: // nothing
	case roll < 930:
		c.cut()
	case roll < 945:
		p.leave(c, s)
	case roll < 960:
		p.reload(c)
	case roll < 970:
		p.double(c)
	case roll < 985:
		p.presentOld()
	case roll < 987:
		p.send(s, "end")
	case roll < 1000:
		p.pause(between(p.dice, 500*time.Millisecond, 3*time.Second))
	}
}

func (p *player) begin() {
	var resume *client.Saved
	if n := len(p.secrets); n > 0 {
		resume = &p.secrets[n-1]
	}
	c, err := p.dial(p.ctx, resume)
	if err != nil {
		if p.ctx.Err() == nil && p.w.isCalm() {
			p.w.note("dial took long", p.name, err)
		}
		return
	}
	if resume != nil && c.Saved().Session != resume.Session {
		p.w.fail("%s: the session of %s is lost", p.name, resume.Session)
	}
	p.dialed, p.resumed = time.Now(), resume != nil
	p.become(c)
}

// remember keeps the session's secrets.
func (p *player) remember(c *process) {
	now := c.Saved()
	n := len(p.secrets)
	if n > 0 && p.secrets[n-1].Session != now.Session {
		p.w.fail("%s: the session is lost", p.name)
	}
	if now.Session != "" && (n == 0 || p.secrets[n-1] != now) {
		p.secrets = append(p.secrets, now)
	}
}

// seat gives the seat that the player plays on, and leaves all others that are kept.
func (p *player) seat(c *process) (at *stay) {
	for _, room := range c.Kept() {
		s := p.newStay(c, room)
		s.holed, s.late = true, c.gaveUp
		p.w.note("kept", p.name, room.ID, room.Seat, s.id)
		room.Handle(p.handler(s))
	}
	for _, s := range c.all() {
		switch {
		case p.w.isOver(s):
		case at == nil:
			at = s
		case s.room != nil:
			p.w.note("left a second seat", p.name)
			p.leave(c, s)
		}
	}
	return at
}

func (c *process) all() []*stay {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.stays)
}

func (p *player) newStay(c *process, room *client.Room) *stay {
	w := p.w
	w.mu.Lock()
	w.seen.stays++
	s := &stay{room: room, id: w.seen.stays}
	w.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stays = append(c.stays, s)
	return s
}

// enter joins the room of the day, or makes one of its own.
func (p *player) enter(c *process) {
	if len(p.secrets) > 1 && time.Since(p.dialed) < time.Second { // a seat may be kept
		return
	}
	s := p.newStay(c, nil)
	s.holed = p.resumed // then it may have had the seat
	p.w.note("enters", p.name, s.id)
	ctx, cancel := context.WithTimeout(p.ctx, 6*time.Second)
	defer cancel()
	r := client.Request{Mode: netcode.JoinOrCreate, Kind: p.kind, Target: p.w.keyOf(p.joins), Handler: p.handler(s)}
	if p.dice.IntN(6) == 0 {
		r.Mode, r.Target = netcode.JoinCreate, ""
	}
	p.joins++
	room, err := c.Join(ctx, r)
	if err != nil {
		p.w.mu.Lock()
		s.left = "not seated"
		p.w.mu.Unlock()
		p.w.note("not seated", p.name, err)
		c.gaveUp = true
		if refused := new(client.Refused); errors.As(err, &refused) && refused.Code == netcode.CodeTooManyRooms {
			p.w.fail("%s cannot join: %v", p.name, err)
		}
		return
	}
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.w.noteLocked("seated", p.name, room.ID, room.Seat)
	s.room = room
}

// send gives the room one more input.
func (p *player) send(s *stay, do string) {
	w := p.w
	w.mu.Lock()
	in := move{Stay: s.id, N: s.next + 1, Do: do}
	if do == "end" {
		w.seen.ending[s.room.ID] = true
	}
	w.mu.Unlock()
	number, err := s.room.Send(in)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err != nil:
	case number != in.N:
		w.failLocked("%s: input %d got number %d", p.name, in.N, number)
	default:
		s.next = number
	}
}

// leave gives a seat up, with inputs on their way.
func (p *player) leave(c *process, s *stay) {
	w := p.w
	w.mu.Lock()
	if s.asked {
		w.mu.Unlock()
		return
	}
	s.asked = true
	w.mu.Unlock()
	for range p.dice.IntN(4) {
		p.send(s, "")
	}
	if s.room.Unacknowledged() > 0 {
		w.note("stay changed with inputs in flight", p.name)
	}
	ctx, cancel := context.WithTimeout(p.ctx, 10*time.Second)
	defer cancel()
	if err := s.room.Leave(ctx); err != nil {
		w.note("leave not answered", p.name, err)
	}
}

// reload ends the process and begins another, as a page does that is loaded again.
func (p *player) reload(c *process) {
	p.w.note("reload", p.name)
	if p.dice.IntN(2) == 0 {
		c.cut()
	}
	c.Close()
	p.remember(c)
	p.w.count(c.Stats())
	p.become(nil)
}

// double has a second process take the session from the first: one that is shown to two may have one connection.
func (p *player) double(old *process) {
	if !old.Online() {
		return
	}
	old.mu.Lock()
	old.deaf = true
	old.mu.Unlock()
	p.remember(old)
	p.w.note("second process", p.name)
	for _, s := range old.all() {
		p.w.mu.Lock()
		s.asked = true // whatever becomes of its seats now is the second's business
		p.w.mu.Unlock()
	}
	second, err := p.dial(p.ctx, &p.secrets[len(p.secrets)-1])
	if err != nil { // the first goes on, with whatever secret the session has now
		p.w.note("second process did not get in", p.name, err)
		old.Close()
		p.become(nil)
		return
	}
	p.dialed, p.resumed = time.Now(), true
	p.become(second)
	p.w.running.Go(func() { // the first has to be told
		defer func() { old.Close(); p.w.count(old.Stats()) }()
		for peace := 0; peace < 25; p.w.wait(200 * time.Millisecond) {
			if old.Err() != nil || p.ctx.Err() != nil || p.w.over() || !old.Online() {
				return
			}
			if p.w.isPeaceful() {
				peace++
			}
		}
		p.w.fail("I6: %s has two connections", p.name)
	})
}

// presentOld presents a secret of long ago.
func (p *player) presentOld() {
	n := len(p.secrets)
	if n < 3 {
		return
	}
	old := p.secrets[p.dice.IntN(n-2)]
	p.w.note("old secret", p.name)
	thief, err := p.dial(p.ctx, &old)
	if err != nil {
		return
	}
	if thief.Saved().Session == old.Session {
		p.w.fail("%s: a secret of long ago was good", p.name)
	}
	thief.Close()
}

// leaveForGood gives up all seats and ends the process.
func (p *player) leaveForGood(ctx context.Context) {
	p.cancel()
	p.done.Wait()
	c := p.current()
	if c == nil {
		return
	}
	for _, s := range c.all() {
		p.w.note("leaves for good", p.name, s.id, s.left)
		if p.w.isOver(s) || s.room == nil {
			continue
		}
		p.w.mu.Lock()
		s.asked = true
		p.w.mu.Unlock()
		if err := s.room.Leave(ctx); err != nil && !errors.Is(err, client.ErrLeft) {
			p.w.fail("%s cannot leave: %v", p.name, err)
		}
	}
	p.w.count(c.Stats())
	c.Close()
}
