package local

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Bounds of asking nodes.
const (
	askEvery    = 500 * time.Millisecond
	askWithin   = 300 * time.Millisecond // of this machine; one that is slower is asked again soon
	mostAnswer  = 1 << 20                // bytes
	mostAskedAt = 4                      // connections to one node
)

// facts are what a node says of itself (GET /v1/nodes).
type facts struct {
	Name        string `json:"name"`
	Boot        string `json:"boot"`
	Rooms       int    `json:"rooms"`
	Connections int    `json:"connections"`
	Leaving     bool   `json:"leaving"`
	Self        bool   `json:"self"`
}

// asker asks nodes over HTTP.
type asker struct{ client *http.Client }

func newAsker() *asker {
	return &asker{&http.Client{Transport: &http.Transport{MaxConnsPerHost: mostAskedAt, IdleConnTimeout: 5 * time.Second}}}
}

func (a *asker) close() { a.client.CloseIdleConnections() }

// get asks one node. The answer's body must be closed; it ends with ctx.
func (a *asker) get(ctx context.Context, addr, path string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return nil, err
	}
	return a.client.Do(r)
}

// of asks a node what it says of itself; nil if it does not say.
func (a *asker) of(ctx context.Context, name, addr string) *facts {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	answer, err := a.get(ctx, addr, "/v1/nodes")
	if err != nil {
		return nil
	}
	defer answer.Body.Close()
	var list struct {
		Nodes []facts `json:"nodes"`
	}
	if answer.StatusCode != http.StatusOK || json.NewDecoder(io.LimitReader(answer.Body, mostAnswer)).Decode(&list) != nil {
		return nil
	}
	i := slices.IndexFunc(list.Nodes, func(f facts) bool { return f.Self })
	if i < 0 {
		i = slices.IndexFunc(list.Nodes, func(f facts) bool { return f.Name == name })
	}
	if i < 0 {
		return nil
	}
	return &list.Nodes[i]
}

// ask keeps asking all nodes until ctx ends.
func (s *supervisor) ask(ctx context.Context, a *asker) {
	defer a.close()
	ticker := time.NewTicker(askEvery)
	defer ticker.Stop()
	for {
		var asked sync.WaitGroup
		for _, b := range s.asked() {
			asked.Go(func() { s.learn(b, a.of(ctx, b.name, b.addr)) })
		}
		asked.Wait()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// asked are the nodes that can answer over HTTP, those in the best state first.
func (s *supervisor) asked() (list []backend) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, which := range []state{alive, draining} {
		for _, m := range s.members {
			if m.state == which && m.http != "" {
				list = append(list, backend{m.name, m.http})
			}
		}
	}
	return list
}

// learn notes what a node has said of itself. Nothing is as good as old: it may be about to hang.
func (s *supervisor) learn(from backend, f *facts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.members, func(m *member) bool { return m.name == from.name && m.http == from.addr })
	if i < 0 || f == nil {
		return
	}
	m := s.members[i]
	news := m.facts == nil || *m.facts != *f
	m.facts = f
	if f.Leaving && m.state == alive { // somebody else told it to
		m.asked = draining
		s.happened(m, "draining", draining)
	} else if news {
		s.change()
	}
}

// passOn has the first node that can answer a request for what all nodes know alike.
func (s *supervisor) passOn(a *asker, w http.ResponseWriter, r *http.Request) {
	for _, b := range s.asked() {
		ctx, cancel := context.WithTimeout(r.Context(), askWithin)
		answer, err := a.get(ctx, b.addr, r.URL.EscapedPath())
		if err == nil {
			var body []byte
			body, err = io.ReadAll(io.LimitReader(answer.Body, mostAnswer))
			answer.Body.Close()
			if err == nil {
				cancel()
				w.Header().Set("Content-Type", answer.Header.Get("Content-Type"))
				w.WriteHeader(answer.StatusCode)
				w.Write(body)
				return
			}
		}
		cancel()
	}
	http.Error(w, fmt.Sprintf("none of %d nodes answers", len(s.members)), http.StatusServiceUnavailable)
}
