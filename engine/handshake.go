package engine

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// handshake answers WebSocket opening requests of one configuration, for one loop.
type handshake struct {
	path        string // "": any
	subprotocol string // "": none
	maxBytes    int
	allow       func(Opening) error // nil: everybody

	// What reading a request takes, kept for the next.
	source bytes.Reader
	lines  *bufio.Reader
}

// Opening is what a handshake says of where it comes from.
type Opening struct {
	Host   string // as the client addresses this server, port included
	Origin string // of the page that a browser opens the connection for; "" for clients that are no browsers
}

// refusal is an HTTP answer that is not 101. Shared values: never change them.
type refusal struct {
	status int
	text   string
	header string // more header lines, each ending in "\r\n"
}

func badRequest(text string) *refusal { return &refusal{status: http.StatusBadRequest, text: text} }

var (
	refuseMalformed   = badRequest("malformed request")
	refuseTarget      = badRequest("the request target is no path")
	refuseHost        = badRequest("no Host")
	refuseBody        = badRequest("a request with a body")
	refuseNoUpgrade   = badRequest("not an upgrade to websocket")
	refuseKey         = badRequest("not one Sec-WebSocket-Key of 16 bytes")
	refuseOrigins     = badRequest("more than one Origin")
	refuseSubprotocol = badRequest("required subprotocol not offered")
	refusePath        = &refusal{status: http.StatusNotFound, text: "no such path"}
	refuseMethod      = &refusal{status: http.StatusMethodNotAllowed, text: "only GET is spoken here", header: "Allow: GET\r\n"}
	refuseHTTP        = &refusal{status: http.StatusHTTPVersionNotSupported, text: "only HTTP/1.1 is spoken here"}
	refuseVersion     = &refusal{
		status: http.StatusUpgradeRequired, text: "only WebSocket version 13 is spoken here",
		header: "Sec-WebSocket-Version: 13\r\n",
	}
	refuseNoVersion = &refusal{
		status: http.StatusBadRequest, text: "not one Sec-WebSocket-Version",
		header: "Sec-WebSocket-Version: 13\r\n",
	}
	refuseLarge = &refusal{status: http.StatusRequestHeaderFieldsTooLarge, text: "request too large"}
	refuseSlow  = &refusal{status: http.StatusRequestTimeout, text: "request took too long"}
	// 1 s: a place may be free again at once; clients spread their retries themselves.
	refuseFull = &refusal{
		status: http.StatusServiceUnavailable, text: "no place for more connections",
		header: "Retry-After: 1\r\n",
	}
	refuseStopping = &refusal{status: http.StatusServiceUnavailable, text: "stopping", header: "Retry-After: 1\r\n"}

	endOfRequest = []byte("\r\n\r\n")
)

// response renders the refusal as a whole HTTP answer.
func (r *refusal) response() []byte {
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n"+
		"Connection: close\r\n%s\r\n%s\n", r.status, http.StatusText(r.status), len(r.text)+1, r.header, r.text)
}

// answer looks for a whole request at the front of b. It returns how many bytes the request took and the answer
// to send, 101 if refused is nil. Zero bytes and no refusal mean: wait for more. It keeps nothing of b.
func (h *handshake) answer(b []byte) (size int, answer []byte, refused *refusal) {
	end := bytes.Index(b[:min(len(b), h.maxBytes)], endOfRequest)
	if end < 0 {
		if len(b) >= h.maxBytes {
			return 0, nil, refuseLarge
		}
		return 0, nil, nil
	}
	size = end + len(endOfRequest)
	r, refused := h.read(b[:size])
	if refused == nil {
		refused = h.check(r)
	}
	if refused != nil {
		return size, nil, refused
	}
	return size, h.accept(r), nil
}

// read parses a whole request. The library is more generous than we may be: it takes bare line feeds, so a blank line
// of them would end a request within a request, and names with blanks, which others would read as names without.
func (h *handshake) read(b []byte) (*http.Request, *refusal) {
	if h.lines == nil {
		h.lines = bufio.NewReader(nil)
	}
	h.source.Reset(b)
	h.lines.Reset(&h.source)
	r, err := http.ReadRequest(h.lines)
	unread := h.lines.Buffered() + h.source.Len()
	h.source.Reset(nil)
	if err != nil || unread > 0 {
		return nil, refuseMalformed
	}
	for name := range r.Header {
		if strings.Contains(name, " ") {
			return nil, refuseMalformed
		}
	}
	return r, nil
}

// check holds a request against RFC 6455, section 4.2.1, and the configuration. No extension is ever agreed to.
func (h *handshake) check(r *http.Request) *refusal {
	versions := r.Header["Sec-Websocket-Version"]
	origins := r.Header["Origin"]
	path, named := resource(r)
	switch {
	case r.ProtoMajor != 1 || r.ProtoMinor < 1:
		return refuseHTTP
	case r.Method != http.MethodGet:
		return refuseMethod
	case !named:
		return refuseTarget
	case h.path != "" && path != h.path:
		return refusePath
	case r.Host == "":
		return refuseHost
	case r.ContentLength != 0: // it would be taken for frames
		return refuseBody
	case !lists(r.Header["Upgrade"], "websocket"), !lists(r.Header["Connection"], "upgrade"):
		return refuseNoUpgrade
	case len(versions) != 1:
		return refuseNoVersion
	case versions[0] != "13":
		return refuseVersion
	case !isKey(r.Header["Sec-Websocket-Key"]):
		return refuseKey
	case len(origins) > 1:
		return refuseOrigins
	case h.subprotocol != "" && !slices.ContainsFunc(r.Header["Sec-Websocket-Protocol"], h.offered):
		return refuseSubprotocol
	}
	if h.allow == nil {
		return nil
	}
	if why := h.allow(Opening{Host: r.Host, Origin: r.Header.Get("Origin")}); why != nil {
		return &refusal{status: http.StatusForbidden, text: why.Error()}
	}
	return nil
}

// resource is the path that a request names: the target itself, or that of an absolute one, as proxies send it. Other
// targets, and those with a fragment, name nothing.
func resource(r *http.Request) (path string, named bool) {
	of, path := r.URL, r.URL.Path
	if of.Scheme != "" && of.Host != "" && path == "" {
		path = "/"
	}
	known := of.Scheme == "" || of.Scheme == "http" || of.Scheme == "https"
	return path, known && strings.HasPrefix(path, "/") && !strings.Contains(r.RequestURI, "#")
}

// lists reports whether a header that is a list has a token, in any case. It may be spread over several lines.
func lists(values []string, token string) bool {
	for _, value := range values {
		for part := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

// offered reports whether a list of subprotocols has ours; in these, case counts.
func (h *handshake) offered(list string) bool {
	for part := range strings.SplitSeq(list, ",") {
		if strings.TrimSpace(part) == h.subprotocol {
			return true
		}
	}
	return false
}

// isKey reports whether a request has one Sec-WebSocket-Key, 16 bytes in base64.
func isKey(keys []string) bool {
	const keyBytes = 16
	if len(keys) != 1 || len(keys[0]) != base64.StdEncoding.EncodedLen(keyBytes) {
		return false
	}
	var room [keyBytes + 2]byte
	n, err := base64.StdEncoding.Decode(room[:], []byte(keys[0]))
	return err == nil && n == keyBytes
}

// accept is the answer that opens the connection (RFC 6455, section 4.2.2).
func (h *handshake) accept(r *http.Request) []byte {
	const ending = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" // the same for everybody: it shows that the server knows the protocol
	sum := sha1.Sum([]byte(r.Header.Get("Sec-Websocket-Key") + ending))
	b := []byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ")
	b = base64.StdEncoding.AppendEncode(b, sum[:])
	if h.subprotocol != "" {
		b = append(append(b, "\r\nSec-WebSocket-Protocol: "...), h.subprotocol...)
	}
	return append(b, endOfRequest...)
}
