package local

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain is also a node, if it is told so: children of the supervisor are this program.
func TestMain(m *testing.M) {
	if how, is := os.LookupEnv("FAKE_NODE"); is {
		os.Exit(fakeNode(how))
	}
	// A client that could not dial tries again each second, and sees only then that it was closed.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// fakeNode says where it listens, and who it is to whoever connects. It stops at a SIGTERM, unless it is told to be stubborn.
func fakeNode(how string) int {
	if how == "broken" {
		fmt.Fprintln(os.Stderr, "cannot start: no kinds")
		return 2
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	name := ""
	for _, a := range os.Args {
		if n, ok := strings.CutPrefix(a, "--name="); ok {
			name = n
		}
	}
	game, errGame := net.Listen("tcp", "127.0.0.1:0")
	page, errPage := net.Listen("tcp", "127.0.0.1:0")
	if errGame != nil || errPage != nil {
		return 1
	}
	go http.Serve(page, fakeAPI(name))
	go func() {
		for {
			c, err := game.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, name+"\n")
			go io.Copy(io.Discard, c)
		}
	}()
	fmt.Printf("\n  running\n\n    Kinds   http://%s/v1/kinds\n    Game    ws://%s/\n    Admin   http://127.0.0.1:1/metrics\n", page.Addr(), game.Addr())
	fmt.Fprintln(os.Stderr, "a line of its log, with redis at", os.Getenv("TICKOVER_REDIS"))
	<-stop
	for how == "stubborn" {
		<-stop
	}
	return 0
}

// fakeAPI is what nodes will answer.
func fakeAPI(name string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/nodes", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"nodes":[{"name":"other","boot":"x","rooms":9,"connections":9},{"name":%q,"boot":"b","rooms":2,"connections":7,"version":"1","self":true}]}`, name)
	})
	mux.HandleFunc("GET /v1/rooms/{id}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"id":%q,"node":%q,"epoch":3}`, r.PathValue("id"), name)
	})
	return mux
}

// eventually waits for what other processes take a moment for.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for start := time.Now(); time.Since(start) < 10*time.Second; time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never came true: %s", what)
}
