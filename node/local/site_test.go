package local

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// show serves a site of two fake nodes on loopback.
func show(t *testing.T) (*site, *crew, *httptest.Server) {
	t.Helper()
	w := startCrew(t, "", Config{Nodes: 2, Restart: time.Hour})
	w.wait(t)
	b := balance(t)
	w.serve(b)
	a := newAsker()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { w.ask(ctx, a); close(done) }()
	page := fstest.MapFS{
		"index.html": {Data: []byte(`<meta name="tickover:socket" content=""><meta name="tickover:cluster" content="">`)},
		"app.js":     {Data: []byte("script")},
	}
	s, err := newSite(w.supervisor, &store{away: never}, a, b, page)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(nil)
	server.Config = s.server()
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		cancel()
		<-done
	})
	return s, w, server
}

func get(t *testing.T, url string, change func(*http.Request)) (int, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(r)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// Any page that is open in the browser could kill nodes otherwise, and anybody in the same network.
func TestOnlyThePagesOwnButtonsAnswer(t *testing.T) {
	s, w, server := show(t)
	press := func(change func(*http.Request)) int {
		code, _ := get(t, server.URL+"/cluster/nodes/node-1/freeze", func(r *http.Request) {
			r.Method = http.MethodPost
			r.Header.Set("Origin", server.URL)
			r.Header.Set(tokenHeader, s.guard.token)
			change(r)
		})
		return code
	}
	for what, change := range map[string]func(*http.Request){
		"GET":              func(r *http.Request) { r.Method = http.MethodGet },
		"PUT":              func(r *http.Request) { r.Method = http.MethodPut },
		"no origin":        func(r *http.Request) { r.Header.Del("Origin") },
		"a foreign origin": func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") },
		"another port":     func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:1") },
		"no token":         func(r *http.Request) { r.Header.Del(tokenHeader) },
		"half a token":     func(r *http.Request) { r.Header.Set(tokenHeader, s.guard.token[:13]) },
		"a rebound name":   func(r *http.Request) { r.Host = "evil.example"; r.Header.Set("Origin", "http://evil.example") },
		"another address":  func(r *http.Request) { r.Host = "192.168.1.5"; r.Header.Set("Origin", "http://192.168.1.5") },
		"a proxy":          func(r *http.Request) { r.Header.Set("X-Forwarded-For", "10.0.0.1") },
		"another site":     func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
	} {
		if code := press(change); code != http.StatusForbidden {
			t.Errorf("%s: %d, want 403", what, code)
		}
	}
	if s, _ := w.see(0); s != alive {
		t.Fatalf("node-1 is %s", s)
	}
	far := httptest.NewRequest(http.MethodPost, "/", nil)
	far.Host, far.RemoteAddr = "localhost", "192.168.1.7:1234"
	if s.guard.near(far) {
		t.Error("a peer elsewhere counts as near")
	}
	if code := press(func(*http.Request) {}); code != http.StatusNoContent {
		t.Errorf("the page's own button: %d", code)
	}
	eventually(t, "it is frozen", func() bool { s, _ := w.see(0); return s == frozen })
	if code := press(func(*http.Request) {}); code != http.StatusConflict {
		t.Errorf("once more: %d", code)
	}
}

// A token in a page that others get is no secret.
func TestTheTokenIsForThisMachinesBrowser(t *testing.T) {
	s, _, server := show(t)
	_, text := get(t, server.URL, nil)
	if !strings.Contains(text, `name="tickover:cluster" content="`+s.guard.token) || !strings.Contains(text, `content="ws://127.0.0.1:`) {
		t.Errorf("the own page: %s", text)
	}
	_, text = get(t, server.URL, func(r *http.Request) { r.Host = "192.168.1.5:7778" })
	if strings.Contains(text, s.guard.token) || !strings.Contains(text, `content="view"`) || !strings.Contains(text, `content="ws://192.168.1.5:`) {
		t.Errorf("a phone's page: %s", text)
	}
	for _, path := range []string{"/", "/cluster/state", "/v1/nodes"} {
		if code, _ := get(t, server.URL+path, func(r *http.Request) { r.Host = "evil.example" }); code != http.StatusForbidden {
			t.Errorf("%s by a rebound name: %d", path, code)
		}
	}
	if code, text := get(t, server.URL+"/app.js", nil); code != http.StatusOK || text != "script" {
		t.Errorf("app.js: %d %s", code, text)
	}
}

// A page that learns of a death when it asks next shows a cluster that is no more.
func TestTheStreamTellsOfFaultsAtOnce(t *testing.T) {
	_, w, server := show(t)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/cluster/state", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	stream := bufio.NewReader(answer.Body)
	until := func(what string, ok func(picture) bool) {
		t.Helper()
		for start := time.Now(); time.Since(start) < 10*time.Second; {
			line, err := stream.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			text, data := strings.CutPrefix(line, "data: ")
			var p picture
			if data && json.Unmarshal([]byte(text), &p) == nil && ok(p) {
				return
			}
		}
		t.Fatalf("never told: %s", what)
	}
	until("what the nodes say of themselves", func(p picture) bool {
		n := p.Nodes[1]
		return n.State == alive && n.PID > 0 && n.Rooms != nil && *n.Rooms == 2 && *n.Players == 7 && *n.Boot == "b"
	})
	start := time.Now()
	if err := w.act("node-2", "kill"); err != nil {
		t.Fatal(err)
	}
	until("the death", func(p picture) bool {
		last := p.History[len(p.History)-1]
		return p.Nodes[1].State == dead && p.Nodes[1].Rooms == nil && last.Node == "node-2" && last.What == "killed"
	})
	if took := time.Since(start); took > time.Second {
		t.Errorf("the page knew after %s", took)
	}
}

// Whoever asks a dead node who owns a room waits for nothing.
func TestLivingNodesAnswerForAll(t *testing.T) {
	_, w, server := show(t)
	w.act("node-1", "kill")
	eventually(t, "it is dead", func() bool { s, _ := w.see(0); return s == dead })
	code, text := get(t, server.URL+"/v1/rooms/abc", nil)
	if code != http.StatusOK || text != `{"id":"abc","node":"node-2","epoch":3}` {
		t.Errorf("%d %s", code, text)
	}
	if code, _ := get(t, server.URL+"/v1/kinds", nil); code != http.StatusNotFound {
		t.Errorf("what the node does not know: %d", code)
	}
	w.act("node-2", "kill")
	eventually(t, "all are dead", func() bool { s, _ := w.see(1); return s == dead })
	if code, _ := get(t, server.URL+"/v1/rooms/abc", nil); code != http.StatusServiceUnavailable {
		t.Errorf("with nobody alive: %d", code)
	}
}
