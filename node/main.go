package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"tickover.dev/node/local"
	"tickover.dev/rooms"
)

// Main runs a node with these kinds of rooms until it is told to stop (SIGINT or SIGTERM; a second one stops it at once), and exits:
// 0 after an orderly stop, 2 for bad flags, configuration or kinds, with every complaint, 1 for anything else.
func Main(kinds ...rooms.Kind) {
	os.Exit(Run(context.Background(), os.Args[1:], os.Stdout, os.Stderr, kinds...))
}

// Run is Main without the process: it gives the exit code.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer, kinds ...rooms.Kind) int {
	base := Config{Kinds: kinds}
	cli := commands{Serve: flags(base)}
	exit := -1
	p, err := parser(&cli, stdout, stderr, &exit, kong.DefaultEnvars("TICKOVER"))
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	if len(args) == 1 {
		switch args[0] {
		case "--help", "-h":
			args = []string{"serve", "--help"} // what is asked for are the flags
		case "--version":
			args = []string{"version"}
		}
	}
	parsed, err := p.Parse(args)
	if exit >= 0 { // --help
		return exit
	}
	if err == nil && parsed.Command() == "version" {
		fmt.Fprintln(stdout, program(), version())
		return 0
	}
	if len(args) > 0 && args[0] == "cluster" {
		return runCluster(ctx, local.Config(cli.Cluster), err, &base, stdout, stderr)
	}
	config, err := configOf(p, &cli, err, args, base)
	if err != nil {
		return refuse(stderr, err, "")
	}
	return done(stderr, run(ctx, config, stdout, stderr))
}

// runCluster runs a local cluster of nodes with the kinds of base.
func runCluster(ctx context.Context, c local.Config, parseErr error, base *Config, stdout, stderr io.Writer) int {
	errs := []error{parseErr}
	if parseErr == nil { // else what was not parsed would be complained of once more
		errs = append(base.checkKinds(), c.Validate())
	}
	if err := errors.Join(errs...); err != nil {
		return refuse(stderr, err, "cluster ")
	}
	var err error
	if c.Page, err = fs.Sub(pageFiles, "page/dist"); err != nil {
		panic(err) // the folder is in the binary
	}
	c.Version = version()
	c.LAN, _ = lanAddr()
	return done(stderr, local.Run(ctx, c, stdout, stderr))
}

// refuse tells everything that is wrong with a command line.
func refuse(stderr io.Writer, err error, command string) int {
	fmt.Fprintf(stderr, "%s: cannot start:\n%s\nSee %s %s--help.\n", program(), indent(err.Error()), program(), command)
	return 2
}

// done tells how it went.
func done(stderr io.Writer, err error) int {
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", program(), err)
		return 1
	}
	return 0
}

// run starts a node and waits for what ends it.
func run(ctx context.Context, config Config, stdout, stderr io.Writer) error {
	config.Log = newLog(config, stderr)
	ctx, cancel := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer cancel()
	n, err := Start(ctx, config)
	if err != nil {
		return fmt.Errorf("cannot start: %w", err)
	}
	n.greet(stdout)
	var failed error
	select {
	case <-ctx.Done():
		config.Log.Info("stopping", "cause", context.Cause(ctx), "within", config.Drain)
	case failed = <-n.Failed():
	}
	cancel() // from here on a signal ends the process at once
	bounded, done := context.WithTimeout(context.Background(), config.Drain)
	defer done()
	err = n.Stop(bounded)
	if err == nil {
		config.Log.Info("stopped", "rooms", n.keptRooms, "sessions", n.keptSessions, "data", config.Data)
	}
	return errors.Join(failed, err)
}

func newLog(c Config, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// greet tells a newcomer which addresses to open.
func (n *Node) greet(w io.Writer) {
	var names []string
	for _, k := range n.kinds() {
		if !k.Hidden {
			names = append(names, k.Name)
		}
	}
	fmt.Fprintf(w, "\n  tickover %s is running: %s\n\n", version(), strings.Join(names, ", "))
	line := func(what, where string) { fmt.Fprintf(w, "    %-7s %s\n", what, where) }
	page := n.HTTPAddr()
	if n.playable() {
		line("Play", fmt.Sprintf("http://%s/", reachable(page, "localhost")))
	} else {
		line("Kinds", fmt.Sprintf("http://%s/v1/kinds", reachable(page, "localhost")))
	}
	if ip, ok := lanAddr(); ok && n.playable() && page.Addr().IsUnspecified() {
		line("Phone", fmt.Sprintf("http://%s/  (same network)", netip.AddrPortFrom(ip, page.Port())))
	}
	line("Game", fmt.Sprintf("ws://%s/  (subprotocol tickover.v1)", reachable(n.GameAddr(), "localhost")))
	line("Admin", fmt.Sprintf("http://%s/metrics", reachable(n.AdminAddr(), "localhost")))
	if n.config.Data != "" {
		line("Data", fmt.Sprintf("%s  (%d rooms resumed)", n.config.Data, n.resumed))
	}
	if n.disorderly {
		fmt.Fprintf(w, "\n  The last stop was not orderly: its rooms are gone.\n")
	}
	if n.config.guests() {
		fmt.Fprintf(w, "\n  Guest mode: anybody who reaches this port can play under any name. Set --jwt-key-file to ask for tokens.\n")
		if n.api.access.open() {
			fmt.Fprintf(w, "  The HTTP API is open, too: anybody can look up players and signal rooms. Set --api-key-file to ask for a key.\n")
		}
	}
	fmt.Fprintf(w, "\n")
}

// playable reports whether the page can play one of the kinds.
func (n *Node) playable() bool {
	return slices.ContainsFunc(n.kinds(), func(k rooms.Kind) bool { return k.Name == "arena" || k.Name == "tictactoe" })
}

// reachable is an address as one may type it: a name instead of "all interfaces".
func reachable(a netip.AddrPort, name string) string {
	if a.Addr().IsUnspecified() {
		return fmt.Sprintf("%s:%d", name, a.Port())
	}
	return a.String()
}

// lanAddr is this machine's first private IPv4 address.
func lanAddr() (netip.Addr, bool) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return netip.Addr{}, false
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && p.Addr().IsPrivate() {
			return p.Addr(), true
		}
	}
	return netip.Addr{}, false
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

func indent(s string) string { return "  " + strings.ReplaceAll(s, "\n", "\n  ") }
