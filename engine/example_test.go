package engine_test

import (
	"context"
	"fmt"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"tickover.dev/engine"
)

// chat passes every message on to everybody on its loop. Its state needs no lock: one loop, one goroutine.
type chat struct {
	present map[*engine.Conn]struct{}
}

func (h *chat) Open(c *engine.Conn) { h.present[c] = struct{}{} }

func (h *chat) Message(_ *engine.Conn, _ bool, payload []byte) {
	for c := range h.present {
		c.Send(true, payload)
	}
}

func (h *chat) Closed(c *engine.Conn, _ error) { delete(h.present, c) }

func (h *chat) Tick(time.Time) {}

func Example() {
	server, err := engine.Start(engine.Config{
		Addr:  "127.0.0.1:0",
		Loops: 1,
		New:   func(*engine.Loop) engine.Handler { return &chat{present: make(map[*engine.Conn]struct{})} },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	conn, _, _, err := ws.Dial(context.Background(), fmt.Sprintf("ws://%s/", server.Addr()))
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = wsutil.WriteClientText(conn, []byte("hello, room"))
	answer, _ := wsutil.ReadServerText(conn)
	fmt.Printf("%s\n", answer)
	_ = conn.Close()
	if err := server.Stop(context.Background(), engine.CodeGoingAway, "closing time"); err != nil {
		fmt.Println(err)
	}
	// Output: hello, room
}
