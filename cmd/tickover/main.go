// Command tickover runs a node with the example games.
package main

import (
	"tickover.dev/examples/arena"
	"tickover.dev/examples/highcard"
	"tickover.dev/examples/ledger"
	"tickover.dev/examples/tictactoe"
	"tickover.dev/node"
)

func main() { node.Main(arena.Kind, tictactoe.Kind, highcard.Kind, ledger.Kind) }
