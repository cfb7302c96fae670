package rig

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Redis is one redis-server that has everything on its disk before it answers.
type Redis struct {
	process
	Addr string
}

// newRedis makes a server that is not started. Its data is in a folder below dir.
func newRedis(dir string, durable bool) (*Redis, error) {
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf("%w (apt-get install redis-server)", err)
	}
	addrs, err := freeAddrs(1)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "redis")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(addrs[0])
	r := &Redis{Addr: addrs[0]}
	args := []string{"--port", port, "--bind", "127.0.0.1", "--dir", data, "--save", "", "--daemonize", "no"}
	if durable {
		args = append(args, "--appendonly", "yes", "--appendfsync", "always")
	}
	r.process = process{name: "redis", dir: dir, path: binary, args: args}
	return r, nil
}

// Start starts the server and waits until it has read its data.
func (r *Redis) Start(ctx context.Context) error {
	if err := r.start(); err != nil {
		return err
	}
	return eventually(ctx, startup, func() error {
		if !r.alive() {
			return fmt.Errorf("redis-server: %w: %v", errEnded, r.err)
		}
		answer, err := r.Do("PING")
		if err == nil && answer != "+PONG" {
			err = fmt.Errorf("redis answers %s", answer)
		}
		return err
	})
}

// Kill ends the server as kill -9 does, and reports whether it lived.
func (r *Redis) Kill() bool { return r.kill() }

// Pause has the server answer nobody for a while.
func (r *Redis) Pause(d time.Duration) error {
	answer, err := r.Do(fmt.Sprintf("CLIENT PAUSE %d ALL", d.Milliseconds()))
	if err == nil && answer != "+OK" {
		err = fmt.Errorf("redis answers %s", answer)
	}
	return err
}

// Do sends one command as a line, over a connection made for it, and gives the first line of the answer.
func (r *Redis) Do(command string) (string, error) {
	c, err := net.DialTimeout("tcp", r.Addr, time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := fmt.Fprintf(c, "%s\r\n", command); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(line), err
}
