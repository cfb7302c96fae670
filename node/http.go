package node

import (
	"embed"
	"html/template"
	"io/fs"
	"net"
	"net/http"
	"net/http/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

//go:embed page/dist
var pageFiles embed.FS

// publicHandler serves the page and the HTTP API.
func (n *Node) publicHandler() http.Handler {
	mux := http.NewServeMux()
	page, err := fs.Sub(pageFiles, "page/dist")
	if err != nil {
		panic(err) // the folder is in the binary
	}
	index := socketPlace(page)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store") // it depends on the name it was asked for by
		w.Write(index(n.socketURL(r)))
	})
	files := http.FileServerFS(page)
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache") // revalidated: a new binary is a new page
		files.ServeHTTP(w, r)
	})
	all := http.NewServeMux()
	all.Handle("/", mux)
	all.Handle("/v1/", n.api.handler())
	return secure(all)
}

// socketPlace gives the page with the game socket's URL written into it.
func socketPlace(page fs.FS) func(url string) []byte {
	html, err := fs.ReadFile(page, "index.html")
	if err != nil {
		panic(err)
	}
	const place = `name="tickover:socket" content="`
	before, after, _ := strings.Cut(string(html), place)
	return func(url string) []byte {
		return []byte(before + place + template.HTMLEscapeString(url) + after)
	}
}

// socketURL is where a browser that has the page from this host reaches the game socket.
func (n *Node) socketURL(r *http.Request) string {
	if n.config.PublicSocket != "" {
		return n.config.PublicSocket
	}
	name, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		name = strings.Trim(r.Host, "[]")
	}
	if name == "" { // HTTP/1.0
		name = "localhost"
	}
	return "ws://" + net.JoinHostPort(name, strconv.Itoa(int(n.GameAddr().Port()))) + "/"
}

// contentPolicy lets the page load what came with it, and connect to game sockets wherever they are. It keeps time in a worker that
// it makes of a text.
const contentPolicy = "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; worker-src blob:; " +
	"frame-ancestors 'none'; base-uri 'none'"

// secure sets the headers that every answer has.
func secure(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Content-Security-Policy", contentPolicy)
		h.ServeHTTP(w, r)
	})
}

// adminHandler serves operators: health, readiness, metrics, profiles.
func (n *Node) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := n.ready(); err != nil {
			http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Write([]byte("ready\n"))
	})
	registry := prometheus.NewRegistry()
	registry.MustRegister(n.api.requests, newCollector(n), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if n.shared != nil {
		registry.MustRegister(newSharedCollector(n))
	}
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{Timeout: 5 * time.Second}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", http.NotFound) // else Index would show the command line, keys and all
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return secure(n.doors.guard(mux))
}
