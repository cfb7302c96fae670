package obituary

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"tickover.dev/cluster"
)

// Config says whom a Watcher watches, and whom it tells. All but Log is required.
type Config struct {
	Self cluster.Boot
	// Living gives the members that are taken to live. It is asked several times a second.
	Living func() []cluster.Member
	// Dead is told once of each boot whose process has ended, from any goroutine.
	Dead func(cluster.Boot)
	Log  *slog.Logger
}

const (
	watched   = 3 // peers of each node: that two of them die with it, within one lease, is rare
	lookEvery = 100 * time.Millisecond
	// dialWithin bounds a dial. A refusal comes at once; what takes longer tells nothing.
	dialWithin = 500 * time.Millisecond
	pause      = time.Second // after a dial that told nothing

	// A process that ends closes one socket after the other: for a moment its address may take a connection and reset it.
	quickTries = 50
	quickly    = 2 * time.Millisecond
)

// Watcher watches this node's peers.
type Watcher struct {
	config Config
	work   sync.WaitGroup

	mu sync.Mutex
	// Guarded by mu.
	said map[cluster.Boot]saying // by the peers that are watched
}

// saying is what a peer said last.
type saying struct {
	at   time.Time
	sees bool // it reaches the store
}

// PeersSee reports whether most of the peers that have spoken lately reach the store.
func (w *Watcher) PeersSee() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return mostSee(w.said, time.Now())
}

// mostSee reports whether of those who have spoken within the last second or so most reach the store.
func mostSee(said map[cluster.Boot]saying, now time.Time) bool {
	see, blind := 0, 0
	for _, s := range said {
		switch {
		case now.Sub(s.at) >= 3*tellEvery:
		case s.sees:
			see++
		default:
			blind++
		}
	}
	return see > blind
}

// NewWatcher makes a watcher. Run runs it.
func NewWatcher(c Config) *Watcher {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Watcher{config: c, said: map[cluster.Boot]saying{}}
}

// Run watches until ctx ends, and returns the cause.
func (w *Watcher) Run(ctx context.Context) error {
	peers := map[cluster.Boot]context.CancelFunc{}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		want := Peers(w.config.Self, w.config.Living())
		for b, stop := range peers {
			if !slices.ContainsFunc(want, func(m cluster.Member) bool { return m.Boot == b }) {
				stop()
				delete(peers, b)
			}
		}
		for _, m := range want {
			if peers[m.Boot] == nil {
				mine, stop := context.WithCancel(ctx)
				peers[m.Boot] = stop
				w.work.Go(func() { w.watch(mine, m) })
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			for _, stop := range peers {
				stop()
			}
			w.work.Wait()
			return context.Cause(ctx)
		}
	}
}

// Peers gives the members that a node watches: the three living ones behind it, by boot, that can be watched.
func Peers(self cluster.Boot, living []cluster.Member) []cluster.Member {
	ring := slices.DeleteFunc(slices.Clone(living), func(m cluster.Member) bool { return m.Peer == "" || m.Boot == self })
	slices.SortFunc(ring, func(a, b cluster.Member) int { return int(a.Boot-self) - int(b.Boot-self) }) // behind self, round the circle
	return ring[:min(watched, len(ring))]
}

// watch watches one peer until it is dead, or ctx ends.
func (w *Watcher) watch(ctx context.Context, m cluster.Member) {
	defer w.forget(m.Boot)
	met, tries := false, 0
	for ctx.Err() == nil {
		c, err := w.meet(ctx, m)
		switch {
		case errors.Is(err, errDead) && met:
			w.config.Log.Warn("obituary: the node's process has ended", "boot", m.Boot, "name", m.Name)
			w.config.Dead(m.Boot)
			return
		case err != nil: // it tells nothing, also if nobody was ever met there: the address may be wrong
			wait := pause
			if tries++; met && tries <= quickTries {
				wait = quickly
			}
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
			continue
		}
		met, tries = true, 0
		ended := context.AfterFunc(ctx, func() { c.Close() })
		w.listen(c, m.Boot)
		ended()
		c.Close()
	}
}

// listen hears what a peer says, until the connection ends.
func (w *Watcher) listen(c net.Conn, peer cluster.Boot) {
	said := make([]byte, 64)
	for {
		n, err := c.Read(said)
		if err != nil {
			return
		}
		if n > 0 {
			w.mu.Lock()
			w.said[peer] = saying{time.Now(), said[n-1] == sees}
			w.mu.Unlock()
		}
	}
}

func (w *Watcher) forget(peer cluster.Boot) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.said, peer)
}

// errDead is a peer's address where nobody listens, or another boot.
var errDead = errors.New("obituary: nobody, or another boot, is there")

// Refused reports whether nobody listens where a member says that it is watched. Of a member that was never met that proves little; but
// a node that starts again, where it was before, may take it for the death of its last run.
func Refused(ctx context.Context, m cluster.Member) bool {
	dialer := net.Dialer{Timeout: dialWithin}
	c, err := dialer.DialContext(ctx, "tcp", m.Peer)
	if err == nil {
		c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// meet connects to a peer.
func (w *Watcher) meet(ctx context.Context, m cluster.Member) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialWithin, KeepAlive: -1}
	c, err := dialer.DialContext(ctx, "tcp", m.Peer)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil, errDead
	}
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	boot, err := greet(c, w.config.Self)
	if err == nil && boot != m.Boot {
		err = errDead
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}
