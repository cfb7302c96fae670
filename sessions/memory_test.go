package sessions_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"tickover.dev/sessions"
	"tickover.dev/sessions/storetest"
)

func TestMemoryIsAStore(t *testing.T) { storetest.Run(t, sessions.NewMemory()) }

// Memory that forgets nothing would be full one day.
func TestMemoryForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := sessions.NewMemory()
		idle, kept := sessions.Record{ID: "idle", Gen: 1}, sessions.Record{ID: "kept", Gen: 1, Seats: []sessions.Place{{Room: "r", Seat: 1}}}
		if err := errors.Join(m.Open(t.Context(), idle, sessions.Hash{1}), m.Open(t.Context(), kept, sessions.Hash{1})); err != nil {
			t.Fatal(err)
		}
		time.Sleep(idle.TTL())
		errs := m.Save(t.Context(), []sessions.Record{idle, kept})
		if !errors.Is(errs[0], sessions.ErrNoSession) || errs[1] != nil {
			t.Errorf("%v", errs)
		}
	})
}
