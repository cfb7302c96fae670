package bus_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"tickover.dev/cluster"
	"tickover.dev/cluster/bus"
	"tickover.dev/cluster/bus/membus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// diary is a handler that writes down what it is told.
type diary struct {
	mu sync.Mutex
	// Guarded by mu.
	lines []string
	at    []time.Time
}

func (d *diary) Receive(from cluster.Boot, message []byte) {
	d.write(fmt.Sprintf("%d: %s", from, message))
}

func (d *diary) Lost(from cluster.Boot) { d.write(fmt.Sprintf("%d: lost", from)) }

func (d *diary) write(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
	d.at = append(d.at, time.Now())
}

func (d *diary) is(t *testing.T, want ...string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Equal(d.lines, want) {
		t.Fatalf("received %q, want %q", d.lines, want)
	}
}

// flaky is a bus that can fail.
type flaky struct {
	*membus.Bus
	puts    atomic.Int64
	refuse  atomic.Bool // what is put gets no answer and goes nowhere
	swallow atomic.Bool // what is put goes nowhere, but is said to be delivered
}

func (f *flaky) Put(ctx context.Context, packets []bus.Packet, outcomes []bus.Outcome) error {
	f.puts.Add(1)
	switch {
	case f.refuse.Load():
		return errors.New("refused")
	case f.swallow.Load():
		for i := range outcomes {
			outcomes[i] = bus.Delivered
		}
	default:
		return f.Bus.Put(ctx, packets, outcomes)
	}
	return nil
}

// node is a link that runs.
type node struct {
	*bus.Link
	*diary
	end func()
}

func start(t *testing.T, b bus.Bus, self cluster.Boot, change func(*bus.Config)) *node {
	t.Helper()
	n := &node{diary: &diary{}}
	c := bus.Config{Self: self, Bus: b, Handler: n.diary}
	if change != nil {
		change(&c)
	}
	n.Link = bus.New(c)
	ctx, cancel := context.WithCancelCause(t.Context())
	over := errors.New("over")
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	n.end = sync.OnceFunc(func() {
		cancel(over)
		if err := <-done; !errors.Is(err, over) {
			t.Errorf("Run ended with %v", err)
		}
	})
	<-n.Ready()
	synctest.Wait()
	return n
}

func (n *node) say(t *testing.T, to cluster.Boot, text string) {
	t.Helper()
	if err := n.Send(to, appending(text)); err != nil {
		t.Fatalf("send %q: %v", text, err)
	}
}

func appending(text string) func([]byte) []byte {
	return func(b []byte) []byte { return append(b, text...) }
}

// rest lets time pass.
func rest(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// pair is two nodes and their bus.
func pair(t *testing.T, change func(*bus.Config), try func(t *testing.T, b *flaky, one, two *node)) {
	synctest.Test(t, func(t *testing.T) {
		b := &flaky{Bus: membus.New(0)}
		one, two := start(t, b, 1, change), start(t, b, 2, nil)
		try(t, b, one, two)
		two.end()
		one.end()
	})
}

// Without the delay each message costs a round trip; with two wakes it costs two.
func TestMessagesGoTogetherAfterTwoMilliseconds(t *testing.T) {
	pair(t, nil, func(t *testing.T, b *flaky, one, two *node) {
		began := time.Now()
		one.say(t, 2, "a")
		rest(time.Millisecond)
		one.say(t, 2, "b")
		one.say(t, 1, "to myself")
		rest(999 * time.Microsecond)
		two.is(t)
		rest(time.Millisecond)
		two.is(t, "1: a", "1: b")
		one.is(t, "1: to myself")
		if took := two.at[0].Sub(began); took != 2*time.Millisecond {
			t.Fatalf("it took %s", took)
		}
		if s := one.Stats(); b.puts.Load() != 1 || s.SentBatches != 2 || s.SentMessages != 3 || s.QueuedBytes != 0 {
			t.Fatalf("%d puts, %+v", b.puts.Load(), s)
		}
		if s := two.Stats(); s.ReceivedMessages != 2 || s.Crossing.Sum != 2*time.Millisecond || s.Senders != 1 {
			t.Fatalf("%+v", s)
		}
	})
}

// A burst that waits for its time is late for nothing.
func TestManyBytesGoAtOnce(t *testing.T) {
	pair(t, nil, func(t *testing.T, b *flaky, one, two *node) {
		big := string(bytes.Repeat([]byte("x"), 70<<10))
		began := time.Now()
		one.say(t, 2, big)
		synctest.Wait()
		two.is(t, "1: "+big)
		if !two.at[0].Equal(began) {
			t.Fatalf("it took %s", two.at[0].Sub(began))
		}
		if err := one.Send(2, appending(string(make([]byte, bus.MaxMessage+1)))); !errors.Is(err, bus.ErrTooLarge) {
			t.Fatal(err)
		}
		most := string(bytes.Repeat([]byte("y"), bus.MaxMessage))
		one.say(t, 2, most)
		one.say(t, 2, "z")
		rest(5 * time.Millisecond)
		two.is(t, "1: "+big, "1: "+most, "1: z")
	})
}

// A last message leaves no gap: without pulses a player would wait for ever for what was in it. And who is silent for long must not
// cost anything.
func TestALostLastMessageIsNoticedWithinTwoPulses(t *testing.T) {
	pair(t, nil, func(t *testing.T, b *flaky, one, two *node) {
		one.say(t, 2, "a")
		rest(10 * time.Millisecond)
		b.swallow.Store(true)
		one.say(t, 2, "b")
		rest(10 * time.Millisecond)
		b.swallow.Store(false)
		began := time.Now()
		rest(2 * time.Second)
		two.is(t, "1: a", "1: lost")
		if took := two.at[1].Sub(began); took > 2*time.Second {
			t.Fatalf("it took %s", took)
		}
		rest(time.Minute)
		two.is(t, "1: a", "1: lost")
		before := b.puts.Load()
		rest(time.Hour)
		if n := b.puts.Load() - before; n != 0 {
			t.Fatalf("%d puts in an idle hour", n)
		}
	})
}

// A node must not wait for a store that is away, nor eat all memory meanwhile; and whoever misses something is told.
func TestAFullQueueRefusesAndIsNoticed(t *testing.T) {
	pair(t, func(c *bus.Config) { c.MaxQueued = 1000 }, func(t *testing.T, b *flaky, one, two *node) {
		b.refuse.Store(true)
		one.say(t, 2, string(make([]byte, 900)))
		if err := one.Send(2, appending("0123456789012345678901234567890123456789")); !errors.Is(err, bus.ErrFull) {
			t.Fatal(err)
		}
		one.say(t, 2, "short")
		rest(time.Second)
		b.refuse.Store(false)
		rest(time.Second)
		two.is(t, "1: "+string(make([]byte, 900)), "1: lost", "1: short")
		if s := one.Stats(); s.Refused != 1 || s.Resent == 0 || s.Dropped != 0 {
			t.Fatalf("%+v", s)
		}
	})
}

// What is too old is worth less than the whole, which the receiver will ask for.
func TestAfterFiveSecondsTheQueueIsDropped(t *testing.T) {
	pair(t, nil, func(t *testing.T, b *flaky, one, two *node) {
		b.refuse.Store(true)
		one.say(t, 2, "a")
		rest(4 * time.Second)
		one.say(t, 2, "b")
		rest(2 * time.Second)
		if s := one.Stats(); s.Dropped != 2 || s.QueuedBytes != 0 {
			t.Fatalf("%+v", s)
		}
		b.refuse.Store(false)
		one.say(t, 2, "c")
		rest(10 * time.Millisecond)
		two.is(t, "1: lost", "1: c")
	})
}

// What is for a node that is gone must not pile up, and must not keep anything from the others.
func TestANodeWithoutInboxLosesItsQueueAlone(t *testing.T) {
	pair(t, nil, func(t *testing.T, b *flaky, one, two *node) {
		one.say(t, 3, "to nobody")
		one.say(t, 2, "a")
		rest(10 * time.Millisecond)
		two.is(t, "1: a")
		three := start(t, b, 3, nil)
		one.say(t, 3, "b")
		rest(10 * time.Millisecond)
		three.is(t, "1: lost", "1: b")
		three.end()
		if s := one.Stats(); s.NoInbox != 1 || s.QueuedBytes != 0 {
			t.Fatalf("%+v", s)
		}
	})
}

// A store that comes back empty must not leave a node deaf, nor let it believe that it has heard all.
func TestAVanishedInboxIsMadeAgainAndEverybodyCountsAsLost(t *testing.T) {
	pair(t, nil, func(t *testing.T, b *flaky, one, two *node) {
		one.say(t, 2, "a")
		rest(10 * time.Millisecond)
		two.say(t, 2, "m")
		rest(10 * time.Millisecond)
		b.Lose(2)
		rest(2 * time.Second)
		two.is(t, "1: a", "2: m", "1: lost", "2: lost")
		one.say(t, 2, "b")
		rest(10 * time.Millisecond)
		two.is(t, "1: a", "2: m", "1: lost", "2: lost", "1: b")
	})
}

// A node that was taken for dead by mistake must neither be deaf to who did, nor believe that it has heard all.
func TestAForgottenNodeThatLivesLearnsOfItsLoss(t *testing.T) {
	pair(t, nil, func(t *testing.T, b *flaky, one, two *node) {
		one.say(t, 2, "a")
		rest(10 * time.Millisecond)
		one.say(t, 2, "b")
		one.Forget(2)
		one.say(t, 2, "c")
		rest(10 * time.Millisecond)
		two.is(t, "1: a", "1: lost", "1: c")
		two.Forget(1)
		one.say(t, 2, "d")
		rest(10 * time.Millisecond)
		two.is(t, "1: a", "1: lost", "1: c", "1: lost", "1: d")
	})
}

// A node that says that it can be reached, and cannot, draws players into a hole.
func TestPingTellsWhetherTheInboxWorks(t *testing.T) {
	pair(t, nil, func(t *testing.T, b *flaky, one, two *node) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := one.Ping(ctx); err != nil || time.Since(began) > 0 {
			t.Fatal(err, time.Since(began))
		}
		b.swallow.Store(true)
		time.AfterFunc(300*time.Millisecond, func() { b.swallow.Store(false) })
		if err := one.Ping(ctx); err != nil { // one that was lost is repeated
			t.Fatal(err)
		}
		b.refuse.Store(true)
		if err := one.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		b.refuse.Store(false)
	})
}

// Rooms of all shards send, while nodes are judged dead: each must find its own messages in order at the other end.
func TestManyGoroutinesMaySend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &flaky{Bus: membus.New(0)}
		one, two := start(t, b, 1, nil), start(t, b, 2, nil)
		const senders, each = 8, 200
		var all sync.WaitGroup
		for s := range senders {
			all.Go(func() {
				for i := range each {
					one.say(t, 2, fmt.Sprint(s, i))
					one.Forget(cluster.Boot(3 + i%5))
					one.Stats()
					if i%50 == 0 {
						if err := one.Ping(t.Context()); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		all.Wait()
		rest(10 * time.Millisecond)
		var next [senders]int
		for _, line := range two.lines {
			var s, i int
			fmt.Sscanf(line, "1: %d %d", &s, &i)
			if i != next[s] {
				t.Fatalf("%q came, want %d", line, next[s])
			}
			next[s]++
		}
		if len(two.lines) != senders*each {
			t.Fatalf("%d came", len(two.lines))
		}
		two.end()
		one.end()
	})
}

// The last words of a node that stops in order say where its rooms went.
func TestWhatIsQueuedAtTheEndIsSent(t *testing.T) {
	pair(t, nil, func(t *testing.T, b *flaky, one, two *node) {
		one.say(t, 2, "a")
		one.end()
		rest(time.Millisecond)
		two.is(t, "1: a")
		if err := one.Send(2, appending("b")); !errors.Is(err, bus.ErrClosed) {
			t.Fatal(err)
		}
		if err := one.Ping(t.Context()); !errors.Is(err, bus.ErrClosed) {
			t.Fatal(err)
		}
		two.say(t, 1, "c")
		rest(10 * time.Millisecond)
		if s := two.Stats(); s.NoInbox != 1 {
			t.Fatalf("its inbox is still there: %+v", s)
		}
	})
}

// A stop that waits for a store that is away is a kill in the end.
func TestTheEndDoesNotWaitForAStoreThatIsAway(t *testing.T) {
	pair(t, nil, func(t *testing.T, b *flaky, one, two *node) {
		b.refuse.Store(true)
		one.say(t, 2, "a")
		began := time.Now()
		one.end()
		if took := time.Since(began); took > 2*time.Second {
			t.Fatalf("it took %s", took)
		}
		b.refuse.Store(false)
	})
}
