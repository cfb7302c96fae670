package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"tickover.dev/client"
	"tickover.dev/netcode"
	"tickover.dev/redisconn/redistest"
)

// pairOn starts two nodes that share a Redis and see each other.
func pairOn(t *testing.T, redis *redistest.Server) (one, two *Node) {
	t.Helper()
	named := func(name string) *Node {
		return start(t, func(c *Config) { c.Redis, c.Name = redis.URL(), name })
	}
	one, two = named("one"), named("two")
	eventually(t, "they see each other", func() bool { return len(one.api.Members()) == 2 && len(two.api.Members()) == 2 })
	return one, two
}

// Any node must answer for all: whoever asks comes through a load balancer.
func TestAnyNodeAnswersForAll(t *testing.T) {
	one, two := pairOn(t, redistest.Start(t))
	ann, welcome := enter(t, one, "ann")
	lobby := ann.sitIn("lobby")
	bob, _ := enter(t, two, "bob")
	if again := bob.sitIn("lobby"); again.ID != lobby.ID {
		t.Fatalf("%s and %s", again.ID, lobby.ID)
	}
	bob.say(&netcode.Join{Request: 2, Mode: netcode.JoinCreate, Kind: "stage"})
	stage := expect[*netcode.Joined](bob)
	if welcome.Node != "one" {
		t.Errorf("the welcome names the node %q", welcome.Node)
	}
	show := func(id, kind, key string, n *Node, epoch uint64, players, seats int) string {
		return fmt.Sprintf(`{"id":"%s","kind":"%s","key":"%s","node":"%s","boot":"%s","epoch":%d,"players":%d,"seats":%d,"locked":false}`,
			id, kind, key, n.name, n.boot, epoch, players, seats)
	}
	inLobby, onStage := show(lobby.ID, "count", "lobby", one, lobby.Epoch, 2, 16), show(stage.ID, "stage", "", two, stage.Epoch, 1, 2)
	for i, n := range []*Node{one, two} {
		var nodes struct {
			Nodes []struct {
				Name, Boot         string
				Self               bool
				Rooms, Connections int
			}
		}
		eventually(t, "the load is known", func() bool {
			n.ask(t, asked{path: "/v1/nodes"}).into(t, &nodes)
			return len(nodes.Nodes) == 2 && nodes.Nodes[0].Rooms+nodes.Nodes[1].Rooms == 2 && nodes.Nodes[0].Connections+nodes.Nodes[1].Connections == 2
		})
		for k, m := range nodes.Nodes {
			if m.Name != []string{"one", "two"}[k] || m.Boot != []*Node{one, two}[k].boot.String() || m.Self != (i == k) {
				t.Errorf("%s tells of %+v", n.name, m)
			}
		}
		for _, r := range [][2]string{{lobby.ID, inLobby}, {stage.ID, onStage}} {
			eventually(t, "the room is known, and who is there", func() bool {
				return strings.TrimSpace(n.ask(t, asked{path: "/v1/rooms/" + r[0]}).body) == r[1]
			})
		}
		n.ask(t, asked{path: "/v1/rooms?kind=count&key=lobby"}).is(t, 200, `{"next":"","rooms":[`+inLobby+`]}`)
		eventually(t, "both rooms are listed", func() bool {
			body := n.ask(t, asked{path: "/v1/rooms"}).body
			return strings.Contains(body, inLobby) && strings.Contains(body, onStage)
		})
		n.ask(t, asked{path: "/v1/rooms?after=x"}).isProblem(t, 400, "bad_request", "after")
		eventually(t, "ann is online", func() bool {
			want := fmt.Sprintf(`"online":true,"sessions":[{"node":"one","connected":true,"seats":[{"room":"%s","seat":%d}]}]`, lobby.ID, lobby.Seat)
			return strings.Contains(n.ask(t, asked{path: "/v1/players/" + welcome.Player}).body, want)
		})
		signal := asked{method: "POST", path: "/v1/rooms/" + lobby.ID + "/signals", body: fmt.Sprintf(`{"id":"s%d","name":"add","body":{"n":1}}`, i)}
		n.ask(t, signal).is(t, 200, fmt.Sprintf(`{"id":"s%d","value":{"count":%d,"text":""}}`, i, i+1))
		n.ask(t, signal).is(t, 200, fmt.Sprintf(`{"id":"s%d","value":null,"duplicate":true}`, i))
		signal.body = `{"name":"refuse"}`
		n.ask(t, signal).isProblem(t, 422, "refused", "")
		signal.path = "/v1/rooms/nothing/signals"
		n.ask(t, signal).isProblem(t, 404, "unknown_room", "id")
	}
	two.ask(t, asked{method: "POST", path: "/v1/rooms/" + lobby.ID + "/signals", body: `{"name":"end"}`}).into(t, new(any))
	for _, n := range []*Node{one, two} {
		eventually(t, "the end is known", func() bool { return n.ask(t, asked{path: "/v1/rooms/" + lobby.ID}).StatusCode == 410 })
		if p := n.ask(t, asked{path: "/v1/rooms/" + lobby.ID}).isProblem(t, 410, "room_ended", ""); string(p.Result) != `{"3":"ann"}` {
			t.Errorf("%+v", p)
		}
	}
}

// A player who looks for a game chooses by what lists show: whether there is place, and what is played there.
func TestAnyNodeListsWhatRoomsTellOfThemselves(t *testing.T) {
	one, two := pairOn(t, redistest.Start(t))
	ann, _ := enter(t, one, "ann")
	lobby := ann.sitIn("lobby")
	shows := func(n *Node, want string) {
		t.Helper()
		eventually(t, n.name+" lists "+want, func() bool {
			return strings.Contains(n.ask(t, asked{path: "/v1/rooms?kind=count"}).body, want)
		})
	}
	shows(two, `"players":1,"seats":16,"locked":false}`)
	two.ask(t, asked{method: "POST", path: "/v1/rooms/" + lobby.ID + "/signals", body: `{"name":"close","body":{"text":"dunes"}}`}).into(t, new(any))
	for _, n := range []*Node{one, two} {
		shows(n, `"players":1,"seats":16,"locked":true,"metadata":{"map":"dunes"}}`)
	}
	ann.say(&netcode.Leave{Request: 5, Room: lobby.Room})
	shows(two, `"players":0,"seats":16,"locked":true,"metadata":{"map":"dunes"}}`)
}

// The Go client tells which node it came to.
func TestTheClientKnowsItsNode(t *testing.T) {
	n := start(t, func(c *Config) { c.Name = "here" })
	c, err := client.Dial(t.Context(), client.Config{URL: "ws://" + n.GameAddr().String() + "/", Token: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.Node() != "here" {
		t.Errorf("%q", c.Node())
	}
}

// A node that reaches nobody must not be sent players, and must say why; nor must the API hang.
func TestANodeIsReadyWhenItsInboxIs(t *testing.T) {
	redis := redistest.Start(t)
	one, two := pairOn(t, redis)
	ready := func(n *Node) (int, string) { return get(t, "http://"+n.AdminAddr().String()+"/readyz", "") }
	for _, n := range []*Node{one, two} {
		if status, body := ready(n); status != 200 || body != "ready\n" {
			t.Errorf("%d %s", status, body)
		}
	}
	redis.Freeze()
	for _, n := range []*Node{one, two} {
		var status int
		var body string
		eventually(t, "the node is not ready", func() bool { status, body = ready(n); return status == 503 })
		if !strings.HasPrefix(body, "not ready: ") || !strings.Contains(body, "Redis") {
			t.Errorf("%s", body)
		}
		began := time.Now()
		n.ask(t, asked{path: "/v1/rooms/nothing"}).isProblem(t, 503, "unavailable", "")
		n.ask(t, asked{path: "/v1/players/nobody"}).isProblem(t, 503, "unavailable", "")
		if took := time.Since(began); took > 3*askWithin {
			t.Errorf("two requests took %s", took)
		}
		n.ask(t, asked{path: "/v1/nodes"}).into(t, new(any)) // what was seen last
	}
	redis.Thaw()
	for _, n := range []*Node{one, two} {
		eventually(t, "the node is ready again", func() bool { status, _ := ready(n); return status == 200 })
	}
}

// A probe every second from each of many balancers must not be a ping each, and a bad second must not be remembered for long.
func TestTheInboxIsLookedAtOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pings atomic.Int32
		var broken atomic.Bool
		c := newInboxCheck()
		look := func() error {
			return c.reachable(func(ctx context.Context) error {
				pings.Add(1)
				if broken.Load() {
					<-ctx.Done()
					return context.Cause(ctx)
				}
				return nil
			})
		}
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if err := look(); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := pings.Load(); n != 1 {
			t.Errorf("%d pings", n)
		}
		broken.Store(true)
		if err := look(); err != nil {
			t.Error("the verdict is not remembered")
		}
		time.Sleep(inboxVerdict)
		began := time.Now()
		if err := look(); !errors.Is(err, errInbox) || time.Since(began) != inboxWithin {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		broken.Store(false)
		time.Sleep(inboxVerdict)
		if err := look(); err != nil {
			t.Error(err)
		}
	})
}

// What an operator of a cluster looks at first must be there, and be as the tools for it expect.
func TestTheClusterIsMeasured(t *testing.T) {
	one, two := pairOn(t, redistest.Start(t))
	ann, _ := enter(t, one, "ann")
	lobby := ann.sitIn("lobby")
	two.ask(t, asked{method: "POST", path: "/v1/rooms/" + lobby.ID + "/signals", body: `{"name":"add"}`}).into(t, new(any))
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(newSharedCollector(two)); err != nil {
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
	_, text := get(t, "http://"+two.AdminAddr().String()+"/metrics", "")
	for _, want := range []string{
		`tickover_cluster_members{state="living"} 2`, `tickover_cluster_members{state="dead"} 0`, `tickover_cluster_sighted 1`,
		`tickover_cluster_heartbeats_total{outcome="failed"} 0`, `tickover_cluster_claims_total{outcome="lost"} 0`, `tickover_cluster_claims_total{outcome="newer"} 0`,
		`tickover_sessions_store_errors_total 0`, `tickover_sessions_unsaved 0`,
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("no %s", want)
		}
	}
	_, text = get(t, "http://"+one.AdminAddr().String()+"/metrics", "")
	for _, more := range []string{
		`tickover_bus_messages_total{direction="out"} `, `tickover_bus_messages_total{direction="in"} `, `tickover_bus_crossing_seconds_count `,
		`tickover_journal_entries_total{outcome="confirmed"} `, `tickover_journal_pipeline_seconds_count `, `tickover_sessions_saves_total `,
	} {
		_, value, found := strings.Cut(text, "\n"+more)
		if !found || strings.HasPrefix(value, "0\n") {
			t.Errorf("%s is 0, or not there", more)
		}
	}
	if alone := start(t, nil); alone != nil {
		if _, text := get(t, "http://"+alone.AdminAddr().String()+"/metrics", ""); strings.Contains(text, "tickover_cluster_") {
			t.Error("a node without a cluster measures one")
		}
	}
}
