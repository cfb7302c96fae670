package client_test

import (
	"context"
	"fmt"

	"tickover.dev/client"
)

// Enter a room by its key, show what happens there, and play.
func Example() {
	type keys struct {
		DX float64 `msgpack:"dx"`
		DY float64 `msgpack:"dy"`
	}
	ctx := context.Background()
	c, err := client.Dial(ctx, client.Config{URL: "ws://localhost:7777/", Name: "ada"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	room, err := c.JoinOrCreate(ctx, "arena", "lobby", nil, client.Handler{
		OnFrame: func(f client.Frame) { fmt.Println("tick", f.Tick, "my inputs up to", f.Applied) },
		OnEvent: func(_ uint64, name string, _ []byte) { fmt.Println(name) },
		OnLeft:  func(why string, _ []byte) { fmt.Println("left:", why) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := room.Send(keys{DX: 1}); err != nil {
		fmt.Println(err)
	}
}
