package node

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"tickover.dev/codec"
	"tickover.dev/netcode"
)

// A restart for an update is the most common failure there is: players must find their seat, their state and what they had asked for.
func TestEverythingIsThereAfterAStopAndStart(t *testing.T) {
	dir := t.TempDir()
	inDir := func(c *Config) { c.Data = dir }
	n := start(t, inDir)
	c, w := enter(t, n, "ann")
	kept := c.sit()
	c.say(&netcode.Join{Request: 2, Mode: netcode.JoinCreate, Kind: "stage", Target: "over"})
	over := expect[*netcode.Joined](c)
	c.say(cued(kept.Room, 1, "ask", 11), cued(kept.Room, 2, "ask", 12))
	expect[*netcode.Reply](c)
	expect[*netcode.Reply](c)
	c.say(cued(over.Room, 1, "end", 7))
	expect[*netcode.Left](c)
	c.say(&netcode.Join{Request: 3, Mode: netcode.JoinCreate, Kind: "stage"})
	failed := expect[*netcode.Joined](c)
	c.say(cued(failed.Room, 1, "break", 0))
	if l := expect[*netcode.Left](c); l.Why != "closed" {
		t.Errorf("%+v", l)
	}
	c.say(&netcode.Ack{Room: kept.Room, Reliable: 1})
	tick := expect[*netcode.Tick](c)
	eventually(t, "the room that ended is buried", func() bool { return len(n.journal.Rooms()) == 1 })
	stop(t, n)
	c.closed(netcode.CloseStopping)

	n = start(t, inDir)
	if n.resumed != 1 {
		t.Fatalf("%d rooms resumed", n.resumed)
	}
	again := shake(t, n)
	again.say(&netcode.Hello{Version: 1, Run: 7, Session: w.Session, Secret: w.Secret, Rooms: []netcode.Held{
		{Room: kept.ID, Seat: kept.Seat, Reliable: 1},
		{Room: over.ID, Seat: over.Seat},
		{Room: failed.ID, Seat: failed.Seat},
	}})
	if w2 := expect[*netcode.Welcome](again); !w2.Resumed || w2.Player != w.Player || w2.Name != "ann" {
		t.Errorf("%+v", w2)
	}
	if g := expect[*netcode.Gone](again); g.ID != over.ID || g.Why != "ended" || string(g.Result) != "\x07" {
		t.Errorf("%+v", g)
	}
	if g := expect[*netcode.Gone](again); g.ID != failed.ID || g.Why != "closed" {
		t.Errorf("a room that failed: %+v", g)
	}
	j := expect[*netcode.Joined](again)
	if j.ID != kept.ID || j.Seat != kept.Seat || j.Outcome != netcode.OutcomeResumed || j.Applied != 2 || j.Epoch <= kept.Epoch || j.Tick < tick.Tick {
		t.Errorf("%+v after %+v at %+v", j, kept, tick)
	}
	if r := expect[*netcode.Reply](again); r.Number != 2 || r.Input != 2 {
		t.Errorf("%+v", r)
	}
	again.say(&netcode.Join{Request: 1, Mode: netcode.JoinCreate, Kind: "stage"}) // its first answer may have been lost
	if j := expect[*netcode.Joined](again); j.ID != kept.ID || j.Seat != kept.Seat {
		t.Errorf("the creation was done twice: %+v", j)
	}
}

// Two nodes on one folder would overwrite each other, and a file that cannot be read must not be replaced by an empty one.
func TestADataFolderIsNotOverwritten(t *testing.T) {
	dir := t.TempDir()
	config := Config{GameAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", Drain: patience, Data: dir}
	config.Kinds = append(config.Kinds, count)
	n := start(t, func(c *Config) { c.Data = dir })
	if _, err := Start(t.Context(), config); err == nil || !strings.Contains(err.Error(), "used by another node") {
		t.Errorf("a second node starts on the folder: %v", err)
	}
	stop(t, n)
	future, err := codec.Append(nil, &struct{ Format int }{2})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{journalsFile, sessionsFile} {
		path := filepath.Join(dir, name)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for what, content := range map[string][]byte{"rubbish": []byte("rubbish"), "cut": good[:len(good)-1], "nothing": {}, "format 2": future} {
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Start(t.Context(), config); err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("%s in %s: %v", what, name, err)
			}
			if taken, _ := filepath.Glob(filepath.Join(dir, "*"+takenSuffix)); len(taken) > 0 {
				t.Errorf("%v after a start that failed", taken)
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(after, content) {
				t.Errorf("%s in %s was overwritten", what, name)
			}
		}
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again, err := Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	stop(t, again)
	for _, name := range []string{journalsFile, sessionsFile} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

// The page must find the game socket from whatever name it was opened by, and must not be a way to inject anything.
func TestThePageKnowsTheSocket(t *testing.T) {
	n := start(t, nil)
	url := "http://" + n.HTTPAddr().String() + "/"
	port := n.GameAddr().Port()
	for host, want := range map[string]string{
		"example.org:80": "ws://example.org:%d/", "example.org": "ws://example.org:%d/", "[::1]:7778": "ws://[::1]:%d/", "[::1]": "ws://[::1]:%d/",
		"10.0.0.7:1": "ws://10.0.0.7:%d/",
	} {
		status, body := get(t, url, host)
		want = strings.Replace(want, "%d", jsonOf(t, port), 1)
		if status != 200 || !strings.Contains(body, `name="tickover:socket" content="`+want+`"`) {
			t.Errorf("host %s: status %d, no %s", host, status, want)
		}
	}
	if status, body := get(t, url, `a"><script>x`); status == 200 && strings.Contains(body, "<script>x") {
		t.Error("the Host header is put into the page as it is")
	}
	if status, _ := get(t, url+"app.js", ""); status != 200 {
		t.Errorf("app.js: %d", status)
	}
	for _, path := range []string{"../node.go", "%2e%2e/node.go", "metrics", "debug/pprof/", "nothing"} {
		if status, _ := get(t, url+path, ""); status < 400 && status != 301 {
			t.Errorf("%s: %d", path, status)
		}
	}
	public := start(t, func(c *Config) { c.PublicSocket = "wss://play.example.org/" })
	if _, body := get(t, "http://"+public.HTTPAddr().String()+"/", ""); !strings.Contains(body, `content="wss://play.example.org/"`) {
		t.Error("--public-socket is not in the page")
	}
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Clients choose from what is listed.
func TestKindsAreListed(t *testing.T) {
	n := start(t, nil)
	_, body := get(t, "http://"+n.HTTPAddr().String()+"/v1/kinds", "")
	want := `{"kinds":[{"name":"count","rate_hz":20,"seats":16,"version":0,"durability":"every-change","grace_seconds":30},` +
		`{"name":"stage","rate_hz":20,"seats":2,"version":0,"durability":"every-change","grace_seconds":30}]}` + "\n"
	if body != want {
		t.Errorf("%s, want %s", body, want)
	}
}

// A failure that is seen while the node comes up must not be papered over by its being up.
func TestAFailedNodeIsNeverReady(t *testing.T) {
	n := &Node{failed: make(chan error, 1)}
	n.fail(context.DeadlineExceeded)
	if n.state.CompareAndSwap(stateStarting, stateReady) || n.state.Load() != stateOver {
		t.Error("it is ready")
	}
}

// A balancer must stop sending players before they are sent away, while the process is still alive.
func TestReadinessEndsBeforeHealth(t *testing.T) {
	n := start(t, nil)
	c, _ := enter(t, n, "ann") // does not answer the close frame: the stop takes a second
	admin := "http://" + n.AdminAddr().String()
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200} {
		if status, _ := get(t, admin+path, ""); status != want {
			t.Errorf("%s: %d", path, status)
		}
	}
	var stopping sync.WaitGroup
	stopping.Go(func() { stop(t, n) })
	if _, err := c.next(); err == nil {
		t.Error("not closed")
	}
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 503} {
		if status, _ := get(t, admin+path, ""); status != want {
			t.Errorf("%s while stopping: %d", path, status)
		}
	}
	stopping.Wait()
	stop(t, n) // twice is once
}

// Metrics that break the rules are dropped by what reads them, and labels that strangers choose fill its memory.
func TestMetricsAreWellFormedAndBounded(t *testing.T) {
	n := start(t, nil)
	c, _ := enter(t, n, "ann")
	c.sit()
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(newCollector(n)); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	closed := map[uint16]uint64{}
	for code := uint16(1000); code < 5000; code++ {
		closed[code] = 1
	}
	if labels := byLabel(closed); len(labels) > 40 || labels["other"] < 3900 || labels["4503"] != 1 || labels["1006"] != 1 {
		t.Errorf("%d labels for close codes", len(labels))
	}
	c.say(&netcode.Ack{Room: 9}, &netcode.Join{Request: 5, Mode: netcode.JoinKey, Kind: "stage", Target: "none"})
	c.refused(0, netcode.CodeNotJoined)
	c.refused(5, netcode.CodeUnknownKey)
	_, body := get(t, "http://"+n.AdminAddr().String()+"/metrics", "")
	for _, want := range []string{
		`tickover_errors_total{code="not_joined"} 1`, `tickover_errors_total{code="unknown_key"} 1`, `tickover_errors_total{code="other"} 0`,
		`tickover_connections_refused_total{reason="address"} 0`, `tickover_journal_appends_total{outcome="refused"} 0`, `tickover_http_connections{server="admin"}`,
		`tickover_replay_rollbacks_total{reason="diverged"} 0`, `tickover_replay_rollbacks_total{reason="other_rules"} 0`,
		`tickover_shadows_total{outcome="skipped"} 0`, `tickover_sessions_known 1`, `tickover_authentications 0`, `tickover_loop_mail_refused_total 0`, `tickover_connections_limit `,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s", want)
		}
	}
	if m := regexp.MustCompile(`tickover_journal_appends_total{outcome="confirmed"} [1-9]`); !m.MatchString(body) {
		t.Error("appends are not counted")
	}
	if status, body := get(t, "http://"+n.AdminAddr().String()+"/metrics", ""); status != 200 || !strings.Contains(body, `tickover_rooms{kind="stage"} 1`) {
		t.Errorf("%d %s", status, body)
	}
}

// Secrets in a log are secrets no more.
func TestSecretsAreNotLogged(t *testing.T) {
	var log syncBuffer
	key := strings.Repeat("s3cret", 8)
	n := start(t, func(c *Config) {
		c.JWTKey = key
		c.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	c := shake(t, n)
	c.say(&netcode.Hello{Version: 1, Token: "a-token-nobody-should-see"})
	c.closed(netcode.CloseUnauthorized)
	d := shake(t, n)
	d.say(&netcode.Hello{Version: 1, Session: "a-session", Secret: "its-secret"})
	d.closed(netcode.CloseBadSecret)
	stop(t, n)
	for _, word := range []string{key, "a-token", "its-secret"} {
		if strings.Contains(log.String(), word) {
			t.Errorf("%q is logged: %s", word, log.String())
		}
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// A node that does not come up must leave nothing running, whichever part it fails at.
func TestANodeThatFailsToStartLeavesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	good := Config{GameAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", Drain: patience}
	good.Kinds = append(good.Kinds, count)
	running := start(t, nil)
	for name, change := range map[string]func(*Config){
		"game": func(c *Config) { c.GameAddr = running.GameAddr().String() },
		"http": func(c *Config) { c.HTTPAddr = running.HTTPAddr().String() },
		"all":  func(c *Config) { c.GameAddr, c.HTTPAddr, c.AdminAddr = "192.0.2.1:1", "192.0.2.1:2", "192.0.2.1:3" },
		"conf": func(c *Config) { c.Loops = -1 },
	} {
		c := good
		change(&c)
		if _, err := Start(ctx, c); err == nil {
			t.Errorf("%s: started", name)
		} else if name == "all" && strings.Count(err.Error(), "192.0.2.1:") < 3 {
			t.Errorf("not every address is complained about: %v", err)
		}
	} // goleak looks for the rest
}
