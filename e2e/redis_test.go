package e2e

import (
	"encoding/json"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tickover.dev/redisconn/redistest"
)

// This file kills real nodes and a real Redis under players who count.

// balancer passes connections on to whichever of its nodes takes them, as a load balancer does.
type balancer struct {
	listener net.Listener

	mu    sync.Mutex
	nodes []string
	next  int
}

func startBalancer(t *testing.T, nodes ...string) *balancer {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{listener: l, nodes: nodes}
	go b.serve()
	t.Cleanup(func() { l.Close() })
	return b
}

// use replaces the nodes.
func (b *balancer) use(nodes ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nodes = nodes
}

func (b *balancer) dial() net.Conn {
	b.mu.Lock()
	nodes, first := b.nodes, b.next
	b.next++
	b.mu.Unlock()
	for i := range nodes {
		if c, err := net.DialTimeout("tcp", nodes[(first+i)%len(nodes)], time.Second); err == nil {
			return c
		}
	}
	return nil
}

func (b *balancer) serve() {
	for {
		in, err := b.listener.Accept()
		if err != nil {
			return
		}
		go func() {
			out := b.dial()
			if out == nil {
				in.Close()
				return
			}
			go func() { io.Copy(out, in); out.Close(); in.Close() }()
			io.Copy(in, out)
			in.Close()
			out.Close()
		}()
	}
}

// soak has bots count for a while, and gives what they found.
type soak struct {
	t   *testing.T
	cmd *exec.Cmd
	// What it wrote; its last line of out is the report.
	out, errs strings.Builder
}

func startSoak(t *testing.T, tickctl, addr, bots, rooms, duration string) *soak {
	s := &soak{t: t, cmd: exec.Command(tickctl, "soak", "--url=ws://"+addr+"/", "--bots="+bots, "--rooms="+rooms, "--duration="+duration, "--json")}
	s.cmd.Stdout = &s.out
	s.cmd.Stderr = &s.errs
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *soak) wait() report {
	err := s.cmd.Wait()
	lines := strings.Split(strings.TrimSpace(s.out.String()), "\n")
	var r report
	if jsonErr := json.Unmarshal([]byte(lines[len(lines)-1]), &r); jsonErr != nil {
		s.t.Fatalf("%v, %v: %s%s", err, jsonErr, s.out.String(), s.errs.String())
	}
	s.t.Logf("%s", lines[len(lines)-1])
	if err != nil || r.InputsLost+r.InputsDuplicated+r.HistoriesForked+r.Errors > 0 {
		s.t.Errorf("the soak found something: %v: %s%s", err, s.out.String(), s.errs.String())
	}
	return r
}

// kill ends the server as a crash does.
func (s *server) kill() {
	s.cmd.Process.Kill()
	<-s.exited
	s.cmd = nil
}

func nodeOn(t *testing.T, binary, redis string) *server {
	s := &server{t: t, binary: binary, store: "--redis=" + redis}
	s.start()
	t.Cleanup(s.stop)
	return s
}

// A node that dies takes nothing with it: it is started again, and its rooms go on where their players last saw them.
func TestRoomsSurviveTheDeathOfTheirOnlyNode(t *testing.T) {
	redis := redistest.Start(t)
	node := nodeOn(t, build(t, "tickover"), redis.URL())
	b := startBalancer(t, node.game)
	s := startSoak(t, build(t, "tickctl"), b.listener.Addr().String(), "40", "4", "12s")
	for range 2 {
		wait(t, 3*time.Second)
		node.kill()
		node.start()
		b.use(node.game)
	}
	if r := s.wait(); r.Reconnects < 80 || r.InputsAcked < 40*10*6 {
		t.Errorf("too little happened: %+v", r)
	}
}

// Redis dies and comes back with what it had confirmed: rooms wait for it, and nothing is lost.
func TestRoomsWaitForRedis(t *testing.T) {
	redis := redistest.Start(t, redistest.Durable...)
	node := nodeOn(t, build(t, "tickover"), redis.URL())
	s := startSoak(t, build(t, "tickctl"), node.game, "40", "4", "12s")
	for range 2 {
		wait(t, 2*time.Second)
		redis.Kill()
		wait(t, 1500*time.Millisecond)
		redis.Restart()
	}
	if r := s.wait(); r.InputsAcked < 40*10*6 {
		t.Errorf("too little happened: %+v", r)
	}
}

// Three nodes behind a balancer that knows nothing: players of one room are on all of them. Whichever dies, nobody loses anything.
func TestAnyNodeMayDie(t *testing.T) {
	redis, binary := redistest.Start(t), build(t, "tickover")
	var nodes []*server
	b := startBalancer(t)
	for range 3 {
		nodes = append(nodes, nodeOn(t, binary, redis.URL()))
	}
	use := func() { b.use(nodes[0].game, nodes[1].game, nodes[2].game) }
	use()
	s := startSoak(t, build(t, "tickctl"), b.listener.Addr().String(), "60", "6", "15s")
	for i := range 3 {
		wait(t, 3*time.Second)
		nodes[i].kill()
		wait(t, 500*time.Millisecond)
		nodes[i].start()
		use()
	}
	if r := s.wait(); r.Reconnects < 30 || r.InputsAcked < 60*10*8 {
		t.Errorf("too little happened: %+v", r)
	}
}

// A deploy: every node is stopped in order and started again, one after the other. Rooms are handed over; clients come back at once.
func TestADeployCostsNothing(t *testing.T) {
	redis, binary := redistest.Start(t), build(t, "tickover")
	var nodes []*server
	for range 3 {
		nodes = append(nodes, nodeOn(t, binary, redis.URL()))
	}
	b := startBalancer(t, nodes[0].game, nodes[1].game, nodes[2].game)
	s := startSoak(t, build(t, "tickctl"), b.listener.Addr().String(), "60", "6", "12s")
	for i := range 3 {
		wait(t, 2*time.Second)
		nodes[i].stop()
		nodes[i].start()
		b.use(nodes[0].game, nodes[1].game, nodes[2].game)
	}
	if r := s.wait(); r.Reconnects < 40 || r.InputsAcked < 60*10*8 {
		t.Errorf("too little happened: %+v", r)
	}
}

// A node that does not reach Redis, while others do: its rooms go on elsewhere, and it sends its players there.
func TestANodeThatIsCutOffSendsItsPlayersAway(t *testing.T) {
	redis, binary := redistest.Start(t), build(t, "tickover")
	proxy := redistest.StartProxy(t, redis.Addr())
	cut, well := nodeOn(t, binary, "redis://"+proxy.Addr()), nodeOn(t, binary, redis.URL())
	b := startBalancer(t, cut.game, well.game)
	s := startSoak(t, build(t, "tickctl"), b.listener.Addr().String(), "40", "4", "12s")
	wait(t, 2*time.Second)
	proxy.Cut()
	wait(t, 5*time.Second)
	proxy.Mend()
	if r := s.wait(); r.Reconnects < 20 || r.InputsAcked < 40*10*6 {
		t.Errorf("too little happened: %+v", r)
	}
	if !strings.Contains(cut.log(), "players are sent to them") || strings.Contains(well.log(), "players are sent to them") {
		t.Errorf("the node that is cut off says:\n%s", cut.log())
	}
}

// wait lets time pass while others act; what is waited for is that they have had time to.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// Redis dies and comes back with nothing: rooms whose nodes live go on where their players saw them, and sessions are stored again, so
// that players who are sent elsewhere afterwards find their seats.
func TestRoomsOutliveAnEmptyRedis(t *testing.T) {
	redis, binary := redistest.Start(t), build(t, "tickover")
	nodes := []*server{nodeOn(t, binary, redis.URL()), nodeOn(t, binary, redis.URL())}
	b := startBalancer(t, nodes[0].game, nodes[1].game)
	s := startSoak(t, build(t, "tickctl"), b.listener.Addr().String(), "40", "4", "20s")
	wait(t, 3*time.Second)
	redis.Kill()
	wait(t, time.Second)
	redis.Restart()
	if n, ok := redis.Do("dbsize").(int64); !ok || n > 20 {
		t.Errorf("it has kept %d keys", n)
	}
	wait(t, 6*time.Second)
	nodes[0].kill() // and everything is as safe as it was
	wait(t, 500*time.Millisecond)
	nodes[0].start()
	b.use(nodes[0].game, nodes[1].game)
	if r := s.wait(); r.Reconnects < 10 || r.InputsAcked < 40*10*8 {
		t.Errorf("too little happened: %+v", r)
	}
}
