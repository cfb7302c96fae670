package node

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tickover.dev/engine"
	"tickover.dev/netcode"
	"tickover.dev/rooms"
)

// Any page that a player opens could play in their name, and one that rebinds its own name to this host would even look like home.
func TestForeignPagesMayNotConnect(t *testing.T) {
	own, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	guests := Config{PublicSocket: "wss://play.example.org/", Origins: []string{"https://fan.example"}}
	tokens := guests
	tokens.JWTKey = strings.Repeat("k", 32)
	for _, c := range []struct {
		host, origin   string
		guests, tokens bool
	}{
		{"game.example.net:7777", "", true, true}, // a native client
		{"localhost:7777", "http://localhost:7778", true, true},
		{"LocalHost:7777", "http://localhost", true, true},
		{"10.0.0.7:7777", "http://10.0.0.7:7778", true, true},
		{"[::1]:7777", "http://[::1]:7778", true, true},
		{own + ":7777", "http://" + own + ":7778", true, true},
		{"play.example.org", "https://play.example.org", true, true},
		{"fan.example", "https://fan.example", true, true},
		{"play.example.org", "https://fan.example", true, true},
		{"play.example.org", "https://FAN.example", true, true},
		{"play.example.org", "http://fan.example", false, false},
		{"play.example.org", "https://fan.example:444", false, false},
		{"localhost:7777", "https://evil.example", false, false},
		{"localhost:7777", "http://localhost.evil.example", false, false},
		{"localhost:7777", "null", false, false},
		{"localhost:7777", "file://", false, false},
		{"evil.example:7777", "http://evil.example:7778", false, true}, // rebinding
		{"", "http://", false, false},
	} {
		o := engine.Opening{Host: c.host, Origin: c.origin}
		if err := newDoors(&guests).allow(o); (err == nil) != c.guests {
			t.Errorf("guests: %+v: %v", o, err)
		} else if err != nil && !strings.Contains(err.Error(), "--origins") {
			t.Errorf("%v does not say what to do", err)
		}
		if err := newDoors(&tokens).allow(o); (err == nil) != c.tokens {
			t.Errorf("tokens: %+v: %v", o, err)
		}
		if err := newDoors(&Config{Origins: []string{"*"}}).allow(o); err != nil {
			t.Errorf("everybody: %+v: %v", o, err)
		}
	}
}

// The rule must hold on the socket, not just on paper.
func TestTheGameSocketAsksForTheOrigin(t *testing.T) {
	n := start(t, nil)
	for origin, want := range map[string]string{"http://127.0.0.1:1": "HTTP/1.1 101", "https://evil.example": "HTTP/1.1 403"} {
		c := connect(t, n)
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: "+n.GameAddr().String()+"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nOrigin: "+origin+
			"\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: "+netcode.Subprotocol+"\r\n\r\n")
		answer := make([]byte, len(want))
		if _, err := io.ReadFull(c, answer); err != nil || string(answer) != want {
			t.Errorf("%s: %s, %v", origin, answer, err)
		}
	}
}

// The operator's pages have no password: pages in the operator's browser must not read them, and they must not show keys.
func TestTheAdminPagesAreGuarded(t *testing.T) {
	n := start(t, func(c *Config) { c.Origins = []string{"https://ops.example"} })
	admin := "http://" + n.AdminAddr().String()
	for _, c := range []struct {
		path, host, site string
		want             int
	}{
		{"/metrics", "", "", 200},
		{"/metrics", "localhost:7779", "none", 200},
		{"/metrics", "localhost", "same-origin", 200},
		{"/metrics", "ops.example", "", 200},
		{"/metrics", "evil.example:7779", "", 403},
		{"/metrics", "", "cross-site", 403},
		{"/debug/pprof/cmdline", "", "", 404},
		{"/debug/pprof/goroutine", "", "", 200},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, admin+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host, r.Close = c.host, true
		if c.site != "" {
			r.Header.Set("Sec-Fetch-Site", c.site)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.want || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%+v: %d %v", c, resp.StatusCode, resp.Header)
		}
	}
}

// The page must not be framed, and must load nothing from elsewhere.
func TestEveryAnswerHasItsHeaders(t *testing.T) {
	n := start(t, nil)
	for _, path := range []string{"/", "/app.js", "/v1/kinds", "/nothing"} {
		resp, err := http.Get("http://" + n.HTTPAddr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if p := resp.Header.Get("Content-Security-Policy"); !strings.Contains(p, "frame-ancestors 'none'") || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, resp.Header)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// Kinds that are not for everybody's list are marked, not missing: a client may know of them.
func TestHiddenKindsAreMarked(t *testing.T) {
	n := start(t, func(c *Config) {
		c.Kinds = []rooms.Kind{rooms.Define(&counter{}, rooms.Config{Name: "secret", RateHz: 20, Hidden: true})}
	})
	if _, body := get(t, "http://"+n.HTTPAddr().String()+"/v1/kinds", ""); !strings.Contains(body, `"hidden":true`) {
		t.Error(body)
	}
}

// Flags are seen by everybody on the machine: the key may come from a file.
func TestTheKeyMayBeInAFile(t *testing.T) {
	key := strings.Repeat("k", 32)
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("\n "+key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var log syncBuffer
	n := start(t, func(c *Config) {
		c.JWTKeyFile, c.Log = file, slog.New(slog.NewTextHandler(&log, nil))
	})
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": "ann", "exp": time.Now().Add(time.Hour).Unix()}).SignedString([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	if _, w := enter(t, n, token); w.Player != "ann" {
		t.Errorf("%+v", w)
	}
	c := shake(t, n)
	c.say(&netcode.Hello{Version: 1, Token: "ann"})
	c.closed(netcode.CloseUnauthorized)
	var greeting bytes.Buffer
	n.greet(&greeting)
	if strings.Contains(greeting.String(), "Guest mode") || strings.Contains(log.String(), key) {
		t.Error(greeting.String(), log.String())
	}
}
