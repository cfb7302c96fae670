package placement

// Time is virtual here: see inTown, which uses testing/synctest.

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"tickover.dev/codec"
	"tickover.dev/rooms"
)

// strict is a ledger that knows no versions but its own and those before it, as a careful game does.
type strict struct{ ledger }

func (g *strict) Migrate(from int, state []byte) error {
	if from > 1 {
		return errors.New("this state is of a newer version")
	}
	return codec.Decode(state, &g.ledger)
}

func (g *strict) Public() any               { return &g.ledger }
func (g *strict) Step(t *rooms.Tick[entry]) { g.ledger.Step(t) }

// A room of a newer version waits for a node of that version (FAILOVER.md R17): an older one must not bury it.
func TestANewerRoomIsNotBuriedByAnOlderNode(t *testing.T) {
	inTown(t, 0, func(w *town) {
		kind := func(version int) odd {
			return odd{kinds: []rooms.Kind{rooms.Define(&strict{}, rooms.Config{Name: "ledger", RateHz: 20, Seats: 64, Grace: time.Hour, Version: version})}}
		}
		newer, _ := w.startOdd(kind(2)), w.startOdd(kind(1))
		time.Sleep(2 * time.Second)
		ann := newer.enter("ann", lobby)
		playFor(time.Second, ann)
		newer.kill()
		time.Sleep(30 * time.Second)
		if end, err := w.journal.Tomb(t.Context(), ann.room.ID); err == nil {
			t.Errorf("the room was buried: %q", end)
		}
	})
}

// midMuster calls f once, in the middle of a muster.
type midMuster struct {
	Hub
	f atomic.Pointer[func()]
}

func (h *midMuster) Muster(room rooms.ID, take func([]rooms.RosterEntry)) {
	h.Hub.Muster(room, take)
	if f := h.f.Swap(nil); f != nil {
		(*f)()
	}
}

// A way that is lost again while the scout finds it must be looked for again.
func TestAWayThatIsLostWhileItIsFoundIsLookedForAgain(t *testing.T) {
	inTown(t, 1, func(w *town) {
		var hub *midMuster
		n := w.startOdd(odd{hub: func(h Hub) Hub { hub = &midMuster{Hub: h}; return hub }})
		time.Sleep(2 * time.Second)
		ann := w.nodes[0].enter("ann", lobby)
		bob := n.enter("bob", lobby)
		playFor(time.Second, ann, bob)
		w.settle(ann, bob)
		way := n.known(bob.room.ID)
		late := func() { // an answer of the owner to something that was sent before
			n.Receive(w.nodes[0].Cluster.Self(), append([]byte{carryElsewhere}, bob.room.ID...))
		}
		hub.f.Store(&late)
		way.lost(way.at.Load())
		playFor(10*time.Second, ann, bob)
		if way.at.Load().state == stateSeeking {
			n.mu.Lock()
			defer n.mu.Unlock()
			t.Errorf("bob plays to nobody: his way is sought for, and %d searches are under way; applied %d of %d", len(n.sought), bob.applied, bob.next)
		}
	})
}
