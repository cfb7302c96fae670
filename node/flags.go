package node

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"tickover.dev/node/local"
)

// This file turns a command line into a Config, or into everything that is wrong with it at once.

type commands struct {
	Serve   flags        `cmd:"" default:"withargs" help:"Run one node. This is what happens unless told otherwise; --version prints the version. The command cluster runs several, to play with and to kill."`
	Cluster clusterFlags `cmd:"" help:"Run a cluster on this machine, to play with and to kill: nodes, a balancer before them, a Redis behind them, and a page with buttons."`
	Version struct{}     `cmd:"" help:"Print the version."`
}

// flags are those of Config, without its Validate: kong would stop there, at the first flag that does not parse.
type flags Config

// clusterFlags are those of a local cluster, likewise.
type clusterFlags local.Config

// program is what the user called this program.
func program() string { return filepath.Base(os.Args[0]) }

// parser makes a parser into cli. It writes help, and then sets exit.
func parser(cli *commands, stdout, stderr io.Writer, exit *int, more ...kong.Option) (*kong.Kong, error) {
	return kong.New(cli, append([]kong.Option{
		kong.Name(program()), kong.Description("A game session server whose rooms carry on."),
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { *exit = code }),
	}, more...)...)
}

// flagComplaints gives what is wrong with each flag and environment variable, and the configuration without those that are.
func flagComplaints(model *kong.Kong, args []string, base Config) (Config, []error) {
	var errs []error
	var good []string
	try := func(name string, group []string) {
		if err := parseQuietly(group, &commands{Serve: flags(base)}); err != nil {
			errs = append(errs, fmt.Errorf("%s%w", name, err))
			return
		}
		good = append(good, group...)
	}
	for _, f := range model.Model.Leaves(false)[0].Flags {
		for _, env := range f.Envs {
			if value, ok := os.LookupEnv(env); ok {
				try("$"+env+": ", []string{"--" + f.Name + "=" + value})
			}
		}
	}
	for _, group := range grouped(args) {
		try("", group)
	}
	cli := commands{Serve: flags(base)}
	if err := parseQuietly(good, &cli); err != nil {
		return base, append(errs, err)
	}
	return Config(cli.Serve), errs
}

func parseQuietly(args []string, cli *commands) error {
	exit := 0
	p, err := parser(cli, io.Discard, io.Discard, &exit)
	if err == nil {
		_, err = p.Parse(args)
	}
	return err
}

// grouped splits a command line into flags with their values. All flags of a node have one.
func grouped(args []string) (groups [][]string) {
	args = slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "serve" })
	for len(args) > 0 {
		n := 1
		if strings.HasPrefix(args[0], "-") && !strings.Contains(args[0], "=") && len(args) > 1 && !strings.HasPrefix(args[1], "-") {
			n = 2
		}
		groups, args = append(groups, args[:n]), args[n:]
	}
	return groups
}

// configOf gives the configuration of a command line that was parsed, or every complaint about it.
func configOf(model *kong.Kong, cli *commands, parseErr error, args []string, base Config) (Config, error) {
	c := Config(cli.Serve)
	var errs []error
	if parseErr != nil {
		if c, errs = flagComplaints(model, args, base); len(errs) == 0 {
			errs = []error{parseErr}
		}
	}
	return c, errors.Join(append(errs, c.Validate())...)
}
