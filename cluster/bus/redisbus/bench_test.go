//go:build unix

package redisbus

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tickover.dev/cluster"
	"tickover.dev/cluster/bus"
	"tickover.dev/redisconn/redistest"
)

// counter is a handler that only counts.
type counter struct {
	got  atomic.Int64
	want atomic.Int64
	done chan struct{}
}

func (c *counter) Receive(cluster.Boot, []byte) {
	if c.got.Add(1) == c.want.Load() {
		c.done <- struct{}{}
	}
}

func (c *counter) Lost(cluster.Boot) {}

// processTime is the CPU time of this process.
func processTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// serverTime is the CPU time of a Redis.
func serverTime(s *redistest.Server) (total time.Duration) {
	for line := range strings.Lines(fmt.Sprint(s.Do("info", "cpu"))) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_user" || name == "used_cpu_sys" {
			seconds, _ := strconv.ParseFloat(value, 64)
			total += time.Duration(seconds * float64(time.Second))
		}
	}
	return total
}

// BenchmarkCrossing is messages of 200 B in batches of 50, one batch on its way at a time: the CPU of both nodes, which are one
// process here, and of Redis.
func BenchmarkCrossing(b *testing.B) {
	server := redistest.Start(b)
	c := &counter{done: make(chan struct{}, 1)}
	link(b, server.URL(), 2, c, Config{}, nil)
	from := link(b, server.URL(), 1, c, Config{}, func(c *bus.Config) { c.FlushBytes = 50 * 201 })
	message := make([]byte, 200)
	encode := func(dst []byte) []byte { return append(dst, message...) }
	b.ReportAllocs()
	nodes, store := processTime(), serverTime(server)
	for b.Loop() {
		c.want.Add(50)
		for range 50 {
			from.Send(2, encode)
		}
		<-c.done
	}
	nodes, store = processTime()-nodes, serverTime(server)-store
	n := float64(c.got.Load())
	b.ReportMetric(float64(nodes.Nanoseconds())/n, "ns-nodes/message")
	b.ReportMetric(float64(store.Nanoseconds())/n, "ns-redis/message")
}
