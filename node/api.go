package node

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tickover.dev/engine"
	"tickover.dev/rooms"
	"tickover.dev/sessions"
)

// api is the HTTP API under /v1/: nodes, rooms, players, signals. openapi.yaml describes it, and a test compares the two. It does not
// change: any goroutine may use it.
//
//	request ─► doors: which pages may ask ─► method ─► access: who is it, and may they ─► handler ─► JSON, or a problem
type api struct {
	town
	node     *Node
	access   *access
	requests *prometheus.CounterVec
	asking   chan struct{} // holds one for each request that asks the store
	ctx      context.Context
	cancel   context.CancelFunc // when the node stops: nobody waits any longer
}

const (
	maxAsking  = 8               // of the store's connections that players' lookups need too
	askWithin  = 2 * time.Second // the store, waiting for a turn included
	maxBody    = 64 << 10        // bytes of a request
	preflights = 600             // seconds that a browser may remember what it may ask
)

//go:embed openapi.yaml
var openAPI []byte

func newAPI(n *Node, t town, keys *access) *api {
	a := &api{town: t, node: n, access: keys, asking: make(chan struct{}, maxAsking)}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	a.requests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tickover_http_requests_total", Help: "Requests of the HTTP API answered, by path and status.",
	}, []string{"route", "status"})
	return a
}

// route is one thing that can be asked.
type route struct {
	method, path string
	needs        need
	serve        func(*api, *http.Request) (any, error) // what is written as JSON, or a document; an error is best a *problem
}

// document is an answer that is no JSON.
type document struct {
	contentType string
	body        []byte
}

func routes() []route {
	return []route{
		{"GET", "/v1/openapi.yaml", needNothing, func(*api, *http.Request) (any, error) { return document{"application/yaml", openAPI}, nil }},
		{"GET", "/v1/kinds", needNothing, (*api).listKinds},
		{"GET", "/v1/nodes", needReader, (*api).listNodes},
		{"GET", "/v1/rooms", needReader, (*api).listRooms},
		{"GET", "/v1/rooms/{id}", needReader, (*api).showRoom},
		{"POST", "/v1/rooms/{id}/signals", needKey, (*api).signalRoom},
		{"GET", "/v1/players/{id}", needSelf, (*api).showPlayer},
	}
}

// handler serves everything under /v1/.
func (a *api) handler() http.Handler {
	mux := http.NewServeMux()
	byPath := map[string]map[string]route{}
	for _, r := range routes() {
		if byPath[r.path] == nil {
			byPath[r.path] = map[string]route{}
		}
		byPath[r.path][r.method] = r
	}
	for path, methods := range byPath {
		mux.Handle(path, a.at(path, methods))
	}
	mux.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) {
		a.refuse(w, "other", &problem{Status: http.StatusNotFound, Code: "unknown_path", Detail: "there is no such path: see /v1/openapi.yaml"})
	})
	return mux
}

// at serves one path.
func (a *api) at(path string, methods map[string]route) http.Handler {
	allowed := slices.Sorted(maps.Keys(methods))
	if methods["GET"].serve != nil {
		allowed = append(allowed, "HEAD")
	}
	allow := strings.Join(append(allowed, "OPTIONS"), ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := a.admitPage(w, r); err != nil {
			a.refuse(w, path, err)
			return
		}
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		to, ok := methods[method]
		switch {
		case r.Method == http.MethodOptions:
			w.Header().Set("Allow", allow)
			if w.Header().Get("Access-Control-Allow-Origin") != "" {
				w.Header().Set("Access-Control-Allow-Methods", allow)
				w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
				w.Header().Set("Access-Control-Max-Age", strconv.Itoa(preflights))
			}
			a.answered(path, http.StatusNoContent)
			w.WriteHeader(http.StatusNoContent)
		case !ok:
			w.Header().Set("Allow", allow)
			a.refuse(w, path, &problem{Status: http.StatusMethodNotAllowed, Code: "bad_method", Detail: "this path takes " + allow})
		default:
			a.call(w, r, to)
		}
	})
}

// admitPage keeps out pages that may not connect to the game socket either, and lets the others read their answers.
func (a *api) admitPage(w http.ResponseWriter, r *http.Request) error {
	w.Header().Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	err := a.node.doors.allow(engine.Opening{Host: r.Host, Origin: origin})
	noToken := a.access.open() || r.Header.Get("Authorization") == ""
	if err == nil && a.node.doors.guests && noToken && !a.node.doors.knows(r.Host) {
		err = errHost // pages ask what they take for their own host without an Origin, and this may be one that was rebound
	}
	if err != nil {
		return &problem{Status: http.StatusForbidden, Code: "bad_origin", Detail: err.Error()}
	}
	if origin != "" {
		w.Header().Set("Access-Control-Allow-Origin", origin)
	}
	return nil
}

// call asks who it is, and then does what is asked for.
func (a *api) call(w http.ResponseWriter, r *http.Request, to route) {
	if err := a.access.admit(r, to.needs); err != nil {
		a.refuse(w, to.path, err)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	answer, err := to.serve(a, r)
	if err != nil {
		a.refuse(w, to.path, err)
		return
	}
	out, isDocument := answer.(document)
	if !isDocument {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false) // it is no HTML, and says so
		if err := e.Encode(answer); err != nil {
			a.refuse(w, to.path, err)
			return
		}
		out = document{"application/json", b.Bytes()}
	}
	a.write(w, to.path, http.StatusOK, out)
}

func (a *api) write(w http.ResponseWriter, path string, status int, out document) {
	h := w.Header()
	h.Set("Content-Type", out.contentType)
	h.Set("Content-Length", strconv.Itoa(len(out.body)))
	h.Set("Cache-Control", "no-store")
	a.answered(path, status)
	w.WriteHeader(status)
	w.Write(out.body) // an error is the client's who has gone
}

func (a *api) answered(path string, status int) {
	a.requests.WithLabelValues(path, strconv.Itoa(status)).Inc()
}

// ask does something with the store, in its turn.
func (a *api) ask(r *http.Request, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(r.Context(), askWithin)
	defer cancel()
	defer context.AfterFunc(a.ctx, cancel)()
	select {
	case a.asking <- struct{}{}:
	case <-ctx.Done():
		return &problem{Status: http.StatusServiceUnavailable, Code: "overloaded", Detail: "too many ask at once: try again", retryAfter: 1}
	}
	defer func() { <-a.asking }()
	return do(ctx)
}

// about makes a problem of an error of finding rooms.
func about(err error) error {
	ended, hasEnded := errors.AsType[*sessions.EndedError](err)
	switch {
	case hasEnded:
		p := &problem{Status: http.StatusGone, Code: "room_ended", Detail: "the room has ended", Why: ended.Tomb.Why}
		if ended.Tomb.Result != nil {
			p.Result = toJSON(ended.Tomb.Result)
		}
		return p
	case errors.Is(err, sessions.ErrUnknownRoom):
		return &problem{Status: http.StatusNotFound, Code: "unknown_room", Detail: "there is no such room, or it ended some minutes ago", Field: "id"}
	case errors.Is(err, rooms.ErrMailboxFull):
		return &problem{Status: http.StatusServiceUnavailable, Code: "overloaded", Detail: "the room takes nothing just now: try again", retryAfter: 1}
	case errors.Is(err, sessions.ErrUnavailable):
		return &problem{Status: http.StatusServiceUnavailable, Code: "unavailable", Detail: "what is asked for cannot be reached just now: try again", retryAfter: 1}
	}
	return err
}
