package floor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// keepProfile asks a node for a CPU profile of the next moments. wait gives what became of it.
func keepProfile(ctx context.Context, s *Server, d time.Duration, path string) (wait func() error) {
	done := make(chan error, 1)
	go func() {
		done <- fetch(ctx, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", s.Admin, int(d.Seconds())), path)
	}()
	return func() error { return <-done }
}

// admin asks nodes about themselves. It keeps no connection: each would be memory in the node.
var admin = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// fetch keeps what url gives in a file; with path "" it reads and forgets it.
func fetch(ctx context.Context, url, path string) (err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := admin.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, answer.Status)
	}
	to := io.Writer(io.Discard)
	if path != "" {
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		to = f
	}
	_, err = io.Copy(to, answer.Body)
	return err
}
