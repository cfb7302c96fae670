package node

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tickover.dev/engine"
	"tickover.dev/redisconn"
	"tickover.dev/rooms"
	"tickover.dev/sessions"
)

// Config says how a node runs. The tags are its flags and, with TICKOVER_ in front, its environment: --game-addr is
// TICKOVER_GAME_ADDR. A program that makes one itself must set Drain; what else is left zero is as if the flag was not given, the
// addresses apart, which are then any free port.
type Config struct {
	GameAddr  string `help:"Where game clients connect by WebSocket." default:":7777"`
	HTTPAddr  string `name:"http-addr" help:"Where the page and the HTTP API are served." default:":7778"`
	AdminAddr string `help:"Where health, metrics and profiles are served. Keep it private." default:"127.0.0.1:7779"`

	PublicSocket string   `help:"The game socket's URL as browsers reach it, if that is not this host and port." placeholder:"WS-URL"`
	Origins      []string `help:"Pages that may connect besides those of this host, as https://HOST; * for all. Clients that are no browsers always may." placeholder:"ORIGIN"`
	Data         string   `help:"Keep rooms and sessions in this folder over an orderly stop and start." placeholder:"DIR"`
	Redis        string   `help:"Redis (7.0 or newer) that keeps rooms and sessions, also when this node dies, and that its nodes share: redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://. Prefer the environment if there is a password in it." placeholder:"URL"`
	Peer         string   `help:"Where other nodes of one Redis watch this one's process, to know at once when it ends. If the default port is taken, any free one." default:":7780"`
	Advertise    string   `help:"This node's host name or address as other nodes reach it. Default: the host of --peer, or this machine's private address." placeholder:"HOST"`
	Name         string   `help:"This node's name among those of one Redis. Default: the host's, and the game port." placeholder:"NAME"`
	JWTKey       string   `name:"jwt-key" help:"Take only players with a JSON web token signed with this key of at least 32 bytes (HS256; sub (1-64 bytes) is the player, name is shown, exp is required). A token is looked at when a session begins: the session then resumes with a secret of its own, also after the token's exp. Prefer --jwt-key-file or the environment: others on this machine see flags." placeholder:"KEY"`
	JWTKeyFile   string   `name:"jwt-key-file" help:"The same, with the key in a file; space around it is cut off." placeholder:"FILE"`

	APIKey     string `name:"api-key" help:"Key of at least 32 bytes with which the HTTP API does everything: as Authorization: Bearer KEY. Without it, and without a key for players' tokens, everybody may. Prefer --api-key-file or the environment." placeholder:"KEY"`
	APIKeyFile string `name:"api-key-file" help:"The same, with the key in a file; space around it is cut off." placeholder:"FILE"`

	Loops  int `help:"Event loops for sockets (0: half the processors)." default:"0"`
	Shards int `help:"Goroutines that step rooms (0: one per processor)." default:"0"`
	Conns  int `help:"Connections taken at most (0: as many as descriptors allow)." default:"0"`

	ShadowEvery int `help:"Of the histories of rooms with durability replay, step every so manieth stretch again, aside, to find games that are not deterministic before a take-over does. It takes a twentieth of a processor at most. 1: all, -1: none; 0: all without --redis, every 16th with it." default:"0"`

	ConnsPerAddress int `help:"Connections that one address (of IPv6: one /64) may hold, and open at once; a sixteenth of that a second after such a burst. Loopback and private addresses, as of proxies, are not counted. 0: a quarter of --conns, 64 to 1024; -1: no bound." default:"0"`

	TrustProxy []string `help:"Networks of load balancers whose PROXY protocol headers (version 2) are believed, as 10.0.0.0/8. Headers from elsewhere are refused." placeholder:"CIDR"`

	Drain     time.Duration `help:"How long an orderly stop may take, more than 0." default:"10s"`
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
	} else if most, err := engine.MostConns(); err == nil && c.Conns > most {
		bad("--conns %d: the limit of open files allows %d (ulimit -n)", c.Conns, most)
	}
	if c.ConnsPerAddress < -1 {
		bad("--conns-per-address %d: want -1 or more", c.ConnsPerAddress)
	}
	if c.ShadowEvery < -1 {
		bad("--shadow-every %d: want -1 or more", c.ShadowEvery)
	}
	if c.Drain <= 0 || c.Drain > time.Hour {
		bad("--drain %s: want more than 0, and at most 1h", c.Drain)
	}
	if c.LogFormat != "" && c.LogFormat != "text" && c.LogFormat != "json" {
		bad("--log-format %q: want text or json", c.LogFormat)
	}
	for _, o := range c.Origins {
		if err := checkOrigin(o); err != nil {
			errs = append(errs, err)
		}
	}
	if _, err := c.trusted(); err != nil {
		errs = append(errs, err)
	}
	if _, err := c.authenticate(); err != nil {
		errs = append(errs, err)
	}
	if _, err := c.apiKey(); err != nil {
		errs = append(errs, err)
	}
	if c.Data != "" {
		if err := writable(c.Data); err != nil {
			bad("--data: %w", err)
		}
	}
	if c.Redis != "" {
		if err := c.redis().Validate(); err != nil {
			bad("--redis: %w", err)
		}
		if c.Data != "" {
			bad("--data and --redis: rooms are kept in one place only")
		}
	}
	if c.Name != "" && !rooms.ValidName(c.Name) {
		bad("--name %q: want at most 64 letters, digits, '-', '_', '.'", c.Name)
	}
	errs = append(errs, c.checkKinds()...)
	return errors.Join(errs...)
}

// productionShadows is every how manieth stretch is replayed where players play: enough to find in an hour what differs at every fourth
// snapshot, and little memory.
const productionShadows = 16

// shadowEvery is what the host is told of shadows: 0 is none.
func (c *Config) shadowEvery() int {
	switch {
	case c.ShadowEvery != 0:
		return max(c.ShadowEvery, 0)
	case c.Redis == "":
		return 1
	}
	return productionShadows
}

// redis is how Redis is reached.
func (c *Config) redis() redisconn.Config { return redisconn.Config{URL: c.Redis, Name: "tickover"} }

// trusted gives what decides whose PROXY headers are believed, or everything that is wrong with the networks; nil: nobody's.
func (c *Config) trusted() (func(netip.Addr) bool, error) {
	var errs []error
	var networks []netip.Prefix
	for _, s := range c.TrustProxy {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			errs = append(errs, fmt.Errorf("--trust-proxy %q: want a network, as 10.0.0.0/8", s))
		}
		networks = append(networks, p.Masked())
	}
	if len(networks) == 0 {
		return nil, errors.Join(errs...)
	}
	return func(a netip.Addr) bool {
		return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) })
	}, errors.Join(errs...)
}

// guests reports whether everybody is let in.
func (c *Config) guests() bool { return c.Authenticate == nil && c.JWTKey == "" && c.JWTKeyFile == "" }

// authenticate gives what decides who a player is, or everything that is wrong with that.
func (c *Config) authenticate() (sessions.Authenticate, error) {
	if c.guests() {
		return sessions.Guest, nil
	}
	var errs []error
	bad := func(flag string, err error) { errs = append(errs, fmt.Errorf("%s: %w", flag, err)) }
	auth := c.Authenticate
	for _, source := range []struct{ flag, value string }{{"--jwt-key", c.JWTKey}, {"--jwt-key-file", c.JWTKeyFile}} {
		if source.value == "" {
			continue
		}
		key := []byte(source.value)
		if source.flag == "--jwt-key-file" {
			b, err := os.ReadFile(source.value)
			if err != nil {
				bad(source.flag, err)
				continue
			}
			key = bytes.TrimSpace(b)
		}
		made, err := sessions.HS256(key)
		if err != nil {
			bad(source.flag, err)
		}
		if c.Authenticate != nil {
			bad(source.flag, errors.New("this program brings its own authentication"))
			continue
		}
		auth = made
	}
	if c.JWTKey != "" && c.JWTKeyFile != "" {
		bad("--jwt-key-file", errors.New("there is a --jwt-key already"))
	}
	return auth, errors.Join(errs...)
}

// checkKinds gives everything that is wrong with the kinds, each of which has its own list.
func (c *Config) checkKinds() (errs []error) {
	known := map[string]bool{}
	for i := range c.Kinds {
		k := &c.Kinds[i]
		if err := k.Err(); err != nil {
			errs = append(errs, indented{err})
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

// indented is an error of many lines, those behind the first below it.
type indented struct{ error }

// Error implements error.
func (i indented) Error() string {
	head, rest, more := strings.Cut(i.error.Error(), "\n")
	if !more {
		return head
	}
	lines := strings.Split(rest, "\n")
	for n, line := range lines {
		lines[n] = "  " + strings.TrimSpace(line)
	}
	return head + "\n" + strings.Join(lines, "\n")
}

// Unwrap gives the error itself.
func (i indented) Unwrap() error { return i.error }
