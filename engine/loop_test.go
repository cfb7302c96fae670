package engine

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// numbered is a task that knows who posted it and as which.
type numbered struct {
	poster, n int
	ran       func(*numbered)
}

func (p *numbered) Run(*Loop) { p.ran(p) }

func TestTasksRunInTheOrderOfTheirPosts(t *testing.T) {
	// Without it, a room's frames reach its players out of order once a loop is busy (gnet's own queue is in order
	// only up to 1024 tasks).
	const posters, each = 8, 5000
	s := start(t, &hooks{}, func(c *Config) { c.Loops, c.MailboxLimit = 2, posters*each })
	for _, l := range s.Loops() {
		var last [posters]int
		done, total := make(chan struct{}), 0
		ran := func(p *numbered) { // on the loop
			if p.n != last[p.poster]+1 {
				t.Errorf("poster %d: %d after %d", p.poster, p.n, last[p.poster])
			}
			last[p.poster] = p.n
			if total++; total == posters*each {
				close(done)
			}
		}
		var group sync.WaitGroup
		for poster := range posters {
			group.Go(func() {
				for n := range each {
					if err := l.Post(&numbered{poster, n + 1, ran}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		await(t, "all tasks", done)
	}
	if st := s.Stats(); st.Wakes > posters*each {
		t.Errorf("%d wake-ups for %d posts", st.Wakes, 2*posters*each)
	}
}

func TestAFullMailboxRefusesAtOnce(t *testing.T) {
	// Without it, a loop that fell behind costs any amount of memory, or blocks the rooms.
	s := start(t, &hooks{}, func(c *Config) { c.MailboxLimit = 10 })
	l := s.Loops()[0]
	started, release := make(chan struct{}), make(chan struct{})
	if err := l.Post(task(func(*Loop) { close(started); <-release })); err != nil {
		t.Fatal(err)
	}
	await(t, "first task", started)
	for i := range 10 {
		if err := l.Post(task(func(*Loop) {})); err != nil {
			t.Fatalf("task %d: %v", i, err)
		}
	}
	if err := l.Post(task(func(*Loop) {})); !errors.Is(err, ErrMailboxFull) {
		t.Errorf("got %v, want ErrMailboxFull", err)
	}
	if st := s.Stats(); st.Mailbox != 10 || st.MailboxRefusals != 1 {
		t.Errorf("stats: %+v", st)
	}
	close(release)
	eventually(t, "mailbox empty", func() bool { return s.Stats().Mailbox == 0 })
	onLoop(t, l, func() {})
}

// again is a task that posts itself as long as it may.
type again struct{ stop atomic.Bool }

func (a *again) Run(l *Loop) {
	if !a.stop.Load() {
		_ = l.Post(a)
	}
}

func TestABusyMailboxDoesNotStarveSockets(t *testing.T) {
	// Without it, tasks that never end keep every player on the loop from being heard.
	s := start(t, echoing(), nil)
	a := new(again)
	if err := s.Loops()[0].Post(a); err != nil {
		t.Fatal(err)
	}
	defer a.stop.Store(true)
	for range 20 {
		c := dial(t, s)
		c.send(clientFrame(true, ws.OpText, []byte("heard?")))
		c.wantFrame(ws.OpText, "heard?")
		c.Close()
	}
}

func TestAPanicCostsOneConnection(t *testing.T) {
	// Without it, one bad message ends the process and everybody's game.
	type fault struct{ in string }
	causes := make(chan error, 4)
	var inTick, inClosed atomic.Bool
	h := &hooks{
		open: func(c *Conn) {
			if c.Data != nil {
				t.Error("Data of a new connection is set")
			}
		},
		message: func(c *Conn, text bool, p []byte) {
			if string(p) == "fault" {
				panic(fault{"Message"})
			}
			c.Send(text, p)
		},
		closed: func(_ *Conn, err error) {
			causes <- err
			if inClosed.Load() {
				panic(fault{"Closed"})
			}
		},
		tick: func(time.Time) {
			if inTick.Swap(false) {
				panic(fault{"Tick"})
			}
		},
	}
	s := start(t, h, func(c *Config) { c.TickEvery = 5 * time.Millisecond })
	other := dial(t, s)
	stillThere := func(after string) {
		t.Helper()
		other.send(clientFrame(true, ws.OpText, []byte(after)))
		other.wantFrame(ws.OpText, after)
	}

	c := dial(t, s)
	c.send(clientFrame(true, ws.OpText, []byte("before")), clientFrame(true, ws.OpText, []byte("fault")), clientFrame(true, ws.OpText, []byte("after")))
	c.wantFrame(ws.OpText, "before")
	c.wantClose(CodeInternal)
	c.send(closeFrame(1000, ""))
	c.wantEnd()
	wantCause(t, await(t, "Closed", causes), CodeInternal, false)
	stillThere("Message")

	inTick.Store(true)
	eventually(t, "Tick", func() bool { return !inTick.Load() })
	stillThere("Tick")

	if err := s.Loops()[0].Post(task(func(*Loop) { panic(fault{"Task"}) })); err != nil {
		t.Fatal(err)
	}
	onLoop(t, s.Loops()[0], func() {})
	stillThere("Task")

	inClosed.Store(true)
	dial(t, s).Close()
	await(t, "Closed", causes)
	inClosed.Store(false)
	stillThere("Closed")
	if got := s.Stats().Panics; got != 4 {
		t.Errorf("%d panics counted, want 4", got)
	}
}

func TestAFaultOfTheEngineItselfIsContained(t *testing.T) {
	// Without it, a panic outside of handlers escapes into gnet, which lets it end the process; or the mailbox
	// waits for ever for a drain that never finished.
	opened := make(chan *Conn, 1)
	h := echoing()
	h.open = func(c *Conn) { opened <- c }
	s := start(t, h, nil)
	l := s.Loops()[0]
	c := dial(t, s)
	conn := await(t, "Open", opened)
	onLoop(t, l, func() { conn.frames.rules = nil })
	c.send(clientFrame(true, ws.OpText, []byte("x")))
	eventually(t, "connection closed", func() bool { return s.Stats().Conns == 0 })

	if err := l.Post(task(func(l *Loop) { l.dirty = append(l.dirty, nil) })); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both faults", func() bool { return s.Stats().Panics == 2 })
	onLoop(t, l, func() {})
	other := dial(t, s)
	other.send(clientFrame(true, ws.OpText, []byte("x")))
	other.wantFrame(ws.OpText, "x")
}

func TestTicksComeOnEveryLoop(t *testing.T) {
	// Without it, a handler's own deadlines never pass on a loop without traffic.
	var ticks [3]atomic.Int64
	start(t, nil, func(c *Config) {
		c.Loops, c.TickEvery = 3, 5*time.Millisecond
		c.New = func(l *Loop) Handler {
			return &hooks{tick: func(time.Time) { ticks[l.Index()].Add(1) }}
		}
	})
	eventually(t, "ticks", func() bool { return ticks[0].Load() > 3 && ticks[1].Load() > 3 && ticks[2].Load() > 3 })
}

func TestConnectionsAreSpreadOverLoops(t *testing.T) {
	// Without it, one core does all the work.
	opened := make(chan int, 100)
	s := start(t, nil, func(c *Config) {
		c.Loops = 4
		c.New = func(l *Loop) Handler {
			return &hooks{open: func(c *Conn) {
				if c.Loop() != l {
					t.Error("a connection opened on the loop of another handler")
				}
				opened <- l.Index()
			}}
		}
	})
	var perLoop [4]int
	for range 40 {
		dial(t, s)
		perLoop[await(t, "Open", opened)]++
	}
	if perLoop != [4]int{10, 10, 10, 10} {
		t.Errorf("connections per loop: %v", perLoop)
	}
}

func TestAClosedNeighbourIsNotWrittenTo(t *testing.T) {
	// Without it, what is meant for one player can reach another who got the same descriptor.
	opened := make(chan *Conn, 2)
	s := start(t, &hooks{open: func(c *Conn) { opened <- c }}, nil)
	l := s.Loops()[0]
	first := dial(t, s)
	gone := await(t, "Open", opened)
	first.Close()
	eventually(t, "first gone", func() bool { return s.Stats().Conns == 0 })
	second := dial(t, s)
	await(t, "Open", opened)
	onLoop(t, l, func() {
		gone.Append([]byte("secret"))
		gone.Send(true, []byte("secret"))
		gone.Close(4000, "")
	})
	second.send(clientFrame(true, ws.OpPing, nil))
	second.wantFrame(ws.OpPong, "")
}

func TestWritingToTheDeadInTheMiddleOfAFanOutIsHarmless(t *testing.T) {
	// Without it, a failing write, which closes its connection on the spot, upsets the list being written.
	var conns []*Conn
	h := &hooks{}
	h.open = func(c *Conn) { conns = append(conns, c) }
	h.closed = func(gone *Conn, _ error) {
		for _, c := range conns { // everybody hears of it, the gone one included
			c.Append([]byte("gone;"))
		}
	}
	s := start(t, h, nil)
	l := s.Loops()[0]
	clients := []*client{dial(t, s), dial(t, s), dial(t, s)}
	for _, c := range clients {
		c.send(clientFrame(true, ws.OpPing, nil))
		c.wantFrame(ws.OpPong, "")
	}
	onLoop(t, l, func() {
		conns[1].shutdownForTest(t)
		for _, c := range conns {
			c.Append([]byte("hello;"))
		}
	})
	for _, i := range []int{0, 2} {
		got := ""
		for got != "hello;gone;" {
			_, p := clients[i].frame()
			got += p
		}
	}
	eventually(t, "second gone", func() bool { return s.Stats().Open == 2 })
}
