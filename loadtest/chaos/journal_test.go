package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"go.uber.org/goleak"

	"tickover.dev/redisconn"
	"tickover.dev/redisconn/redistest"
	"tickover.dev/rooms"
	"tickover.dev/rooms/redisjournal"
)

func TestMain(m *testing.M) {
	// A client that could not dial tries again each second, and sees only then that it was closed.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// scribe records what happens to one room's journal.
type scribe struct {
	began time.Time

	mu sync.Mutex
	// Guarded by mu.
	history []porcupine.Operation
	unknown int
}

// wrote records one act. Unknown answers are open: settle finds their ends.
func (s *scribe) wrote(who int, a act, called int64, got answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.history = append(s.history, porcupine.Operation{ClientId: who, Input: a, Call: called, Output: got, Return: s.clock()})
	if got.what == "unknown" {
		s.unknown++
	}
}

func (s *scribe) clock() int64 { return int64(time.Since(s.began)) }

// claimant takes a room again and again, and writes to it until another does.
type claimant struct {
	number  int
	room    rooms.ID
	scribe  *scribe
	journal *redisjournal.Journal
	random  *rand.Rand
	nonces  uint64
}

func (c *claimant) nonce() uint64 {
	c.nonces++
	return uint64(c.number+1)<<32 | c.nonces
}

// live claims and writes until so many claims were tried, or the room is gone.
func (c *claimant) live(ctx context.Context, claims int) {
	first := c.nonce()
	c.append(ctx, act{op: "create", id: rooms.EntryID{Epoch: rooms.Epoch(c.number + 1), Tick: 1}, nonce: first, kind: rooms.EntryCreate})
	for range claims {
		top, ok := c.top(ctx)
		if !ok {
			return
		}
		nonce := c.nonce()
		epoch, ok := c.claim(ctx, top.ID.Epoch, nonce)
		if ok && c.load(ctx, epoch, nonce) {
			c.own(ctx, epoch, nonce)
		}
	}
}

// own writes entries until another claims the room, or it has written enough.
func (c *claimant) own(ctx context.Context, epoch rooms.Epoch, nonce uint64) {
	for tick := uint64(1); tick <= 12; tick++ {
		kind := rooms.EntryDelta
		if tick%5 == 1 {
			kind = rooms.EntrySnapshot
		}
		a := act{op: "append", id: rooms.EntryID{Epoch: epoch, Tick: tick}, nonce: nonce, kind: kind}
		got := c.append(ctx, a)
		for got == "unknown" || got == "refused" {
			top, ok := c.top(ctx)
			switch {
			case !ok || top.ID.Epoch > epoch:
				return
			case top.ID == a.id:
				got = "confirmed"
			default:
				got = c.append(ctx, a)
			}
		}
		if got == "fenced" { // by a claim, or by the same entry that came in late
			if top, ok := c.top(ctx); !ok || top.ID != a.id {
				return
			}
		}
		if got == "gone" {
			return
		}
	}
	if c.random.IntN(40) == 0 {
		c.bury(ctx, epoch)
	}
}

func (c *claimant) append(ctx context.Context, a act) string {
	called := c.scribe.clock()
	done := make(chan rooms.Result, 1)
	c.journal.Append([]rooms.Entry{{Room: c.room, ID: a.id, Nonce: a.nonce, Kind: a.kind, Horizon: a.id.Tick, Body: []byte("body")}},
		func(r []rooms.Result) { done <- r[0] })
	r := <-done
	if r.Outcome == rooms.Refused { // nothing was stored, and nothing is to be explained
		c.rest(ctx)
		return "refused"
	}
	c.scribe.wrote(c.number, a, called, answer{what: r.Outcome.String()})
	return r.Outcome.String()
}

// asked asks until it is answered. unsure is true if an earlier answer was lost.
func (c *claimant) asked(ctx context.Context, ask func() error) (unsure bool, err error) {
	for {
		err = ask()
		switch {
		case err == nil, errors.Is(err, rooms.ErrGone), errors.Is(err, rooms.ErrClaimLost), ctx.Err() != nil:
			return unsure, err
		}
		unsure = true
		c.rest(ctx)
	}
}

func (c *claimant) rest(ctx context.Context) { pass(ctx, 2*time.Millisecond) }

func word(err error) string {
	switch {
	case errors.Is(err, rooms.ErrGone):
		return "gone"
	case errors.Is(err, rooms.ErrClaimLost):
		return "lost"
	case err != nil:
		return "unknown"
	}
	return "done"
}

func (c *claimant) top(ctx context.Context) (top rooms.Top, ok bool) {
	called := c.scribe.clock()
	_, err := c.asked(ctx, func() (err error) {
		called = c.scribe.clock() // it changes nothing: only the last time counts
		top, err = c.journal.Top(ctx, c.room)
		return err
	})
	if what := word(err); what != "done" {
		if what == "gone" {
			c.scribe.wrote(c.number, act{op: "top"}, called, answer{what: what})
		}
		return top, false
	}
	c.scribe.wrote(c.number, act{op: "top"}, called, answer{what: "top", top: top})
	return top, true
}

func (c *claimant) claim(ctx context.Context, seen rooms.Epoch, nonce uint64) (epoch rooms.Epoch, ok bool) {
	a, called := act{op: "claim", seen: seen, nonce: nonce}, c.scribe.clock()
	unsure, err := c.asked(ctx, func() (err error) {
		epoch, err = c.journal.Claim(ctx, c.room, seen, nonce)
		return err
	})
	got := answer{what: word(err), epoch: epoch}
	if unsure && err != nil { // an earlier try may have won, and been claimed from since
		got = answer{what: "unknown"}
	}
	c.scribe.wrote(c.number, a, called, got)
	return epoch, err == nil
}

func (c *claimant) load(ctx context.Context, epoch rooms.Epoch, nonce uint64) bool {
	called := c.scribe.clock()
	var entries []rooms.Entry
	_, err := c.asked(ctx, func() (err error) {
		called = c.scribe.clock()
		entries, err = c.journal.Load(ctx, c.room, epoch)
		return err
	})
	got := answer{what: word(err)}
	if err == nil {
		got.what = "entries"
		for _, e := range entries {
			got.log += note(e.ID, e.Nonce, e.Kind)
		}
	}
	if got.what != "unknown" {
		c.scribe.wrote(c.number, act{op: "load", id: rooms.EntryID{Epoch: epoch}, nonce: nonce}, called, got)
	}
	return err == nil
}

func (c *claimant) bury(ctx context.Context, epoch rooms.Epoch) {
	a, called := act{op: "bury", id: rooms.EntryID{Epoch: epoch}}, c.scribe.clock()
	_, err := c.asked(ctx, func() error { return c.journal.Bury(ctx, c.room, epoch, nil, time.Minute) })
	if what := word(err); what != "unknown" {
		c.scribe.wrote(c.number, a, called, answer{what: what})
	}
}

// Everything rests on this: whatever claimants and owners are answered at once, over connections that break and a Redis that is
// killed, there is one order of events that explains it.
func TestJournalIsLinearizable(t *testing.T) {
	const claimants, roomsAtOnce, claims = 4, 6, 40
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	server := redistest.Start(t, redistest.Durable...)
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	var proxies []*redistest.Proxy
	var journals []*redisjournal.Journal
	for range claimants {
		p := redistest.StartProxy(t, server.Addr())
		client, err := redisconn.Open(redisconn.Config{URL: "redis://" + p.Addr()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close() })
		j := redisjournal.New(client, redisjournal.Config{Pipelines: roomsAtOnce})
		t.Cleanup(j.Close)
		proxies, journals = append(proxies, p), append(journals, j)
	}
	var scribes []*scribe
	var living sync.WaitGroup
	for n := range roomsAtOnce {
		s := &scribe{began: time.Now()}
		scribes = append(scribes, s)
		for i := range claimants {
			c := &claimant{
				number: i, room: rooms.ID(fmt.Sprintf("room-%d", n)), scribe: s, journal: journals[i],
				random: rand.New(rand.NewPCG(seed, uint64(n*claimants+i))),
			}
			living.Go(func() { c.live(ctx, claims) })
		}
	}
	lived := make(chan struct{})
	go func() { living.Wait(); close(lived) }()
	disturb(server, proxies, rand.New(rand.NewPCG(seed, 1<<32)), lived)
	judge(t, scribes)
}

// disturb breaks connections and Redis, until all have lived.
func disturb(server *redistest.Server, proxies []*redistest.Proxy, random *rand.Rand, lived <-chan struct{}) {
	for n := 0; ; n++ {
		select {
		case <-lived:
			return
		case <-time.After(time.Duration(random.IntN(20)) * time.Millisecond):
		}
		p := proxies[random.IntN(len(proxies))]
		switch what := random.IntN(4); {
		case n%40 == 39:
			server.Kill()
			server.Restart()
		case what == 0:
			p.Cut()
			p.Mend()
		case what == 1:
			p.LoseAnswers(1, "evalsha")
		default:
			p.LoseAnswers(1, "xadd")
		}
	}
}

// judge has the histories explained.
func judge(t *testing.T, scribes []*scribe) {
	acts, unknown := 0, 0
	for n, s := range scribes {
		acts, unknown = acts+len(s.history), unknown+s.unknown
		result, info := porcupine.CheckOperationsVerbose(journalModel(), settle(s.history), 20*time.Second)
		if result == porcupine.Ok {
			continue
		}
		picture := filepath.Join(t.ArtifactDir(), fmt.Sprintf("room-%d.html", n))
		if err := porcupine.VisualizePath(journalModel(), info, picture); err != nil {
			t.Error(err)
		}
		t.Errorf("room %d: no order of %d acts explains all answers (%s); see %s", n, len(s.history), result, picture)
	}
	t.Logf("%d acts in %d rooms, %d answers lost", acts, len(scribes), unknown)
	if unknown < 10 || acts < 500 {
		t.Errorf("too little happened: %d acts, %d answers lost", acts, unknown)
	}
}
