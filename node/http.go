package node

import (
	"embed"
	"encoding/json"
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
	mux.HandleFunc("GET /v1/kinds", n.serveKinds)
	page, err := fs.Sub(pageFiles, "page/dist")
	if err != nil {
		panic(err) // the folder is in the binary
	}
	index := socketPlace(page)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		secure(w)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store") // it depends on the name it was asked for by
		w.Write(index(n.socketURL(r)))
	})
	files := http.FileServerFS(page)
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		secure(w)
		w.Header().Set("Cache-Control", "no-cache") // revalidated: a new binary is a new page
		files.ServeHTTP(w, r)
	})
	return mux
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

func secure(w http.ResponseWriter) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
}

// serveKinds lists the kinds of rooms.
func (n *Node) serveKinds(w http.ResponseWriter, _ *http.Request) {
	type kind struct {
		Name       string  `json:"name"`
		RateHz     int     `json:"rate_hz"`
		Seats      int     `json:"seats"`
		Version    int     `json:"version"`
		Durability string  `json:"durability"`
		GraceSec   float64 `json:"grace_seconds"`
	}
	list := []kind{}
	for _, k := range n.kinds() {
		list = append(list, kind{k.Name, k.RateHz, k.Seats, k.Version, k.Durability.String(), k.Grace.Seconds()})
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"kinds": list})
}

// adminHandler serves operators: health, readiness, metrics, profiles.
func (n *Node) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !n.ready.Load() {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		w.Write([]byte("ready\n"))
	})
	registry := prometheus.NewRegistry()
	registry.MustRegister(newCollector(n), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{Timeout: 5 * time.Second}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}
