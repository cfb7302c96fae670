package e2e

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// report is what tickctl soak --json ends with.
type report struct {
	InputsSent       uint64 `json:"inputs_sent"`
	InputsAcked      uint64 `json:"inputs_acked"`
	InputsLost       uint64 `json:"inputs_lost"`
	InputsDuplicated uint64 `json:"inputs_duplicated"`
	HistoriesForked  uint64 `json:"histories_forked"`
	Frames           uint64 `json:"frames"`
	Reconnects       uint64 `json:"reconnects"`
	Errors           uint64 `json:"errors"`
}

// A soak that finds nothing proves something only if it finds what is there: the ledger can be told to lose, double and fork.
func TestSoakFindsEachFault(t *testing.T) {
	tickctl := build(t, "tickctl")
	s := startServer(t)
	for fault, found := range map[string]func(report) uint64{
		"":     nil,
		"lose": func(r report) uint64 { return r.InputsLost },
		"dup":  func(r report) uint64 { return r.InputsDuplicated },
		"fork": func(r report) uint64 { return r.HistoriesForked },
	} {
		args := []string{"soak", "--url=ws://" + s.game + "/", "--bots=8", "--rooms=2", "--rate=40", "--duration=4s", "--json"}
		if fault != "" {
			args = append(args, "--option=fault="+fault)
		}
		out, err := exec.Command(tickctl, args...).Output()
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		var r report
		if jsonErr := json.Unmarshal([]byte(lines[len(lines)-1]), &r); jsonErr != nil {
			t.Fatalf("fault %q: %v: %s", fault, jsonErr, out)
		}
		switch {
		case found == nil && (err != nil || r.InputsLost+r.InputsDuplicated+r.HistoriesForked+r.Errors > 0 || r.InputsAcked < 8*40*3):
			t.Errorf("without a fault: %v, %+v", err, r)
		case found != nil && (err == nil || found(r) == 0):
			t.Errorf("fault %q was not noticed: exit %v, %+v", fault, err, r)
		}
	}
}
