package redisconn_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"tickover.dev/redisconn"
	"tickover.dev/redisconn/embedded"
	"tickover.dev/redisconn/redistest"
)

// watched collects what a Watch tells.
type watched struct {
	t *testing.T

	mu   sync.Mutex
	told []string // guarded by mu
}

func watch(t *testing.T, url string) *watched {
	t.Helper()
	w := &watched{t: t}
	ctx, cancel := context.WithCancelCause(context.Background())
	stop := errors.New("the test is over")
	ended := make(chan error, 1)
	go func() {
		ended <- redisconn.Watch(ctx, redisconn.WatchConfig{
			Config: redisconn.Config{URL: url, Timeout: 300 * time.Millisecond}, Every: 10 * time.Millisecond,
			Lost: func(why string) { w.add("lost: " + why) },
			Answers: func(ok bool, why error) {
				if ok {
					w.add("answers")
				} else {
					w.add("silent: " + why.Error())
				}
			},
		})
	}()
	t.Cleanup(func() {
		cancel(stop)
		if err := <-ended; err != stop {
			t.Errorf("Watch ended with %v", err)
		}
	})
	return w
}

func (w *watched) add(s string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, s)
}

// want waits until exactly this was told, in order, each as the start of a line, and forgets it.
func (w *watched) want(lines ...string) {
	w.t.Helper()
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		w.mu.Lock()
		ok := len(w.told) == len(lines)
		for i := range min(len(lines), len(w.told)) {
			ok = ok && strings.HasPrefix(w.told[i], lines[i])
		}
		told := w.told
		if ok {
			w.told = nil
		}
		w.mu.Unlock()
		if ok {
			return
		}
		if time.Since(start) > 15*time.Second {
			w.t.Fatalf("told %q, want %q", told, lines)
		}
	}
}

// A restart may cost the last second of every room: unnoticed, nobody seals what the owners still know.
func TestWatchNoticesARestart(t *testing.T) {
	s := redistest.Start(t)
	w := watch(t, s.URL())
	w.want("answers")
	s.Kill()
	w.want("silent: redis at " + s.Addr() + " does not answer")
	s.Restart()
	w.want("lost: "+s.Addr()+" is another process", "answers")
	s.Freeze()
	w.want("silent")
	s.Thaw()
	w.want("answers") // nothing was lost
}

func TestWatchNoticesAFailOver(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t, 1)
	w := watch(t, s.URL())
	w.want("answers")
	s.Master.Kill()
	w.want("silent")
	s.AwaitMaster(s.Replica)
	w.want("lost", "answers")
}

func TestWatchLooksAtEveryMaster(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t)
	w := watch(t, c.URL())
	w.want("answers")
	c.Servers[1].Kill()
	w.want("silent: redis at " + c.Servers[1].Addr())
	c.Servers[1].Restart()
	w.want("lost: "+c.Servers[1].Addr()+" is another process", "answers")
}

func TestWatchKnowsTheEmbeddedServer(t *testing.T) {
	addr, stop, err := embedded.Start()
	if err != nil {
		t.Fatal(err)
	}
	w := watch(t, "redis://"+addr)
	w.want("answers")
	stop()
	w.want("silent")
}
