package local

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"tickover.dev/redisconn"
	"tickover.dev/redisconn/embedded"
)

// Who presses Ctrl-C twice wants it to end, whatever a node still has to do.
func TestASecondSignalDoesNotWait(t *testing.T) {
	addr, stop, err := embedded.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("FAKE_NODE", "stubborn")
	var text bytes.Buffer
	out := &lines{to: &text}
	said := func(what string) func() bool {
		return func() bool {
			out.mu.Lock()
			defer out.mu.Unlock()
			return strings.Contains(text.String(), what)
		}
	}
	ended := make(chan error, 1)
	go func() {
		ended <- Run(context.Background(), Config{
			Nodes: 2, Redis: "redis://" + addr, GameAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0", Restart: time.Hour, LogLevel: slog.LevelError,
			Command: []string{self, "serve"}, Page: fstest.MapFS{"index.html": {Data: []byte("page")}},
		}, out, out)
	}()
	eventually(t, "it runs", said("Kill a node while you play"))
	syscall.Kill(os.Getpid(), syscall.SIGTERM)
	eventually(t, "it stops", said("Stopping."))
	start := time.Now()
	syscall.Kill(os.Getpid(), syscall.SIGTERM)
	select {
	case err := <-ended:
		if took := time.Since(start); err != nil || took > stopWithin/2 {
			t.Errorf("it ended after %s with %v", took, err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it does not end")
	}
}

// A folder that is named for rooms must have them when Redis is killed, too: it is there to be played with.
func TestTheOwnRedisComesBackWithItsData(t *testing.T) {
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("SKIPPED, not tested: redis-server is missing (make deps tells how to get it)")
	}
	var text bytes.Buffer
	out := &lines{to: &text}
	say := func(format string, args ...any) { out.Write([]byte(format)) }
	st, err := startRedis(t.Context(), binary, Config{Data: t.TempDir() + "/data", Restart: time.Millisecond}, say)
	if err != nil {
		t.Fatal(err)
	}
	defer st.stop()
	client, err := redisconn.Open(redisconn.Config{URL: st.url})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	info := client.Do(t.Context(), "info", "server").String()
	if err := client.Set(t.Context(), "room", "here", 0).Err(); err != nil {
		t.Fatal(err)
	}
	_, pid, _ := strings.Cut(info, "process_id:")
	pid, _, _ = strings.Cut(pid, "\r\n")
	exec.Command("kill", "-9", pid).Run()
	eventually(t, "it is back with its data", func() bool {
		now := client.Do(t.Context(), "info", "server").String()
		return strings.Contains(now, "process_id:") && !strings.Contains(now, "process_id:"+pid) && client.Get(t.Context(), "room").Val() == "here"
	})
	if out.mu.Lock(); !strings.Contains(text.String(), "rooms wait") {
		t.Errorf("said %q", text.String())
	}
	out.mu.Unlock()
}

// Each mistake that is told alone costs another try.
func TestEveryComplaintAtOnce(t *testing.T) {
	c := Config{Nodes: 17, GameAddr: "nowhere", HTTPAddr: ":99999", Redis: "http://x", Data: "y", Restart: -time.Second}
	err := c.Validate()
	if err == nil {
		t.Fatal("nothing is wrong")
	}
	for _, want := range []string{"--nodes 17", "--game-addr", "--http-addr", "--redis:", "--data and --redis", "--restart -1s"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing of %q in %v", want, err)
		}
	}
}

// An address that is taken is told before anything is started.
func TestATakenAddressIsSaidFirst(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var out bytes.Buffer
	c := Config{Nodes: 1, GameAddr: "127.0.0.1:0", HTTPAddr: l.Addr().String(), Command: []string{"/none"}}
	if err := Run(t.Context(), c, &out, &out); err == nil || !strings.HasPrefix(err.Error(), "--http-addr: ") || out.Len() > 0 {
		t.Errorf("%v, and wrote %q", err, out.String())
	}
}
