package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// What people will judge us by: a page that plays, keeps its seat while the connection is cut for three seconds, and while the
// server is stopped and started.
func TestBrowserKeepsItsSeat(t *testing.T) {
	chromium := needs(t, "chromium", "/usr/bin/chromium")
	node := needs(t, "node", "node")
	needs(t, "playwright-core (npm ci in client/ts)", "../client/ts/node_modules/playwright-core/package.json")

	s := startServer(t)
	p := startProxy(t, s.game)
	control := http.NewServeMux()
	control.HandleFunc("POST /cut", func(http.ResponseWriter, *http.Request) { p.cut(3 * time.Second) })
	control.HandleFunc("POST /restart", func(http.ResponseWriter, *http.Request) {
		s.stop()
		s.start()
		p.aim(s.game)
	})
	c := httptest.NewServer(control)
	defer c.Close()

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	shots := t.ArtifactDir()
	cmd := exec.CommandContext(ctx, node, "arena.mjs", "http://"+s.page+"/?socket=ws://"+p.addr+"/", c.URL, shots)
	cmd.Env = append(os.Environ(), "CHROMIUM="+chromium)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatalf("browser: %v\nserver:\n%s", err, s.log())
	}
	if pictures, _ := filepath.Glob(filepath.Join(shots, "*.png")); len(pictures) < 4 {
		t.Fatalf("%d screenshots in %s, want 4", len(pictures), shots)
	}
}

// needs finds a program or file, or skips the test, loudly; under CI a skip is a failure.
func needs(t *testing.T, what, path string) string {
	t.Helper()
	found, err := exec.LookPath(path)
	if err != nil && strings.Contains(path, "/") {
		if _, statErr := os.Stat(path); statErr == nil {
			return path
		}
	}
	if err == nil {
		return found
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is missing", what)
	}
	t.Skipf("SKIPPED, not tested: %s is missing (make deps tells how to get it)", what)
	return ""
}

// server is the real binary as a process.
type server struct {
	t      *testing.T
	binary string
	data   string
	store  string // the flag that says where it keeps its rooms; "": in data
	flags  []string

	cmd               *exec.Cmd
	game, page, admin string
	exited            chan error

	mu     sync.Mutex
	output strings.Builder
}

func startServer(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, binary: build(t, "tickover"), data: t.TempDir()}
	s.start()
	t.Cleanup(func() { s.stop() })
	return s
}

var addresses = regexp.MustCompile(`(Play|Game|Admin) +\w+://([^/ ]+)/`)

// start runs the binary and waits until it has said where it listens.
func (s *server) start() {
	store := s.store
	if store == "" {
		store = "--data=" + s.data
	}
	s.cmd = exec.Command(s.binary, append([]string{"--game-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0", store}, s.flags...)...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	s.cmd.Stderr = writer{s}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ready := make(chan struct{})
	go s.read(stdout, ready)
	select {
	case <-ready:
	case <-time.After(20 * time.Second):
		s.t.Fatalf("the server never said where it listens:\n%s", s.log())
	}
}

func (s *server) read(stdout io.Reader, ready chan struct{}) {
	s.exited = make(chan error, 1)
	found := map[string]string{}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		fmt.Fprintln(writer{s}, lines.Text())
		if m := addresses.FindStringSubmatch(lines.Text()); m != nil && found[m[1]] == "" {
			found[m[1]] = m[2]
			if len(found) == 3 {
				if s.page == "" { // the page stays where it was opened; only the game socket moves
					s.page = found["Play"]
				}
				s.game, s.admin = found["Game"], found["Admin"]
				close(ready)
			}
		}
	}
	s.exited <- s.cmd.Wait()
}

// stop ends the server as an operator does, and waits for it.
func (s *server) stop() {
	if s.cmd == nil {
		return
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-s.exited:
		if err != nil {
			s.t.Errorf("the server ended with %v:\n%s", err, s.log())
		}
	case <-time.After(15 * time.Second):
		s.cmd.Process.Kill()
		s.t.Errorf("the server did not stop:\n%s", s.log())
	}
	s.cmd = nil
}

func (s *server) log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.output.String()
}

type writer struct{ *server }

func (w writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.output.Write(p)
}

// proxy passes TCP on, until it is told to break.
type proxy struct {
	addr   string
	listen net.Listener

	mu     sync.Mutex
	target string
	broken time.Time // refuses until then
	conns  map[net.Conn]struct{}
}

func startProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: l.Addr().String(), listen: l, target: target, conns: map[net.Conn]struct{}{}}
	go p.serve()
	t.Cleanup(func() {
		l.Close()
		p.cut(time.Hour)
	})
	return p
}

func (p *proxy) serve() {
	for {
		c, err := p.listen.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		target, refuse := p.target, time.Now().Before(p.broken)
		p.mu.Unlock()
		if refuse {
			reset(c)
			continue
		}
		go p.pass(c, target)
	}
}

func (p *proxy) pass(c net.Conn, target string) {
	up, err := net.Dial("tcp", target)
	if err != nil {
		reset(c)
		return
	}
	p.mu.Lock()
	p.conns[c], p.conns[up] = struct{}{}, struct{}{}
	p.mu.Unlock()
	go func() {
		io.Copy(up, c)
		up.Close()
	}()
	io.Copy(c, up)
	c.Close()
	p.mu.Lock()
	delete(p.conns, c)
	delete(p.conns, up)
	p.mu.Unlock()
}

// cut resets every connection and refuses new ones for a while.
func (p *proxy) cut(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken = time.Now().Add(d)
	for c := range p.conns {
		reset(c)
	}
}

func (p *proxy) aim(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// reset closes a connection the hard way: the peer gets RST, not FIN.
func reset(c net.Conn) {
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}
