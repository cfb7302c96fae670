// Command tickctl is the operator's tool: it plays load against running nodes and judges what it sees.
//
//	tickctl soak --url ws://localhost:7777/ --bots 200 --rooms 10 --duration 1m
//
// It exits with 0 if all is well, 1 if a fault was found or the command failed, and 2 if its flags make no sense.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
