package engine

import (
	"errors"
	"fmt"
)

// Errors of Loop.Post; a connection that is cut off because the server stops also ends with ErrStopped.
var (
	ErrMailboxFull = errors.New("engine: mailbox full") // refuse or drop: the loop is behind
	ErrStopped     = errors.New("engine: stopped")      // for good: nothing runs on this loop any more
)

// ErrLoopStuck is delivered by Server.Failed when a loop has not come round for ten seconds of the process's own
// time: a handler blocks, or the loop has ended.
var ErrLoopStuck = errors.New("engine: loop stuck")

// Close codes of RFC 6455, section 7.4.1, that the engine itself sends or reports.
const (
	CodeNormal        uint16 = 1000
	CodeGoingAway     uint16 = 1001
	CodeProtocolError uint16 = 1002 // frames that break RFC 6455
	CodeUnsupported   uint16 = 1003 // a text message where Config.RejectText is set
	CodeNoStatus      uint16 = 1005 // never sent: the peer's close frame carried no code
	CodeAbnormal      uint16 = 1006 // never sent: there was no close frame; see Stats.Closed
	CodeInvalidData   uint16 = 1007 // text or a close reason that is not UTF-8
	CodePolicy        uint16 = 1008 // frames beyond Config.MaxExtraFrames
	CodeTooBig        uint16 = 1009 // a message beyond Config.MaxMessageBytes
	CodeInternal      uint16 = 1011 // a handler panicked
	CodeBacklog       uint16 = 4008 // default of Config.BacklogCode
	CodeSilence       uint16 = 4009 // nothing received for Config.SilenceTimeout
)

// CloseError says that a connection ended by a close frame, and whose it was.
type CloseError struct {
	Code   uint16 // CodeNoStatus if the peer gave none
	Reason string // at most 123 bytes of UTF-8
	Remote bool   // the peer closed first
}

// Error describes the close in one line.
func (e *CloseError) Error() string {
	by := "closed by us"
	if e.Remote {
		by = "closed by peer"
	}
	if e.Reason == "" {
		return fmt.Sprintf("engine: %s: code %d", by, e.Code)
	}
	return fmt.Sprintf("engine: %s: code %d: %s", by, e.Code, e.Reason)
}
