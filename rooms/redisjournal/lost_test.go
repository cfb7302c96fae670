package redisjournal_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"tickover.dev/redisconn/redistest"
	"tickover.dev/rooms"
	"tickover.dev/rooms/redisjournal"
)

// behind makes a journal that reaches its server through a proxy.
func behind(t *testing.T) (*redisjournal.Journal, *redistest.Proxy, *redistest.Server) {
	t.Helper()
	s := redistest.Start(t)
	p := redistest.StartProxy(t, s.Addr())
	return newJournal(t, "redis://"+p.Addr()), p, s
}

func top(t *testing.T, j *redisjournal.Journal, room rooms.ID) rooms.Top {
	t.Helper()
	v, err := j.Top(t.Context(), room)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// An append that was stored, and whose answer was lost, must neither be taken for fenced nor be stored twice.
func TestLostAnswerIsUnknownAndTheTopTells(t *testing.T) {
	j, proxy, server := behind(t)
	room := fresh()
	create, second := entry(room, 5, 1, rooms.EntryCreate), entry(room, 5, 2, rooms.EntryDelta)

	proxy.LoseAnswers(1, "eval")
	want(t, j, create, rooms.Unknown)
	if v := top(t, j, room); v.ID != create.ID || v.Nonce != create.Nonce || v.Kind != rooms.EntryCreate {
		t.Fatalf("top %+v", v)
	}
	want(t, j, create, rooms.Fenced) // sent again: refused, and the top is still ours

	proxy.LoseAnswers(1, "xadd")
	want(t, j, second, rooms.Unknown)
	if v := top(t, j, room); v.ID != second.ID || v.Nonce != second.Nonce {
		t.Fatalf("top %+v", v)
	}
	want(t, j, second, rooms.Fenced)
	if v := top(t, j, room); v.ID != second.ID {
		t.Fatalf("top %+v", v)
	}
	stats := fmt.Sprint(server.Do("info", "commandstats"))
	if !strings.Contains(stats, "cmdstat_xadd:calls=3,") { // a creation, and the second entry twice: once by us, once again by us
		t.Errorf("somebody else sent an append again: %s", stats)
	}
	if es := load(t, j, room); len(es) != 3 || proxy.Lost() != 2 {
		t.Errorf("%d entries, %d lost answers", len(es), proxy.Lost())
	}
}

// An append that never reached Redis goes in when it is sent again.
func TestLostRequestIsNotStored(t *testing.T) {
	j, proxy, _ := behind(t)
	room := fresh()
	want(t, j, entry(room, 5, 1, rooms.EntryCreate), rooms.Confirmed)
	proxy.Cut()
	if r := send(t, j, entry(room, 5, 2, rooms.EntryDelta))[0]; r.Outcome != rooms.Unknown && r.Outcome != rooms.Refused || r.Err == nil {
		t.Fatalf("%s (%v)", r.Outcome, r.Err)
	}
	proxy.Mend()
	if v := top(t, j, room); v.ID.Tick != 1 {
		t.Fatalf("top %+v", v)
	}
	want(t, j, entry(room, 5, 2, rooms.EntryDelta), rooms.Confirmed)
}

// An unanswered claim is repeated until it is answered. It must not fence itself: not at once, and not when its copy comes in late.
func TestClaimIsRepeatedAfterALostAnswer(t *testing.T) {
	j, proxy, _ := behind(t)
	room := fresh()
	want(t, j, entry(room, 5, 1, rooms.EntryCreate), rooms.Confirmed)
	if _, err := j.Claim(t.Context(), room, 4, 1); !errors.Is(err, rooms.ErrClaimLost) {
		t.Fatalf("claim of an epoch that is over: %v", err) // and the server knows the script now
	}
	proxy.LoseAnswers(2, "evalsha")
	for range 2 {
		if _, err := j.Claim(t.Context(), room, 5, 70); err == nil || errors.Is(err, rooms.ErrClaimLost) || errors.Is(err, rooms.ErrGone) {
			t.Fatalf("a lost answer: %v", err)
		}
	}
	epoch, err := j.Claim(t.Context(), room, 5, 70)
	if v := top(t, j, room); err != nil || v.ID != (rooms.EntryID{Epoch: epoch}) {
		t.Fatalf("epoch %d, %v; top %+v", epoch, err, v)
	}
	own := entry(room, epoch, 2, rooms.EntrySnapshot)
	own.Nonce = 70
	want(t, j, own, rooms.Confirmed)
	if again, err := j.Claim(t.Context(), room, 0, 70); err != nil || again != epoch {
		t.Fatalf("the claim's late copy gave epoch %d, %v", again, err)
	}
	own.ID.Tick, own.Kind = 3, rooms.EntryDelta
	want(t, j, own, rooms.Confirmed)
}

func TestBuryIsRepeatedAfterALostAnswer(t *testing.T) {
	j, proxy, _ := behind(t)
	room := fresh()
	want(t, j, entry(room, 5, 1, rooms.EntryCreate), rooms.Confirmed)
	bury := func() error { return j.Bury(t.Context(), room, 5, []byte("end"), time.Minute) }
	proxy.LoseAnswers(1, "tomb") // in the script, which is sent whole as the server does not know it yet
	if err := bury(); err == nil || errors.Is(err, rooms.ErrGone) {
		t.Fatalf("a lost answer: %v", err)
	}
	if err := bury(); err != nil {
		t.Fatalf("sent again: %v", err)
	}
	if err := j.Bury(t.Context(), room, 4, nil, time.Minute); !errors.Is(err, rooms.ErrGone) {
		t.Errorf("by another owner: %v", err)
	}
	if end, err := j.Tomb(t.Context(), room); err != nil || string(end) != "end" {
		t.Errorf("the tombstone says %q, %v", end, err)
	}
}

// What a room's players have seen must survive the power switch, if the disk was asked to keep it.
func TestKilledServerKeepsWhatWasConfirmed(t *testing.T) {
	s := redistest.Start(t, redistest.Durable...)
	j := newJournal(t, s.URL())
	room := fresh()
	want(t, j, entry(room, 5, 1, rooms.EntryCreate), rooms.Confirmed)
	confirmed := make(chan uint64, 1)
	killed := make(chan struct{})
	go func() {
		tick := uint64(1)
		for { // until the server is gone
			r := send(t, j, entry(room, 5, tick+1, rooms.EntryDelta))[0]
			if r.Outcome != rooms.Confirmed {
				break
			}
			if tick++; tick == 100 {
				close(killed)
			}
		}
		confirmed <- tick
	}()
	<-killed
	s.Kill()
	last := <-confirmed
	s.Restart()
	es := load(t, j, room)
	if n := uint64(len(es)) - 1; n < last || n > last+1 { // one more may have been stored, its answer lost
		t.Fatalf("%d entries after the restart, %d were confirmed", n, last)
	}
	for i, e := range es[:len(es)-1] {
		if e.ID.Tick != uint64(i+1) {
			t.Fatalf("entry %d is %s", i, e.ID)
		}
	}
}

// 8 claimants who judge the same owner dead: two winners would be two histories.
func TestEachRaceHasOneWinner(t *testing.T) {
	j := newJournal(t, redistest.Start(t).URL())
	room := fresh()
	want(t, j, entry(room, 5, 1, rooms.EntryCreate), rooms.Confirmed)
	seen := rooms.Epoch(5)
	type claim struct {
		epoch rooms.Epoch
		err   error
	}
	for round := range 200 {
		claims := make(chan claim, 8)
		for i := range 8 {
			go func() {
				epoch, err := j.Claim(context.Background(), room, seen, uint64(1000+round*8+i))
				claims <- claim{epoch, err}
			}()
		}
		won := rooms.Epoch(0)
		for range 8 {
			switch c := <-claims; {
			case c.err == nil && won == 0 && c.epoch > seen:
				won = c.epoch
			case !errors.Is(c.err, rooms.ErrClaimLost):
				t.Fatalf("round %d: epoch %d, %v beside %d", round, c.epoch, c.err, won)
			}
		}
		if won == 0 {
			t.Fatalf("round %d has no winner", round)
		}
		seen = won
	}
	if es := load(t, j, room); len(es) != 202 {
		t.Errorf("%d entries, want the creation and 201 claims", len(es))
	}
}
