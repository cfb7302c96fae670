package sessions

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tickover.dev/netcode"
	"tickover.dev/rooms"
)

// Without a name of its own a guest could not be told from another.
func TestGuestGetsASessionOfItsOwn(t *testing.T) {
	r := newRig(t, 1, nil)
	a, b := r.enter(0, "  ann\tof\u202e  arc \x00"), r.enter(0, "")
	if a.secret.Name != "ann of arc" || b.secret.Name != "guest" {
		t.Errorf("names %q and %q", a.secret.Name, b.secret.Name)
	}
	if a.secret.Player == b.secret.Player || a.secret.Session == b.secret.Session || a.secret.Secret == b.secret.Secret {
		t.Error("two guests share something")
	}
}

// A name is shown to everybody: it must be short, printable and whole.
func TestNamesAreCleaned(t *testing.T) {
	for in, want := range map[string]string{
		strings.Repeat("é", 300):       strings.Repeat("é", 24),
		strings.Repeat(" ", 191) + "é": "",
		"a\xffb":                       "ab",
		strings.Repeat("ab ", 20):      "ab ab ab ab ab ab ab ab",
	} {
		if got := cleanName(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func signed(t *testing.T, key string, method jwt.SigningMethod, c jwt.MapClaims) string {
	t.Helper()
	var k any = []byte(key)
	if method == jwt.SigningMethodNone {
		k = jwt.UnsafeAllowNoneSignatureType
	}
	s, err := jwt.NewWithClaims(method, c).SignedString(k)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A token that is accepted for the wrong reason lets anybody be anybody.
func TestOnlyGoodTokensAreTaken(t *testing.T) {
	key := strings.Repeat("k", 32)
	if _, err := HS256([]byte(key[1:])); err == nil {
		t.Error("a key of 31 bytes is taken")
	}
	auth, err := HS256([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	soon, past := time.Now().Add(time.Hour).Unix(), time.Now().Add(-time.Hour).Unix()
	hs := jwt.SigningMethodHS256
	player, err := auth(t.Context(), signed(t, key, hs, jwt.MapClaims{"sub": "u1", "name": "Ann", "exp": soon}))
	if err != nil || player != (rooms.Player{ID: "u1", Name: "Ann"}) {
		t.Errorf("%v, %v", player, err)
	}
	for name, token := range map[string]string{
		"expired":             signed(t, key, hs, jwt.MapClaims{"sub": "u1", "exp": past}),
		"without exp":         signed(t, key, hs, jwt.MapClaims{"sub": "u1"}),
		"not yet valid":       signed(t, key, hs, jwt.MapClaims{"sub": "u1", "exp": soon, "nbf": soon}),
		"issued in future":    signed(t, key, hs, jwt.MapClaims{"sub": "u1", "exp": soon, "iat": soon}),
		"without sub":         signed(t, key, hs, jwt.MapClaims{"exp": soon}),
		"long sub":            signed(t, key, hs, jwt.MapClaims{"sub": strings.Repeat("u", 65), "exp": soon}),
		"other key":           signed(t, strings.Repeat("x", 32), hs, jwt.MapClaims{"sub": "u1", "exp": soon}),
		"HS512":               signed(t, key, jwt.SigningMethodHS512, jwt.MapClaims{"sub": "u1", "exp": soon}),
		"no signature at all": signed(t, key, jwt.SigningMethodNone, jwt.MapClaims{"sub": "u1", "exp": soon}),
		"rubbish":             "a.b.c",
		"nothing":             "",
	} {
		if p, err := auth(t.Context(), token); err == nil {
			t.Errorf("%s: taken as %+v", name, p)
		} else if strings.Contains(err.Error(), key) {
			t.Errorf("%s: the error shows the key", name)
		}
	}
}

// A client must learn for good that it is not wanted, but not when the authentication itself is in trouble.
func TestRefusedTokensCloseForGoodAndTroubleDoesNot(t *testing.T) {
	for name, c := range map[string]struct {
		auth Authenticate
		code uint16
	}{
		"refused": {func(context.Context, string) (rooms.Player, error) { return rooms.Player{}, errors.New("no") }, netcode.CloseUnauthorized},
		"panic":   {func(context.Context, string) (rooms.Player, error) { panic("oh") }, netcode.CloseOverloaded},
		"slow": {func(ctx context.Context, _ string) (rooms.Player, error) {
			<-ctx.Done()
			return rooms.Player{}, ctx.Err()
		}, netcode.CloseOverloaded},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 1, func(cfg *Config) { cfg.Authenticate, cfg.AuthTimeout = c.auth, 10*time.Millisecond })
			p := r.dial(0)
			p.say(&netcode.Hello{Version: 1})
			r.settle()
			p.wantClosed(c.code)
		})
	}
}

// Whoever hangs up during a slow authentication must not leave a goroutine or a session behind.
func TestHangingUpEndsAuthentication(t *testing.T) {
	r := newRig(t, 1, func(c *Config) {
		c.Authenticate = func(ctx context.Context, _ string) (rooms.Player, error) { <-ctx.Done(); return rooms.Player{}, nil }
	})
	for range 3 * maxAuths {
		p := r.dial(0)
		p.say(&netcode.Hello{Version: 1}, &netcode.Ping{Time: 3})
		heard[*netcode.Pong](p) // a client may be patient
		p.cut()
	}
	r.settle()
	if n := len(r.hub.config.Registry.sessions); n != 0 {
		t.Errorf("%d sessions", n)
	}
}

// A call of Authenticate that never returns must not hold up the node's end.
func TestCloseDoesNotWaitForEver(t *testing.T) {
	r := newRig(t, 1, nil)
	called, block := make(chan struct{}), make(chan struct{})
	r.hub.config.Authenticate = func(context.Context, string) (rooms.Player, error) {
		close(called)
		<-block
		return rooms.Player{}, nil
	}
	r.dial(0).say(&netcode.Hello{Version: 1})
	<-called
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := r.hub.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close gives %v", err)
	}
	close(block)
}

// The order of the first messages is what keeps a stranger from a room.
func TestHelloComesFirstAndOnce(t *testing.T) {
	hello := &netcode.Hello{Version: 1}
	for name, c := range map[string]struct {
		say  []netcode.Message
		code uint16
	}{
		"join first":       {[]netcode.Message{&netcode.Join{Request: 1}}, netcode.CloseViolation},
		"ping first":       {[]netcode.Message{&netcode.Ping{}}, netcode.CloseViolation},
		"join too early":   {[]netcode.Message{hello, &netcode.Join{Request: 1}}, netcode.CloseViolation},
		"hello twice":      {[]netcode.Message{hello, hello}, netcode.CloseViolation},
		"version 2":        {[]netcode.Message{&netcode.Hello{Version: 2}}, netcode.CloseVersion},
		"unknown session":  {[]netcode.Message{&netcode.Hello{Version: 1, Session: "x", Secret: "y"}}, netcode.CloseBadSecret},
		"server's message": {[]netcode.Message{&netcode.Pong{}}, netcode.CloseViolation},
	} {
		t.Run(name, func(t *testing.T) {
			p := newRig(t, 1, nil).dial(0)
			p.say(c.say...)
			p.wantClosed(c.code)
		})
	}
	p := newRig(t, 1, nil).enter(0, "ann")
	p.say(hello)
	p.wantClosed(netcode.CloseViolation)
}

// Connections that say nothing would otherwise be free.
func TestSilentConnectionsAreClosed(t *testing.T) {
	r := newRig(t, 1, nil)
	silentOne, late, ann := r.dial(0), r.dial(0), r.enter(0, "ann")
	for range 60 {
		r.now = r.now.Add(100 * time.Millisecond)
		r.loops[0].Tick(r.now)
	}
	silentOne.wantClosed(netcode.CloseNoHello)
	late.wantClosed(netcode.CloseNoHello)
	late.say(&netcode.Hello{Version: 1})
	r.settle()
	ann.wantClosed(0)
	if len(r.hub.config.Registry.sessions) != 1 || r.loops[0].waiting != nil {
		t.Error("something remains")
	}
}

// FAILOVER.md R20: a lost welcome must not lock a player out, and a stolen old secret must not let a thief in.
func TestSecretsRotateAndTheOneBeforeStaysGoodUntilTheNewestIsUsed(t *testing.T) {
	r := newRig(t, 2, nil)
	first := r.enter(0, "ann")
	first.cut()
	second := first.again(1)
	if second.secret.Secret == first.secret.Secret || !second.secret.Resumed || second.secret.Player != first.secret.Player {
		t.Fatalf("resumed as %+v", second.secret)
	}
	second.cut()
	third := first.again(0) // as if the second welcome had been lost
	third.cut()
	fourth := third.again(1) // from here on the first secret is dead
	for name, old := range map[string]*peer{"first": first, "second": second} {
		p := r.dial(0)
		p.say(&netcode.Hello{Version: 1, Session: old.secret.Session, Secret: old.secret.Secret})
		p.wantClosed(netcode.CloseBadSecret)
		if t.Failed() {
			t.Fatal(name)
		}
	}
	fourth.wantClosed(0) // whoever shows an old secret does not disturb the session
	if c := r.hub.config.Registry.Counts(); c["bad_secret"] != 2 || c["resumed"] != 3 || c["opened"] != 1 {
		t.Errorf("counted %v", c)
	}
}

// I6, and the reconnect race that kills sessions elsewhere: the late close of the old socket.
func TestTheNewestConnectionWinsAndALateCloseIsIgnored(t *testing.T) {
	for name, loop := range map[string]int{"same loop": 0, "other loop": 1} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 2, nil)
			old := r.enter(0, "ann")
			seat := old.sit("play", "lobby")
			young := old.again(loop)
			r.tick(2)
			old.wantClosed(netcode.CloseSuperseded)
			old.cut()
			r.tick(2)
			joined := heard[*netcode.Joined](young)
			if joined.Outcome != netcode.OutcomeResumed || joined.Seat != seat.Seat || joined.Request != 0 {
				t.Errorf("%+v", joined)
			}
			young.do(joined.Room, 1, "hit", 0)
			r.tick(2)
			heard[*netcode.State](young)
			young.wantClosed(0)
			r.checkConsistent()
		})
	}
}

// What an old connection was told of a seat must not take the seat from the one that replaced it.
func TestAnOldConnectionUnseatsNobody(t *testing.T) {
	g := NewRegistry(0)
	at := Place{"r", 1}
	o := g.open(rooms.Player{}, attachment{})
	g.seat(o.id, o.gen, at, false, 8)
	o, err := g.resume(o.id, o.secret, 0, attachment{})
	if err != nil {
		t.Fatal(err)
	}
	g.unseat(o.id, o.gen-1, at)
	if back, _ := g.resume(o.id, o.secret, 0, attachment{}); len(back.seats) != 1 || back.gen != o.gen+1 {
		t.Errorf("%+v", back)
	}
}

// Without an end to it every visitor would be remembered for ever.
func TestSessionsAreForgottenInTheEnd(t *testing.T) {
	g := NewRegistry(2)
	now := time.Now()
	var all []opened
	for range 3 {
		o := g.open(rooms.Player{}, attachment{})
		g.seat(o.id, 1, Place{"r", 1}, false, 8)
		all = append(all, o)
	}
	g.expire(now.Add(24 * time.Hour))
	if len(g.sessions) != 3 {
		t.Fatal("sessions with a connection were forgotten")
	}
	for i, o := range all {
		g.detach(o.id, o.gen, now.Add(time.Duration(i)))
	}
	if g.sessions[all[0].id] != nil || len(g.sessions) != 2 {
		t.Error("the limit does not hold")
	}
	g.unseat(all[1].id, 1, Place{"r", 1})
	g.expire(now.Add(idleTTL + time.Second))
	if g.sessions[all[1].id] != nil || g.sessions[all[2].id] == nil {
		t.Error("a session with a seat is kept longer than one without")
	}
	g.expire(now.Add(keptTTL + time.Second))
	if len(g.sessions) != 0 || g.idle.Len()+g.kept.Len() != 0 {
		t.Error("a session is kept for ever")
	}
}

// Whoever opens and drops empty sessions must not push out those who have a seat to return to.
func TestSessionsWithSeatsAreNotPushedOutByThoseWithout(t *testing.T) {
	g := NewRegistry(2)
	now := time.Now()
	seated := g.open(rooms.Player{}, attachment{})
	g.seat(seated.id, 1, Place{"r", 1}, false, 8)
	g.detach(seated.id, 1, now)
	late := g.open(rooms.Player{}, attachment{})
	g.detach(late.id, 1, now)
	g.seat(late.id, 1, Place{"r", 2}, false, 8) // its join was answered after the connection was lost
	var idle []opened
	for i := range 10 {
		o := g.open(rooms.Player{}, attachment{})
		g.detach(o.id, 1, now.Add(time.Duration(i)))
		idle = append(idle, o)
	}
	if g.sessions[seated.id] == nil || g.sessions[late.id] == nil || len(g.sessions) != 4 || g.sessions[idle[9].id] == nil {
		t.Errorf("%d sessions are left", len(g.sessions))
	}
	for range 2 {
		o := g.open(rooms.Player{}, attachment{})
		g.seat(o.id, 1, Place{"r", 3}, false, 8)
		g.detach(o.id, 1, now)
	}
	if g.sessions[seated.id] != nil || g.kept.Len() != 2 || g.idle.Len() != 2 {
		t.Errorf("%d with seats, %d without", g.kept.Len(), g.idle.Len())
	}
}

// A stop and start of the node must neither lose sessions nor write their secrets down.
func TestRegistrySurvivesAsAFile(t *testing.T) {
	dir := t.TempDir()
	g := NewRegistry(0)
	o := g.open(rooms.Player{ID: "p", Name: "ann"}, attachment{})
	g.seat(o.id, 1, Place{"r-1", 3}, false, 8)
	g.made(o.id, Request{7, 1, "r-1"})
	if err := g.Save(dir + "/s"); err != nil {
		t.Fatal(err)
	}
	h := NewRegistry(0)
	if err := errors.Join(h.Restore(dir+"/none", time.Now()), h.Restore(dir+"/s", time.Now())); err != nil {
		t.Fatal(err)
	}
	back, err := h.resume(o.id, o.secret, 0, attachment{})
	if err != nil || back.gen != o.gen+1 || len(back.seats) != 1 || back.player.Name != "ann" {
		t.Errorf("%+v, %v", back, err)
	}
	if id, ok := h.recall(o.id, 7, 1, nil); ok || id != "r-1" {
		t.Error("the session's creations are forgotten")
	}
}

// A node that is cut off cannot serve anybody: whoever is let in loses time, and is sent away with the next wave.
func TestWhoeverComesToANodeThatSendsAwayIsSentOn(t *testing.T) {
	r := newRig(t, 1, nil)
	ann := r.enter(0, "ann")
	r.hub.SendAway("cut off")
	r.settle()
	if ann.sock.code != netcode.CloseStopping {
		t.Errorf("ann was closed with %d", ann.sock.code)
	}
	bob := r.dial(0)
	bob.say(&netcode.Hello{Version: 1, Run: 7, Token: "bob"})
	r.settle()
	if bob.sock.code != netcode.CloseStopping || bob.sock.reason != "cut off" {
		t.Errorf("bob was closed with %d %q", bob.sock.code, bob.sock.reason)
	}
	r.hub.TakeAgain()
	r.enter(0, "cyd")
}
