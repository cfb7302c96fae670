package placement

// Time is virtual here: see inTown, which uses testing/synctest.

import (
	"errors"
	"testing"
	"time"

	"tickover.dev/cluster"
	"tickover.dev/rooms"
	"tickover.dev/rooms/memjournal"
	"tickover.dev/sessions"
)

// empty has the store lose everything, as a server does that is started again without its disk.
func (w *town) empty() {
	w.journal.Clear()
	w.store.Clear()
	for _, n := range w.nodes {
		w.bus.Lose(n.Cluster.Self())
	}
}

// A store that comes back empty has lost nothing that the rooms' owners do not know. Without renewal every room ends.
func TestRoomsOutliveAnEmptyStore(t *testing.T) {
	inTown(t, 2, func(w *town) {
		ann := w.nodes[0].enter("ann", lobby)
		bob := w.nodes[1].enter("bob", lobby)
		playFor(2*time.Second, ann, bob)
		forget(ann, bob)
		w.empty()
		playFor(4*time.Second, ann, bob)
		if gap := max(ann.longest(), bob.longest()); gap > 2500*time.Millisecond {
			t.Errorf("nothing was shown for %s", gap)
		}
		w.settle(ann, bob)
		at, err := w.store.Look(w.Context(), ann.room.ID)
		if err != nil || at.Owner != w.nodes[0].Cluster.Self() || at.Key != "lobby" {
			t.Fatalf("the directory says %+v, %v", at, err)
		}
		w.nodes[0].kill() // and the room is as safe as it was
		playFor(3*time.Second, bob)
		w.settle(bob)
	})
}

// A store may lose a journal and keep the record. If the owner is then taken for dead, wrongly, the room is given up as one that never began:
// its owner knows better, and nobody else does.
func TestARoomThatLivedIsRenewedAlthoughItWasForestalled(t *testing.T) {
	inTown(t, 2, func(w *town) {
		ann := w.nodes[0].enter("ann", lobby)
		playFor(time.Second, ann)
		at, err := w.store.Look(w.Context(), ann.room.ID)
		if err != nil {
			t.Fatal(err)
		}
		w.journal.Clear()
		if err := w.nodes[1].Local.Forestall(w.Context(), at); err != nil {
			t.Fatal(err)
		}
		if err := w.store.Remove(w.Context(), at); err != nil {
			t.Fatal(err)
		}
		playFor(4*time.Second, ann)
		w.settle(ann)
		if now, err := w.store.Look(w.Context(), ann.room.ID); err != nil || now.Owner != w.nodes[0].Cluster.Self() || now.Epoch <= at.Epoch {
			t.Errorf("the directory says %+v, %v", now, err)
		}
	})
}

// Who finds a tombstone of a room that never began must not be told of an end that nobody has seen: the room may be renewed.
func TestAForestalledRoomIsUnknown(t *testing.T) {
	inTown(t, 1, func(w *town) {
		n := w.nodes[0]
		if err := n.Local.Forestall(w.Context(), cluster.Record{Room: "never", Epoch: 5}); err != nil {
			t.Fatal(err)
		}
		found := make(chan error, 1)
		n.Room("never", func(_ sessions.Room, err error) { found <- err })
		if err := <-found; !errors.Is(err, sessions.ErrUnknownRoom) {
			t.Errorf("it is %v", err)
		}
	})
}

// Whoever makes a room that is given up before its first entry has to be told, and gets another one: the first would be found by nobody.
func TestWhoMakesARoomThatIsForestalledIsToldSo(t *testing.T) {
	inTown(t, 2, func(w *town) {
		creator := w.nodes[0]
		var never rooms.ID
		w.journal.SetFaults(func(e rooms.Entry) (none memjournal.Fault) {
			if e.Kind != rooms.EntryCreate || never != "" {
				return none
			}
			never = e.Room
			at := cluster.Record{Room: e.Room, Kind: "ledger", Key: "lobby", Owner: creator.Cluster.Self(), Epoch: e.ID.Epoch}
			if err := errors.Join(w.nodes[1].Local.Forestall(w.Context(), at), w.store.Remove(w.Context(), at)); err != nil {
				t.Error(err)
			}
			return none
		})
		ann := &player{hub: creator.players, session: "ann", gen: 1, joining: true}
		found := make(chan error, 1)
		creator.Enter(lobby, func(r sessions.Room, err error) {
			ann.room = r
			found <- err
		})
		if err := <-found; err != nil {
			t.Fatal(err)
		}
		creator.players.mu.Lock()
		creator.players.list = append(creator.players.list, ann)
		creator.players.mu.Unlock()
		ann.join()
		time.Sleep(unknownFor + time.Second)
		creator.players.mu.Lock()
		gone := ann.gone
		creator.players.mu.Unlock()
		if gone != "unknown" || ann.room.ID != never {
			t.Fatalf("ann waits in %s, %s was forestalled; she was told: %q", ann.room.ID, never, gone)
		}
		if len(w.journal.Rooms()) > 0 {
			t.Errorf("there are journals: %v", w.journal.Rooms())
		}
		bob := creator.enter("bob", lobby)
		if at, err := w.store.Find(w.Context(), "ledger", "lobby"); err != nil || at.Room == never || at.Room != bob.room.ID {
			t.Errorf("the lobby is %+v (%v), bob is in %s", at, err, bob.room.ID)
		}
	})
}

// Nobody plays, so nothing is written: the room finds out by its node's sweep that the store has lost it, or the next player would be told
// that it is gone.
func TestAQuietRoomOutlivesAnEmptyStore(t *testing.T) {
	inTown(t, 1, func(w *town) {
		w.kind = rooms.Define(&ledger{}, rooms.Config{Name: "ledger", Seats: 64, Grace: time.Hour})
		quiet := w.startOdd(odd{})
		time.Sleep(2 * time.Second)
		ann := quiet.enter("ann", lobby)
		w.settle(ann)
		time.Sleep(time.Minute)
		w.empty()
		time.Sleep(5 * time.Second)
		at, err := w.store.Look(w.Context(), ann.room.ID)
		if err != nil || at.Owner != quiet.Cluster.Self() {
			t.Fatalf("the directory says %+v, %v", at, err)
		}
		if top, err := w.journal.Top(w.Context(), ann.room.ID); err != nil || top.Kind != rooms.EntryCreate || top.ID.Epoch != at.Epoch {
			t.Errorf("the journal says %+v, %v; the directory %+v", top, err, at)
		}
		playFor(time.Second, ann)
		w.settle(ann)
	})
}

// A node that was cut off while another one took its room over must not be the one that gets it back: what was played since would be lost.
func TestAStaleOwnerDoesNotRenewARoom(t *testing.T) {
	inTown(t, 2, func(w *town) {
		ann := w.nodes[0].enter("ann", lobby)
		bob := w.nodes[1].enter("bob", lobby)
		playFor(time.Second, ann, bob)
		w.nodes[0].dark.Store(true)
		playFor(4*time.Second, bob)
		if at, err := w.store.Look(w.Context(), bob.room.ID); err != nil || at.Owner != w.nodes[1].Cluster.Self() {
			t.Fatalf("never happened: the room was taken over: %+v, %v", at, err)
		}
		if _, has := w.nodes[0].Host.Room(bob.room.ID); !has {
			t.Fatal("never happened: the first owner still has the room")
		}
		w.empty()
		w.nodes[0].dark.Store(false)
		playFor(4*time.Second, ann, bob)
		w.settle(ann, bob)
		if at, err := w.store.Look(w.Context(), bob.room.ID); err != nil || at.Owner != w.nodes[1].Cluster.Self() {
			t.Errorf("the directory says %+v, %v", at, err)
		}
	})
}

// Whoever asks for a key of which the directory knows nothing gets a new room. The old one goes on without the key: two rooms with one key
// would be found one at one node, the other at others.
func TestAKeyThatWasTakenMeanwhileStaysWithTheNewRoom(t *testing.T) {
	inTown(t, 2, func(w *town) {
		ann := w.nodes[0].enter("ann", lobby)
		playFor(time.Second, ann)
		w.empty()
		bob := w.nodes[1].enter("bob", lobby)
		playFor(4*time.Second, ann, bob)
		if ann.room.ID == bob.room.ID {
			t.Fatal("never happened: a new room for the key")
		}
		w.settle(ann, bob)
		for i, n := range w.nodes {
			found := make(chan rooms.ID, 1)
			n.Enter(lobby, func(r sessions.Room, err error) {
				if err != nil {
					t.Error(err)
				}
				found <- r.ID
			})
			if got := <-found; got != bob.room.ID {
				t.Errorf("node %d finds room %s for the key, the new one is %s", i, got, bob.room.ID)
			}
		}
		if h, ok := w.nodes[0].Host.Room(ann.room.ID); !ok || h.Key() != "" {
			t.Errorf("the old room: %v, key %q", ok, h.Key())
		}
	})
}

// A room that has ended must not come back as an owner that slept through its end finds its journal gone.
func TestAnEndedRoomIsNotRenewed(t *testing.T) {
	inTown(t, 1, func(w *town) {
		n := w.nodes[0]
		ann := n.enter("ann", lobby)
		h, _ := n.Host.Room(ann.room.ID)
		if err := w.journal.Bury(w.Context(), h.ID, h.Epoch(), nil, time.Minute); err != nil {
			t.Fatal(err)
		}
		w.store.Clear()
		if epoch, _, err := n.Renew(w.Context(), h, h.Epoch()); !errors.Is(err, rooms.ErrGone) {
			t.Errorf("renewed in epoch %d, %v", epoch, err)
		}
		if at, err := w.store.Look(w.Context(), h.ID); !errors.Is(err, cluster.ErrNoRecord) {
			t.Errorf("the directory says %+v, %v", at, err)
		}
	})
}

// A room that has a journal lives, whatever the directory has lost. Who asks for it just then must not be told that there is none.
func TestARoomWithoutARecordIsWaitedFor(t *testing.T) {
	inTown(t, 2, func(w *town) {
		ann := w.nodes[0].enter("ann", lobby)
		w.store.Clear()
		found := make(chan error, 1)
		w.nodes[1].Room(ann.room.ID, func(_ sessions.Room, err error) { found <- err })
		if err := <-found; err != nil {
			t.Errorf("the room is asked for: %v", err)
		}
	})
}

// Players whose way to a room was just lost when the store lost the room must not be told that it is over before its owner can say that it
// is not.
func TestARoomThatNobodyKnowsIsLookedForAWhile(t *testing.T) {
	inTown(t, 1, func(w *town) {
		w.kind = rooms.Define(&ledger{}, rooms.Config{Name: "ledger", Seats: 64, Grace: time.Hour})
		owner, other := w.startOdd(odd{}), w.startOdd(odd{})
		time.Sleep(2 * time.Second)
		ann := owner.enter("ann", lobby)
		bob := other.enter("bob", lobby)
		w.settle(ann, bob)
		w.empty()
		way := other.known(bob.room.ID)
		way.lost(way.at.Load())
		playFor(6*time.Second, bob)
		w.settle(ann, bob)
		if bob.gone != "" {
			t.Errorf("bob was told that the room is over: %s", bob.gone)
		}
		if fake := other.way(cluster.Record{Room: "fake"}, &w.kind); fake != nil { // but not for ever
			other.seek(fake)
			time.Sleep(unknownFor + 2*time.Second)
			if other.known("fake") != nil {
				t.Error("a room that there never was is looked for still")
			}
		}
	})
}
