package redissessions_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tickover.dev/redisconn"
	"tickover.dev/redisconn/embedded"
	"tickover.dev/redisconn/redistest"
	"tickover.dev/rooms"
	"tickover.dev/sessions"
	"tickover.dev/sessions/redissessions"
	"tickover.dev/sessions/storetest"
)

// What runs already are the timers of a pool that the library of sockets keeps.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }

func open(t testing.TB, url string) *redissessions.Store {
	t.Helper()
	c, err := redisconn.Open(redisconn.Config{URL: url, Timeout: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return redissessions.New(c, "")
}

func TestConformanceOfOneServer(t *testing.T) { storetest.Run(t, open(t, redistest.Start(t).URL())) }

func TestConformanceOfACluster(t *testing.T) {
	t.Parallel()
	storetest.Run(t, open(t, redistest.StartCluster(t).URL()))
}

func TestConformanceOfTheEmbeddedServer(t *testing.T) {
	addr, stop, err := embedded.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	storetest.Run(t, open(t, "redis://"+addr))
}

var ann = sessions.Record{ID: "s-1", Player: rooms.Player{ID: "p-1", Name: "ann"}, Gen: 1, Node: "a", Connected: true}

// Sessions must go by themselves, those of players with something to return to last.
func TestKeysExpire(t *testing.T) {
	s := redistest.Start(t)
	store := open(t, s.URL())
	ttl := func(key string) time.Duration { return time.Duration(s.Do("pttl", key).(int64)) * time.Millisecond }
	about := func(what string, got, want time.Duration) {
		t.Helper()
		if got > want || got < want-10*time.Second {
			t.Errorf("%s: kept for %s, want %s", what, got, want)
		}
	}
	if err := store.Open(t.Context(), ann, sessions.Hash{1}); err != nil {
		t.Fatal(err)
	}
	about("connected", ttl("tk:s:{s-1}"), 15*time.Minute)
	r := ann
	r.Seats = []sessions.Place{{Room: "r", Seat: 1}}
	save(t, store, r)
	about("with a seat", ttl("tk:s:{s-1}"), 30*time.Minute)
	if _, _, err := store.Resume(t.Context(), r.ID, sessions.Hash{1}, sessions.Hash{2}, 0, "b"); err != nil {
		t.Fatal(err)
	}
	about("resumed", ttl("tk:s:{s-1}"), 30*time.Minute)
	r.Gen, r.Seats, r.Connected = 2, nil, false
	save(t, store, r)
	about("gone, without a seat", ttl("tk:s:{s-1}"), 2*time.Minute)
	if _, _, err := store.Resume(t.Context(), r.ID, sessions.Hash{2}, sessions.Hash{3}, 0, "b"); err != nil {
		t.Fatal(err)
	}
	about("resumed without a seat", ttl("tk:s:{s-1}"), 15*time.Minute)
	r.Gen = 3
	about("the index", ttl("tk:p:{p-1}"), time.Hour)
	s.Do("zadd", "tk:p:{p-1}", 1000, "of old")
	save(t, store, r)
	if n := s.Do("zcard", "tk:p:{p-1}"); n != int64(1) {
		t.Errorf("%v in the index", n)
	}
}

func save(t *testing.T, s *redissessions.Store, rs ...sessions.Record) {
	t.Helper()
	if err := errors.Join(s.Save(t.Context(), rs)...); err != nil {
		t.Fatal(err)
	}
}

// Whoever reads Redis must not be able to resume anything.
func TestNoSecretIsEverSent(t *testing.T) {
	s := redistest.Start(t)
	store := open(t, s.URL())
	if err := store.Open(t.Context(), ann, sessions.Hash{1}); err != nil {
		t.Fatal(err)
	}
	var fields []string
	for _, f := range s.Do("hkeys", "tk:s:{s-1}").([]any) {
		fields = append(fields, f.(string))
	}
	slices.Sort(fields)
	if !slices.Equal(fields, []string{"c", "g", "n", "o", "p", "r"}) {
		t.Errorf("fields %v", fields)
	}
	if c := s.Do("hget", "tk:s:{s-1}", "c").(string); len(c) != 32 || c[0] != 1 {
		t.Errorf("%x", c)
	}
}

// A record of a later version is not this one's to judge: its player goes elsewhere, with the secret that he has.
func TestARecordOfAnotherVersionIsNoWrongSecret(t *testing.T) {
	s := redistest.Start(t)
	store := open(t, s.URL())
	if err := store.Open(t.Context(), ann, sessions.Hash{1}); err != nil {
		t.Fatal(err)
	}
	good := s.Do("hget", "tk:s:{s-1}", "r")
	for _, rest := range []string{"\x02anything", "", "\x01\xc1"} {
		s.Do("hset", "tk:s:{s-1}", "r", rest)
		_, _, err := store.Resume(t.Context(), "s-1", sessions.Hash{1}, sessions.Hash{2}, 0, "b")
		if err == nil || errors.Is(err, sessions.ErrBadSecret) || errors.Is(err, sessions.ErrNoSession) {
			t.Errorf("%q: %v", rest, err)
		}
		if all, err := store.Of(t.Context(), "p-1"); err != nil || len(all) != 0 {
			t.Errorf("%q: %v, %v", rest, all, err)
		}
	}
	s.Do("hset", "tk:s:{s-1}", "r", good)
	if r, _, err := store.Resume(t.Context(), "s-1", sessions.Hash{1}, sessions.Hash{2}, 0, "b"); err != nil || r.Player.Name != "ann" {
		t.Errorf("%+v, %v", r, err)
	}
}

// A resume whose answer was lost has happened: the secret that the client still has must be good for another.
func TestALostAnswerLocksNobodyOut(t *testing.T) {
	s := redistest.Start(t)
	p := redistest.StartProxy(t, s.Addr())
	store := open(t, "redis://"+p.Addr())
	if err := store.Open(t.Context(), ann, sessions.Hash{1}); err != nil {
		t.Fatal(err)
	}
	p.LoseAnswers(2, "tk:s:{s-1}")
	for i := range 2 {
		if _, _, err := store.Resume(t.Context(), "s-1", sessions.Hash{1}, sessions.Hash{byte(2 + i)}, uint64(5+i), "b"); err == nil {
			t.Fatal("answered")
		}
	}
	r, before, err := store.Resume(t.Context(), "s-1", sessions.Hash{1}, sessions.Hash{9}, 7, "c")
	if err != nil || r.Gen < 2 || before == "" {
		t.Fatalf("%+v at %q, %v", r, before, err)
	}
	r.Node = "c"
	p.LoseAnswers(1, "tk:s:{s-1}")
	if err := store.Save(t.Context(), []sessions.Record{r})[0]; err == nil {
		t.Fatal("answered")
	}
	save(t, store, r)
}

// A server that is gone, full or shut must be told from a session that is: else players would be made to start anew.
func TestTroubleIsNoAnswer(t *testing.T) {
	s := redistest.Start(t)
	store := open(t, s.URL())
	trouble := func(what string) {
		t.Helper()
		_, _, err := store.Resume(t.Context(), "s-1", sessions.Hash{1}, sessions.Hash{2}, 0, "b")
		_, err2 := store.Of(t.Context(), "p-1")
		for i, err := range append(store.Save(t.Context(), []sessions.Record{ann, ann}), err, store.Open(t.Context(), ann, sessions.Hash{1}), err2) {
			if what == "full" && i == 4 {
				continue // reading needs no memory
			}
			if err == nil || errors.Is(err, sessions.ErrMoved) || errors.Is(err, sessions.ErrNoSession) || errors.Is(err, sessions.ErrBadSecret) {
				t.Errorf("%s, %d: %v", what, i, err)
			}
			if err != nil && strings.Contains(err.Error(), "%!") {
				t.Errorf("%s", err)
			}
		}
	}
	if err := store.Open(t.Context(), ann, sessions.Hash{1}); err != nil {
		t.Fatal(err)
	}
	s.Do("config", "set", "maxmemory", "1")
	trouble("full")
	s.Do("config", "set", "maxmemory", "0")
	save(t, store, ann)
	s.Kill()
	trouble("dead")
	s.Restart()
	eventually(t, func() bool { return store.Open(t.Context(), ann, sessions.Hash{1}) == nil })
	s.Do("config", "set", "requirepass", "x")
	store = open(t, s.URL()) // its connections are not let in
	trouble("shut")
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for start := time.Now(); time.Since(start) < 20*time.Second; time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatal("never came true")
}

// A Cluster that moves a session to another server must not lose it, nor anybody's way to it.
func TestASessionMovesWithinACluster(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t)
	store := open(t, c.URL())
	if err := store.Open(t.Context(), ann, sessions.Hash{1}); err != nil {
		t.Fatal(err)
	}
	_, to := c.BeginMove("tk:s:{s-1}")
	c.EndMove("tk:s:{s-1}", to)
	eventually(t, func() bool { return store.Save(context.Background(), []sessions.Record{ann})[0] == nil })
	if _, _, err := store.Resume(t.Context(), "s-1", sessions.Hash{1}, sessions.Hash{2}, 0, "b"); err != nil {
		t.Error(err)
	}
}
