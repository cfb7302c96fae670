package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"tickover.dev/client"
	"tickover.dev/redisconn/redistest"
)

// This file gives nodes what no node should live with: a Redis that loses things, a twin, headers of strangers.

// startsNot runs a node that should refuse to start, and gives its exit code and all that it wrote.
func startsNot(t *testing.T, binary string, args ...string) (code int, output string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, append([]string{"--game-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0", "--peer=127.0.0.1:0"}, args...)...)
	out, _ := cmd.CombinedOutput()
	return cmd.ProcessState.ExitCode(), string(out)
}

// ages passes connections on to a Redis, and makes it tell of another version in its answers. The two are of one length.
func ages(t *testing.T, redis, version, instead string) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", redis)
			if err != nil {
				in.Close()
				continue
			}
			go func() { io.Copy(out, in); out.Close() }()
			go func() {
				defer in.Close()
				for answer := make([]byte, 64<<10); ; { // what Redis says of itself fits in one read
					n, err := out.Read(answer)
					if err != nil {
						return
					}
					in.Write(bytes.ReplaceAll(answer[:n], []byte(version), []byte(instead)))
				}
			}()
		}
	}()
	return l.Addr().String()
}

// A node that runs on a Redis which may lose journals, or does not know a command, keeps its promises until the day that it matters. It
// must not start, and must say why, without the password.
func TestANodeDoesNotStartOnARedisThatItCannotRelyOn(t *testing.T) {
	binary, redis := build(t, "tickover"), redistest.Start(t)
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()
	version := versionOf(t, redis)
	old := ages(t, redis.Addr(), "redis_version:"+version, "redis_version:6"+version[1:])
	guarded := redistest.Start(t, "requirepass right-hunter2")
	evicting := redistest.Start(t, "maxmemory 100mb", "maxmemory-policy allkeys-lru")
	for name, c := range map[string]struct{ url, want string }{
		"nobody there":    {"redis://" + nobody.Addr().String(), "look whether the address is right"},
		"wrong password":  {"redis://:wrong-hunter2@" + guarded.Addr(), "refuses the user name or password"},
		"no password":     {guarded.URL(), "refuses the user name or password"},
		"too old":         {"redis://" + old, "is too old: version \"6" + version[1:]},
		"evicts journals": {evicting.URL(), "maxmemory-policy is allkeys-lru: set it to noeviction"},
		"not an address":  {"http://" + redis.Addr(), "--redis"},
	} {
		code, output := startsNot(t, binary, "--redis="+c.url)
		if want := map[bool]int{true: 2, false: 1}[name == "not an address"]; code != want || !strings.Contains(output, c.want) {
			t.Errorf("%s: exit %d, want %d with %q:\n%s", name, code, want, c.want, output)
		}
		if strings.Contains(output, "hunter2") {
			t.Errorf("%s: the password is in\n%s", name, output)
		}
	}
}

// versionOf is what a server calls its version.
func versionOf(t *testing.T, s *redistest.Server) string {
	t.Helper()
	text, _ := s.Do("info", "server").(string)
	_, rest, found := strings.Cut(text, "redis_version:")
	version, _, _ := strings.Cut(rest, "\r")
	if !found || version == "" {
		t.Fatalf("no version in %q", text)
	}
	return version
}

// Two nodes of one name look like one in every list and log. The second must go, and leave the first in peace; but one that is started
// again after a crash must not have to wait for its own ghost.
func TestANameIsForOneNode(t *testing.T) {
	redis, binary := redistest.Start(t), build(t, "tickover")
	first := &server{t: t, binary: binary, store: "--redis=" + redis.URL(), flags: []string{"--name=amber"}}
	first.start()
	t.Cleanup(first.stop)
	code, output := startsNot(t, binary, "--redis="+redis.URL(), "--name=amber")
	if code != 1 || !strings.Contains(output, `another node is called "amber": give each its own --name`) {
		t.Errorf("exit %d:\n%s", code, output)
	}
	if c, err := client.Dial(t.Context(), client.Config{URL: "ws://" + first.game + "/", Name: "ann"}); err != nil {
		t.Errorf("the first one is no more: %v\n%s", err, first.log())
	} else if c.Close(); c.Node() != "amber" {
		t.Errorf("the first one is called %q", c.Node())
	}
	first.kill()
	began := time.Now()
	first.start()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("its next run waited for %s", took)
	}
}

// metric reads one value of a node; "" if there is none of that name.
func (s *server) metric(name string) (value string) {
	s.t.Helper()
	answer, err := http.Get("http://" + s.admin + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// Whoever holds a session's secret is that player, and whoever may say a PROXY header is at any address. Both must be refused to others,
// and those who look after the node must see that somebody tries.
func TestStrangersAreRefusedAndCounted(t *testing.T) {
	s := startServer(t)
	as := func(saved *client.Saved) client.Saved {
		c, err := client.Dial(t.Context(), client.Config{URL: "ws://" + s.game + "/", Name: "ann", Resume: saved})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c.Saved()
	}
	first := as(nil)
	second := as(&first)
	if third := as(&second); second.Session != first.Session || third.Session != first.Session || second.Secret == first.Secret {
		t.Fatalf("the right secrets do not open the session: %+v, %+v, %+v", first, second, third)
	}
	for name, secret := range map[string]string{"wrong": "rubbish", "missing": "", "rotated away": first.Secret} {
		if as(&client.Saved{Session: first.Session, Secret: secret}).Session == first.Session { // it is given a new one
			t.Errorf("a secret that is %s opens the session", name)
		}
	}
	if n := s.metric(`tickover_session_events_total{event="bad_secret"}`); n != "3" {
		t.Errorf("%q wrong secrets are counted, want 3", n)
	}

	conn, err := net.Dial("tcp", s.game)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	// PROXY protocol, version 2: TCP over IPv4, 203.0.113.7:1234 to 203.0.113.1:80.
	fmt.Fprint(conn, "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x07\xcb\x00\x71\x01\x04\xd2\x00\x50GET / HTTP/1.1\r\n\r\n")
	if answer, _ := io.ReadAll(conn); !strings.HasPrefix(string(answer), "HTTP/1.1 403 ") {
		t.Errorf("a stranger's PROXY header is answered %q", answer)
	}
	if n := s.metric("tickover_connections_strange_proxy_total"); n != "1" {
		t.Errorf("%q of them are counted, want 1", n)
	}
}
