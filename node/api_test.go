package node

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tickover.dev/cluster"
	"tickover.dev/netcode"
	"tickover.dev/placement"
	"tickover.dev/sessions"
)

// sitIn joins a room of counters by its key.
func (c *raw) sitIn(key string) *netcode.Joined {
	c.t.Helper()
	c.say(&netcode.Join{Request: 1, Mode: netcode.JoinOrCreate, Kind: "count", Target: key})
	return expect[*netcode.Joined](c)
}

// A program beside the game must find what there is without a client of its own.
func TestOneNodeTellsWhatItHas(t *testing.T) {
	n := start(t, func(c *Config) { c.Name = "solo" })
	boot := n.boot.String()
	n.ask(t, asked{path: "/v1/rooms"}).is(t, 200, `{"next":"","rooms":[]}`)
	c, w := enter(t, n, "ann")
	if w.Node != "solo" {
		t.Errorf("the welcome names the node %q", w.Node)
	}
	lobby, attic := c.sitIn("lobby"), (*netcode.Joined)(nil)
	c.say(&netcode.Join{Request: 2, Mode: netcode.JoinCreate, Kind: "stage"})
	attic = expect[*netcode.Joined](c)
	n.ask(t, asked{path: "/v1/nodes"}).is(t, 200, `{"nodes":[{"name":"solo","boot":"`+boot+`","rooms":2,"connections":1,"version":"`+version()+`","leaving":false,"self":true}]}`)
	inLobby := fmt.Sprintf(`{"id":"%s","kind":"count","key":"lobby","node":"solo","boot":"%s","epoch":%d,"players":1,"seats":16,"locked":false}`, lobby.ID, boot, lobby.Epoch)
	inAttic := fmt.Sprintf(`{"id":"%s","kind":"stage","key":"","node":"solo","boot":"%s","epoch":%d,"players":1,"seats":2,"locked":false}`, attic.ID, boot, attic.Epoch)
	n.ask(t, asked{path: "/v1/rooms/" + lobby.ID}).is(t, 200, inLobby)
	for query, want := range map[string]string{
		"?kind=count": inLobby, "?kind=count&key=lobby": inLobby, "?kind=stage": inAttic, "?kind=stage&key=lobby": "", "?kind=nothing": "",
	} {
		n.ask(t, asked{path: "/v1/rooms" + query}).is(t, 200, `{"next":"","rooms":[`+want+`]}`)
	}
	first, second := inLobby, inAttic
	if attic.ID < lobby.ID {
		first, second = inAttic, inLobby
	}
	var page struct{ Next string }
	got := n.ask(t, asked{path: "/v1/rooms?limit=1"})
	got.into(t, &page)
	got.is(t, 200, `{"next":"`+page.Next+`","rooms":[`+first+`]}`)
	n.ask(t, asked{path: "/v1/rooms?limit=1&after=" + page.Next}).is(t, 200, `{"next":"","rooms":[`+second+`]}`)

	seat := fmt.Sprintf(`{"room":"%s","seat":%d}`, lobby.ID, lobby.Seat)
	both := fmt.Sprintf(`%s,{"room":"%s","seat":%d}`, seat, attic.ID, attic.Seat)
	n.ask(t, asked{path: "/v1/players/" + w.Player}).is(t, 200,
		`{"player":"`+w.Player+`","online":true,"sessions":[{"node":"solo","connected":true,"seats":[`+both+`]}]}`)
	n.ask(t, asked{path: "/v1/players/nobody%20%2F"}).is(t, 200, `{"player":"nobody /","online":false,"sessions":[]}`)
	c.Close()
	eventually(t, "the player is gone", func() bool {
		return strings.Contains(n.ask(t, asked{path: "/v1/players/" + w.Player}).body, `"online":false,"sessions":[{"node":"solo","connected":false`)
	})
}

// What is asked for wrongly must be told so that whoever asked can mend it.
func TestTheAPISaysWhatIsWrong(t *testing.T) {
	n := start(t, nil)
	c, _ := enter(t, n, "ann")
	signals := "/v1/rooms/" + c.sitIn("lobby").ID + "/signals"
	deep := strings.Repeat("[", netcode.MaxDepth+1) + strings.Repeat("]", netcode.MaxDepth+1)
	for _, c := range []struct {
		q           asked
		status      int
		code, field string
	}{
		{asked{path: "/v1/rooms?limit=0"}, 400, "bad_request", "limit"},
		{asked{path: "/v1/rooms?limit=501"}, 400, "bad_request", "limit"},
		{asked{path: "/v1/rooms?limit=x"}, 400, "bad_request", "limit"},
		{asked{path: "/v1/rooms?after=x"}, 400, "bad_request", "after"},
		{asked{path: "/v1/rooms?kind=a%20b"}, 400, "bad_request", "kind"},
		{asked{path: "/v1/rooms?key=lobby"}, 400, "bad_request", "kind"},
		{asked{path: "/v1/rooms?kind=count&key=a%2Fb"}, 400, "bad_request", "key"},
		{asked{path: "/v1/rooms/a%20b"}, 400, "bad_request", "id"},
		{asked{path: "/v1/rooms/nothing"}, 404, "unknown_room", "id"},
		{asked{path: "/v1/players/" + strings.Repeat("x", 65)}, 400, "bad_request", "id"},
		{asked{path: "/v1/players/%ff"}, 400, "bad_request", "id"},
		{asked{path: "/v1/nothing"}, 404, "unknown_path", ""},
		{asked{path: "/v1/rooms/nothing/nothing"}, 404, "unknown_path", ""},
		{asked{method: "DELETE", path: "/v1/rooms/nothing"}, 405, "bad_method", ""},
		{asked{path: signals}, 405, "bad_method", ""},
		{asked{method: "POST", path: "/v1/rooms/nothing/signals", body: `{"name":"add"}`}, 404, "unknown_room", "id"},
		{asked{method: "POST", path: signals, body: `{"name":"add"}`, contentType: "text/plain"}, 415, "bad_media_type", "Content-Type"},
		{asked{method: "POST", path: signals, body: `{}`}, 400, "bad_request", "#/name"},
		{asked{method: "POST", path: signals, body: `{"name":7}`}, 400, "bad_request", "#/name"},
		{asked{method: "POST", path: signals, body: `{"name":"` + strings.Repeat("x", 65) + `"}`}, 400, "bad_request", "#/name"},
		{asked{method: "POST", path: signals, body: `{"name":"add","id":"` + strings.Repeat("x", 65) + `"}`}, 400, "bad_request", "#/id"},
		{asked{method: "POST", path: signals, body: `{"name":"add","body":` + deep + `}`}, 400, "bad_request", "#/body"},
		{asked{method: "POST", path: signals, body: `{"name":"add","body":1e999}`}, 400, "bad_request", "#/body"},
		{asked{method: "POST", path: signals, body: `{"name":"add","nmae":"add"}`}, 400, "bad_request", ""},
		{asked{method: "POST", path: signals, body: `{"name":"add"}{}`}, 400, "bad_request", ""},
		{asked{method: "POST", path: signals, body: `{"name"`}, 400, "bad_request", ""},
		{asked{method: "POST", path: signals, body: `[]`}, 400, "bad_request", ""},
		{asked{method: "POST", path: signals, contentType: "application/json"}, 400, "bad_request", ""},
		{asked{method: "POST", path: signals, body: `{"name":"add","body":"` + strings.Repeat("x", maxBody) + `"}`}, 413, "too_large", ""},
	} {
		n.ask(t, c.q).isProblem(t, c.status, c.code, c.field)
	}
	if got := n.ask(t, asked{method: "PUT", path: signals}); got.Header.Get("Allow") != "POST, OPTIONS" {
		t.Errorf("allows %q", got.Header.Get("Allow"))
	}
	if got := n.ask(t, asked{method: "HEAD", path: "/v1/nodes"}); got.StatusCode != 200 || got.body != "" || got.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %q %v", got.StatusCode, got.body, got.Header)
	}
	if status, _ := get(t, "http://"+n.AdminAddr().String()+"/v1/nodes", ""); status != 404 {
		t.Errorf("the admin address serves the API: %d", status)
	}
	_, metrics := get(t, "http://"+n.AdminAddr().String()+"/metrics", "")
	for _, want := range []string{
		`tickover_http_requests_total{route="/v1/rooms",status="400"} 7`, `tickover_http_requests_total{route="other",status="404"} 2`,
		`tickover_http_requests_total{route="/v1/rooms/{id}/signals",status="413"} 1`, `tickover_http_requests_total{route="/v1/nodes",status="200"} 1`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s", want)
		}
	}
}

// A signal is how programs reach into a game: it must get there once, and its answer back.
func TestSignalsAreAnsweredByTheGame(t *testing.T) {
	n := start(t, nil)
	c, _ := enter(t, n, "ann")
	room := "/v1/rooms/" + c.sitIn("lobby").ID
	say := func(body string) answered {
		return n.ask(t, asked{method: "POST", path: room + "/signals", body: body})
	}
	say(`{"id":"a","name":"add","body":{"n":2,"text":"<é>"}}`).is(t, 200, `{"id":"a","value":{"count":2,"text":"<é>"}}`)
	say(`{"id":"a","name":"add","body":{"n":2}}`).is(t, 200, `{"id":"a","value":null,"duplicate":true}`)
	say(`{"id":"b","name":"add","body":{"n":1.0}}`).is(t, 200, `{"id":"b","value":{"count":3,"text":""}}`)
	say(`{"id":"c","name":"add"}`).is(t, 200, `{"id":"c","value":{"count":3,"text":""}}`)
	say(`{"id":"d","name":"silence"}`).is(t, 200, `{"id":"d","value":null,"duplicate":true}`)
	if p := say(`{"id":"e","name":"refuse"}`).isProblem(t, 422, "refused", ""); p.Refusal != "not_now" || p.Detail != "perhaps later" {
		t.Errorf("%+v", p)
	}
	if p := say(`{"id":"f","name":"add","body":{"n":"x"}}`).isProblem(t, 422, "refused", ""); p.Refusal != "unreadable" {
		t.Errorf("%+v", p)
	}
	var one, two struct{ ID string }
	say(`{"name":"add"}`).into(t, &one)
	say(`{"name":"add"}`).into(t, &two)
	if one.ID == "" || one.ID == two.ID {
		t.Errorf("ids %q and %q were made up", one.ID, two.ID)
	}
	say(`{"id":"g","name":"end"}`).is(t, 200, `{"id":"g","value":null}`)
	for _, got := range []answered{say(`{"id":"h","name":"add"}`), n.ask(t, asked{path: room})} {
		if p := got.isProblem(t, 410, "room_ended", ""); p.Why != "ended" || string(p.Result) != `{"3":"ann"}` {
			t.Errorf("%+v", p)
		}
	}
}

// Whoever waits for a room that does not answer must not hold up the stop of the node.
func TestAStopDoesNotWaitForSignals(t *testing.T) {
	n := start(t, nil)
	c, _ := enter(t, n, "ann")
	room := c.sitIn("lobby").ID
	came := make(chan answered, 1)
	go func() {
		came <- n.ask(t, asked{method: "POST", path: "/v1/rooms/" + room + "/signals", body: `{"name":"silence"}`})
	}()
	alone := n.api.town.(*village)
	eventually(t, "the signal waits", func() bool { return alone.signals.Waiting() == 1 })
	c.Close() // a stop waits for players a little
	began := time.Now()
	stop(t, n)
	if took := time.Since(began); took > 900*time.Millisecond {
		t.Errorf("the stop took %s", took)
	}
	(<-came).isProblem(t, 504, "timeout", "")
}

func tokenFor(t *testing.T, key, player string) string {
	t.Helper()
	s, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": player, "exp": time.Now().Add(time.Hour).Unix()}).SignedString([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return "Bearer " + s
}

// Who may look into other players' affairs, or reach into games, is what the keys are for.
func TestWhoMayDoWhat(t *testing.T) {
	jwtKey, apiKey := strings.Repeat("j", 32), strings.Repeat("a", 32)
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(" "+apiKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	nodes := []*Node{
		start(t, nil),
		start(t, func(c *Config) { c.APIKey = apiKey }),
		start(t, func(c *Config) { c.JWTKey = jwtKey }),
		start(t, func(c *Config) { c.JWTKey, c.APIKeyFile = jwtKey, file }),
	}
	for _, c := range []struct {
		who, token string
		// by node: guests, guests and a key, tokens, tokens and a key
		open, listings, own, signals [4]int
	}{
		{"nobody", "", [4]int{200, 200, 200, 200}, [4]int{200, 200, 401, 401}, [4]int{200, 401, 401, 401}, [4]int{404, 401, 401, 401}},
		{"ann", tokenFor(t, jwtKey, "ann"), [4]int{200, 200, 200, 200}, [4]int{200, 401, 200, 200}, [4]int{200, 401, 200, 200}, [4]int{404, 401, 403, 403}},
		{"bob", tokenFor(t, jwtKey, "bob"), [4]int{200, 200, 200, 200}, [4]int{200, 401, 200, 200}, [4]int{200, 401, 403, 403}, [4]int{404, 401, 403, 403}},
		{"a forger", tokenFor(t, strings.Repeat("x", 32), "ann"), [4]int{200, 200, 200, 200}, [4]int{200, 401, 401, 401}, [4]int{200, 401, 401, 401}, [4]int{404, 401, 401, 401}},
		{"the key", "bearer " + apiKey, [4]int{200, 200, 200, 200}, [4]int{200, 200, 401, 200}, [4]int{200, 200, 401, 200}, [4]int{404, 404, 401, 404}},
		{"the key and more", "Bearer " + apiKey + "a", [4]int{200, 200, 200, 200}, [4]int{200, 401, 401, 401}, [4]int{200, 401, 401, 401}, [4]int{404, 401, 401, 401}},
		{"a password", "Basic " + apiKey, [4]int{200, 200, 200, 200}, [4]int{200, 401, 401, 401}, [4]int{200, 401, 401, 401}, [4]int{404, 401, 401, 401}},
		{"a scheme alone", "Bearer", [4]int{200, 200, 200, 200}, [4]int{200, 401, 401, 401}, [4]int{200, 401, 401, 401}, [4]int{404, 401, 401, 401}},
	} {
		for i, n := range nodes {
			for _, r := range []struct {
				q    asked
				want [4]int
			}{
				{asked{path: "/v1/kinds"}, c.open},
				{asked{path: "/v1/openapi.yaml"}, c.open},
				{asked{path: "/v1/nodes"}, c.listings},
				{asked{path: "/v1/rooms"}, c.listings},
				{asked{path: "/v1/players/ann"}, c.own},
				{asked{method: "POST", path: "/v1/rooms/nothing/signals", body: `{"name":"add"}`}, c.signals},
			} {
				r.q.token = c.token
				got := n.ask(t, r.q)
				if got.StatusCode != r.want[i] {
					t.Errorf("%s asks node %d for %s: %d, want %d: %s", c.who, i, r.q.path, got.StatusCode, r.want[i], got.body)
				}
				if got.StatusCode == 401 && got.Header.Get("WWW-Authenticate") != "Bearer" {
					t.Error("401 without a word of what would do")
				}
				if strings.Contains(got.body, apiKey) {
					t.Error("the answer tells the key")
				}
			}
		}
	}
}

// A key that is easy to guess, or that nobody could send, must not be taken for one.
func TestBadAPIKeysAreRefused(t *testing.T) {
	short := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(short, []byte("  \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := strings.Repeat("k", 32)
	for want, c := range map[string]Config{
		"31 bytes":        {APIKey: good[1:]},
		"0 bytes":         {APIKeyFile: short},
		"no such file":    {APIKeyFile: short + "x"},
		"already":         {APIKey: good, APIKeyFile: short},
		"printable ASCII": {APIKey: good + " k"},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "--api-key") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// Pages that may not open a game socket must not read the API either, nor signal through it.
func TestForeignPagesMayNotAskTheAPI(t *testing.T) {
	key := strings.Repeat("j", 32)
	guests := start(t, func(c *Config) { c.Origins = []string{"https://fan.example"} })
	tokens := start(t, func(c *Config) { c.Origins, c.JWTKey = []string{"https://fan.example"}, key })
	for _, c := range []struct {
		host, origin   string
		guests, tokens int
	}{
		{"", "", 200, 200},
		{"", "https://fan.example", 200, 200},
		{"fan.example", "", 200, 200},
		{"", "https://evil.example", 403, 403},
		{"evil.example", "http://evil.example", 403, 200}, // rebound: it has no token
		{"evil.example", "", 403, 200},
		{"", "null", 403, 403},
	} {
		for i, n := range []*Node{guests, tokens} {
			q := asked{path: "/v1/nodes", host: c.host, origin: c.origin}
			want := c.guests
			if i == 1 {
				q.token, want = tokenFor(t, key, "ann"), c.tokens
			}
			got := n.ask(t, q)
			allowed := ""
			if got.StatusCode == 200 {
				allowed = c.origin
			}
			if got.StatusCode != want || got.Header.Get("Access-Control-Allow-Origin") != allowed || got.Header.Get("Vary") != "Origin" {
				t.Errorf("%+v: %d %v, want %d", c, got.StatusCode, got.Header, want)
			}
		}
	}
	for origin, want := range map[string]string{"https://fan.example": "POST, OPTIONS", "https://evil.example": ""} {
		got := tokens.ask(t, asked{method: http.MethodOptions, path: "/v1/rooms/x/signals", origin: origin})
		if got.Header.Get("Access-Control-Allow-Methods") != want || got.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %d %v", origin, got.StatusCode, got.Header)
		}
	}
}

// A player whose node has died is not online, whatever the store says.
func TestGhostsAreNotOnline(t *testing.T) {
	living, dead := cluster.Boot(1), cluster.Boot(2)
	at := func(b cluster.Boot, connected bool) sessions.Record {
		return sessions.Record{Node: b.String(), Connected: connected, Seats: []sessions.Place{{Room: "r", Seat: 1}}}
	}
	names := map[cluster.Boot]string{living: "one"}
	for _, c := range []struct {
		kept   []sessions.Record
		online bool
		nodes  []string
	}{
		{nil, false, nil},
		{[]sessions.Record{at(dead, true)}, false, []string{""}},
		{[]sessions.Record{at(living, false)}, false, []string{"one"}},
		{[]sessions.Record{at(dead, true), at(living, true)}, true, []string{"", "one"}},
	} {
		p := presenceOf("ann", c.kept, names)
		if p.Online != c.online || len(p.Sessions) != len(c.nodes) {
			t.Errorf("%+v: %+v", c, p)
		}
		for i, s := range p.Sessions {
			if s.Node != c.nodes[i] || s.Node == "" && s.Connected || len(s.Seats) != 1 {
				t.Errorf("%+v: %+v", c, s)
			}
		}
	}
}

var _ town = (*village)(nil)

var _ town = city{Rooms: (*placement.Rooms)(nil)}
