package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// This file plays with a local cluster as newcomers do: the real command, real nodes, kill -9.

// localCluster is the command `cluster` as a process.
type localCluster struct {
	*server    // for its output
	cmd        *exec.Cmd
	page, game string // URL, host:port
	exited     chan error
}

var shown = regexp.MustCompile(`(Play|Game) +(\w+)://([^/ ]+)/`)

// startCluster runs the command and waits until it has said what to open.
func startCluster(t *testing.T, binary string, env []string, args ...string) *localCluster {
	t.Helper()
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("SKIPPED, not tested: there is no /proc to find child processes in")
	}
	c := &localCluster{server: &server{t: t}, exited: make(chan error, 1)}
	c.cmd = exec.Command(binary, append([]string{"cluster", "--game-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0", "--log-level=warn"}, args...)...)
	c.cmd.Env = append(os.Environ(), env...)
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	c.cmd.Stderr = writer{c.server}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.cmd.Process.Kill() })
	ready := make(chan struct{})
	go func() {
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			fmt.Fprintln(writer{c.server}, lines.Text())
			if at := shown.FindStringSubmatch(lines.Text()); at != nil && at[1] == "Play" {
				c.page = at[2] + "://" + at[3]
			} else if at != nil {
				c.game = at[3]
			}
			if strings.Contains(lines.Text(), "Kill a node while you play") {
				close(ready)
			}
		}
		c.exited <- c.cmd.Wait()
	}()
	select {
	case <-ready:
	case <-time.After(30 * time.Second):
		t.Fatalf("the cluster never got ready:\n%s", c.log())
	}
	return c
}

// children are the direct children of a process: names by id.
func children(parent int) map[int]string {
	all := map[int]string{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it is gone
		}
		head, rest, _ := strings.Cut(string(text), ") ") // "pid (name) state parent …"
		id, name, _ := strings.Cut(head, " (")
		fields := strings.Fields(rest)
		if pid, err := strconv.Atoi(id); err == nil && fields[1] == strconv.Itoa(parent) {
			all[pid] = name
		}
	}
	return all
}

// gone reports whether a process has ended: nobody may have reaped it yet.
func gone(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(text), ") ")
	return err != nil || strings.HasPrefix(rest, "Z")
}

// look is what the page is told.
func (c *localCluster) look() (p struct {
	Nodes []struct {
		Name, State          string
		PID, Starts, Sockets int
	}
},
) {
	answer, err := http.Get(c.page + "/cluster/state")
	if err != nil {
		c.t.Fatalf("%v\n%s", err, c.log())
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&p); err != nil {
		c.t.Fatal(err)
	}
	return p
}

// eventually waits until the cluster looks as it should, with a bound.
func (c *localCluster) eventually(what string, ok func() bool) {
	c.t.Helper()
	for start := time.Now(); time.Since(start) < 20*time.Second; time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	c.t.Fatalf("never came true: %s\n%s", what, c.log())
}

// knock opens a game socket through the balancer.
func (c *localCluster) knock() net.Conn {
	c.t.Helper()
	conn, err := net.Dial("tcp", c.game)
	if err != nil {
		c.t.Fatalf("%v\n%s", err, c.log())
	}
	c.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: tickover.v1\r\n\r\n", c.game)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		c.t.Errorf("no game socket: %v, %v\n%s", answer, err, c.log())
	}
	return conn
}

// press sends what a button sends, changed as told.
func (c *localCluster) press(node, fault string, change func(*http.Request)) int {
	c.t.Helper()
	r, err := http.NewRequest(http.MethodPost, c.page+"/cluster/nodes/"+node+"/"+fault, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Origin", c.page)
	r.Header.Set("X-Tickover-Token", c.token())
	change(r)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	answer.Body.Close()
	return answer.StatusCode
}

var tokenInPage = regexp.MustCompile(`name="tickover:cluster" content="([^"]+)"`)

func (c *localCluster) token() string {
	answer, err := http.Get(c.page + "/")
	if err != nil {
		c.t.Fatal(err)
	}
	defer answer.Body.Close()
	html, _ := io.ReadAll(answer.Body)
	found := tokenInPage.FindSubmatch(html)
	if found == nil || string(found[1]) == "view" {
		c.t.Fatalf("the page has no token: %s", html)
	}
	return string(found[1])
}

// end sends a signal and waits for the end; it gives how long that took.
func (c *localCluster) end(s syscall.Signal) time.Duration {
	start := time.Now()
	c.cmd.Process.Signal(s)
	select {
	case err := <-c.exited:
		if err != nil && s == syscall.SIGTERM {
			c.t.Errorf("it ended with %v:\n%s", err, c.log())
		}
	case <-time.After(10 * time.Second):
		c.t.Fatalf("it does not end:\n%s", c.log())
	}
	return time.Since(start)
}

// The first thing that people try is whether it is true: they kill a node, and look what becomes of it.
func TestLocalClusterSurvivesItsNodes(t *testing.T) {
	needs(t, "redis-server", "redis-server")
	c := startCluster(t, build(t, "tickover"), nil, "--nodes=3", "--restart=1s")
	kids := children(c.cmd.Process.Pid)
	nodes := 0
	for _, name := range kids {
		if name == "tickover" {
			nodes++
		}
	}
	if nodes != 3 || len(kids) != 4 {
		t.Fatalf("children are %v, want three tickover and a redis-server", kids)
	}
	for range 3 {
		c.knock()
	}
	before := c.look().Nodes
	for _, n := range before {
		if n.State != "alive" || n.Sockets != 1 || kids[n.PID] != "tickover" {
			t.Errorf("at the start: %+v", n)
		}
	}

	syscall.Kill(before[1].PID, syscall.SIGKILL)
	killed := time.Now()
	c.eventually("it is seen to be dead", func() bool { return c.look().Nodes[1].State == "dead" })
	for range 4 {
		c.knock() // the others serve
	}
	c.eventually("it is started again", func() bool {
		n := c.look().Nodes[1]
		return n.State == "alive" && n.PID != before[1].PID && n.Starts == 2
	})
	if took := time.Since(killed); took < time.Second {
		t.Errorf("it was started again after %s, want --restart", took)
	}
	for _, want := range []string{"was killed. It is started again in 1s.", "is back."} {
		if !strings.Contains(c.log(), "node-2  pid ") || !strings.Contains(c.log(), want) {
			t.Errorf("nothing of %q in\n%s", want, c.log())
		}
	}

	for what, change := range map[string]func(*http.Request){
		"a foreign origin": func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
		"no token":         func(r *http.Request) { r.Header.Del("X-Tickover-Token") },
		"GET":              func(r *http.Request) { r.Method = http.MethodGet },
	} {
		if code := c.press("node-1", "kill", change); code != http.StatusForbidden {
			t.Errorf("a button with %s: %d, want 403", what, code)
		}
	}
	if c.look().Nodes[0].PID != before[0].PID {
		t.Error("a refused button killed a node")
	}
	c.freezeAndDrain()

	kids = children(c.cmd.Process.Pid)
	if took := c.end(syscall.SIGTERM); took > 2*time.Second {
		t.Errorf("the end took %s", took)
	}
	for pid := range kids {
		if !gone(pid) {
			t.Errorf("process %d (%s) is still there", pid, kids[pid])
		}
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "tickover-*", "redis.sock")); slices.ContainsFunc(left, func(s string) bool { return strings.Contains(c.log(), s) }) {
		t.Errorf("its folder is still there: %q", left)
	}
}

// freezeAndDrain uses the buttons as the page does.
func (c *localCluster) freezeAndDrain() {
	fine := func(*http.Request) {}
	is := func(state string) func() bool { return func() bool { return c.look().Nodes[0].State == state } }
	if code := c.press("node-1", "freeze", fine); code != http.StatusNoContent {
		c.t.Errorf("freeze: %d", code)
	}
	c.eventually("it is frozen", is("frozen"))
	for range 3 {
		c.knock() // never at the frozen one, which would take the connection and say nothing
	}
	c.press("node-1", "thaw", fine)
	c.eventually("it is thawed", is("alive"))
	pid := c.look().Nodes[0].PID
	if code := c.press("node-1", "drain", fine); code != http.StatusNoContent {
		c.t.Errorf("drain: %d", code)
	}
	c.eventually("it has gone and come back", func() bool { n := c.look().Nodes[0]; return n.State == "alive" && n.PID != pid })
	if !strings.Contains(c.log(), "stopped in order") {
		c.t.Errorf("it was not drained in order:\n%s", c.log())
	}
}

// Whoever has no redis-server should see what this is all the same, and be told that it is not the real thing. And a command that
// is killed must not leave nodes behind that nobody looks after.
func TestLocalClusterNeedsNoRedisServer(t *testing.T) {
	c := startCluster(t, build(t, "tickover"), []string{"PATH=" + t.TempDir()}, "--nodes=2")
	if !strings.Contains(c.log(), "There is no redis-server in the PATH") {
		t.Errorf("it does not say so:\n%s", c.log())
	}
	kids := children(c.cmd.Process.Pid)
	if len(kids) != 2 {
		t.Errorf("children are %v, want two nodes", kids)
	}
	c.knock()
	c.end(syscall.SIGKILL)
	for pid := range kids {
		c.eventually("nobody is left", func() bool { return gone(pid) })
	}
}

// Two of these at a time fight for the same ports: the second should say so before it starts anything.
func TestLocalClusterSaysWhatIsInItsWay(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	binary := build(t, "tickover")
	for _, run := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--game-addr=" + l.Addr().String()}, 1, "--game-addr: listen tcp"},
		{[]string{"--nodes=0", "--restart=-1s", "--redis=http://x", "--data=y"}, 2, "--nodes 0: want 1 to 16"},
		{[]string{"--nodes=many"}, 2, "--nodes"},
	} {
		cmd := exec.Command(binary, append([]string{"cluster"}, run.args...)...)
		out, _ := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != run.code || !strings.Contains(string(out), run.want) {
			t.Errorf("%v: exit %d: %s", run.args, code, out)
		}
	}
}

// The page is what people will judge by: its buttons kill the node that runs the room, and the game goes on.
func TestBrowserPlaysOnWhileNodesDie(t *testing.T) {
	chromium := needs(t, "chromium", "/usr/bin/chromium")
	node := needs(t, "node", "node")
	needs(t, "redis-server", "redis-server")
	needs(t, "playwright-core (npm ci in client/ts)", "../client/ts/node_modules/playwright-core/package.json")
	c := startCluster(t, build(t, "tickover"), nil)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	shots := t.ArtifactDir()
	cmd := exec.CommandContext(ctx, node, "local.mjs", c.page, shots)
	cmd.Env = append(os.Environ(), "CHROMIUM="+chromium)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatalf("browser: %v\ncluster:\n%s", err, c.log())
	}
	c.end(syscall.SIGTERM)
}
