package client

import (
	"errors"
	"fmt"
	"time"
)

// What the methods of Client and Room refuse.
var (
	ErrWindow   = errors.New("client: 256 inputs are unacknowledged")     // try again after the next frame
	ErrBusy     = errors.New("client: 32 requests are unanswered")        // wait for one of them
	ErrTooLarge = errors.New("client: a value does not fit into 16 KiB")  // never sendable
	ErrLeft     = errors.New("client: the seat has been given up")        // join again
	ErrClosed   = errors.New("client: closed")                            // by Close
	ErrProtocol = errors.New("client: the server breaks the protocol")    // the connection is dropped and resumed
	errSilent   = errors.New("client: nothing heard for 15 s")            // the connection is dropped and resumed
	errSession  = errors.New("client: the session is lost")               // a new one begins
	errDial     = errors.New("client: cannot connect")                    // the next attempt may work
	errNoValue  = errors.New("client: not exactly one well-formed value") // of Raw and SendRaw
)

// Refused is the server's "no" to a join, a leave or an input.
type Refused struct {
	Code    string        // a word of docs/PROTOCOL.md, section 5, or of the game
	Message string        // for people
	Retry   time.Duration // when to try again; 0: not said
}

func (e *Refused) Error() string {
	if e.Message == "" {
		return "refused: " + e.Code
	}
	return fmt.Sprintf("refused: %s: %s", e.Code, e.Message)
}

// Closed is a connection that the server ended with a close frame.
type Closed struct {
	Code   uint16
	Reason string
}

func (e *Closed) Error() string { return fmt.Sprintf("connection closed: %d %s", e.Code, e.Reason) }

// violation is an ErrProtocol that says which rule.
func violation(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrProtocol, fmt.Sprintf(format, args...))
}
