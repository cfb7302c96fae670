package node

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"tickover.dev/netcode"
	"tickover.dev/rooms"
)

// broken is a kind that would lose its state in a move.
var broken = rooms.Define(&leaky{}, rooms.Config{Name: "bad name", RateHz: 1000})

type leaky struct {
	Players map[string]int
	hidden  int
}

func (l *leaky) Step(*rooms.Tick[one]) { l.hidden++ }

// Whoever mistypes three flags and writes a game that cannot move should learn of all of it at once, and not one by one.
func TestEveryComplaintAtOnce(t *testing.T) {
	var out, errs bytes.Buffer
	code := Run(t.Context(), []string{
		"--game-addr=nowhere", "--http-addr=:99999", "--public-socket=http://x/", "--loops=-1", "--shards=2000", "--conns=-1",
		"--shadow-every=-2", "--conns-per-address=-2", "--drain=-1s", "--jwt-key=short", "--jwt-key-file=/none", "--data=/dev/null/x", "--origins=here,*", "--log-level=loud", "--nothing",
	}, &out, &errs, count, count, broken)
	want := program() + `: cannot start:
  --log-level: slog: level string "loud": unknown name
  unknown flag --nothing
  --game-addr "nowhere": want HOST:PORT: address nowhere: missing port in address
  --http-addr ":99999": want HOST:PORT: address 99999: invalid port
  --public-socket "http://x/": want ws://HOST/ or wss://HOST/
  --loops -1: want 0 to 64
  --shards 2000: want 0 to 1024
  --conns -1: must not be negative
  --conns-per-address -2: want -1 or more
  --shadow-every -2: want -1 or more
  --drain -1s: want more than 0, and at most 1h
  --origins "here": want https://HOST, http://HOST:PORT or *
  --jwt-key: the key has 5 bytes: HS256 wants at least 32
  --jwt-key-file: open /none: no such file or directory
  --jwt-key-file: there is a --jwt-key already
  --data: mkdir /dev/null: not a directory
  kind "count" is defined twice
  kind "bad name":
`
	if got := errs.String(); code != 2 || !strings.HasPrefix(got, want) || out.Len() > 0 {
		t.Errorf("exit %d, wrote\n%s", code, got)
	}
	for _, part := range []string{"Players", "hidden", "RateHz", "See " + program() + " --help."} {
		if !strings.Contains(errs.String(), part) {
			t.Errorf("nothing about %s in\n%s", part, errs.String())
		}
	}
}

// Bad flags and bad environment are exit 2 as well, and help is no error.
func TestFlagsAndEnvironment(t *testing.T) {
	run := func(args ...string) (int, string) {
		var out, errs bytes.Buffer
		code := Run(t.Context(), args, &out, &errs, count)
		return code, out.String() + errs.String()
	}
	if code, text := run("--help"); code != 0 || !strings.Contains(text, "--game-addr") || !strings.Contains(text, "$TICKOVER_GAME_ADDR") || !strings.Contains(text, ":7777") {
		t.Errorf("exit %d: %s", code, text)
	}
	if code, text := run("version"); code != 0 || !strings.HasPrefix(text, program()+" ") {
		t.Errorf("exit %d: %s", code, text)
	}
	if code, text := run("--version"); code != 0 || !strings.HasPrefix(text, program()+" ") {
		t.Errorf("exit %d: %s", code, text)
	}
	for _, args := range [][]string{{"--no-such-flag"}, {"--loops=many"}, {"--drain=10"}, {"--drain=0s"}, {"--origins=https://x/path"}, {"--jwt-key-file=/none"}, {"--log-format=xml"}, {"--log-level=loud"}, {"serve", "here"}} {
		if code, text := run(args...); code != 2 || !strings.HasPrefix(text, program()+": cannot start:\n  ") {
			t.Errorf("%v: exit %d: %s", args, code, text)
		}
	}
	t.Setenv("TICKOVER_SHARDS", "5000")
	t.Setenv("TICKOVER_JWT_KEY", "short")
	t.Setenv("TICKOVER_DRAIN", "0s")
	t.Setenv("TICKOVER_CONNS", "999999999")
	t.Setenv("TICKOVER_LOG_FORMAT", "xml")
	code, text := run()
	for _, want := range []string{"--shards 5000", "--jwt-key: ", "--drain 0s: want more than 0", "--conns 999999999: ", "log-format"} {
		if code != 2 || !strings.Contains(text, want) {
			t.Errorf("exit %d, nothing of %q: %s", code, want, text)
		}
	}
}

// A program that makes its own Config gets the same complaints as a command line, and all of them.
func TestAConfigOfAProgramIsCheckedAsFlagsAre(t *testing.T) {
	everybody := func(context.Context, string) (rooms.Player, error) { return rooms.Player{}, nil }
	c := Config{
		LogFormat: "xml", Conns: -1, ConnsPerAddress: -7, JWTKey: "short", JWTKeyFile: "/none", Authenticate: everybody,
		PublicSocket: "http://x/", Origins: []string{"here"}, Data: "/dev/null/x",
	}
	_, err := Start(t.Context(), c)
	if err == nil {
		t.Fatal("started")
	}
	for _, want := range []string{
		"--log-format \"xml\"", "--conns -1", "--conns-per-address -7", "--drain 0s", "--jwt-key: the key has 5 bytes",
		"--jwt-key: this program brings its own", "--jwt-key-file: open /none", "--jwt-key-file: there is a --jwt-key", "--public-socket",
		"--origins", "--data", "no kind of room",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing of %q in\n%v", want, err)
		}
	}
}

// A port in use is not the configuration's fault: exit 1, and the address that is in use.
func TestPortsInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, flag := range []string{"game", "http", "admin"} {
		args := []string{"--game-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0", "--" + flag + "-addr=" + l.Addr().String()}
		var out, errs bytes.Buffer
		if code := Run(t.Context(), args, &out, &errs, count); code != 1 || !strings.Contains(errs.String(), "cannot start: --"+flag+"-addr "+l.Addr().String()+" is in use") {
			t.Errorf("%s: exit %d: %s", flag, code, errs.String())
		}
	}
}

// What a newcomer reads first.
func TestTheGreeting(t *testing.T) {
	greeting := func(c Config) string {
		c.GameAddr, c.AdminAddr, c.Kinds, c.Drain = "127.0.0.1:0", "127.0.0.1:0", []rooms.Kind{count}, patience
		n := start(t, func(old *Config) { *old = c })
		var b bytes.Buffer
		n.greet(&b)
		return b.String()
	}
	open := greeting(Config{HTTPAddr: ":0"})
	for _, want := range []string{`is running: count`, `Kinds +http://localhost:\d+/v1/kinds`, `Game +ws://127.0.0.1:\d+/`, `Guest mode`} {
		if !regexp.MustCompile(want).MatchString(open) {
			t.Errorf("no %q in %s", want, open)
		}
	}
	if strings.Contains(open, "Play") || strings.Contains(open, "Phone") {
		t.Errorf("the page cannot play these kinds: %s", open)
	}
	n := start(t, func(c *Config) {
		c.HTTPAddr, c.Kinds = ":0", []rooms.Kind{rooms.Define(&counter{}, rooms.Config{Name: "arena", RateHz: 20})}
	})
	var b bytes.Buffer
	n.greet(&b)
	if _, ok := lanAddr(); ok != strings.Contains(b.String(), "Phone") || !regexp.MustCompile(`Play +http://localhost:\d+/`).MatchString(b.String()) {
		t.Errorf("the LAN's address, if there is one: %s", b.String())
	}
	closed := greeting(Config{HTTPAddr: "127.0.0.1:0", JWTKey: strings.Repeat("k", 32), Data: t.TempDir()})
	if strings.Contains(closed, "Guest mode") || strings.Contains(closed, "Phone") || !strings.Contains(closed, "(0 rooms resumed)") || strings.Contains(closed, "kkkk") {
		t.Error(closed)
	}
}

// elsewhere is a node in another process.
type elsewhere netip.AddrPort

func (e elsewhere) GameAddr() netip.AddrPort { return netip.AddrPort(e) }

// child starts the test binary as a node and gives the address of its game socket.
func child(t *testing.T, args ...string) (*exec.Cmd, game, <-chan string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], append([]string{"--game-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0"}, args...)...)
	cmd.Env = append(os.Environ(), asChild+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	text := make(chan string, 1)
	addr := make(chan string, 1)
	go func() {
		var all strings.Builder
		lines := bufio.NewScanner(io.TeeReader(out, &all))
		for lines.Scan() {
			if m := regexp.MustCompile(`ws://(\S+)/`).FindStringSubmatch(lines.Text()); m != nil {
				addr <- m[1]
			}
		}
		text <- all.String()
	}()
	select {
	case a := <-addr:
		return cmd, elsewhere(netip.MustParseAddrPort(a)), text
	case all := <-text:
		t.Fatalf("the node has ended: %s", all)
	case <-time.After(patience):
		t.Fatal("the node does not start")
	}
	panic("unreachable")
}

// An orderly stop tells clients to come back, and is no error. Nobody is made to wait for one that hangs: a second signal is enough.
func TestSignals(t *testing.T) {
	t.Run("one", func(t *testing.T) {
		t.Parallel()
		cmd, n, text := child(t)
		c, _ := enter(t, n, "ann")
		cmd.Process.Signal(syscall.SIGTERM)
		c.closed(netcode.CloseStopping)
		all := <-text
		if err := cmd.Wait(); err != nil || !strings.Contains(all, "stopping") || !strings.Contains(all, "msg=stopped rooms=0 sessions=0") {
			t.Errorf("%v: %s", err, all)
		}
	})
	t.Run("two", func(t *testing.T) {
		t.Parallel()
		cmd, n, text := child(t, "--data="+t.TempDir())
		c, _ := enter(t, n, "ann") // does not answer the close frame, so that the stop takes its time
		cmd.Process.Signal(syscall.SIGTERM)
		if _, err := c.next(); err == nil {
			t.Error("not closed")
		}
		cmd.Process.Signal(syscall.SIGTERM)
		<-text
		err := cmd.Wait()
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() {
			t.Errorf("the second signal was ignored: %v", err)
		}
	})
}

// A node whose engine has failed must end with an error, and say that it is not ready.
func TestAFailureOfTheEngineEndsTheNode(t *testing.T) {
	n := start(t, nil)
	failed := make(chan error, 1)
	n.watching.Go(func() { n.watch(failed) })
	failed <- context.DeadlineExceeded
	if err := <-n.Failed(); err == nil || !strings.Contains(err.Error(), "game socket") {
		t.Error(err)
	}
	if status, _ := get(t, "http://"+n.AdminAddr().String()+"/readyz", ""); status != 503 {
		t.Errorf("ready: %d", status)
	}
}

// What was saved at the last orderly stop is the past once a node goes on from it. If that node is killed, starting from the same
// files again would give players ticks and seats of the old history under a newer epoch.
func TestAKilledNodeDoesNotForkHistory(t *testing.T) {
	data := "--data=" + t.TempDir()
	end := func(cmd *exec.Cmd, text <-chan string, s syscall.Signal) string {
		cmd.Process.Signal(s)
		all := <-text
		cmd.Wait()
		return all
	}
	cmd, n, text := child(t, data)
	c, w := enter(t, n, "ann")
	seat := c.sit()
	c.Close()
	end(cmd, text, syscall.SIGTERM)

	cmd, n, text = child(t, data)
	back := shake(t, n)
	back.say(&netcode.Hello{Version: 1, Run: 7, Session: w.Session, Secret: w.Secret})
	w = expect[*netcode.Welcome](back)
	if j := expect[*netcode.Joined](back); j.ID != seat.ID {
		t.Errorf("%+v", j)
	}
	end(cmd, text, syscall.SIGKILL)

	cmd, n, text = child(t, data)
	old := shake(t, n)
	old.say(&netcode.Hello{Version: 1, Run: 7, Session: w.Session, Secret: w.Secret})
	old.closed(netcode.CloseBadSecret)
	fresh, _ := enter(t, n, "ann")
	fresh.say(&netcode.Join{Request: 1, Mode: netcode.JoinID, Target: seat.ID})
	fresh.refused(1, netcode.CodeUnknownRoom)
	if j := fresh.sit(); j.ID == seat.ID {
		t.Errorf("%+v", j)
	}
	fresh.Close()
	all := end(cmd, text, syscall.SIGTERM)
	if !strings.Contains(all, "msg=stopped rooms=1 sessions=1 data=") {
		t.Errorf("what is kept is not told: %s", all)
	}
	if strings.Count(all, "he last stop was not orderly: its rooms are gone") != 2 || !strings.Contains(all, "level=WARN") {
		t.Errorf("nothing is said of it: %s", all)
	}

	cmd, _, text = child(t, data)
	if all := end(cmd, text, syscall.SIGTERM); strings.Contains(all, "not orderly") || !strings.Contains(all, "(1 rooms resumed)") {
		t.Errorf("after an orderly stop: %s", all)
	}
}
