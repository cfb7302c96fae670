package client

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"tickover.dev/netcode"
)

const (
	// headBytes is the longest head of a frame that we write: 2, 2 for a length of 16 bits, 4 for the mask.
	headBytes = 8

	// maxOutBytes is the largest message that a server takes.
	maxOutBytes = 16 << 10

	// keepBytes: a read buffer that had to grow beyond it is not kept.
	keepBytes = 64 << 10

	// dialTimeout bounds TCP and WebSocket handshake together.
	dialTimeout = 10 * time.Second

	// writeTimeout ends a connection whose peer has not read for so long, or for half as long, since it is renewed only then.
	writeTimeout = 15 * time.Second
)

// link is one WebSocket connection, without what its messages mean. One goroutine reads, one writes, any may break it.
type link struct {
	conn  net.Conn
	limit int // of a message to read

	// Owned by the reading goroutine.
	buf      []byte
	from, to int    // what is read and not used yet
	parts    []byte // of a message in several frames
	inParts  bool

	// Owned by the writing goroutine.
	deadline time.Time

	breaking sync.Once
	broken   chan struct{} // closed when the connection is over
	cause    error         // why; set before broken is closed
}

// dialLink connects and shakes hands.
func dialLink(ctx context.Context, cfg *Config) (*link, error) {
	d := ws.Dialer{NetDial: cfg.Dial, Protocols: []string{netcode.Subprotocol}, Timeout: dialTimeout, ReadBufferSize: 1024, WriteBufferSize: 1024}
	conn, early, shake, err := d.Dial(ctx, cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDial, err)
	}
	if shake.Protocol != netcode.Subprotocol {
		conn.Close()
		return nil, fmt.Errorf("%w: the server does not speak %s", errDial, netcode.Subprotocol)
	}
	l := &link{conn: conn, limit: cfg.MaxMessageBytes, broken: make(chan struct{})}
	if early != nil {
		l.take(early)
	}
	return l, nil
}

// take keeps what came right behind the handshake.
func (l *link) take(early *bufio.Reader) {
	b, _ := early.Peek(early.Buffered())
	l.buf, l.to = append(l.buf, b...), len(b)
	ws.PutReader(early)
}

// breakOff ends the connection; the first cause counts.
func (l *link) breakOff(cause error) {
	l.breaking.Do(func() {
		l.cause = cause
		close(l.broken)
		l.conn.Close()
	})
}

// next gives the next message, or a control frame. The bytes are valid until the next call.
func (l *link) next() (ws.OpCode, []byte, error) {
	for {
		op, fin, payload, err := l.frame()
		if err != nil {
			return 0, nil, err
		}
		switch {
		case op.IsControl():
			if !fin || len(payload) > ws.MaxControlFramePayloadSize {
				return 0, nil, violation("control frame")
			}
			return op, payload, nil
		case op != ws.OpContinuation && l.inParts, op == ws.OpContinuation && !l.inParts:
			return 0, nil, violation("frames out of order")
		case op != ws.OpContinuation && op != ws.OpBinary:
			return 0, nil, violation("a message is not binary")
		case fin && !l.inParts:
			return ws.OpBinary, payload, nil
		}
		if !l.inParts {
			l.parts = l.parts[:0]
		}
		if len(l.parts)+len(payload) > l.limit {
			return 0, nil, violation("a message exceeds %d bytes", l.limit)
		}
		l.parts, l.inParts = append(l.parts, payload...), !fin
		if fin {
			return ws.OpBinary, l.parts, nil
		}
	}
}

// frame reads one frame. Nothing is allocated for a claimed length beyond the limit.
func (l *link) frame() (op ws.OpCode, fin bool, payload []byte, err error) {
	if err := l.fill(2); err != nil {
		return 0, false, nil, err
	}
	b0, b1 := l.buf[l.from], l.buf[l.from+1]
	if b0&0x70 != 0 || b1&0x80 != 0 {
		return 0, false, nil, violation("frame head %#x %#x", b0, b1)
	}
	head, length := 2, uint64(b1)
	if b1 == 126 || b1 == 127 {
		head = 4
		if b1 == 127 {
			head = 10
		}
		if err := l.fill(head); err != nil {
			return 0, false, nil, err
		}
		if b1 == 126 {
			length = uint64(binary.BigEndian.Uint16(l.buf[l.from+2:]))
		} else {
			length = binary.BigEndian.Uint64(l.buf[l.from+2:])
		}
	}
	if length > uint64(l.limit) {
		return 0, false, nil, violation("a message exceeds %d bytes", l.limit)
	}
	if err := l.fill(head + int(length)); err != nil {
		return 0, false, nil, err
	}
	start := l.from + head
	l.from = start + int(length)
	return ws.OpCode(b0 & 0x0f), b0&0x80 != 0, l.buf[start:l.from:l.from], nil
}

// fill reads until n bytes are there.
func (l *link) fill(n int) error {
	if l.from == l.to {
		l.from, l.to = 0, 0
		if len(l.buf) > keepBytes {
			l.buf = nil
		}
	}
	for l.to-l.from < n {
		if l.from+n > len(l.buf) || l.to == len(l.buf) {
			l.makeRoom(n)
		}
		got, err := l.conn.Read(l.buf[l.to:])
		l.to += got
		if err != nil && l.to-l.from < n {
			return fmt.Errorf("read: %w", err)
		}
	}
	return nil
}

// makeRoom moves what is there to the front of a buffer that holds at least n bytes.
func (l *link) makeRoom(n int) {
	buf := l.buf
	if n > len(buf) {
		size := 2048
		for size < n {
			size *= 2
		}
		buf = make([]byte, size)
	}
	copy(buf, l.buf[l.from:l.to])
	l.buf, l.from, l.to = buf, 0, l.to-l.from
}

// write sends a frame whose payload lies behind headBytes free bytes, masking it in place. It blocks while the peer does not read.
func (l *link) write(now time.Time, op ws.OpCode, buf []byte) error {
	if left := l.deadline.Sub(now); left < writeTimeout/2 { // resetting a deadline costs as much as a short write
		l.deadline = now.Add(writeTimeout)
		if err := l.conn.SetWriteDeadline(l.deadline); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	if _, err := l.conn.Write(seal(op, buf)); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// seal masks the payload behind headBytes and puts the head right before it.
func seal(op ws.OpCode, buf []byte) []byte {
	payload := buf[headBytes:]
	var mask [4]byte
	binary.LittleEndian.PutUint32(mask[:], rand.Uint32())
	ws.Cipher(payload, mask, 0)
	start := headBytes - 6
	if n := len(payload); n <= 125 {
		buf[start+1] = 0x80 | byte(n)
	} else {
		start = headBytes - 8
		buf[start+1] = 0x80 | 126
		binary.BigEndian.PutUint16(buf[start+2:], uint16(n))
	}
	buf[start] = 0x80 | byte(op)
	copy(buf[headBytes-4:], mask[:])
	return buf[start:]
}

// closeFrame appends the payload of a close frame.
func closeFrame(dst []byte, code uint16) []byte { return binary.BigEndian.AppendUint16(dst, code) }

// closed reads the payload of a close frame.
func closed(payload []byte) *Closed {
	if len(payload) < 2 {
		return &Closed{Code: uint16(ws.StatusNoStatusRcvd)}
	}
	return &Closed{Code: binary.BigEndian.Uint16(payload), Reason: string(payload[2:])}
}
