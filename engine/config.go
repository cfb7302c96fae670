package engine

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Config says what a server accepts and how much it holds. The zero value of every field but New is usable.
type Config struct {
	// Addr is the TCP address to listen on, "host:port". Port 0 takes a free one (Server.Addr tells). Default ":0".
	Addr string

	// Loops is the number of event loops. Default max(1, GOMAXPROCS/2): the other half is for the game.
	Loops int

	// Path is the required path of the handshake; anything else is answered 404. Empty accepts any.
	Path string

	// Subprotocol is required in the handshake, echoed, and answered 400 when missing. Empty asks for none.
	Subprotocol string

	// Allow, if set, sees every handshake that is right otherwise; its error is answered 403. It is called on loops and
	// must not block. Nil lets in every origin, which is right where there is nothing to protect.
	Allow func(Opening) error

	// RejectText closes senders of text messages with CodeUnsupported.
	RejectText bool

	// MaxMessageBytes bounds one inbound message, all its fragments together; beyond it the sender is closed with
	// CodeTooBig as soon as a header claims it. A connection costs up to this much while a message is incomplete.
	// Default 16 KiB.
	MaxMessageBytes int

	// MaxBacklogBytes bounds what waits in this process for one connection, frames included; beyond it the
	// connection is closed with BacklogCode. The kernel holds SendBufferBytes more. Default 256 KiB.
	MaxBacklogBytes int

	// BacklogCode is the close code for a full backlog. Default CodeBacklog.
	BacklogCode uint16

	// MaxExtraFrames bounds the frames a second that are no whole message: pings, pongs, fragments. Beyond it the
	// sender is closed with CodePolicy, as they cost as much as messages and reach no handler that could count them.
	// Default 250; negative: no bound.
	MaxExtraFrames int

	// MaxConns bounds open connections, those in the handshake included; beyond it a connection is answered 503
	// with Retry-After. Default: the descriptor limit, raised as far as the process may, less a reserve of
	// 64 + 5 % for everything else.
	MaxConns int

	// MaxConnsPerAddr bounds the open connections of one remote address, of IPv6 of one /64, and those it opens at once; after such a
	// burst it may open a sixteenth of that a second. Beyond it a connection is answered 429 with Retry-After. An address costs some
	// 150 bytes while it has connections and for 16 s after that. Default: a quarter of MaxConns, at least 64 and at most 1024, as many
	// players may share one address; negative: no bound.
	MaxConnsPerAddr int

	// Exempt says which addresses MaxConnsPerAddr is not for. Default: loopback, private and link-local ones.
	Exempt func(netip.Addr) bool

	// TrustProxy says whose PROXY protocol headers (version 2) are believed; they may come from no other address. Default: nobody's.
	TrustProxy func(netip.Addr) bool

	// MaxHandshakeBytes bounds the request line and headers; beyond it the answer is 431. Default 8 KiB.
	MaxHandshakeBytes int

	// HandshakeTimeout bounds the time from accept to a complete request; then the answer is 408. Default 5 s.
	HandshakeTimeout time.Duration

	// SilenceTimeout closes a connection with CodeSilence that sent no complete frame, pings included, for so
	// long. Default 15 s; negative: never.
	SilenceTimeout time.Duration

	// CloseTimeout bounds how long a closing connection may take to answer, to read what it is owed, or to hang up.
	// Default 1 s.
	CloseTimeout time.Duration

	// SendBufferBytes is the kernel's send buffer per connection (SO_SNDBUF; Linux books twice as much).
	// Default 64 KiB.
	SendBufferBytes int

	// MailboxLimit bounds the tasks waiting on one loop; beyond it Post refuses. Default 16384.
	MailboxLimit int

	// Pace is how long a loop rests that gets thousands of messages a second, before it looks at its sockets again:
	// one look for dozens of messages instead of one each. It delays what is received and sent by as much, on busy
	// loops only. Default 1 ms; negative: never.
	Pace time.Duration

	// TickEvery is the period of Handler.Tick. Default 100 ms.
	TickEvery time.Duration

	// Log receives what an operator should know, nothing per message. Default slog.Default().
	Log *slog.Logger

	// New makes the handler of a loop. It is called once per loop, within Start, before anything else runs on that
	// loop, so it may keep the loop to post to later. Required.
	New func(*Loop) Handler

	// stuckAfter is how long a loop may not come round before Server.Failed says so. Tests shorten it.
	stuckAfter time.Duration
}

// withDefaults fills in what was left zero.
func (c Config) withDefaults() Config {
	c.Addr = cmp.Or(c.Addr, ":0")
	c.Loops = cmp.Or(c.Loops, max(1, runtime.GOMAXPROCS(0)/2))
	c.MaxMessageBytes = cmp.Or(c.MaxMessageBytes, 16<<10)
	c.MaxBacklogBytes = cmp.Or(c.MaxBacklogBytes, 256<<10)
	c.BacklogCode = cmp.Or(c.BacklogCode, CodeBacklog)
	c.MaxHandshakeBytes = cmp.Or(c.MaxHandshakeBytes, 8<<10)
	c.HandshakeTimeout = cmp.Or(c.HandshakeTimeout, 5*time.Second)
	c.SilenceTimeout = cmp.Or(c.SilenceTimeout, 15*time.Second)
	c.CloseTimeout = cmp.Or(c.CloseTimeout, time.Second)
	c.SendBufferBytes = cmp.Or(c.SendBufferBytes, 64<<10)
	c.MailboxLimit = cmp.Or(c.MailboxLimit, 16384)
	c.TickEvery = cmp.Or(c.TickEvery, 100*time.Millisecond)
	c.MaxExtraFrames = cmp.Or(c.MaxExtraFrames, 250)
	c.Pace = cmp.Or(c.Pace, time.Millisecond)
	c.stuckAfter = cmp.Or(c.stuckAfter, 10*time.Second)
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.MaxConns == 0 {
		if limit, err := descriptorLimit(); err == nil {
			c.MaxConns = limit - descriptorReserve(limit)
		}
	}
	c.MaxConnsPerAddr = cmp.Or(c.MaxConnsPerAddr, min(max(64, c.MaxConns/4), 1024))
	if c.Exempt == nil {
		c.Exempt = local
	}
	return c
}

// Validate returns every complaint about c at once, joined; nil if Start would take it.
func (c Config) Validate() error {
	c = c.withDefaults()
	var complaints []error
	complain := func(format string, args ...any) {
		complaints = append(complaints, fmt.Errorf("engine: "+format, args...))
	}
	if c.New == nil {
		complain("New is required: it makes the handler of a loop")
	}
	if _, _, err := net.SplitHostPort(c.Addr); err != nil {
		complain("Addr: %w", err)
	}
	if c.Path != "" && !strings.HasPrefix(c.Path, "/") {
		complain("Path %q does not begin with a slash", c.Path)
	}
	if strings.ContainsAny(c.Subprotocol, " ,\t\r\n\"") {
		complain("Subprotocol %q is not one token", c.Subprotocol)
	}
	if !validCloseCode(c.BacklogCode) {
		complain("BacklogCode %d must not be sent", c.BacklogCode)
	}
	for _, f := range []struct {
		name         string
		value, least int
	}{
		{"Loops", c.Loops, 1},
		{"MaxMessageBytes", c.MaxMessageBytes, 1},
		{"MaxBacklogBytes", c.MaxBacklogBytes, maxHeaderBytes + maxControlBytes},
		{"MaxHandshakeBytes", c.MaxHandshakeBytes, 256},
		{"SendBufferBytes", c.SendBufferBytes, 1},
		{"MailboxLimit", c.MailboxLimit, 1},
		{"HandshakeTimeout", int(c.HandshakeTimeout), 1},
		{"CloseTimeout", int(c.CloseTimeout), 1},
		{"TickEvery", int(c.TickEvery), 1},
	} {
		if f.value < f.least {
			complain("%s %d is below %d", f.name, f.value, f.least)
		}
	}
	if err := c.checkConns(); err != nil {
		complaints = append(complaints, err)
	}
	return errors.Join(complaints...)
}

// MostConns is the largest MaxConns that the process's limit of descriptors allows; it raises that limit as far as it may.
func MostConns() (int, error) {
	limit, err := descriptorLimit()
	return limit - descriptorReserve(limit), err
}

// checkConns compares MaxConns with what the process may open.
func (c Config) checkConns() error {
	limit, err := descriptorLimit()
	if err != nil {
		return err
	}
	if most := limit - descriptorReserve(limit); c.MaxConns < 1 || c.MaxConns > most {
		return fmt.Errorf("engine: MaxConns %d is not within 1 and %d: %d descriptors less a reserve of %d",
			c.MaxConns, most, limit, limit-most)
	}
	return nil
}

// sweepEvery is how often deadlines are checked.
func (c Config) sweepEvery() time.Duration {
	shortest := min(c.HandshakeTimeout, c.CloseTimeout)
	if c.SilenceTimeout > 0 {
		shortest = min(shortest, c.SilenceTimeout)
	}
	return min(max(shortest/4, minSweepEvery), maxSweepEvery)
}

// descriptorReserve is what of limit is not for connections: logs, databases, listeners, refusals, and room for
// what the process does besides.
func descriptorReserve(limit int) int { return 64 + limit/20 }

// descriptorLimit raises the process's soft limit of open files to the hard one and returns it.
func descriptorLimit() (int, error) {
	// What Linux allows a process at most unless told otherwise (fs.nr_open); also where "unlimited" ends.
	const most = 1 << 20
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("engine: descriptor limit: %w", os.NewSyscallError("getrlimit", err))
	}
	if limit.Cur < limit.Max {
		raised := unix.Rlimit{Cur: max(limit.Cur, min(limit.Max, most)), Max: limit.Max}
		if unix.Setrlimit(unix.RLIMIT_NOFILE, &raised) == nil {
			limit = raised
		}
	}
	return int(min(limit.Cur, most)), nil
}
