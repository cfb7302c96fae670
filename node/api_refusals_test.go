package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"tickover.dev/rooms"
	"tickover.dev/rooms/host"
	"tickover.dev/sessions"
)

// asProblem gives the problem that an error is.
func asProblem(t *testing.T, err error) *problem {
	t.Helper()
	p, ok := errors.AsType[*problem](err)
	if !ok {
		t.Fatalf("%v is no problem of its own", err)
	}
	return p
}

// Clients go by status and code: those of one cause must not be told as another, and what is our fault not as theirs.
func TestErrorsOfRoomsBecomeProblems(t *testing.T) {
	for _, c := range []struct {
		err         error
		status      int
		code, again string
	}{
		{sessions.ErrUnknownRoom, 404, "unknown_room", ""},
		{&sessions.EndedError{Tomb: host.Tomb{Why: "empty"}}, 410, "room_ended", ""},
		{rooms.ErrMailboxFull, 503, "overloaded", "1"},
		{fmt.Errorf("%w: %w", sessions.ErrUnavailable, context.DeadlineExceeded), 503, "unavailable", "1"},
		{errors.New("secret of the house"), 500, "internal", ""},
	} {
		n := &Node{log: slog.New(slog.DiscardHandler)}
		a, w := newAPI(n, nil, nil), httptest.NewRecorder()
		a.refuse(w, "/v1/x", about(c.err))
		got := answered{Response: w.Result(), body: w.Body.String()}
		got.Request = httptest.NewRequest(http.MethodGet, "/v1/x", nil)
		p := got.isProblem(t, c.status, c.code, map[string]string{"unknown_room": "id"}[c.code])
		if got.Header.Get("Retry-After") != c.again || p.Result != nil {
			t.Errorf("%v: retry after %q, result %s", c.err, got.Header.Get("Retry-After"), p.Result)
		}
		if c.status == 500 && p.Detail != "internal error" {
			t.Errorf("%q is told", p.Detail)
		}
		a.cancel()
	}
}

// Checking tokens may be somebody else's service: when that hangs or panics, the API must neither pile up nor fall.
func TestACheckOfTokensIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &access{calls: make(chan struct{}, maxTokenChecks), log: slog.New(slog.DiscardHandler)}
		a.authenticate = func(ctx context.Context, token string) (rooms.Player, error) {
			if token == "panic" {
				panic("broken")
			}
			<-ctx.Done()
			return rooms.Player{}, context.Cause(ctx)
		}
		try := func(token string) *problem {
			r := httptest.NewRequest(http.MethodGet, "/v1/nodes", nil)
			r.Header.Set("Authorization", "Bearer "+token)
			return asProblem(t, a.admit(r, needReader))
		}
		if p := try("panic"); p.Status != 500 || len(a.calls) != 0 {
			t.Errorf("%+v", p)
		}
		came := make(chan *problem)
		for range 3 * maxTokenChecks {
			go func() { came <- try("slow") }()
		}
		began := time.Now()
		for range 3 * maxTokenChecks {
			if p := <-came; p.Status != 503 || p.retryAfter == 0 {
				t.Errorf("%+v", p)
			}
		}
		if took := time.Since(began); took != checkWithin || len(a.calls) != 0 {
			t.Errorf("it took %s", took)
		}
	})
}

// The store's connections are players' first.
func TestFewAskTheStoreAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(&Node{}, nil, nil)
		defer a.cancel()
		under := make(chan struct{}, 100)
		came := make(chan error)
		for range 2 * maxAsking {
			go func() {
				came <- a.ask(httptest.NewRequest(http.MethodGet, "/v1/rooms", nil), func(ctx context.Context) error {
					under <- struct{}{}
					<-ctx.Done()
					time.Sleep(time.Second) // else whoever waits might get in at the very end
					return nil
				})
			}()
		}
		synctest.Wait()
		if len(under) != maxAsking {
			t.Errorf("%d ask at once", len(under))
		}
		refused, began := 0, time.Now()
		for range 2 * maxAsking {
			if err := <-came; err != nil {
				refused++
				if p := asProblem(t, err); p.Status != 503 || p.Code != "overloaded" {
					t.Errorf("%+v", p)
				}
			}
		}
		if time.Since(began) != askWithin+time.Second || refused != maxAsking {
			t.Errorf("%d were refused after %s", refused, time.Since(began))
		}
	})
}
