package engine

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

const goodRequest = "GET /play?x=1 HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n" +
	"Sec-WebSocket-Protocol: other, game.v1\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"

func TestHandshakeAnswers(t *testing.T) {
	// Without it, a browser is let in that should not be, or is left without a word why it was not.
	change := func(old, new string) string {
		if !strings.Contains(goodRequest, old) {
			panic(old)
		}
		return strings.Replace(goodRequest, old, new, 1)
	}
	tests := []struct {
		name    string
		request string
		status  int
		header  string // "Key: value" that the answer must have
	}{
		{"good", goodRequest, 101, "Sec-Websocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="},
		{"subprotocol", goodRequest, 101, "Sec-Websocket-Protocol: game.v1"},
		{"no compression", goodRequest, 101, "Sec-Websocket-Extensions: "},
		{"line feeds in front", "\r\n" + goodRequest, 400, ""},
		{"header over two lines", change("keep-alive, Upgrade", "keep-alive\r\nConnection: Upgrade"), 101, ""},
		{"upgrade to one of several", change("Upgrade: websocket", "Upgrade: h2c, WebSocket"), 101, ""},
		{"subprotocols over two lines", change("other, game.v1", "other\r\nSec-WebSocket-Protocol: game.v1"), 101, ""},
		{"absolute target", change("GET /play", "GET http://h:80/play"), 101, ""},
		{"absolute target, wrong path", change("GET /play?x=1", "GET http://h"), 404, ""},
		{"absolute target, wrong scheme", change("GET /play", "GET ftp://h/play"), 400, ""},
		{"target that is no path", change("GET /play?x=1", "GET play"), 400, ""},
		{"asterisk", change("GET /play?x=1", "GET *"), 400, ""},
		{"no target", change("GET /play?x=1", "GET "), 400, ""},
		{"fragment", change("/play?x=1", "/play#x"), 400, ""},
		{"two hosts", change("Host: h", "Host: h\r\nHost: g"), 400, ""},
		{"two origins", change("Host: h", "Host: h\r\nOrigin: http://h\r\nOrigin: http://g"), 400, ""},
		{"two keys", change("Sec-WebSocket-Key", "Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\nSec-WebSocket-Key"), 400, ""},
		{"two versions", change("Sec-WebSocket-Version", "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version"), 400, ""},
		{"key of 17 bytes", change("25jZQ==", "25jZTE="), 400, ""},
		{"key not base64", change("dGhl", "d-hl"), 400, ""},
		{"blank before a colon", change("Host:", "Host :"), 400, ""},
		{"name with a blank", change("Host: h", "Host: h\r\nContent Length: 5"), 400, ""},
		{"fold before the first header", change("Host:", " Host:"), 400, ""},
		{"request within a request", change("deflate", "deflate\n\nframes"), 400, ""},
		{"body", change("Host: h", "Host: h\r\nContent-Length: 6"), 400, ""},
		{"chunked body", change("Host: h", "Host: h\r\nTransfer-Encoding: chunked"), 400, ""},
		{"subprotocol in another case", change("game.v1", "Game.v1"), 400, ""},
		{"wrong path", change("/play", "/other"), 404, ""},
		{"no subprotocol", change("other, game.v1", "other"), 400, ""},
		{"no upgrade", change("Upgrade: websocket\r\n", ""), 400, ""},
		{"not websocket", change("websocket", "h2c"), 400, ""},
		{"no connection", change("keep-alive, Upgrade", "keep-alive"), 400, ""},
		{"no key", change("dGhlIHNhbXBsZSBub25jZQ==", "short"), 400, ""},
		{"no host", change("Host: h\r\n", ""), 400, ""},
		{"old version", change("Version: 13", "Version: 8"), 426, "Sec-Websocket-Version: 13"},
		{"no version", change("Sec-WebSocket-Version: 13\r\n", ""), 400, "Sec-Websocket-Version: 13"},
		{"post", change("GET", "POST"), 405, "Allow: GET"},
		{"HTTP/1.0", change("HTTP/1.1", "HTTP/1.0"), 505, ""},
		{"malformed request line", change("GET /play?x=1 HTTP/1.1", "hello"), 400, ""},
		{"malformed header", change("Host: h", "Host"), 400, ""},
		{"only an end", "\r\n\r\n", 400, ""},
		{"too large", change("Host: h", "Host: "+strings.Repeat("h", 8<<10)), 431, ""},
	}
	h := handshake{path: "/play", subprotocol: "game.v1", maxBytes: 8 << 10}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			pipelined := test.request + "frames"
			size, answer, refused := h.answer([]byte(pipelined))
			if refused != nil {
				answer = refused.response()
			} else if pipelined[size:] != "frames" {
				t.Errorf("took %d bytes of a request of %d", size, len(test.request))
			}
			response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), nil)
			if err != nil {
				t.Fatalf("answer %q: %v", answer, err)
			}
			if response.StatusCode != test.status {
				t.Fatalf("status %d, want %d", response.StatusCode, test.status)
			}
			if key, value, _ := strings.Cut(test.header, ": "); response.Header.Get(key) != value {
				t.Errorf("%s: %q, want %q", key, response.Header.Get(key), value)
			}
			if body, err := io.ReadAll(response.Body); test.status != 101 && (err != nil || len(body) < 5 || !response.Close) {
				t.Errorf("refused with body %q (%v), close %v", body, err, response.Close)
			}
		})
	}
}

func TestHandshakeWaitsForTheWholeRequest(t *testing.T) {
	// Without it, a request in two segments is refused.
	h := handshake{maxBytes: 8 << 10}
	for cut := range len(goodRequest) {
		if size, answer, refused := h.answer([]byte(goodRequest[:cut])); size != 0 || answer != nil || refused != nil {
			t.Fatalf("cut at %d: %d %q %v", cut, size, answer, refused)
		}
	}
}

func FuzzHandshake(f *testing.F) {
	f.Add([]byte(goodRequest))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte("\r\n\r\n"))
	f.Add([]byte("GET / HTTP/999999999.99999999999\r\nUpgrade:\r\n:\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h := handshake{path: "/play", subprotocol: "game.v1", maxBytes: 1 << 10}
		before := bytes.Clone(b)
		size, answer, refused := h.answer(b)
		if !bytes.Equal(b, before) {
			t.Fatal("the request was changed")
		}
		if refused == nil && answer == nil {
			if size != 0 || bytes.Contains(b, endOfRequest) || len(b) >= h.maxBytes {
				t.Fatalf("neither answered nor waiting: %d", size)
			}
			return
		}
		want := 101
		if refused != nil {
			answer, want = refused.response(), refused.status
		} else if size > h.maxBytes || !bytes.HasSuffix(b[:size], endOfRequest) {
			t.Fatalf("took %d bytes", size)
		}
		response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), nil)
		if err != nil || response.StatusCode != want {
			t.Fatalf("answer %q: %v", answer, err)
		}
		if want == 101 && response.Header.Get("Sec-WebSocket-Protocol") != "game.v1" {
			t.Fatal("upgraded without the subprotocol")
		}
	})
}

// BenchmarkHandshake is what one client of a crowd that comes back at once costs, without its sockets.
func BenchmarkHandshake(b *testing.B) {
	h := handshake{path: "/play", subprotocol: "game.v1", maxBytes: 8 << 10, allow: func(Opening) error { return nil }}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, refused := h.answer([]byte(goodRequest)); refused != nil {
			b.Fatal(refused.text)
		}
	}
}
