package chaos

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"tickover.dev/loadtest"
)

// Report is what came of a run.
type Report struct {
	Seed     uint64
	Happened [kinds]int // faults, by kind
	Missing  []Kind     // that were planned and never happened
	Moves    int        // take-overs that bots have seen
	Gaps     [kinds][]time.Duration
	Play     loadtest.Report
	Failures []string // in words: what never recovered, what ended by itself
}

// Clean reports whether the run has found nothing.
func (r *Report) Clean() bool {
	return r.Play.Clean() && len(r.Failures) == 0 && len(r.Missing) == 0
}

// Line is the run in one line, for scripts.
func (r *Report) Line() string {
	n := r.Happened
	var gaps []time.Duration
	for _, g := range r.Gaps {
		gaps = append(gaps, g...)
	}
	return fmt.Sprintf("chaos: kills=%d freezes=%d drains=%d cuts=%d redis_restarts=%d takeovers=%d inputs_acked=%d lost=%d duplicated=%d forked=%d gap_p50_ms=%s gap_p99_ms=%s",
		n[Kill]+n[DrainKill], n[FreezeShort]+n[FreezeLease]+n[FreezeLong], n[Drain]+n[DrainKill], n[Cut]+n[Stall]+n[Delay], n[RedisKill],
		r.Moves, r.Play.InputsAcked, r.Play.InputsLost, r.Play.InputsDuplicated, r.Play.HistoriesForked,
		Ms(Quantile(gaps, 0.5)), Ms(Quantile(gaps, 0.99)))
}

// Write prints the report for people, Line not included.
func (r *Report) Write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "fault\ttimes\tgap p50 ms\tgap p99 ms\tlongest ms\t\n")
	for k := range kinds {
		if r.Happened[k] == 0 {
			continue
		}
		g := r.Gaps[k]
		if len(g) == 0 { // it hits every node: there are no others
			fmt.Fprintf(t, "%s\t%d\t-\t-\t-\t\n", k, r.Happened[k])
			continue
		}
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t\n", k, r.Happened[k], Ms(Quantile(g, 0.5)), Ms(Quantile(g, 0.99)), Ms(Quantile(g, 1)))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, k := range r.Missing {
		fmt.Fprintf(w, "never happened: %s\n", k)
	}
	for _, f := range r.Failures {
		fmt.Fprintf(w, "failed: %s\n", f)
	}
	return r.Play.Write(w)
}

// Ms is a time in milliseconds, with one digit behind the point.
func Ms(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d.Microseconds())/1000) }
