package e2e

import (
	"io"
	"strings"
	"testing"
)

// opening is a handshake as browsers send it; the key and its answer are RFC 6455's own example.
const opening = "GET /chat?room=1 HTTP/1.1\r\n" +
	"Host: server.example.com\r\n" +
	"User-Agent: peer\r\n" +
	"Connection: keep-alive, Upgrade\r\n" +
	"Upgrade: websocket\r\n" +
	"Origin: http://example.com\r\n" +
	"Sec-WebSocket-Version: 13\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
	"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x-other\r\n\r\n"

const acceptKey = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

// openings are requests made from opening by replacing, and the status that must come.
var openings = []struct {
	name     string
	old, new string
	status   string
}{
	{"as it is", "", "", "101"},
	{"names in lower case", "Sec-WebSocket-Key", "sec-websocket-key", "101"},
	{"names in upper case", "Sec-WebSocket-Version", "SEC-WEBSOCKET-VERSION", "101"},
	{"values in any case", "Upgrade: websocket", "Upgrade: WebSocket", "101"},
	{"token in any case", "keep-alive, Upgrade", "Keep-Alive ,uPGRADE", "101"},
	{"only the token", "keep-alive, Upgrade", "Upgrade", "101"},
	{"list in two headers", "keep-alive, Upgrade", "keep-alive\r\nConnection: Upgrade", "101"},
	{"several protocols to upgrade to", "Upgrade: websocket", "Upgrade: h2c, websocket", "101"},
	{"blanks around a value", "Version: 13", "Version:\t 13 \t", "101"},
	{"no blank before a value", "Version: 13", "Version:13", "101"},
	{"folded header", "Connection: keep-alive, Upgrade", "Connection: keep-alive,\r\n Upgrade", "101"},
	{"subprotocols nobody asked for", "Origin:", "Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Protocol: c\r\nOrigin:", "101"},
	{"absolute target", "/chat?room=1", "http://server.example.com/chat?room=1", "101"},
	{"absolute target without a path", "/chat?room=1", "https://server.example.com:8443", "101"},
	{"later HTTP/1", "HTTP/1.1", "HTTP/1.2", "101"},
	{"large headers", "User-Agent: peer", "User-Agent: " + strings.Repeat("p", 7000), "101"},

	{"HTTP/1.0", "HTTP/1.1", "HTTP/1.0", "505"},
	{"HTTP/2.0", "HTTP/1.1", "HTTP/2.0", "505"},
	{"HTTP/1", "HTTP/1.1", "HTTP/1", "400"},
	{"no version of HTTP", " HTTP/1.1", "", "400"},
	{"HEAD", "GET", "HEAD", "405"},
	{"POST", "GET", "POST", "405"},
	{"method in lower case", "GET", "get", "405"},
	{"no target", "/chat?room=1", "", "400"},
	{"target that is no path", "/chat?room=1", "chat", "400"},
	{"asterisk", "/chat?room=1", "*", "400"},
	{"fragment in the target", "/chat?room=1", "/chat#room", "400"},
	{"other scheme", "/chat?room=1", "ftp://server.example.com/chat", "400"},
	{"blank in the target", "/chat?room=1", "/chat room", "400"},
	{"no host", "Host: server.example.com\r\n", "", "400"},
	{"two hosts", "Host:", "Host: other\r\nHost:", "400"},
	{"no upgrade", "Upgrade: websocket\r\n", "", "400"},
	{"upgrade to something else", "Upgrade: websocket", "Upgrade: h2c", "400"},
	{"no connection", "Connection: keep-alive, Upgrade\r\n", "", "400"},
	{"connection without the token", "keep-alive, Upgrade", "keep-alive, Upgraded", "400"},
	{"no key", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", "400"},
	{"empty key", "dGhlIHNhbXBsZSBub25jZQ==", "", "400"},
	{"short key", "dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZQ==", "400"},
	{"long key", "dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZSwgbG9uZw==", "400"},
	{"key of 24 that is 17 bytes", "dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZTE=", "400"},
	{"key that is not base64", "dGhlIHNhbXBsZSBub25jZQ==", "!!!!!!!!!!!!!!!!!!!!!!==", "400"},
	{"two keys", "Sec-WebSocket-Key:", "Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\nSec-WebSocket-Key:", "400"},
	{"no version", "Sec-WebSocket-Version: 13\r\n", "", "400"},
	{"two versions", "Version: 13", "Version: 13\r\nSec-WebSocket-Version: 13", "400"},
	{"version 8", "Version: 13", "Version: 8", "426"},
	{"version 014", "Version: 13", "Version: 014", "426"},
	{"versions in a list", "Version: 13", "Version: 13, 8", "426"},
	{"no version number", "Version: 13", "Version: thirteen", "426"},
	{"blank before a colon", "Host:", "Host :", "400"},
	{"name with a blank", "User-Agent:", "User Agent:", "400"},
	{"header without a name", "User-Agent:", ":", "400"},
	{"length with a blank before its colon", "Origin:", "Content-Length : 5\r\nOrigin:", "400"},
	{"header without a colon", "User-Agent: peer", "User-Agent", "400"},
	{"fold before the first header", "Host:", " Host:", "400"},
	{"control character in a value", "User-Agent: peer", "User-Agent: \x01", "400"},
	{"request within a request", "x-other", "x-other\n\nframes", "400"},
	{"body", "Origin:", "Content-Length: 5\r\nOrigin:", "400"},
	{"chunked body", "Origin:", "Transfer-Encoding: chunked\r\nOrigin:", "400"},
	{"line of 8 KiB", "/chat?room=1", "/" + strings.Repeat("c", 8<<10), "431"},
	{"headers of 8 KiB", "User-Agent: peer", "User-Agent: " + strings.Repeat("p", 8<<10), "431"},
}

// playOpenings sends each request at once, then octet by octet, and looks at what comes of it.
func playOpenings(t *testing.T, addr string) {
	for _, o := range openings {
		t.Run(o.name, func(t *testing.T) {
			if !strings.Contains(opening, o.old) {
				t.Fatalf("%q is not in the request", o.old)
			}
			request := []byte(strings.Replace(opening, o.old, o.new, 1))
			for _, pieces := range []int{0, 1} {
				p := dialPeer(t, addr)
				wait := p.writing(request, pieces)
				status, headers := p.head()
				wait()
				if !strings.HasPrefix(status, "HTTP/1.1 "+o.status+" ") {
					t.Fatalf("answered %q, want %s", status, o.status)
				}
				if o.status == "101" {
					p.wantUpgraded(headers)
				} else {
					p.wantRefused(o.status, headers)
				}
				p.c.Close()
			}
		})
	}
	t.Run("frames behind the request", func(t *testing.T) {
		p := dialPeer(t, addr)
		p.write(append([]byte(opening), stream(text("early"), ping("p"), textPart("cut"))...), 0)
		p.head()
		p.want(text("early"), pong("p"))
		p.write(stream(last(" in two")), 0)
		p.want(text("cut in two"))
	})
	t.Run("frames and a close behind the request", func(t *testing.T) {
		p := dialPeer(t, addr)
		p.write(append([]byte(opening), stream(text("early"), closing(1000, "bye"))...), 0)
		p.head()
		p.want(text("early"), closing(1000, "bye"))
		p.wantEnd()
	})
	t.Run("compressed although nobody agreed", func(t *testing.T) {
		p := openPeer(t, addr)
		p.write(frame{first: fin | 0x40 | opText, payload: "\xf2\x48\xcd\xc9\xc9\x07\x00"}.wire(), 0) // RFC 7692, section 7.2.3.1
		p.want(failed(1002))
		p.wantEnd()
	})
	t.Run("garbage without an end", func(t *testing.T) {
		p := dialPeer(t, addr)
		wait := p.writing([]byte(strings.Repeat("\x16\x03\x01\x02", 16<<10)), 0)
		status, headers := p.head()
		wait()
		if !strings.HasPrefix(status, "HTTP/1.1 431 ") {
			t.Fatalf("answered %q", status)
		}
		p.wantRefused("431", headers)
	})
}

// wantUpgraded checks the answer, and that what follows is WebSocket.
func (p *peer) wantUpgraded(headers map[string]string) {
	p.t.Helper()
	if !strings.EqualFold(headers["upgrade"], "websocket") || !strings.EqualFold(headers["connection"], "Upgrade") ||
		headers["sec-websocket-accept"] != acceptKey {
		p.t.Fatalf("headers %q", headers)
	}
	for _, name := range []string{"sec-websocket-extensions", "sec-websocket-protocol", "content-length", "transfer-encoding"} {
		if value, ok := headers[name]; ok {
			p.t.Fatalf("%s: %s", name, value)
		}
	}
	p.write(stream(ping("p"), text("t")), 0)
	p.want(pong("p"), text("t"))
}

// wantRefused checks that the refusal says why, and ends.
func (p *peer) wantRefused(status string, headers map[string]string) {
	p.t.Helper()
	body, err := io.ReadAll(p.r)
	if err != nil || len(body) == 0 || !strings.EqualFold(headers["connection"], "close") {
		p.t.Fatalf("refused with %q, body %q, %v", headers, body, err)
	}
	if versions := headers["sec-websocket-version"]; status == "426" && versions != "13" {
		p.t.Fatalf("versions offered: %q", versions)
	}
}
