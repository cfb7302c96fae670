package redisbus

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"tickover.dev/cluster"
	"tickover.dev/cluster/bus"
	"tickover.dev/redisconn"
	"tickover.dev/redisconn/redistest"
)

// ear is a handler that looks whether messages come in order, none twice, and none missing without a Lost.
type ear struct {
	mu sync.Mutex
	// Guarded by mu.
	t         testing.TB
	got, told int
	newest    uint64
	excused   bool // Lost was called since the newest
	took      []time.Duration
	hold      chan struct{} // while it is open, nothing is taken; nil: everything is
}

func (e *ear) Receive(from cluster.Boot, message []byte) {
	e.mu.Lock()
	hold := e.hold
	e.mu.Unlock()
	if hold != nil {
		<-hold
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	place := binary.BigEndian.Uint64(message)
	if place <= e.newest {
		e.t.Errorf("message %d came after %d", place, e.newest)
	}
	if place > e.newest+1 && !e.excused {
		e.t.Errorf("message %d came after %d, and nobody was told", place, e.newest)
	}
	e.newest, e.excused = place, false
	e.got++
	e.took = append(e.took, time.Since(time.UnixMicro(int64(binary.BigEndian.Uint64(message[8:])))))
}

func (e *ear) Lost(from cluster.Boot) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.told++
	e.excused = true
}

// complete tells whether the newest of n messages came, or its loss was told.
func (e *ear) complete(n uint64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.newest == n || e.excused
}

func (e *ear) counts() (got, told int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.got, e.told
}

// link starts a link over a Redis; the test's end ends it.
func link(t testing.TB, url string, self cluster.Boot, h bus.Handler, c Config, change func(*bus.Config)) *bus.Link {
	t.Helper()
	rc := redisconn.Config{URL: url}
	config := bus.Config{Self: self, Handler: h, Bus: New(client(t, redisconn.Open, rc), client(t, redisconn.OpenBlocking, rc), c)}
	if change != nil {
		change(&config)
	}
	l := bus.New(config)
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { l.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		work.Wait()
	})
	select {
	case <-l.Ready():
	case <-time.After(10 * time.Second):
		t.Fatal("it has no inbox")
	}
	return l
}

// mouth sends numbered messages of 200 bytes to boot 2.
type mouth struct {
	*bus.Link
	sent    uint64
	refused int
}

func (m *mouth) say() {
	m.sent++
	var message [200]byte
	binary.BigEndian.PutUint64(message[:], m.sent)
	binary.BigEndian.PutUint64(message[8:], uint64(time.Now().UnixMicro()))
	if m.Send(2, func(b []byte) []byte { return append(b, message[:]...) }) != nil {
		m.refused++
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for start := time.Now(); !ok(); <-time.After(time.Millisecond) {
		if time.Since(start) > 10*time.Second {
			t.Fatalf("never came true: %s", what)
		}
	}
}

// every does something n times, at intervals.
func every(d time.Duration, n int, do func(i int)) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for i := range n {
		do(i)
		<-tick.C
	}
}

// Half of what a player of another node waits for is this crossing.
func TestCrossingTakesFewMilliseconds(t *testing.T) {
	url := redistest.Start(t).URL()
	e := &ear{t: t}
	link(t, url, 2, e, Config{}, nil)
	m := mouth{Link: link(t, url, 1, &ear{t: t}, Config{}, nil)}
	const n = 1500
	every(time.Millisecond, n, func(int) { m.say() })
	eventually(t, "all have come", func() bool { got, _ := e.counts(); return got == n })
	e.mu.Lock()
	defer e.mu.Unlock()
	slices.Sort(e.took)
	s := m.Stats()
	t.Logf("1,000 messages/s: p50 %s, p99 %s, most %s; %.1f messages per batch", e.took[n/2], e.took[n*99/100], e.took[n-1],
		float64(s.SentMessages)/float64(s.SentBatches))
	if e.told > 0 || e.took[n/2] > 50*time.Millisecond {
		t.Fatalf("lost %d times; p50 %s", e.told, e.took[n/2])
	}
}

// An answer that was lost must lose no message, and double none.
func TestLostAnswersLoseAndDoubleNothing(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.StartProxy(t, server.Addr())
	e := &ear{t: t}
	link(t, server.URL(), 2, e, Config{}, nil)
	m := mouth{Link: link(t, "redis://"+proxy.Addr(), 1, &ear{t: t}, Config{}, nil)}
	const n = 800
	every(time.Millisecond, n, func(i int) {
		if i%100 == 50 {
			proxy.LoseAnswers(1, "xadd")
		}
		m.say()
	})
	eventually(t, "all have come", func() bool { got, told := e.counts(); return got == n && told == 0 })
	if s := m.Stats(); proxy.Lost() < 5 || s.Resent == 0 {
		t.Fatalf("%d answers were lost, %d batches sent again: this proves nothing", proxy.Lost(), s.Resent)
	}
}

// A server that keeps its disk loses nothing, and what waits meanwhile goes on.
func TestAServerThatIsKilledAndKeepsItsDiskLosesNothing(t *testing.T) {
	t.Parallel()
	e, m := killed(t, redistest.Durable...)
	if got, told := e.counts(); got != int(m.sent) || told > 0 {
		t.Fatalf("%d of %d came, lost %d times", got, m.sent, told)
	}
}

// One that comes back empty has lost what was in the inboxes, and the inboxes: everybody learns of it, and all goes on.
func TestAServerThatComesBackEmptyIsNoticed(t *testing.T) {
	t.Parallel()
	e, m := killed(t)
	if _, told := e.counts(); told == 0 {
		t.Fatal("nobody was told")
	}
	before, _ := e.counts()
	m.say()
	eventually(t, "messages come through again", func() bool { got, _ := e.counts(); return got > before })
}

// killed sends while a server is killed and started again, until all has come or was told to be lost.
func killed(t *testing.T, options ...string) (*ear, *mouth) {
	server := redistest.Start(t, options...)
	e := &ear{t: t}
	link(t, server.URL(), 2, e, Config{}, nil)
	m := &mouth{Link: link(t, server.URL(), 1, &ear{t: t}, Config{}, nil)}
	const n = 1200
	every(time.Millisecond, n, func(i int) {
		if i == 400 {
			server.Kill()
		}
		if i == 700 {
			server.Restart()
		}
		m.say()
	})
	eventually(t, "the newest has come, or its loss was told", func() bool { return e.complete(n) })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := m.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	s := m.Stats()
	t.Logf("sent %d, resent %d, no inbox %d, refused %d", s.SentMessages, s.Resent, s.NoInbox, m.refused)
	return e, m
}

// A fail-over may lose the end of an inbox: in order, none twice, none missing without notice is all that can be had, and it goes on.
func TestAFailOverIsSurvived(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t, 1)
	e := &ear{t: t}
	link(t, s.URL(), 2, e, Config{}, nil)
	m := &mouth{Link: link(t, s.URL(), 1, &ear{t: t}, Config{}, nil)}
	every(time.Millisecond, 500, func(i int) {
		if i == 250 {
			s.Master.Kill()
		}
		m.say()
	})
	s.AwaitMaster(s.Replica)
	eventually(t, "the newest has come, or its loss was told", func() bool { return e.complete(m.sent) })
	before, told := e.counts()
	m.say()
	eventually(t, "messages come through again", func() bool { got, _ := e.counts(); return got > before })
	t.Logf("%d of %d came, lost %d times", before, m.sent-1, told)
}

// A reader that is too slow must learn that its inbox has dropped what it had not read.
func TestAnOverflowIsNoticed(t *testing.T) {
	server := redistest.Start(t)
	hold := make(chan struct{})
	e := &ear{t: t, hold: hold}
	c := Config{MaxPackets: 20}
	link(t, server.URL(), 2, e, c, nil)
	// A packet that is larger than a node of Redis's tree has one of its own: so the bound is not so rough here.
	m := mouth{Link: link(t, server.URL(), 1, &ear{t: t}, c, func(c *bus.Config) { c.FlushBytes = 5000 })}
	for batches := uint64(0); batches < 200; {
		for range 30 {
			m.say()
		}
		eventually(t, "it is sent", func() bool { return m.Stats().QueuedBytes == 0 })
		batches = m.Stats().SentBatches
	}
	close(hold)
	eventually(t, "the newest came", func() bool { return e.complete(m.sent) })
	if got, told := e.counts(); told == 0 || got >= int(m.sent) {
		t.Fatalf("%d of %d came, lost %d times", got, m.sent, told)
	}
}

// A node that stops while its reader waits at the server must not wait for that.
func TestTheEndDoesNotWaitForAReader(t *testing.T) {
	server := redistest.Start(t)
	rc := redisconn.Config{URL: server.URL()}
	b := New(client(t, redisconn.Open, rc), client(t, redisconn.OpenBlocking, rc), Config{})
	var took time.Duration
	for range 3 { // the machine may be busy
		l := bus.New(bus.Config{Self: 1, Handler: &ear{t: t}, Bus: b})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			l.Run(ctx)
		}()
		<-l.Ready()
		if err := l.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		cancel()
		<-done
		if took = time.Since(began); took < 200*time.Millisecond {
			break
		}
	}
	if n := fmt.Sprint(server.Do("exists", "tk:in:00000001")); took > 500*time.Millisecond || n != "0" {
		t.Fatalf("it took %s; inboxes left: %s", took, n)
	}
}
