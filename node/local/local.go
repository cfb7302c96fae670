package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// Run runs a cluster until ctx ends or a SIGINT or SIGTERM comes; then everything ends within two seconds. A second signal kills at
// once what is left. The configuration must be valid.
func Run(ctx context.Context, c Config, stdout, stderr io.Writer) error {
	if len(c.Command) == 0 {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		c.Command = []string{self, "serve"}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out := &lines{to: stdout}
	super := newSupervisor(c, out, &lines{to: stderr})
	signals, over := make(chan os.Signal, 2), make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	defer close(over)
	go func() { // it ends with this function
		select {
		case <-ctx.Done():
		case <-signals:
			cancel()
		}
		select {
		case <-over:
		case <-signals:
			super.kill()
		}
	}()
	if err := vacant(c); err != nil {
		return err
	}
	st, err := openStore(ctx, c, super.say)
	if err != nil {
		return err
	}
	defer st.stop()
	var nodes sync.WaitGroup
	nodes.Go(func() { super.run(ctx, st.url) })
	defer nodes.Wait()
	defer cancel()
	select {
	case <-ctx.Done():
		return nil
	case err := <-super.failed:
		return err
	case <-super.ready:
		return present(ctx, c, super, st, out)
	}
}

// vacant looks whether our addresses are free: whoever has one should be told so before three nodes are started. They are taken when
// those are ready; until then there is nobody to play with.
func vacant(c Config) error {
	for _, a := range []struct{ flag, addr string }{{"--game-addr", c.GameAddr}, {"--http-addr", c.HTTPAddr}} {
		l, err := net.Listen("tcp", a.addr)
		if err != nil {
			return fmt.Errorf("%s: %w", a.flag, err)
		}
		l.Close()
	}
	return nil
}

// present opens the cluster to players, until ctx ends or something fails.
func present(ctx context.Context, c Config, super *supervisor, st *store, out io.Writer) error {
	sockets, err := newBalancer(c.GameAddr, nil)
	if err != nil {
		return fmt.Errorf("--game-addr: %w", err)
	}
	defer sockets.stop()
	super.serve(sockets)
	asker := newAsker()
	show, err := newSite(super, st, asker, sockets, c.Page)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", c.HTTPAddr)
	if err != nil {
		return fmt.Errorf("--http-addr: %w", err)
	}
	server := show.server()
	server.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	failed := make(chan error, 1)
	var work sync.WaitGroup
	defer work.Wait()
	defer server.Close()
	asking, enough := context.WithCancel(ctx)
	defer enough()
	work.Go(func() { super.ask(asking, asker) })
	work.Go(func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("page: %w", err)
		}
	})
	greet(out, c, super, st, sockets.port(), l.Addr().(*net.TCPAddr).AddrPort())
	select {
	case <-ctx.Done():
		fmt.Fprintf(out, "\n  Stopping. A second Ctrl-C does not wait for that.\n")
		return nil
	case err := <-failed:
		return err
	case err := <-super.failed:
		return err
	}
}

// greet tells a newcomer what to open, and what to do.
func greet(w io.Writer, c Config, super *supervisor, st *store, gamePort int, page netip.AddrPort) {
	plural := "s"
	if c.Nodes == 1 {
		plural = ""
	}
	text := fmt.Sprintf("\n  tickover %s: a cluster of %d node%s, to play with and to kill\n\n", c.Version, c.Nodes, plural)
	line := func(what, where string, more ...any) {
		text += fmt.Sprintf("    %-7s %s\n", what, fmt.Sprintf(where, more...))
	}
	line("Play", "http://%s/", named(page))
	if c.LAN.IsValid() && page.Addr().IsUnspecified() {
		line("Phone", "http://%s/  (same network)", netip.AddrPortFrom(c.LAN, page.Port()))
	}
	game, _ := net.ResolveTCPAddr("tcp", c.GameAddr) // it is listened on
	line("Game", "ws://%s/  (a balancer: the next node each time)", named(netip.AddrPortFrom(game.AddrPort().Addr(), uint16(gamePort))))
	line("Redis", "%s", st.what)
	text += "\n"
	first := 0
	super.mu.Lock()
	for _, m := range super.members {
		if m.run != nil {
			line(m.name, "pid %-7d http://%s/", m.run.pid, m.http)
			if first == 0 {
				first = m.run.pid
			}
		}
	}
	super.mu.Unlock()
	if st.notice != "" {
		text += "\n  " + st.notice + "\n"
	}
	text += fmt.Sprintf("\n  Kill a node while you play: with the buttons on the page, or kill -9 %d.\n\n", first)
	io.WriteString(w, text)
}

// named is an address as one may type it: a name instead of "all interfaces".
func named(a netip.AddrPort) string {
	ip := a.Addr().Unmap()
	if !ip.IsValid() || ip.IsUnspecified() {
		return fmt.Sprintf("localhost:%d", a.Port())
	}
	return netip.AddrPortFrom(ip, a.Port()).String()
}

// lines lets goroutines write to one place, a whole text each.
type lines struct {
	mu sync.Mutex
	to io.Writer // guarded by mu
}

// Write implements io.Writer.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.to.Write(p)
}
