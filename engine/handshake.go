package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/gobwas/ws"
)

// handshake answers WebSocket opening requests of one configuration.
type handshake struct {
	path        string // "": any
	subprotocol string // "": none
	maxBytes    int
	allow       func(Opening) error // nil: everybody
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

var (
	refuseMalformed   = &refusal{status: http.StatusBadRequest, text: "malformed request"}
	refuseMethod      = &refusal{status: http.StatusMethodNotAllowed, text: "only GET is spoken here", header: "Allow: GET\r\n"}
	refuseSubprotocol = &refusal{status: http.StatusBadRequest, text: "required subprotocol not offered"}
	refuseVersion     = &refusal{
		status: http.StatusUpgradeRequired, text: "only WebSocket version 13 is spoken here",
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

	errWrongPath     = ws.RejectConnectionError(ws.RejectionStatus(http.StatusNotFound), ws.RejectionReason("no such path"))
	errNoSubprotocol = errors.New("engine: required subprotocol not offered")
	endOfRequest     = []byte("\r\n\r\n")
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
	var out bytes.Buffer
	if refused := h.upgrade(b[:size], &out); refused != nil {
		return size, nil, refused
	}
	return size, out.Bytes(), nil
}

// upgrade writes the 101 answer to request, which is whole, to out; or says why not. The library's upgrader reads
// ahead of the request, so it is given exactly the request; what it writes itself on errors is replaced, because
// for some it writes nothing.
func (h *handshake) upgrade(request []byte, out *bytes.Buffer) *refusal {
	offered := h.subprotocol == ""
	u := ws.Upgrader{
		OnRequest: func(uri []byte) error {
			path, _, _ := bytes.Cut(uri, []byte{'?'})
			if h.path != "" && string(path) != h.path {
				return errWrongPath
			}
			return nil
		},
		OnBeforeUpgrade: func() (ws.HandshakeHeader, error) {
			if !offered {
				return nil, errNoSubprotocol
			}
			return nil, nil
		},
	}
	if h.subprotocol != "" {
		u.Protocol = func(p []byte) bool {
			offered = offered || string(p) == h.subprotocol
			return string(p) == h.subprotocol
		}
	}
	var from Opening
	u.OnHost = func(host []byte) error {
		from.Host = string(host)
		return nil
	}
	u.OnHeader = func(key, value []byte) error {
		if strings.EqualFold(string(key), "Origin") {
			from.Origin = string(value)
		}
		return nil
	}
	_, err := u.Upgrade(struct {
		io.Reader
		io.Writer
	}{bytes.NewReader(request), out})
	if err == nil && h.allow != nil {
		if why := h.allow(from); why != nil {
			return &refusal{status: http.StatusForbidden, text: why.Error()}
		}
	}
	return refusalOf(err)
}

// refusalOf turns the upgrader's error into an answer.
func refusalOf(err error) *refusal {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errNoSubprotocol):
		return refuseSubprotocol
	case errors.Is(err, ws.ErrHandshakeUpgradeRequired):
		return refuseVersion
	case errors.Is(err, ws.ErrHandshakeBadMethod):
		return refuseMethod
	}
	rejected, ok := errors.AsType[*ws.ConnectionRejectedError](err)
	if !ok || rejected.StatusCode() == 0 {
		return refuseMalformed
	}
	return &refusal{status: rejected.StatusCode(), text: rejected.Error()}
}
