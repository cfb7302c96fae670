package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/alecthomas/kong"
)

// What run returns.
const (
	exitFault = 1 // a fault was found, or the command failed
	exitUsage = 2
)

// errFaults ends a command whose report says what is wrong.
var errFaults = errors.New("faults were found")

// commands is the tool's command line: one field per command.
type commands struct {
	Soak soak `cmd:"" help:"Play bots through the public protocol; fail if an input is lost or doubled, a history forks, or errors occur."`
}

// output is where commands write.
type output struct{ stdout, stderr io.Writer }

// exit is how kong asks to end, for --help.
type exit int

// run is the whole tool, without globals.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (code int) {
	defer func() {
		switch e := recover().(type) {
		case nil:
		case exit:
			code = int(e)
		default:
			panic(e)
		}
	}()
	var c commands
	parser, err := kong.New(&c,
		kong.Name("tickctl"),
		kong.Description("The operator's tool of tickover."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { panic(exit(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(output{stdout, stderr}),
	)
	if err != nil {
		panic(err) // the struct above is wrong
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(stderr, "tickctl: %v\nTry tickctl --help.\n", err)
		return exitUsage
	}
	if err := command.Run(); err != nil {
		fmt.Fprintf(stderr, "tickctl: %v\n", err)
		return exitFault
	}
	return 0
}
