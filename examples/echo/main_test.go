package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"regexp"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// gnet makes a worker pool when it is loaded, and never ends it.
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"))
}

func TestEchoAnswersEachMessageInItsKindAndStopsWhenAsked(t *testing.T) {
	// Without it, whoever points a test suite at the example may find that it does not even run.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	read, write := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"--addr", "127.0.0.1:0"}, write)
		write.Close()
	}()
	conn, messages := dial(t, read)
	for _, op := range []ws.OpCode{ws.OpText, ws.OpBinary} {
		if err := wsutil.WriteClientMessage(conn, op, []byte("Grüße")); err != nil {
			t.Fatal(err)
		}
		got, gotOp, err := wsutil.ReadServerData(messages)
		if err != nil || gotOp != op || string(got) != "Grüße" {
			t.Fatalf("sent %v, got %v %q, %v", op, gotOp, got, err)
		}
	}
	cancel()
	_, _, err := wsutil.ReadServerData(messages) // answers the close frame
	if closed, ok := err.(wsutil.ClosedError); !ok || closed.Code != ws.StatusGoingAway {
		t.Errorf("end of the connection: %v, want close code 1001", err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("run: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("run does not end")
	}
}

// dial reads the address off the server's output and connects to it.
func dial(t *testing.T, output io.Reader) (net.Conn, io.ReadWriter) {
	t.Helper()
	lines := bufio.NewReader(output)
	line, err := lines.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, lines)
	url := regexp.MustCompile(`ws://\S+`).FindString(line)
	conn, rest, _, err := ws.Dial(t.Context(), url)
	if err != nil {
		t.Fatalf("dial %q: %v", line, err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if rest != nil {
		return conn, struct {
			io.Reader
			io.Writer
		}{rest, conn}
	}
	return conn, conn
}
