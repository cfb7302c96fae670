package redisconn

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Config says how to reach Redis. The zero value of everything but URL is fit for use.
type Config struct {
	URL string // see the package comment

	// Username and Password stand in for those of the URL, if there is a password: one in an environment variable or a file is not
	// shown to everybody who lists processes.
	Username, Password string

	// SentinelUsername and SentinelPassword are for Sentinels that ask for a password of their own. Default: none.
	SentinelUsername, SentinelPassword string

	TLS *tls.Config // for rediss; nil: the system's authorities, TLS 1.2 or newer

	// Timeout bounds a dial, the wait for an answer, and the wait for a connection, each. A dead server is noticed after this time
	// or, if it does not even answer dials, twice that. 1.5 s: an append waits for a disk that is busy for a second, but a player
	// should not wait longer before being told.
	Timeout time.Duration

	// Conns bounds the connections to each server. 8, of some 100 KB each; 2 of OpenBlocking.
	Conns int

	Name string // as which the connections are known to the server (CLIENT LIST)
}

// ErrURL is an address that this package cannot make sense of.
var ErrURL = errors.New("redisconn: wrong address")

const (
	defaultTimeout  = 1500 * time.Millisecond
	defaultConns    = 8
	defaultBlocking = 2
)

// kind of set-up that an address means.
type kind uint8

const (
	kindServer kind = iota
	kindSentinel
	kindCluster
)

// target is a parsed address.
type target struct {
	kind               kind
	tls                bool
	addrs              []string
	master             string
	db                 int
	username, password string
}

// Validate tells what is wrong with the address, as Open would.
func (c Config) Validate() error {
	_, err := c.options(1)
	return err
}

// LogValue shows where, not with which password.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// String is the address without its password.
func (c Config) String() string {
	t, err := parse(c.URL)
	if err != nil {
		return "(wrong address)"
	}
	switch where := strings.Join(t.addrs, ","); t.kind {
	case kindSentinel:
		return "sentinel " + where + "/" + t.master
	case kindCluster:
		return "cluster " + where
	default:
		return where
	}
}

// parse takes an address apart. Its errors do not quote the address: there may be a password in it.
func parse(address string) (t target, err error) {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		return t, fmt.Errorf("%w: it does not start with redis:// or one of its kin", ErrURL)
	}
	base, secure := strings.CutPrefix(scheme, "rediss")
	if !secure {
		base = strings.TrimPrefix(scheme, "redis")
	}
	t.tls = secure
	port := "6379"
	switch {
	case scheme == "unix":
	case base == "":
	case base == "+sentinel":
		t.kind, port = kindSentinel, "26379"
	case base == "+cluster":
		t.kind = kindCluster
	default:
		return t, fmt.Errorf("%w: unknown scheme %q; known are redis, rediss, unix, redis+sentinel, redis+cluster", ErrURL, scheme)
	}
	// net/url knows one host: the list is parsed here, and an "x" stands in for it there.
	end := len(rest)
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		end = i
	}
	user, hosts := "", rest[:end]
	if i := strings.LastIndexByte(hosts, '@'); i >= 0 {
		user, hosts = hosts[:i+1], hosts[i+1:]
	}
	u, err := url.Parse("redis://" + user + "x" + rest[end:])
	if err != nil {
		return t, fmt.Errorf("%w: a part of it cannot be read; in names and passwords, write characters such as / @ # %% as %%2F %%40 %%23 %%25", ErrURL)
	}
	t.username = u.User.Username()
	t.password, _ = u.User.Password()
	if scheme == "unix" {
		if t.tls = false; hosts != "" || u.Path == "" {
			return t, fmt.Errorf("%w: unix:// wants an absolute path, as in unix:///run/redis.sock", ErrURL)
		}
		t.addrs = []string{u.Path}
		return t, t.parseDB(u.Query().Get("db"))
	}
	if t.addrs, err = addresses(hosts, port); err != nil {
		return t, err
	}
	return t, t.parsePath(strings.Trim(u.Path, "/"))
}

func addresses(hosts, port string) (list []string, err error) {
	for host := range strings.SplitSeq(hosts, ",") {
		if _, _, err := net.SplitHostPort(host); err != nil {
			host = net.JoinHostPort(strings.Trim(host, "[]"), port)
		}
		h, p, err := net.SplitHostPort(host)
		if n, portErr := strconv.ParseUint(p, 10, 16); err != nil || portErr != nil || n == 0 || h == "" {
			return nil, fmt.Errorf("%w: %q is not host:port", ErrURL, host)
		}
		list = append(list, host)
	}
	return list, nil
}

// parsePath reads what stands behind the hosts: a database, or a master's name and a database.
func (t *target) parsePath(path string) error {
	switch t.kind {
	case kindCluster:
		if path != "" && path != "0" {
			return fmt.Errorf("%w: a Cluster has no databases to choose from", ErrURL)
		}
		return nil
	case kindSentinel:
		t.master, path, _ = strings.Cut(path, "/")
		if t.master == "" {
			return fmt.Errorf("%w: behind the Sentinels stands the master's name, as in redis+sentinel://host/mymaster", ErrURL)
		}
	default:
		if len(t.addrs) > 1 {
			return fmt.Errorf("%w: several servers are redis+sentinel:// or redis+cluster://", ErrURL)
		}
	}
	return t.parseDB(path)
}

func (t *target) parseDB(s string) error {
	if s == "" {
		return nil
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return fmt.Errorf("%w: database %q is not a number", ErrURL, s)
	}
	t.db = int(n)
	return nil
}

// options is how all our clients are set up.
func (c Config) options(conns int) (*redis.UniversalOptions, error) {
	t, err := parse(c.URL)
	if err != nil {
		return nil, err
	}
	if c.Password != "" {
		t.username, t.password = c.Username, c.Password
	}
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	o := &redis.UniversalOptions{
		Addrs: t.addrs, IsClusterMode: t.kind == kindCluster, MasterName: t.master, DB: t.db,
		Username: t.username, Password: t.password, SentinelUsername: c.SentinelUsername, SentinelPassword: c.SentinelPassword,
		ClientName: c.Name,

		MaxRetries: -1, MaxRedirects: -1, DialerRetries: 1, // see the package comment
		DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout, PoolTimeout: timeout,
		ContextTimeoutEnabled: true,

		PoolSize: conns, MaxActiveConns: conns,
		PipelinePoolSize: -1,       // a second pool would mean a second dial to a dead server for each pipeline
		WriteBufferSize:  64 << 10, // a pipeline is one or two writes

		DisableIdentity:          true, // CLIENT SETINFO is of Redis 7.2
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if t.tls {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		if c.TLS != nil {
			o.TLSConfig = c.TLS.Clone()
		}
	}
	return o, nil
}
