package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"time"

	"tickover.dev/netcode"
)

// Config says where to connect and as whom. URL is required, the zero value of everything else is sane.
type Config struct {
	// URL of any node or of the load balancer, ws:// or wss://.
	URL string

	// Token is what the server's authentication wants, at most 4,096 bytes. Name is sent if it is "": guests need no more.
	Token string
	Name  string

	// Resume goes on with the session of an earlier process, see Client.Saved. Its seats are in Client.Kept.
	Resume *Saved

	// Log gets connections lost and found. nil: nothing is logged.
	Log *slog.Logger

	// Dial opens the TCP connection. nil: a net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// OnError is told of errors that answer no request: what was sent last made no sense, came too fast, or found a full mailbox.
	// Inputs concerned are sent again on their own. Called like the callbacks of a room.
	OnError func(*Refused)

	// BackoffFirst and BackoffMax bound the waits between attempts to connect: 0.5 s, doubling up to 20 s. While a seat is held no
	// wait is longer than 5 s.
	BackoffFirst, BackoffMax time.Duration

	// MaxMessageBytes is the largest message taken from the server: 4 MiB. A client that has seen one keeps no buffer over 64 KiB.
	MaxMessageBytes int
}

// Saved is the key to a session. It is secret, changes with every connection, and belongs where the next process finds it.
type Saved struct {
	Session string `json:"session"`
	Secret  string `json:"secret"`
}

// Validate joins everything that is wrong with c.
func (c *Config) Validate() error {
	var complaints []error
	complain := func(format string, args ...any) {
		complaints = append(complaints, fmt.Errorf("client: "+format, args...))
	}
	if u, err := url.Parse(c.URL); err != nil || u.Host == "" || u.Scheme != "ws" && u.Scheme != "wss" {
		complain("URL %q is not of the form ws://host:port/", c.URL)
	}
	if len(c.token()) > netcode.MaxTokenBytes {
		complain("the token has %d bytes, at most %d are taken", len(c.token()), netcode.MaxTokenBytes)
	}
	if c.Resume != nil && (c.Resume.Session == "" || len(c.Resume.Session) > netcode.MaxNameBytes || len(c.Resume.Secret) > netcode.MaxNameBytes) {
		complain("Resume holds no session")
	}
	if c.BackoffFirst < 0 || c.BackoffMax < 0 || c.MaxMessageBytes < 0 {
		complain("BackoffFirst, BackoffMax and MaxMessageBytes cannot be negative")
	}
	return errors.Join(complaints...)
}

func (c *Config) token() string {
	if c.Token != "" {
		return c.Token
	}
	return c.Name
}

// fill puts defaults in place of zeroes.
func (c *Config) fill() {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	if c.BackoffFirst == 0 {
		c.BackoffFirst = backoffFirst
	}
	if c.BackoffMax == 0 {
		c.BackoffMax = max(backoffMax, c.BackoffFirst)
	}
	if c.MaxMessageBytes == 0 {
		c.MaxMessageBytes = 4 << 20
	}
}
