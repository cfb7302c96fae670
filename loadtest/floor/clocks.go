package floor

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// clocks are processor times.
type clocks struct{ server, client, all time.Duration }

func readClocks(s *Server) (c clocks, err error) {
	if c.server, err = s.CPU(); err != nil {
		return c, err
	}
	var t unix.Timespec
	if err = unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		return c, os.NewSyscallError("clock_gettime", err)
	}
	c.client = time.Duration(t.Nano())
	c.all, err = busy()
	return c, err
}

// busy is how long the machine's processors have not been idle since it began, all together. The kernel
// samples it in steps of 10 ms, so that the rest of two such sums is a hint and no measurement.
func busy() (time.Duration, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	var user, nice, system, idle, iowait, irq, softirq, steal int64
	if _, err := fmt.Sscanf(string(b), "cpu %d %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &iowait, &irq, &softirq, &steal); err != nil {
		return 0, fmt.Errorf("/proc/stat: %w", err)
	}
	return time.Duration(user+nice+system+irq+softirq+steal) * 10 * time.Millisecond, nil // USER_HZ is 100 wherever Go runs
}
