package local

import (
	"encoding/json"
	"errors"
	"html/template"
	"io/fs"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Bounds of the site.
const (
	mostStreams  = 64
	mostVisitors = 256                   // connections
	atLeastApart = 40 * time.Millisecond // between two states of a stream: faults come in crowds
	atMostApart  = time.Second           // so that a stream without news is seen to live
	writeWithin  = 5 * time.Second
)

// site is the page, what it is told, and its buttons.
type site struct {
	// Set by newSite, then read-only.
	super   *supervisor
	store   *store
	asker   *asker
	guard   *guard
	page    fs.FS
	html    string // of index.html
	sockets *balancer
	places  chan struct{} // one for each stream

	visitors atomic.Int64
}

func newSite(s *supervisor, st *store, a *asker, b *balancer, page fs.FS) (*site, error) {
	html, err := fs.ReadFile(page, "index.html")
	if err != nil {
		return nil, err
	}
	return &site{
		super: s, store: st, asker: a, guard: newGuard(), page: page, html: string(html), sockets: b, places: make(chan struct{}, mostStreams),
	}, nil
}

// server makes the HTTP server. Connections beyond their bound are closed at once.
func (s *site) server() *http.Server {
	return &http.Server{
		Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 15 * time.Second,
		IdleTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10,
		ConnState: func(c net.Conn, to http.ConnState) {
			switch to {
			case http.StateNew:
				if s.visitors.Add(1) > mostVisitors {
					c.Close()
				}
			case http.StateClosed, http.StateHijacked:
				s.visitors.Add(-1)
			}
		},
	}
}

// policy lets the page load what came with it, and connect to the balancer. It keeps time in a worker that it makes of a text.
const policy = "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; worker-src blob:; frame-ancestors 'none'; base-uri 'none'"

func (s *site) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.index)
	files := http.FileServerFS(s.page)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.Error(w, "this can only be read", http.StatusMethodNotAllowed)
			return
		}
		files.ServeHTTP(w, r)
	})
	for _, known := range []string{"/v1/kinds", "/v1/nodes", "/v1/rooms/{id}"} {
		mux.HandleFunc("GET "+known, func(w http.ResponseWriter, r *http.Request) { s.super.passOn(s.asker, w, r) })
	}
	mux.HandleFunc("GET /cluster/state", s.state)
	mux.HandleFunc("/cluster/nodes/{name}/{fault}", s.press) // all methods: what is not right is forbidden, whatever is wrong with it
	seen := s.guard.seen(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Content-Security-Policy", policy)
		header.Set("Cache-Control", "no-store")
		seen.ServeHTTP(w, r)
	})
}

// index is the page, told where the socket is, and that there is a cluster to be shown. "view": without buttons.
func (s *site) index(w http.ResponseWriter, r *http.Request) {
	show := "view"
	if s.guard.near(r) {
		show = s.guard.token
	}
	socket := "ws://" + net.JoinHostPort(hostName(r.Host), strconv.Itoa(s.sockets.port())) + "/"
	html := s.html
	for name, value := range map[string]string{"tickover:socket": socket, "tickover:cluster": show} {
		place := `name="` + name + `" content="`
		html = strings.Replace(html, place, place+template.HTMLEscapeString(value), 1)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write([]byte(html))
}

// press is a button.
func (s *site) press(w http.ResponseWriter, r *http.Request) {
	if !s.guard.press(r) {
		http.Error(w, "only the page's own buttons may do that, on this machine", http.StatusForbidden)
		return
	}
	err := s.super.act(r.PathValue("name"), fault(r.PathValue("fault")))
	switch {
	case errors.Is(err, errNoNode), errors.Is(err, errNoFault):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusConflict)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// card is a node as the page shows it. What is not known is null.
type card struct {
	Name    string  `json:"name"`
	State   state   `json:"state"`
	PID     int     `json:"pid"` // 0: none
	Starts  int     `json:"starts"`
	Boot    *string `json:"boot"`
	Rooms   *int    `json:"rooms"`
	Players *int    `json:"players"`
	Sockets int     `json:"sockets"` // that the balancer has passed on to it
}

// picture is the whole cluster at one moment.
type picture struct {
	NowMs     int64       `json:"now"` // Unix
	RestartMs int64       `json:"restart_ms"`
	Nodes     []card      `json:"nodes"`
	History   []happening `json:"history"` // oldest first, at most 64
	RedisAway bool        `json:"redis_away"`
}

// picture takes one, and gives a channel that is closed when there is a newer one.
func (s *site) picture() (picture, <-chan struct{}) {
	held := s.sockets.sockets()
	s.super.mu.Lock()
	defer s.super.mu.Unlock()
	p := picture{NowMs: time.Now().UnixMilli(), RestartMs: s.super.restart.Milliseconds(), RedisAway: s.store.away()}
	p.History = append([]happening{}, s.super.history...)
	for _, m := range s.super.members {
		c := card{Name: m.name, State: m.state, Starts: m.starts, Sockets: held[m.name]}
		if m.run != nil {
			c.PID = m.run.pid
		}
		if f := m.facts; f != nil {
			c.Boot, c.Rooms, c.Players = &f.Boot, &f.Rooms, &f.Connections
		}
		p.Nodes = append(p.Nodes, c)
	}
	return p, s.super.changed
}

// state is the picture: once, or as a stream of server-sent events with a new one at every change.
func (s *site) state(w http.ResponseWriter, r *http.Request) {
	if !strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		p, _ := s.picture()
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(p)
		return
	}
	select {
	case s.places <- struct{}{}:
		defer func() { <-s.places }()
	default:
		http.Error(w, "too many look on", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	out.SetReadDeadline(time.Time{}) // else the connection's read timeout would end the request
	for {
		p, newer := s.picture()
		text, err := json.Marshal(p)
		if err != nil {
			return
		}
		out.SetWriteDeadline(time.Now().Add(writeWithin))
		if _, err := w.Write([]byte("data: " + string(text) + "\n\n")); err != nil || out.Flush() != nil {
			return
		}
		if !pause(r, newer) {
			return
		}
	}
}

// pause waits for news, neither too short nor too long; false: nobody listens any more.
func pause(r *http.Request, newer <-chan struct{}) bool {
	for _, wait := range []struct {
		least time.Duration
		news  <-chan struct{}
	}{{atLeastApart, nil}, {atMostApart, newer}} {
		timer := time.NewTimer(wait.least)
		defer timer.Stop()
		select {
		case <-r.Context().Done():
			return false
		case <-timer.C:
		case <-wait.news:
		}
	}
	return true
}
