package redisconn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// What Check may find. Each comes as a *CheckError, which says what to do.
var (
	ErrUnreachable = errors.New("does not answer")
	ErrPassword    = errors.New("refuses the user name or password")
	ErrPermission  = errors.New("does not permit this user a command that is needed")
	ErrWrongMode   = errors.New("is something else than the address says")
	ErrNotMaster   = errors.New("is a replica")
	ErrTooOld      = errors.New("is too old")
	ErrEviction    = errors.New("may evict keys that must not be lost")
	ErrLoading     = errors.New("is still loading its data")
)

// CheckError is why a Redis cannot be used.
type CheckError struct {
	Server string // its address
	Reason error  // one of the errors above
	Advice string // what to do about it
	Err    error  // what Redis or the network said; may be nil
}

func (e *CheckError) Error() string {
	s := fmt.Sprintf("redis at %s %s: %s", e.Server, e.Reason, e.Advice)
	if e.Err != nil {
		s += fmt.Sprintf(" (%s)", e.Err)
	}
	return s
}

// Unwrap gives the reason and what is behind it.
func (e *CheckError) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Reason}
	}
	return []error{e.Reason, e.Err}
}

// Report is what Check found out.
type Report struct {
	Version  string // of the oldest server
	Servers  int    // that are masters
	Embedded bool   // it is miniredis, of which nothing more can be known
	Warnings []string
}

// oldest is the version from which on Redis can do what is needed here; it has CLUSTER SHARDS and INFO of several sections.
const oldest = 7

// Check looks whether the Redis behind a client answers, is meant by its address, and keeps what it is given. It asks each master.
func Check(ctx context.Context, client redis.UniversalClient) (Report, error) {
	var mu sync.Mutex
	var report Report // guarded by mu
	_, isCluster := client.(*redis.ClusterClient)
	where := "the addresses given"
	err := eachMaster(ctx, client, func(ctx context.Context, addr string, c *redis.Client) error {
		in, embedded, err := ask(ctx, c, "server", "memory", "replication", "persistence")
		if err != nil {
			return explain(addr, err)
		}
		mu.Lock()
		defer mu.Unlock()
		report.Servers++
		if embedded {
			report.Embedded = true
			return nil
		}
		if p := in.problem(addr, isCluster); p != nil {
			return p
		}
		report.add(addr, in)
		return nil
	})
	if err != nil {
		if _, known := errors.AsType[*CheckError](err); !known {
			err = explain(where, err)
		}
		return Report{}, err
	}
	if report.Servers == 0 {
		return Report{}, &CheckError{where, ErrUnreachable, "the Cluster has no masters yet: form it, or wait", nil}
	}
	slices.Sort(report.Warnings)
	return report, nil
}

func (r *Report) add(addr string, in info) {
	if v := in["redis_version"]; r.Version == "" || major(v) < major(r.Version) {
		r.Version = v
	}
	if p := in["maxmemory_policy"]; strings.HasPrefix(p, "volatile-") {
		r.Warnings = append(r.Warnings, fmt.Sprintf("redis at %s: maxmemory-policy %s may drop sessions and leases early when memory is short: set noeviction", addr, p))
	}
	if in["aof_enabled"] == "0" {
		r.Warnings = append(r.Warnings, fmt.Sprintf("redis at %s: appendonly is off: a restart of Redis loses what it held", addr))
	}
}

func major(version string) int {
	s, _, _ := strings.Cut(version, ".")
	n, _ := strconv.Atoi(s)
	return n
}

// problem is why a server that answers cannot be used, or nil.
func (in info) problem(addr string, wantCluster bool) error {
	version, policy := in["redis_version"], in["maxmemory_policy"]
	switch mode := in["redis_mode"]; {
	case mode == "sentinel":
		return &CheckError{addr, ErrWrongMode, "this is a Sentinel: use redis+sentinel://host/master-name", nil}
	case mode == "cluster" && !wantCluster:
		return &CheckError{addr, ErrWrongMode, "this is part of a Cluster: use redis+cluster://", nil}
	case major(version) < oldest:
		return &CheckError{addr, ErrTooOld, fmt.Sprintf("version %q, needed is %d.0 or newer", version, oldest), nil}
	case in["loading"] == "1":
		return &CheckError{addr, ErrLoading, "try again in a while", nil}
	case in["role"] == "slave":
		return &CheckError{addr, ErrNotMaster, fmt.Sprintf("give the address of its master (%s:%s), or of the Sentinels", in["master_host"], in["master_port"]), nil}
	case strings.HasPrefix(policy, "allkeys-"):
		return &CheckError{addr, ErrEviction, fmt.Sprintf("maxmemory-policy is %s: set it to noeviction", policy), nil}
	}
	return nil
}

// explain says what an error of a connection or a first command means.
func explain(addr string, err error) error {
	reason, advice := ErrUnreachable, "look whether the address is right and the server is running"
	switch text := err.Error(); {
	case redis.IsAuthError(err), strings.Contains(text, "without any password configured"):
		reason, advice = ErrPassword, "look at the user name and password of its address; one without password wants none"
	case redis.IsPermissionError(err):
		reason, advice = ErrPermission, "permit it: ACL SETUSER, see the error's end for the command"
	case redis.IsLoadingError(err):
		reason, advice = ErrLoading, "try again in a while"
	case errors.Is(err, redis.Nil):
		reason, advice = ErrWrongMode, "the Sentinels know no master of that name: look at SENTINEL MASTERS"
	case strings.Contains(text, "cluster support disabled"):
		reason, advice = ErrWrongMode, "this is not a Cluster: use redis://"
	case strings.Contains(text, "unknown command"):
		reason, advice = ErrWrongMode, "it does not know a command of Redis 7: what is it?"
	case redis.IsMaxClientsError(err):
		advice = "it has as many clients as it takes: raise maxclients"
	}
	return &CheckError{addr, reason, advice, err}
}
