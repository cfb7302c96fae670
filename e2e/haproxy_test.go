package e2e

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"tickover.dev/client"
	"tickover.dev/loadtest/chaos/rig"
)

// This file plays as people will: a browser, the load balancer that the product comes with, nodes that die.

// A page that plays through a balancer must not notice more than a pause when the node of its room dies, and must find its seat when
// the node of its socket does: with a stickiness forgotten somewhere, or a secret kept at one node only, it would not.
func TestBrowserPlaysOnThroughHAProxy(t *testing.T) {
	chromium := needs(t, "chromium", "/usr/bin/chromium")
	node := needs(t, "node", "node")
	needs(t, "redis-server", "redis-server")
	needs(t, "haproxy", "/usr/sbin/haproxy")
	needs(t, "playwright-core (npm ci in client/ts)", "../client/ts/node_modules/playwright-core/package.json")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	shots := t.ArtifactDir()
	r, err := rig.Start(ctx, rig.Config{Dir: shots, Binary: build(t, "tickover"), Nodes: 3, Balancer: "../deploy/haproxy.cfg", Relaxed: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	control := httptest.NewServer(faults(ctx, r.Nodes))
	defer control.Close()
	openRoom(ctx, t, r.Nodes[2].Game, "proxied")

	cmd := exec.CommandContext(ctx, node, "haproxy.mjs", "http://"+r.Balancer.Page+"/?socket=ws://"+r.Balancer.Addr+"/", control.URL, shots)
	cmd.Env = append(os.Environ(), "CHROMIUM="+chromium)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatalf("browser: %v (logs are in %s)", err, shots)
	}
	if err := r.Unexpected(); err != nil {
		t.Error(err)
	}
	if pictures, _ := filepath.Glob(filepath.Join(shots, "*.png")); len(pictures) < 7 {
		t.Errorf("%d screenshots in %s, want 7", len(pictures), shots)
	}
}

// openRoom has somebody open an arena at a node, and go.
func openRoom(ctx context.Context, t *testing.T, addr, key string) {
	t.Helper()
	bob, err := client.Dial(ctx, client.Config{URL: "ws://" + addr + "/", Name: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	defer bob.Close()
	room, err := bob.JoinOrCreate(ctx, "arena", key, map[string]int{"bots": 20}, client.Handler{})
	if err != nil {
		t.Fatal(err)
	}
	if err := room.Leave(ctx); err != nil {
		t.Fatal(err)
	}
}

// faults lets a script do to nodes what a rig can do. Each answer comes when it is done.
func faults(ctx context.Context, nodes []*rig.Node) http.Handler {
	var mu sync.Mutex // a node is for one goroutine at a time
	mux := http.NewServeMux()
	on := func(what string, do func(*rig.Node) bool) {
		mux.HandleFunc("POST /"+what, func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			for _, n := range nodes {
				if n.Name == r.FormValue("node") && do(n) {
					return
				}
			}
			http.Error(w, "there is no such node, or it is in no state for that", http.StatusConflict)
		})
	}
	on("kill", (*rig.Node).Kill)
	on("freeze", (*rig.Node).Freeze)
	on("thaw", (*rig.Node).Thaw)
	on("start", func(n *rig.Node) bool { return n.Start(ctx) == nil })
	return mux
}
