package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"tickover.dev/client/clienttest"
)

// TestSoakTellsByItsExitCode: scripts look at the code and the last line, people at the table.
func TestSoakTellsByItsExitCode(t *testing.T) {
	honest, thief := &clienttest.Ledger{}, &clienttest.Ledger{Fate: func(_, number uint64) clienttest.Fate {
		if number == 2 {
			return clienttest.Lost
		}
		return clienttest.Applied
	}}
	for name, c := range map[string]struct {
		url  string
		code int
		lost float64
	}{
		"honest": {honest.Start(t, 5*time.Millisecond), 0, 0},
		"thief":  {thief.Start(t, 5*time.Millisecond), exitFault, 4},
	} {
		t.Run(name, func(t *testing.T) {
			var out, err strings.Builder
			args := []string{"soak", "--url", c.url, "--bots=4", "--rooms=2", "--duration=200ms", "--rate=20", "--option", "speed=2.5", "--option=name=x,y"}
			if code := run(t.Context(), append(args, "--json"), &out, &err); code != c.code {
				t.Fatalf("exit code %d, %s", code, err.String())
			}
			var report map[string]any
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if err := json.Unmarshal([]byte(lines[len(lines)-1]), &report); err != nil || len(report) != 14 || report["inputs_lost"] != c.lost {
				t.Fatal(out.String(), err)
			}
			out.Reset()
			if code := run(t.Context(), args, &out, &err); code != c.code || !strings.Contains(out.String(), "acknowledged") {
				t.Fatal(code, out.String())
			}
		})
	}
}

// TestBadFlagsGetEveryComplaint and exit code 2, which tells a script that nothing was tried.
func TestBadFlagsGetEveryComplaint(t *testing.T) {
	var out, err strings.Builder
	if code := run(t.Context(), []string{"soak", "--url=nowhere", "--bots=0", "--rate=-1", "--kind=chess"}, &out, &err); code != exitUsage {
		t.Fatal(code)
	}
	for _, word := range []string{"url", "bots", "rate", "chess"} {
		if !strings.Contains(err.String(), word) {
			t.Errorf("nothing about %s in: %s", word, err.String())
		}
	}
	for _, args := range [][]string{{"bake"}, {"soak", "--bots=many"}, {"soak", "--bogus"}} {
		if code := run(t.Context(), args, &out, &err); code != exitUsage {
			t.Error(args, code)
		}
	}
}

// TestClosedPortIsNamedAtOnce with its URL and the reason, whoever reads: a person the error, a script the object and the code.
func TestClosedPortIsNamedAtOnce(t *testing.T) {
	for _, args := range [][]string{nil, {"--json"}} {
		var out, err strings.Builder
		start := time.Now()
		code := run(t.Context(), append([]string{"soak", "--url=ws://127.0.0.1:1/"}, args...), &out, &err)
		if took := time.Since(start); code != exitFault || took > 2*time.Second {
			t.Error("exit code", code, "after", took)
		}
		if said := err.String(); !strings.Contains(said, "connection refused") || !strings.Contains(said, "ws://127.0.0.1:1/") {
			t.Errorf("nobody at home gives %q", said)
		}
		if args != nil && !strings.Contains(out.String(), `"errors":1`) {
			t.Error(out.String())
		}
	}
}

// TestHelpIsNoError and names the commands.
func TestHelpIsNoError(t *testing.T) {
	for _, args := range [][]string{nil, {"--help"}, {"soak", "--help"}} {
		var out, err strings.Builder
		if code := run(t.Context(), args, &out, &err); code != 0 || !strings.Contains(out.String(), "soak") || err.Len() > 0 {
			t.Error(args, code, out.String(), err.String())
		}
	}
}

// TestOptionsAreTakenAsWhatTheyLookLike: a room that wants a number refuses a string.
func TestOptionsAreTakenAsWhatTheyLookLike(t *testing.T) {
	for text, want := range map[string]any{"5": int64(5), "-1": int64(-1), "2.5": 2.5, "true": true, "false": false, "t": "t", "inf": "inf", "": "", "a b": "a b"} {
		if got := option(text); got != want {
			t.Errorf("%q is %#v, want %#v", text, got, want)
		}
	}
}
