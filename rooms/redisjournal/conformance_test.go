package redisjournal_test

import (
	"testing"

	"tickover.dev/redisconn/embedded"
	"tickover.dev/redisconn/redistest"
	"tickover.dev/rooms"
	"tickover.dev/rooms/journaltest"
)

func conform(t *testing.T, url string) {
	client := newJournal(t, url)
	journaltest.Run(t, func(testing.TB) rooms.Journal { return client })
}

func TestConformanceOfOneServer(t *testing.T) { conform(t, redistest.Start(t).URL()) }

func TestConformanceOverASocket(t *testing.T) { conform(t, "unix://"+redistest.Start(t).Socket()) }

func TestConformanceOfACluster(t *testing.T) {
	t.Parallel()
	conform(t, redistest.StartCluster(t).URL())
}

func TestConformanceOfTheEmbeddedServer(t *testing.T) {
	addr, stop, err := embedded.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	conform(t, "redis://"+addr)
}
