package loadtest

import (
	"context"
	"time"
)

// arrivals is the schedule of all inputs: bot i's k-th input is due at start + (k + i/bots)/rate. So the bots are spread evenly over
// every period, and one goroutine, walking all inputs in the order of their times, can keep the schedule of thousands.
type arrivals struct {
	start  time.Time
	bots   int
	rateHz float64 // per bot
}

// at is when a bot's k-th input is due, both counted from 0.
func (a *arrivals) at(bot, k int) time.Time {
	return a.start.Add(time.Duration((float64(k) + float64(bot)/float64(a.bots)) / a.rateHz * float64(time.Second)))
}

// keep calls send for every bot whenever one of its inputs is due, until the end or until ctx is done. It never waits for an
// answer. k says how many inputs the bot should have sent before.
func (a *arrivals) keep(ctx context.Context, end time.Time, send func(bot, k int)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for k := 0; ; k++ {
		for bot := range a.bots {
			due := a.at(bot, k)
			if !due.Before(end) {
				wait(ctx, timer, time.Until(end))
				return
			}
			if left := time.Until(due); left > 0 && !wait(ctx, timer, left) {
				return
			}
			send(bot, k)
		}
	}
}

// wait sleeps and reports whether ctx let it.
func wait(ctx context.Context, timer *time.Timer, d time.Duration) bool {
	timer.Reset(d)
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
