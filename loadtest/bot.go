package loadtest

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

// bot is one player. Three goroutines meet in it: its own, which keeps it in its room; the pacer, which sends; and its client's,
// which brings frames.
type bot struct {
	// Set when it is made, then read-only.
	run   *run
	name  string
	index int // among the bots
	room  int // which of the run's rooms

	// Owned by the pacer.
	next   int // the input that is due next, by the schedule
	random *rand.Rand
	value  []byte

	mu sync.Mutex
	// Guarded by mu.
	client  *client.Client
	stay    *stay // nil: in no room
	past    []Stay
	earlier client.Stats // of clients that have ended
	heard   time.Time
	gap     time.Duration
}

// stay is a Stay that is going on.
type stay struct {
	Stay
	seat    *client.Room             // nil until the join has returned
	tracker *tracker                 // of that room; nil until then
	due     [client.Window]time.Time // of the unacknowledged inputs, by number
	over    chan string              // why the seat was lost; holds one
	shown   bool                     // there was a frame, which says from where the inputs go on
}

// live keeps the bot in its room until ctx ends, and leaves it then. entered is called once, after the first join.
func (b *bot) live(ctx context.Context, entered func()) {
	defer b.leave()
	entered = sync.OnceFunc(entered)
	for ctx.Err() == nil {
		s, c, err := b.enter(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			if !comesLater(err) {
				b.run.complain(fmt.Sprintf("join: %v", err))
			}
			pause(ctx, retryAfter(err))
			continue
		}
		entered()
		select {
		case <-ctx.Done():
		case why := <-s.over:
			b.run.complain("seat lost: " + why)
			b.run.cfg.Log.Warn("seat lost", "bot", b.index, "room", s.seat.ID, "seat", s.Seat, "why", why)
			b.end(s)
		case <-c.Done():
			b.run.complain(fmt.Sprintf("client ended: %v", c.Err()))
			b.end(s)
		}
	}
}

// enter connects, unless that is done, and joins.
func (b *bot) enter(ctx context.Context) (*stay, *client.Client, error) {
	b.mu.Lock()
	c := b.client
	b.mu.Unlock()
	if c == nil || c.Err() != nil {
		dialing, cancel := context.WithTimeout(ctx, enterTimeout)
		defer cancel()
		fresh, err := client.Dial(dialing, client.Config{
			URL: b.run.cfg.URL, Name: b.name, Log: b.run.cfg.Log, OnError: b.onError,
			BackoffFirst: b.run.cfg.BackoffFirst, BackoffMax: 2 * time.Second, // a bot shall be back soon
			Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
				return b.run.cfg.Dial(ctx, b.index, network, addr)
			},
		})
		if err != nil {
			return nil, nil, err
		}
		b.mu.Lock()
		if c != nil {
			s := c.Stats()
			b.earlier.Reconnects += s.Reconnects
			b.earlier.Violations += s.Violations
		}
		b.client = fresh
		b.mu.Unlock()
		c = fresh
	}
	ctx, cancel := context.WithTimeout(ctx, enterTimeout)
	defer cancel()
	s := &stay{over: make(chan string, 1)}
	seat, err := c.JoinOrCreate(ctx, b.run.cfg.Kind, b.run.keys[b.room], b.run.options, client.Handler{
		OnFrame:   func(f client.Frame) { b.onFrame(s, f) },
		OnRefusal: func(_ uint64, r *client.Refused) { b.onRefusal(s, r) },
		OnLeft:    func(why string, _ []byte) { s.over <- why },
	})
	if err != nil {
		return nil, nil, err
	}
	b.run.cfg.Observer.Entered(b.index, seat.ID)
	b.mu.Lock()
	defer b.mu.Unlock()
	s.seat, s.Seat, s.tracker = seat, seat.Seat, b.run.trackerOf(b.room, seat.ID)
	b.stay = s
	return s, c, nil
}

// comesLater tells refusals that ask to try again from real ones.
func comesLater(err error) bool {
	refused, ok := errors.AsType[*client.Refused](err)
	if !ok {
		return false
	}
	switch refused.Code {
	case netcode.CodeOverloaded, netcode.CodeRateLimited, netcode.CodeShuttingDown:
		return true
	}
	return refused.Retry > 0
}

// retryAfter spreads attempts to join again.
func retryAfter(err error) time.Duration {
	least := 200 * time.Millisecond
	if refused, ok := errors.AsType[*client.Refused](err); ok {
		least = max(least, refused.Retry)
	}
	return least + rand.N(least)
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// send sends what is due: the k-th input by the schedule, and those before it for which the window had no place.
func (b *bot) send(k int) {
	b.mu.Lock()
	s := b.stay
	b.mu.Unlock()
	if s == nil || !b.isShown(s) {
		return
	}
	for ; b.next <= k; b.next++ {
		due := b.run.schedule.at(b.index, b.next)
		if !b.sendOne(s, due) {
			return
		}
	}
}

func (b *bot) isShown(s *stay) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return s.shown
}

// sendOne reports whether the next input could be sent.
func (b *bot) sendOne(s *stay, due time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.Sent-s.Acked >= client.Window {
		return false
	}
	number := s.Sent + 1
	b.value = b.run.scenario.Input(b.value[:0], number, b.random)
	got, err := s.seat.SendRaw(b.value)
	switch {
	case errors.Is(err, client.ErrWindow), errors.Is(err, client.ErrLeft), err != nil && b.client.Err() != nil:
		return false // the bot's own goroutine sees the reason, if it is more than the window
	case err != nil:
		b.run.complain(fmt.Sprintf("send: %v", err))
		return false
	case got != number:
		b.run.complain(fmt.Sprintf("input %d was numbered %d", number, got))
	}
	s.Sent = number
	s.due[number%client.Window] = due
	b.run.counts.sent.Add(1)
	return true
}

func (b *bot) onFrame(s *stay, f client.Frame) {
	now := time.Now()
	b.run.cfg.Observer.Frame(b.index, f, now)
	b.mu.Lock()
	b.hear(now)
	if !s.shown { // a seat that was taken away and had again goes on where it was
		s.shown, s.Sent, s.Acked = true, f.Applied, f.Applied
	}
	for s.Acked < min(f.Applied, s.Sent) {
		s.Acked++
		b.run.toFrame.record(now.Sub(s.due[s.Acked%client.Window]))
		b.run.counts.acked.Add(1)
	}
	t := s.tracker
	b.mu.Unlock()
	if f.State == nil {
		return
	}
	b.run.counts.frames.Add(1)
	if t != nil {
		t.note(f.Tick, f.State, f.Private)
	}
}

// hear notes a sign of life from the room. The caller holds mu.
func (b *bot) hear(now time.Time) {
	start, stop := b.run.start.Load(), b.run.stop.Load()
	if start == nil {
		return
	}
	if stop != nil && now.After(*stop) {
		now = *stop
	}
	since := b.heard
	if since.Before(*start) {
		since = *start
	}
	b.gap = max(b.gap, now.Sub(since))
	b.heard = now
}

func (b *bot) onRefusal(s *stay, r *client.Refused) {
	b.mu.Lock()
	s.Refused++
	b.mu.Unlock()
	b.run.complain(fmt.Sprintf("input %v", r))
}

func (b *bot) onError(r *client.Refused) {
	if r.Code == netcode.CodeOverloaded { // nothing was applied, the client sends again
		b.run.counts.remark("overloaded")
		return
	}
	b.run.complain(fmt.Sprintf("error %v", r))
}

// end closes the books of a stay that was lost.
func (b *bot) end(s *stay) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.Gone = true
	b.stay = nil
	b.past = append(b.past, s.Stay)
}

// stays gives the bot's stays in its room so far. Of those in one seat only the last one knows how it went on.
func (b *bot) stays() []Stay {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := slices.Clone(b.past)
	if b.stay != nil {
		all = append(all, b.stay.Stay)
	}
	for i := range all {
		for _, later := range all[i+1:] {
			all[i].Again = all[i].Again || later.Seat == all[i].Seat
		}
	}
	return all
}

// playing reports whether the bot is in its room just now.
func (b *bot) playing() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stay != nil && b.stay.seat.Attached()
}

// leave gives the seat back, for at most 2 s, and disconnects.
func (b *bot) leave() {
	b.mu.Lock()
	c, s := b.client, b.stay
	b.mu.Unlock()
	if c == nil {
		return
	}
	if s != nil && c.Online() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		s.seat.Leave(ctx)
		cancel()
	}
	c.Close()
}
