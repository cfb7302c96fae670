package e2e

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The peer of the conformance tests: it writes and reads WebSocket frames as RFC 6455 draws them and shares no code with the
// engine, so that a misunderstanding in one is not repeated in the other. What it writes may be as wrong as a test wants.

const (
	opContinuation, opText, opBinary = 0x0, 0x1, 0x2
	opClose, opPing, opPong          = 0x8, 0x9, 0xA

	fin = 0x80

	peerPatience = 10 * time.Second // for what must come
)

// frame is one frame as a test sends or expects it.
type frame struct {
	first   byte // fin, reserved bits and opcode
	payload string
	failing bool // expected close frames only: just the code counts, the reason is the server's
}

func text(s string) frame     { return frame{first: fin | opText, payload: s} }
func bin(s string) frame      { return frame{first: fin | opBinary, payload: s} }
func ping(s string) frame     { return frame{first: fin | opPing, payload: s} }
func pong(s string) frame     { return frame{first: fin | opPong, payload: s} }
func part(op byte) frame      { return frame{first: op, payload: "part"} }
func more(s string) frame     { return frame{first: opContinuation, payload: s} }
func last(s string) frame     { return frame{first: fin | opContinuation, payload: s} }
func textPart(s string) frame { return frame{first: opText, payload: s} }

// closing is a close frame with a code and a reason.
func closing(code uint16, reason string) frame {
	return frame{first: fin | opClose, payload: string(binary.BigEndian.AppendUint16(nil, code)) + reason}
}

// failed is what a server says to a peer that broke the protocol.
func failed(code uint16) frame {
	f := closing(code, "")
	f.failing = true
	return f
}

func (f frame) isClose() bool { return f.first == fin|opClose }

func (f frame) String() string {
	if f.isClose() && len(f.payload) >= 2 {
		return fmt.Sprintf("close %d %.40q", binary.BigEndian.Uint16([]byte(f.payload)), f.payload[2:])
	}
	return fmt.Sprintf("%#02x with %d bytes %.40q", f.first, len(f.payload), f.payload)
}

// wire is the frame as a client sends it: masked, with the shortest length.
func (f frame) wire() []byte {
	n := len(f.payload)
	b := make([]byte, 0, n+14)
	switch {
	case n < 126:
		b = append(b, f.first, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, f.first, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, f.first, 0x80|127), uint64(n))
	}
	mask := [4]byte{0xA5, 0x00, 0xFF, 0x3C} // a zero shows bytes that were not unmasked, others those that were twice
	b = append(b, mask[:]...)
	for i := range n {
		b = append(b, f.payload[i]^mask[i%4])
	}
	return b
}

// stream is the bytes of frames, one behind the other.
func stream(frames ...frame) []byte {
	var b []byte
	for _, f := range frames {
		b = append(b, f.wire()...)
	}
	return b
}

// peer is a client's end of a connection.
type peer struct {
	t *testing.T
	c net.Conn
	r *bufio.Reader
}

// dialPeer connects and says nothing yet.
func dialPeer(t *testing.T, addr string) *peer {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(peerPatience))
	return &peer{t, c, bufio.NewReaderSize(c, 64<<10)}
}

// openPeer connects and shakes hands.
func openPeer(t *testing.T, addr string) *peer {
	t.Helper()
	p := dialPeer(t, addr)
	p.write([]byte(opening), 0)
	status, _ := p.head()
	if !strings.HasPrefix(status, "HTTP/1.1 101 ") {
		t.Fatalf("handshake answered %q", status)
	}
	return p
}

// write sends b in pieces of so many octets; 0 is all at once. A server that has been told too much must take it nevertheless:
// resetting the connection could overtake what it had to say.
func (p *peer) write(b []byte, pieces int) {
	p.t.Helper()
	p.writing(b, pieces)()
}

// writing is write while the caller reads. The caller calls wait in the end.
func (p *peer) writing(b []byte, pieces int) (wait func()) {
	if pieces <= 0 {
		pieces = max(1, len(b))
	}
	done := make(chan error, 1)
	go func() {
		for piece := range slices.Chunk(b, pieces) {
			if _, err := p.c.Write(piece); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	return func() {
		p.t.Helper()
		if err := <-done; err != nil {
			p.t.Fatalf("not taken: %v", err)
		}
	}
}

// head reads an HTTP answer's status line and headers, their names in lower case.
func (p *peer) head() (status string, headers map[string]string) {
	p.t.Helper()
	headers = map[string]string{}
	for {
		line, err := p.r.ReadString('\n')
		if err != nil {
			p.t.Fatalf("answer ends with %v behind %q", err, status+line)
		}
		line = strings.TrimSuffix(line, "\r\n")
		switch name, value, ok := strings.Cut(line, ": "); {
		case line == "":
			return status, headers
		case status == "":
			status = line
		case !ok:
			p.t.Fatalf("header line %q", line)
		default:
			headers[strings.ToLower(name)] = value
		}
	}
}

// read reads one frame, which must be as a server may send it.
func (p *peer) read() (frame, error) {
	var head [8]byte
	if _, err := io.ReadFull(p.r, head[:2]); err != nil {
		return frame{}, err
	}
	f := frame{first: head[0]}
	n := uint64(head[1])
	least := uint64(0)
	switch n {
	case 126:
		if _, err := io.ReadFull(p.r, head[:2]); err != nil {
			return frame{}, err
		}
		n, least = uint64(binary.BigEndian.Uint16(head[:])), 126
	case 127:
		if _, err := io.ReadFull(p.r, head[:8]); err != nil {
			return frame{}, err
		}
		n, least = binary.BigEndian.Uint64(head[:]), 1<<16
	}
	switch {
	case head[1]&0x80 != 0 && least == 0:
		return frame{}, fmt.Errorf("masked frame from a server: %#02x", f.first)
	case f.first&0x70 != 0:
		return frame{}, fmt.Errorf("reserved bits: %#02x", f.first)
	case n < least || f.first&0x08 != 0 && n > 125 || n > 64<<20:
		return frame{}, fmt.Errorf("length %d of frame %#02x", n, f.first)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(p.r, b)
	f.payload = string(b)
	return f, err
}

// want reads frames, which must be these.
func (p *peer) want(frames ...frame) {
	p.t.Helper()
	for i, want := range frames {
		got, err := p.read()
		if err != nil {
			p.t.Fatalf("frame %d: %v, want %v", i, err, want)
		}
		if want.failing && got.isClose() && len(got.payload) >= 2 {
			got.payload, got.failing = got.payload[:2], true
		}
		if got != want {
			p.t.Fatalf("frame %d: got %v, want %v", i, got, want)
		}
	}
}

// wantEnd reads the end of the stream: nothing more, and no reset that could have swallowed what was on its way.
func (p *peer) wantEnd() {
	p.t.Helper()
	if b, err := io.ReadAll(p.r); err != nil || len(b) > 0 {
		p.t.Fatalf("behind the close frame: %d bytes %.40q, %v", len(b), b, err)
	}
}

// startEcho builds examples/echo, runs it for the length of the test and returns its address.
func startEcho(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "echo")
	if out, err := exec.Command("go", "build", "-o", binary, "../examples/echo").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	cmd := exec.Command(binary, "--addr", "127.0.0.1:0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stderr)
	first, err := lines.ReadString('\n')
	if err != nil {
		t.Fatalf("echo said %q, then %v", first, err)
	}
	rest := make(chan string, 1)
	go func() {
		b, _ := io.ReadAll(lines)
		rest <- string(b)
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(peerPatience, func() { cmd.Process.Kill() })
		defer kill.Stop()
		said := <-rest
		if err := cmd.Wait(); err != nil || strings.Contains(said, "ERROR") {
			t.Errorf("echo ended with %v and said:\n%s", err, said)
		}
	})
	m := regexp.MustCompile(`ws://([^/]+)/`).FindStringSubmatch(first)
	if m == nil {
		t.Fatalf("echo said %q", first)
	}
	return m[1]
}
