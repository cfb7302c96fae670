package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// startup bounds how long a process may take until it is ready, on a machine that is busy.
const startup = 20 * time.Second

// Node is one tickover process.
type Node struct {
	process
	Name              string
	Game, HTTP, admin string // addresses
	Wire              *Wire  // to Redis; nil: it keeps everything in memory
	drain             time.Duration
}

// newNode makes a node that is not started. redis is where it finds Redis, "": it has none.
func newNode(binary, dir, name, redis string, drain time.Duration) (*Node, error) {
	addrs, err := freeAddrs(3)
	if err != nil {
		return nil, err
	}
	n := &Node{Name: name, Game: addrs[0], HTTP: addrs[1], admin: addrs[2], drain: drain}
	n.process = process{name: name, dir: dir, path: binary, args: []string{
		"serve", "--game-addr", n.Game, "--http-addr", n.HTTP, "--admin-addr", n.admin, "--drain", drain.String(),
	}}
	if redis != "" {
		n.args = append(n.args, "--name", name, "--redis", "redis://"+redis)
	}
	return n, nil
}

// Start starts the node and waits until it is ready.
func (n *Node) Start(ctx context.Context) error {
	if err := n.Launch(); err != nil {
		return err
	}
	return n.AwaitReady(ctx)
}

// Launch starts the node and waits for nothing.
func (n *Node) Launch() error { return n.start() }

// AwaitReady waits until the node says that it takes players.
func (n *Node) AwaitReady(ctx context.Context) error {
	err := eventually(ctx, startup, func() error {
		if !n.alive() {
			return fmt.Errorf("%w: %v", errEnded, n.err)
		}
		return n.Ready()
	})
	if err != nil {
		return fmt.Errorf("%s is not ready: %w", n.Name, err)
	}
	return nil
}

// Alive reports whether the process lives, be it frozen.
func (n *Node) Alive() bool { return n.alive() }

// Ready asks the node whether it takes players.
func (n *Node) Ready() error {
	body, err := get("http://" + n.admin + "/readyz")
	if err != nil {
		return fmt.Errorf("%s: %w: %s", n.Name, err, body)
	}
	return nil
}

// Metrics reads the node's metrics as text.
func (n *Node) Metrics() (string, error) { return get("http://" + n.admin + "/metrics") }

// Record writes what the node says of itself, its metrics and its goroutines, to files beside its log.
func (n *Node) Record(when string) error {
	var errs []error
	for name, path := range map[string]string{"metrics": "/metrics", "goroutines": "/debug/pprof/goroutine?debug=1"} {
		text, err := get("http://" + n.admin + path)
		if err == nil {
			err = os.WriteFile(filepath.Join(n.dir, fmt.Sprintf("%s-%s-%s.txt", n.Name, name, when)), []byte(text), 0o600)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Rooms is how many rooms the node has.
func (n *Node) Rooms() (rooms int, err error) {
	text, err := n.Metrics()
	for line := range strings.Lines(text) {
		if labels, value, ok := strings.Cut(strings.TrimSpace(line), "} "); ok && strings.HasPrefix(labels, "tickover_rooms{") {
			of, numErr := strconv.Atoi(value)
			rooms += of
			err = errors.Join(err, numErr)
		}
	}
	return rooms, err
}

// CPU is what the process has used of all processors since it was started.
func (n *Node) CPU() (time.Duration, error) { return n.cpu() }

// Kill ends the node as kill -9 does. It reports whether that is what ended it.
func (n *Node) Kill() bool { return n.kill() }

// Freeze stops the process without ending it; Thaw has it go on. Both report whether it lived.
func (n *Node) Freeze() bool { return n.signal(syscall.SIGSTOP) }

// Thaw ends a Freeze.
func (n *Node) Thaw() bool { return n.signal(syscall.SIGCONT) }

// Drain asks the node to end in order, and does not wait.
func (n *Node) Drain() bool {
	n.expected.Store(true)
	return n.signal(syscall.SIGTERM)
}

// AwaitEnd waits until a node that was asked to has ended in order, within its own bound and a little.
func (n *Node) AwaitEnd() error { return n.wait(n.drain + 2*time.Second) }

var quick = &http.Client{
	Timeout: time.Second,
	Transport: &http.Transport{
		DisableKeepAlives: true, // a connection to a process that has died since is of no use
		DialContext:       (&net.Dialer{Timeout: time.Second}).DialContext,
	},
}

// get gives the body of what answers at a URL; an error if that is not 200.
func get(url string) (string, error) {
	r, err := quick.Get(url)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
	if err == nil && r.StatusCode != http.StatusOK {
		err = errors.New(r.Status)
	}
	return string(body), err
}
