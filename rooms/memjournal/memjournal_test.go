package memjournal

import (
	"path/filepath"
	"testing"

	"tickover.dev/rooms"
	"tickover.dev/rooms/journaltest"
)

func TestConformance(t *testing.T) {
	journaltest.Run(t, func(testing.TB) rooms.Journal { return New() })
}

// Without it a single node forgets every room at an orderly restart.
func TestSavedJournalIsRestored(t *testing.T) {
	j := New()
	e := rooms.Entry{Room: "r", ID: rooms.EntryID{Epoch: 5, Tick: 1}, Nonce: 7, Kind: rooms.EntryCreate, Horizon: 9, Body: []byte("state")}
	j.Append([]rooms.Entry{e}, func([]rooms.Result) {})
	path := filepath.Join(t.TempDir(), "journals")
	if err := j.Save(path); err != nil {
		t.Fatal(err)
	}
	again := New()
	if err := again.Restore(path); err != nil {
		t.Fatal(err)
	}
	top, err := again.Top(t.Context(), "r")
	if err != nil || top.ID != e.ID || top.Nonce != e.Nonce {
		t.Fatalf("top after restore = %+v, %v", top, err)
	}
	epoch, err := again.Claim(t.Context(), "r", 0, 8)
	if err != nil {
		t.Fatal(err)
	}
	es, err := again.Load(t.Context(), "r", epoch)
	if err != nil || len(es) != 2 || string(es[0].Body) != "state" || es[0].Horizon != 9 {
		t.Fatalf("loaded %+v, %v", es, err)
	}
}
