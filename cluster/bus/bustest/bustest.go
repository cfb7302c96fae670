// Package bustest is what every bus must pass: the same claims, tried on memory and on a real server.
package bustest

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"tickover.dev/cluster"
	"tickover.dev/cluster/bus"
)

// Bus is what is tried.
type Bus struct {
	bus.Bus
	Max  int                // packets that an inbox holds
	Lose func(cluster.Boot) // has an inbox vanish behind its owner's back
}

// Run tries a bus. open gives one without inboxes.
func Run(t *testing.T, open func(testing.TB) Bus) {
	for _, c := range []struct {
		name string
		try  func(*suite)
	}{
		{"PacketsArriveAsTheyWerePut", arrives},
		{"NobodyElseMakesAnInbox", noInbox},
		{"OneMissingInboxDisturbsNoOther", neighbours},
		{"AWaitingReaderIsWoken", wakes},
		{"WhatWasReadIsGivenUp", trims},
		{"AFullInboxDropsItsOldest", overflows},
		{"AVanishedInboxIsNoticedAndMadeAgain", vanishes},
		{"AClosedInboxIsGone", closes},
		{"EachOfManySendersKeepsItsOrder", many},
	} {
		t.Run(c.name, func(t *testing.T) { c.try(&suite{T: t, b: open(t)}) })
	}
}

type suite struct {
	*testing.T
	b Bus
}

func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *suite) open(owner cluster.Boot) bus.Inbox {
	s.Helper()
	in, err := s.b.Open(s.Context(), owner)
	s.must(err)
	s.Cleanup(func() { in.Close(context.Background()) })
	return in
}

func (s *suite) put(to cluster.Boot, data []byte, want bus.Outcome) {
	s.Helper()
	outcomes := make([]bus.Outcome, 1)
	s.must(s.b.Put(s.Context(), []bus.Packet{{To: to, Data: data}}, outcomes))
	if outcomes[0] != want {
		s.Fatalf("put to %s: %s, want %s", to, outcomes[0], want)
	}
}

// read reads so many packets, or what comes within some seconds.
func (s *suite) read(in bus.Inbox, n int) (got [][]byte) {
	s.Helper()
	for start := time.Now(); len(got) < n && time.Since(start) < 5*time.Second; {
		packets, err := in.Read(s.Context())
		s.must(err)
		for _, p := range packets {
			got = append(got, bytes.Clone(p))
		}
	}
	if len(got) != n {
		s.Fatalf("%d packets came, want %d", len(got), n)
	}
	return got
}

func (s *suite) tend(in bus.Inbox) (lost bool) {
	s.Helper()
	lost, err := in.Tend(s.Context())
	s.must(err)
	return lost
}

// Packets are binary, up to 1 MiB.
func arrives(s *suite) {
	in := s.open(1)
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	want := [][]byte{all, {0}, bytes.Repeat([]byte("x"), 1<<20), []byte("\r\n$5\r\n")}
	for _, w := range want {
		s.put(1, w, bus.Delivered)
	}
	if got := s.read(in, len(want)); !slices.EqualFunc(got, want, bytes.Equal) {
		s.Fatal("they arrived otherwise")
	}
}

// A sender that makes the inbox of a dead node fills the store for nobody.
func noInbox(s *suite) {
	s.put(7, []byte("a"), bus.NoInbox)
	in := s.open(7)
	s.put(7, []byte("b"), bus.Delivered)
	if got := s.read(in, 1); string(got[0]) != "b" {
		s.Fatalf("%q came", got[0])
	}
}

// One dead node must not stop the messages to the others.
func neighbours(s *suite) {
	a, b := s.open(1), s.open(3)
	outcomes := make([]bus.Outcome, 3)
	packets := []bus.Packet{{To: 1, Data: []byte("one")}, {To: 2, Data: []byte("two")}, {To: 3, Data: []byte("three")}}
	s.must(s.b.Put(s.Context(), packets, outcomes))
	if want := []bus.Outcome{bus.Delivered, bus.NoInbox, bus.Delivered}; !slices.Equal(outcomes, want) {
		s.Fatalf("outcomes %v, want %v", outcomes, want)
	}
	if got := s.read(a, 1); string(got[0]) != "one" {
		s.Fatalf("%q came", got[0])
	}
	if got := s.read(b, 1); string(got[0]) != "three" {
		s.Fatalf("%q came", got[0])
	}
}

// A reader that polls is late by its poll.
func wakes(s *suite) {
	in := s.open(1)
	var late time.Duration
	for range 3 { // the machine may be busy: one of them in time will do
		put := make(chan time.Time, 1)
		time.AfterFunc(50*time.Millisecond, func() {
			put <- time.Now()
			s.b.Put(context.Background(), []bus.Packet{{To: 1, Data: []byte("x")}}, make([]bus.Outcome, 1))
		})
		s.read(in, 1)
		if late = time.Since(<-put); late < 200*time.Millisecond {
			return
		}
	}
	s.Fatalf("woken after %s", late)
}

// An inbox that keeps what was read drops what was not.
func trims(s *suite) {
	in := s.open(1)
	for round := range 3 {
		for i := range s.b.Max / 2 {
			s.put(1, fmt.Append(nil, round, i), bus.Delivered)
		}
		got := s.read(in, s.b.Max/2)
		if want := fmt.Sprint(round, 0); string(got[0]) != want {
			s.Fatalf("%q came first, want %q", got[0], want)
		}
		if s.tend(in) {
			s.Fatal("it says that something was lost")
		}
	}
}

// Bounds are there for readers that do not read; a reader has to see from what is left that something is missing.
func overflows(s *suite) {
	in := s.open(1)
	n := 3 * s.b.Max
	for i := range n {
		s.put(1, binary.BigEndian.AppendUint32(make([]byte, 5000), uint32(i)), bus.Delivered) // one to a node of Redis's tree
	}
	next := uint32(0)
	var got int
	for next < uint32(n) {
		packets, err := in.Read(s.Context())
		s.must(err)
		if len(packets) == 0 {
			s.Fatalf("the newest packet that came is %d of %d", next, n)
		}
		for _, p := range packets {
			i := binary.BigEndian.Uint32(p[5000:])
			if got > 0 && i != next {
				s.Fatalf("%d came after %d", i, next-1)
			}
			next = i + 1
			got++
		}
	}
	if got < s.b.Max/2 || got >= n {
		s.Fatalf("%d packets came of %d, where %d have their place", got, n, s.b.Max)
	}
}

// A store that comes back empty must not leave a node deaf.
func vanishes(s *suite) {
	in := s.open(1)
	s.put(1, []byte("a"), bus.Delivered)
	s.read(in, 1)
	s.put(1, []byte("unread"), bus.Delivered)
	s.b.Lose(1)
	s.put(1, []byte("b"), bus.NoInbox)
	if !s.tend(in) {
		s.Fatal("nothing was lost, it says")
	}
	if s.tend(in) {
		s.Fatal("lost again, it says")
	}
	s.put(1, []byte("c"), bus.Delivered)
	if got := s.read(in, 1); string(got[0]) != "c" {
		s.Fatalf("%q came", got[0])
	}
}

func closes(s *suite) {
	in := s.open(1)
	s.must(in.Close(s.Context()))
	s.put(1, []byte("a"), bus.NoInbox)
}

func many(s *suite) {
	in := s.open(1)
	const senders, each = 8, 10
	var all sync.WaitGroup
	for sender := range senders {
		all.Go(func() {
			for i := range each {
				outcomes := make([]bus.Outcome, 1)
				s.b.Put(s.Context(), []bus.Packet{{To: 1, Data: []byte{byte(sender), byte(i)}}}, outcomes)
				if outcomes[0] != bus.Delivered {
					s.Errorf("packet %d of %d: %s", i, sender, outcomes[0])
				}
			}
		})
	}
	all.Wait()
	var next [senders]byte
	for _, p := range s.read(in, senders*each) {
		if p[1] != next[p[0]] {
			s.Fatalf("%d of %d came, want %d", p[1], p[0], next[p[0]])
		}
		next[p[0]]++
	}
}
