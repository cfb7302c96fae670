package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// HAProxy stands before the nodes' game sockets, with the configuration that the product comes with.
type HAProxy struct {
	process
	Addr    string // of the game socket
	Page    string // its address
	control string // a Unix socket
}

// newHAProxy makes a balancer that is not started. The configuration reads addresses from the environment.
func newHAProxy(config, dir string, nodes []*Node) (*HAProxy, error) {
	binary, err := exec.LookPath("haproxy")
	if err != nil {
		if binary, err = exec.LookPath("/usr/sbin/haproxy"); err != nil {
			return nil, errors.New("haproxy is neither in the PATH nor in /usr/sbin (apt-get install haproxy)")
		}
	}
	if config, err = filepath.Abs(config); err != nil {
		return nil, err
	}
	addrs, err := freeAddrs(2)
	if err != nil {
		return nil, err
	}
	h := &HAProxy{Addr: addrs[0], Page: addrs[1], control: filepath.Join(dir, "haproxy.sock")}
	h.process = process{
		name: "haproxy", dir: dir, path: binary, args: []string{"-db", "-f", config},
		env: balancerEnv(addrs[0], addrs[1], h.control, nodes),
	}
	return h, nil
}

// balancerEnv is what deploy/haproxy.cfg takes from its environment.
func balancerEnv(game, page, control string, nodes []*Node) []string {
	env := []string{"GAME_BIND=" + game, "PAGE_BIND=" + page, "STATS_SOCKET=" + control}
	for i, n := range nodes {
		env = append(env, fmt.Sprintf("NODE_%d=%s", i+1, n.Game), fmt.Sprintf("NODE_%d_PAGE=%s", i+1, n.HTTP))
	}
	return env
}

// Start starts the balancer and waits until it knows that all its servers are up.
func (h *HAProxy) Start(ctx context.Context) error {
	if err := h.start(); err != nil {
		return err
	}
	return eventually(ctx, startup, func() error {
		if !h.alive() {
			return fmt.Errorf("haproxy: %w: %v", errEnded, h.err)
		}
		_, err := h.Servers()
		return err
	})
}

// Servers tells at which server each of the balancer's clients is, by the client's address.
func (h *HAProxy) Servers() (map[string]string, error) {
	answer, err := h.ask("show sess")
	return parseSessions(answer), err
}

// ask sends one command to the control socket.
func (h *HAProxy) ask(command string) (string, error) {
	c, err := net.DialTimeout("unix", h.control, time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := fmt.Fprintln(c, command); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(c)
	return string(answer), err
}

// parseSessions reads lines of "show sess":
//
//	0x55d: proto=tcpv4 src=127.0.0.1:50000 fe=game be=game_nodes srv=node-1 ts=00 …
func parseSessions(text string) map[string]string {
	servers := map[string]string{}
	for line := range strings.Lines(text) {
		var src, srv string
		for field := range strings.FieldsSeq(line) {
			if v, ok := strings.CutPrefix(field, "src="); ok {
				src = v
			}
			if v, ok := strings.CutPrefix(field, "srv="); ok {
				srv = v
			}
		}
		if src != "" && srv != "" && srv != "<none>" {
			servers[src] = srv
		}
	}
	return servers
}
