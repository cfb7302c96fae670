package local

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"tickover.dev/redisconn"
)

// Config says what a local cluster is made of. The tags are its flags.
type Config struct {
	Nodes    int           `help:"How many nodes, 1 to 16." default:"3"`
	GameAddr string        `help:"Where game clients connect: a balancer passes them on to the nodes in turn." default:":7777"`
	HTTPAddr string        `name:"http-addr" help:"Where the page is served. Its buttons answer to browsers of this machine only." default:":7778"`
	Redis    string        `help:"Use this Redis. Default: an own redis-server, or an embedded one if there is none in the PATH." placeholder:"URL"`
	Data     string        `help:"Have the own redis-server keep everything in this folder. Default: it keeps nothing." placeholder:"DIR"`
	Restart  time.Duration `help:"How long after its death a node is started again; 0: never." default:"2s"`
	LogLevel slog.Level    `help:"Least level of what the nodes log: debug, info, warn, error." default:"error"`

	// Set by programs, not by flags.
	Command []string   `kong:"-"` // starts a node, if flags of serve are added; default: this program with serve
	Page    fs.FS      `kong:"-"` // the page's files, index.html among them
	Version string     `kong:"-"` // of this program, for people
	LAN     netip.Addr `kong:"-"` // where phones find this machine, if anywhere
}

// mostNodes is what a person can look at, and more than a machine is good for.
const mostNodes = 16

// Validate joins everything that is wrong with the configuration.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Nodes < 1 || c.Nodes > mostNodes {
		bad("--nodes %d: want 1 to %d", c.Nodes, mostNodes)
	}
	for _, a := range []struct{ flag, addr string }{{"--game-addr", c.GameAddr}, {"--http-addr", c.HTTPAddr}} {
		if _, err := net.ResolveTCPAddr("tcp", a.addr); err != nil {
			bad("%s %q: want HOST:PORT: %w", a.flag, a.addr, err)
		}
	}
	if c.Redis != "" {
		if err := (redisconn.Config{URL: c.Redis}).Validate(); err != nil {
			bad("--redis: %w", err)
		}
		if c.Data != "" {
			bad("--data and --redis: the folder is that of an own redis-server")
		}
	}
	if c.Restart < 0 || c.Restart > time.Hour {
		bad("--restart %s: want 0 to 1h", c.Restart)
	}
	return errors.Join(errs...)
}
