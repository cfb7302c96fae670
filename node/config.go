package node

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"tickover.dev/rooms"
	"tickover.dev/sessions"
)

// Config says how a node runs. The tags are its flags and, with TICKOVER_ in front, its environment: --game-addr is
// TICKOVER_GAME_ADDR.
type Config struct {
	GameAddr  string `help:"Where game clients connect by WebSocket." default:":7777" placeholder:"HOST:PORT"`
	HTTPAddr  string `name:"http-addr" help:"Where the page and the HTTP API are served." default:":7778" placeholder:"HOST:PORT"`
	AdminAddr string `help:"Where health, metrics and profiles are served. Keep it private." default:"127.0.0.1:7779" placeholder:"HOST:PORT"`

	PublicSocket string `help:"The game socket's URL as browsers reach it, if that is not this host and port." placeholder:"WS-URL"`
	Data         string `help:"Keep rooms and sessions in this folder over an orderly stop and start." placeholder:"DIR"`
	JWTKey       string `name:"jwt-key" help:"Take only players with a JSON web token signed (HS256) with this key of at least 32 bytes." placeholder:"KEY"`

	Loops  int `help:"Event loops for sockets (0: half the processors)." default:"0"`
	Shards int `help:"Goroutines that step rooms (0: one per processor)." default:"0"`
	Conns  int `help:"Connections taken at most (0: as many as descriptors allow)." default:"0"`

	Drain     time.Duration `help:"How long an orderly stop may take." default:"10s"`
	LogLevel  slog.Level    `help:"Least level that is logged: debug, info, warn, error." default:"info"`
	LogFormat string        `help:"Format of the log: text or json." enum:"text,json" default:"text"`

	// Set by programs, not by flags.
	Kinds        []rooms.Kind          `kong:"-"`
	Authenticate sessions.Authenticate `kong:"-"` // instead of guests or JWTKey
	Log          *slog.Logger          `kong:"-"`
}

// Validate joins everything that is wrong with the configuration and the kinds.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, a := range []struct{ flag, addr string }{{"--game-addr", c.GameAddr}, {"--http-addr", c.HTTPAddr}, {"--admin-addr", c.AdminAddr}} {
		if _, err := net.ResolveTCPAddr("tcp", a.addr); err != nil {
			bad("%s %q: want HOST:PORT: %w", a.flag, a.addr, err)
		}
	}
	if u, err := url.Parse(c.PublicSocket); c.PublicSocket != "" && (err != nil || u.Host == "" || u.Scheme != "ws" && u.Scheme != "wss") {
		bad("--public-socket %q: want ws://HOST/ or wss://HOST/", c.PublicSocket)
	}
	if c.Loops < 0 || c.Loops > 64 {
		bad("--loops %d: want 0 to 64", c.Loops)
	}
	if c.Shards < 0 || c.Shards > 1024 {
		bad("--shards %d: want 0 to 1024", c.Shards)
	}
	if c.Conns < 0 {
		bad("--conns %d: must not be negative", c.Conns)
	}
	if c.Drain < 0 || c.Drain > time.Hour {
		bad("--drain %s: want 0 to 1h", c.Drain)
	}
	if c.JWTKey != "" {
		if _, err := sessions.HS256([]byte(c.JWTKey)); err != nil {
			bad("--jwt-key: %w", err)
		}
		if c.Authenticate != nil {
			bad("--jwt-key: this program brings its own authentication")
		}
	}
	if c.Data != "" {
		if err := writable(c.Data); err != nil {
			bad("--data: %w", err)
		}
	}
	errs = append(errs, c.checkKinds()...)
	return errors.Join(errs...)
}

// checkKinds gives everything that is wrong with the kinds, each of which has its own list.
func (c *Config) checkKinds() (errs []error) {
	known := map[string]bool{}
	for i := range c.Kinds {
		k := &c.Kinds[i]
		if err := k.Err(); err != nil {
			errs = append(errs, err)
		} else if known[k.Name] {
			errs = append(errs, fmt.Errorf("kind %q is defined twice", k.Name))
		}
		known[k.Name] = true
	}
	if len(c.Kinds) == 0 {
		errs = append(errs, errors.New("no kind of room is defined"))
	}
	return errs
}

// writable makes the folder and tries a file in it.
func writable(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	probe := filepath.Join(dir, ".probe")
	if err := os.WriteFile(probe, nil, 0o600); err != nil {
		return err
	}
	return os.Remove(probe)
}
