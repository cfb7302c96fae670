package redisconn

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// An address that is understood wrongly sends rooms to another Redis than its operator thinks.
func TestAddressesMeanWhatTheySay(t *testing.T) {
	for _, c := range []struct {
		url  string
		want target
	}{
		{"redis://h", target{addrs: []string{"h:6379"}}},
		{"redis://h:7/3", target{addrs: []string{"h:7"}, db: 3}},
		{"rediss://u:p@h", target{tls: true, addrs: []string{"h:6379"}, username: "u", password: "p"}},
		{"redis://:p%40%2Fq@[::1]:7", target{addrs: []string{"[::1]:7"}, password: "p@/q"}},
		{"redis://[::1]", target{addrs: []string{"[::1]:6379"}}},
		{"redis://:a@b@h", target{addrs: []string{"h:6379"}, password: "a@b"}},
		{"unix:///run/redis.sock?db=2", target{addrs: []string{"/run/redis.sock"}, db: 2}},
		{"unix://u:p@/run/r", target{addrs: []string{"/run/r"}, username: "u", password: "p"}},
		{"redis+sentinel://u:p@a,b:7/main/4", target{kind: kindSentinel, addrs: []string{"a:26379", "b:7"}, master: "main", db: 4, username: "u", password: "p"}},
		{"rediss+sentinel://a/main", target{kind: kindSentinel, tls: true, addrs: []string{"a:26379"}, master: "main"}},
		{"redis+cluster://a,b,c:1", target{kind: kindCluster, addrs: []string{"a:6379", "b:6379", "c:1"}}},
		{"rediss+cluster://:p@a/0", target{kind: kindCluster, tls: true, addrs: []string{"a:6379"}, password: "p"}},
	} {
		got, err := parse(c.url)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %+v, %v; want %+v", c.url, got, err, c.want)
		}
	}
}

// Addresses are typed by people, shown in logs, and hold passwords.
func TestWrongAddressesAreRefusedWithoutTheirPassword(t *testing.T) {
	for _, url := range []string{
		"", "localhost:6379", "http://:hunter2@h", "redis://:hunter2@", "redis://:hunter2@h:port", "redis://:hunter2@h:99999", "redis://:hunter2@h/x",
		"redis://:hunter2%zz@h", "redis://:hunter2@a,b", "redis://:hunter2@h:0", "unix://:hunter2@run/redis.sock", "unix://", "redis+sentinel://:hunter2@h",
		"redis+cluster://:hunter2@h/3", "redisx://:hunter2@h", "redis+what://:hunter2@h", "unix:///run/r?db=hunter", "redis://:hunter2@h/-1",
	} {
		_, err := Open(Config{URL: url})
		if !errors.Is(err, ErrURL) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", url, err)
		}
	}
	c := Config{URL: "redis+sentinel://:hunter2@a,b/main", Password: "hunter3"}
	for _, s := range []string{c.String(), fmt.Sprint(c), fmt.Sprintf("%+v", c), c.LogValue().String()} {
		if s != "sentinel a:26379,b:26379/main" {
			t.Errorf("shown as %q", s)
		}
	}
}

// Every one of these, forgotten, is a fence that nobody set, or a minute of waiting for a dead server.
func TestClientsAreSetUpForAppends(t *testing.T) {
	for _, url := range []string{"redis://h/2", "rediss+sentinel://h/m", "redis+cluster://h"} {
		c := Config{URL: url, Username: "u", Password: "p", TLS: &tls.Config{ServerName: "n"}}
		o, err := c.options(3)
		if err != nil {
			t.Fatal(err)
		}
		simple, failover, cluster := o.Simple(), o.Failover(), o.Cluster()
		if simple.MaxRetries != -1 || failover.MaxRetries != -1 || cluster.MaxRetries != -1 || cluster.MaxRedirects != -1 {
			t.Errorf("%s: retries", url)
		}
		if simple.DialerRetries != 1 || failover.DialerRetries != 1 || cluster.DialerRetries != 1 {
			t.Errorf("%s: dials", url)
		}
		times := []time.Duration{simple.ReadTimeout, simple.WriteTimeout, simple.DialTimeout, simple.PoolTimeout, cluster.ReadTimeout, failover.ReadTimeout}
		if slices.Max(times) != defaultTimeout || slices.Min(times) != defaultTimeout || !simple.ContextTimeoutEnabled || !cluster.ContextTimeoutEnabled {
			t.Errorf("%s: timeouts %v", url, times)
		}
		if simple.Password != "p" || simple.Username != "u" || simple.PoolSize != 3 || simple.PipelinePoolSize >= 0 || !simple.DisableIdentity {
			t.Errorf("%s: %+v", url, simple)
		}
		if secure := strings.HasPrefix(url, "rediss"); secure != (o.TLSConfig != nil) || secure && o.TLSConfig.ServerName != "n" {
			t.Errorf("%s: TLS %+v", url, o.TLSConfig)
		}
	}
}
