package redisjournal_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"tickover.dev/redisconn/redistest"
	"tickover.dev/rooms"
)

// cpu is what this process has used so far; the server is another.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkAppend is a pipeline of deltas, one of each room, with a snapshot now and then.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1, 50} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			j := newJournal(b, redistest.Start(b).URL())
			batch := make([]rooms.Entry, size)
			for i := range batch {
				batch[i] = entry(fresh(), 5, 1, rooms.EntryCreate)
				batch[i].Body = make([]byte, 200)
			}
			done := make(chan []rooms.Result, 1)
			answer := func(r []rooms.Result) { done <- r }
			b.ReportAllocs()
			before := cpu(b)
			for b.Loop() {
				j.Append(batch, answer)
				if r := (<-done)[0]; r.Outcome != rooms.Confirmed {
					b.Fatal(r)
				}
				for i := range batch {
					e := &batch[i]
					e.Prev, e.ID.Tick, e.Kind = e.ID, e.ID.Tick+1, rooms.EntryDelta
					if e.ID.Tick%100 == 0 {
						e.Kind = rooms.EntrySnapshot
					}
				}
			}
			b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/float64(b.N*size), "cpu-ns/entry")
		})
	}
}
