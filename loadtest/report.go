package loadtest

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Report is what came of a run. As JSON it is one object with exactly these fields, all always there.
type Report struct {
	Scenario         string  `json:"scenario"`
	Bots             int     `json:"bots"`
	Rooms            int     `json:"rooms"`
	Seconds          float64 `json:"seconds"` // of sending
	InputsSent       uint64  `json:"inputs_sent"`
	InputsAcked      uint64  `json:"inputs_acked"` // applied or refused
	InputsLost       uint64  `json:"inputs_lost"`
	InputsDuplicated uint64  `json:"inputs_duplicated"`
	HistoriesForked  uint64  `json:"histories_forked"`
	Frames           uint64  `json:"frames"` // with a state
	Reconnects       int     `json:"reconnects"`
	Errors           uint64  `json:"errors"`
	GapMs            Spread  `json:"gap_ms"`            // each bot's longest silence in its room while sending
	InputToFrameMs   Spread  `json:"input_to_frame_ms"` // from an input's scheduled time to the first frame that has it

	// Complaints are the first few different errors in words.
	Complaints []string `json:"-"`
}

// Spread sums up many times, in milliseconds.
type Spread struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Clean reports whether nothing was lost, duplicated, forked or in error.
func (r *Report) Clean() bool {
	return r.InputsLost == 0 && r.InputsDuplicated == 0 && r.HistoriesForked == 0 && r.Errors == 0
}

// Write prints the report for people.
func (r *Report) Write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%s\t%d bots in %d rooms for %.1f s\n", r.Scenario, r.Bots, r.Rooms, r.Seconds)
	fmt.Fprintf(t, "inputs\t%d sent, %d acknowledged, %d lost, %d duplicated\n", r.InputsSent, r.InputsAcked, r.InputsLost, r.InputsDuplicated)
	fmt.Fprintf(t, "histories\t%d forked\n", r.HistoriesForked)
	fmt.Fprintf(t, "frames\t%d\n", r.Frames)
	fmt.Fprintf(t, "reconnects\t%d\n", r.Reconnects)
	fmt.Fprintf(t, "errors\t%d\n", r.Errors)
	fmt.Fprintf(t, "gap\t%s\n", r.GapMs)
	fmt.Fprintf(t, "input to frame\t%s\n", r.InputToFrameMs)
	if len(r.Complaints) > 0 {
		fmt.Fprintf(t, "complaints\t%s\n", strings.Join(r.Complaints, "\n\t"))
	}
	verdict := "OK: nothing was lost, doubled or forked"
	if !r.Clean() {
		verdict = "FAULTS were found"
	}
	fmt.Fprintf(t, "%s\n", verdict)
	return t.Flush()
}

func (s Spread) String() string {
	return fmt.Sprintf("p50 %.1f ms, p99 %.1f ms, max %.1f ms", s.P50, s.P99, s.Max)
}
