package floor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Idle measures what a session costs that is in no room and says nothing but a ping now and then.
type Idle struct {
	Node     string        // program, see BuildNode
	Sessions int           // at most 18,900 where a process may open 20,000 descriptors
	Settle   time.Duration // how long memory may take to be given back; default 20 s

	Out    io.Writer // the result: one line
	Stderr io.Writer // what goes on, and what the node complains of
}

// Run measures and prints
//
//	idle: sessions=… rss_per_session_kb=…
//
// which is the growth of the node's resident memory, after garbage collections, per session.
func (d *Idle) Run(ctx context.Context) (err error) {
	server, err := StartNode(ctx, d.Stderr, d.Node)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	if err := d.warm(ctx, server); err != nil {
		return err
	}
	empty, err := d.settled(ctx, server, nil)
	if err != nil {
		return err
	}
	began := time.Now()
	crowd, err := Gather(ctx, CrowdConfig{Addr: server.Game, Players: d.Sessions, Enter: Welcomed})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, crowd.Leave()) }()
	fmt.Fprintf(d.Stderr, "idle  sessions=%d entered_s=%.1f\n", d.Sessions, time.Since(began).Seconds())
	full, err := d.settled(ctx, server, crowd)
	if err != nil {
		return err
	}
	fmt.Fprintf(d.Out, "idle: sessions=%d rss_per_session_kb=%.2f\n", d.Sessions, float64(full-empty)/1024/float64(d.Sessions))
	return nil
}

// warm has the node do once what it does for every session, so that what is made once is not counted.
func (d *Idle) warm(ctx context.Context, server *Server) error {
	crowd, err := Gather(ctx, CrowdConfig{Addr: server.Game, Players: 1, Enter: Welcomed})
	if err != nil {
		return err
	}
	return crowd.Leave()
}

// settled collects the node's garbage until its resident memory falls no more, and gives it in bytes. The crowd, if there is one,
// stays in touch meanwhile.
func (d *Idle) settled(ctx context.Context, server *Server, crowd *Crowd) (int64, error) {
	const between = time.Second
	settle := d.Settle
	if settle == 0 {
		settle = 20 * time.Second
	}
	least := int64(1 << 62)
	for end, falls := time.Now().Add(settle), 0; time.Now().Before(end) && falls < 3; {
		if err := fetch(ctx, fmt.Sprintf("http://%s/debug/pprof/heap?gc=1", server.Admin), ""); err != nil {
			return 0, err
		}
		if err := pass(ctx, crowd, between); err != nil {
			return 0, err
		}
		now, err := server.Resident()
		if err != nil {
			return 0, err
		}
		fmt.Fprintf(d.Stderr, "idle  resident_kb=%d\n", now/1024)
		falls++
		if now < least-least/100 {
			falls = 0
		}
		least = min(least, now)
	}
	return least, nil
}

// pass lets time go by.
func pass(ctx context.Context, crowd *Crowd, d time.Duration) error {
	if crowd != nil {
		return crowd.Wait(ctx, d)
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
