package memjournal

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

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

// Without it a node that runs for long keeps every room that ever ended.
func TestExpiredTombstonesAreForgotten(t *testing.T) {
	j := New()
	now := time.Now()
	j.now = func() time.Time { return now }
	for i := range 100 {
		e := rooms.Entry{Room: rooms.ID(fmt.Sprint(i)), ID: rooms.EntryID{Epoch: 5, Tick: 1}, Kind: rooms.EntryCreate}
		j.Append([]rooms.Entry{e}, func([]rooms.Result) {})
		if err := j.Bury(t.Context(), e.Room, 5, nil, time.Minute); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Second)
	}
	if n := len(j.streams); n > 62 || len(j.buried) != n {
		t.Errorf("%d streams are kept, %d in order", n, len(j.buried))
	}
}

// Rooms that fail one after the other must not fill the memory with what is left of them.
func TestQuarantineKeepsTheNewest(t *testing.T) {
	j := New()
	for i := range maxShelved + 4 {
		e := rooms.Entry{Room: rooms.ID(fmt.Sprint(i)), ID: rooms.EntryID{Epoch: 5, Tick: 1}, Kind: rooms.EntryCreate, Body: []byte("state")}
		j.Append([]rooms.Entry{e}, func([]rooms.Result) {})
		if err := j.Quarantine(t.Context(), e.Room, 5, nil, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "journals")
	again := New()
	if err := errors.Join(j.Save(path), again.Restore(path)); err != nil {
		t.Fatal(err)
	}
	ids := again.Quarantined()
	if len(ids) != maxShelved || ids[0] != "4" || len(again.Rooms()) != 0 {
		t.Fatalf("kept %v, to be resumed %v", ids, again.Rooms())
	}
	if es := again.Entries("19"); len(es) != 1 || string(es[0].Body) != "state" {
		t.Errorf("entries %+v", es)
	}
}
