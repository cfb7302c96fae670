package local

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// crew is a supervisor of fake nodes at work.
type crew struct {
	*supervisor
	out, err *lines
	texts    [2]*bytes.Buffer
	stop     func() // and wait for it
}

func startCrew(t *testing.T, how string, c Config) *crew {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("FAKE_NODE", how)
	c.Command = []string{self, "serve"}
	texts := [2]*bytes.Buffer{{}, {}}
	w := &crew{out: &lines{to: texts[0]}, err: &lines{to: texts[1]}, texts: texts}
	w.supervisor = newSupervisor(c, w.out, w.err)
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { w.run(ctx, "redis://here") })
	w.stop = sync.OnceFunc(func() { cancel(); work.Wait() })
	t.Cleanup(w.stop)
	return w
}

func (w *crew) wait(t *testing.T) {
	t.Helper()
	select {
	case <-w.ready:
	case err := <-w.failed:
		t.Fatal(err)
	case <-time.After(20 * time.Second):
		t.Fatal("the nodes do not get ready")
	}
}

// see gives a node's state and process.
func (w *crew) see(i int) (state, int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.members[i]
	if m.run == nil {
		return m.state, 0
	}
	return m.state, m.run.pid
}

func (w *crew) told(l *lines, i int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return w.texts[i].String()
}

func (w *crew) happenings() (list []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range w.history {
		list = append(list, h.Node+" "+h.What)
	}
	return list
}

func exists(pid int) bool { return syscall.Kill(pid, 0) == nil }

// A cluster that shrinks with every kill is played with three times.
func TestAKilledNodeIsStartedAgain(t *testing.T) {
	w := startCrew(t, "", Config{Nodes: 2, Restart: 50 * time.Millisecond})
	w.wait(t)
	_, pid := w.see(1)
	syscall.Kill(pid, syscall.SIGKILL) // from outside, as `kill -9` does
	eventually(t, "another process is alive", func() bool { s, p := w.see(1); return s == alive && p != pid && p != 0 })
	if exists(pid) {
		t.Error("the dead process was not reaped")
	}
	if got := w.happenings(); !slices.Contains(got, "node-2 killed") || got[len(got)-1] != "node-2 ready" {
		t.Errorf("happened: %q", got)
	}
	for _, want := range []string{"was killed. It is started again in 50ms.", "is back."} {
		if text := w.told(w.out, 0); !strings.Contains(text, "node-2  pid ") || !strings.Contains(text, want) {
			t.Errorf("nothing of %q in %q", want, text)
		}
	}
	if text := w.told(w.err, 1); !strings.Contains(text, "node-1  a line of its log, with redis at redis://here\n") {
		t.Errorf("logs: %q", text)
	}
}

// Without it a reload ends at a node that takes connections and never says a word.
func TestFrozenNodesGetNoPlayers(t *testing.T) {
	w := startCrew(t, "", Config{Nodes: 2, Restart: time.Hour})
	w.wait(t)
	b := balance(t)
	w.serve(b)
	reach := func() string { return firstLine(t, dial(t, b)) }
	if a, b := reach(), reach(); a == b {
		t.Fatalf("both went to %s", a)
	}
	_, pid := w.see(0)
	syscall.Kill(pid, syscall.SIGSTOP) // nobody tells the supervisor
	eventually(t, "it sees that", func() bool { s, _ := w.see(0); return s == frozen })
	for range 4 {
		if name := reach(); name != "node-2" {
			t.Errorf("reached %s", name)
		}
	}
	if err := w.act("node-1", "drain"); !errors.Is(err, errNotNow) {
		t.Errorf("drain while frozen: %v", err)
	}
	if err := w.act("node-1", "thaw"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is alive", func() bool { s, _ := w.see(0); return s == alive })
	if a, b := reach(), reach(); a == b {
		t.Errorf("thawed, and both went to %s", a)
	}
}

// What a button does must be what the signal of its name does, or people learn the wrong thing.
func TestButtonsSendTheirSignals(t *testing.T) {
	w := startCrew(t, "", Config{Nodes: 1, Restart: 20 * time.Millisecond})
	w.wait(t)
	for _, step := range []struct {
		when state
		do   fault
		want string
	}{
		{alive, "freeze", "node-1 frozen"},
		{frozen, "thaw", "node-1 thawed"},
		{alive, "drain", "node-1 stopped"},
		{alive, "kill", "node-1 killed"},
	} {
		eventually(t, "it is "+string(step.when), func() bool { s, _ := w.see(0); return s == step.when })
		if err := w.act("node-1", step.do); err != nil {
			t.Fatalf("%s: %v", step.do, err)
		}
		eventually(t, step.want, func() bool { return slices.Contains(w.happenings(), step.want) })
	}
	if err := w.act("node-9", "kill"); !errors.Is(err, errNoNode) {
		t.Errorf("a node that is not there: %v", err)
	}
	if err := w.act("node-1", "hug"); !errors.Is(err, errNoFault) {
		t.Errorf("no such fault: %v", err)
	}
}

// A child that outlives the command holds ports and rooms that nobody knows of.
func TestNoNodeOutlivesTheEnd(t *testing.T) {
	w := startCrew(t, "stubborn", Config{Nodes: 3, Restart: time.Hour})
	w.wait(t)
	var pids []int
	for i := range 3 {
		_, pid := w.see(i)
		pids = append(pids, pid)
	}
	w.act("node-1", "freeze")
	eventually(t, "it is frozen", func() bool { s, _ := w.see(0); return s == frozen })
	start := time.Now()
	w.stop()
	if took := time.Since(start); took < stopWithin || took > stopWithin+400*time.Millisecond {
		t.Errorf("stubborn nodes were killed after %s, want %s", took, stopWithin)
	}
	for _, pid := range pids {
		if exists(pid) {
			t.Errorf("process %d is still there", pid)
		}
	}
}

// What cannot start must be said, not tried for ever.
func TestANodeThatCannotStartEndsIt(t *testing.T) {
	w := startCrew(t, "broken", Config{Nodes: 2, Restart: time.Millisecond})
	select {
	case err := <-w.failed:
		if !strings.Contains(err.Error(), "ended before it was ready (exit 2)") || !strings.Contains(w.told(w.err, 1), "cannot start: no kinds") {
			t.Errorf("said %q, and above that %q", err, w.told(w.err, 1))
		}
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was said")
	}
}

// Who wants to look at what is left must be able to.
func TestRestartZeroIsNever(t *testing.T) {
	w := startCrew(t, "", Config{Nodes: 1})
	w.wait(t)
	w.act("node-1", "kill")
	eventually(t, "it is said", func() bool { return strings.Contains(w.told(w.out, 0), "It stays so") })
	if s, pid := w.see(0); s != dead || pid != 0 {
		t.Errorf("it is %s, pid %d", s, pid)
	}
}
