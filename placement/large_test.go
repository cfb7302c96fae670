package placement

// Time is virtual here: see inTown, which uses testing/synctest.

import (
	"sync/atomic"
	"testing"
	"time"

	"tickover.dev/cluster"
)

// A wrong obituary costs a bounce of rooms, never a player: also one who has said nothing for a while is shown his room again.
func TestAWrongObituaryDropsNobodyForGood(t *testing.T) {
	inTown(t, 2, func(w *town) {
		ann := w.nodes[0].enter("ann", lobby)
		bob := w.nodes[1].enter("bob", lobby)
		playFor(time.Second, ann, bob)
		w.settle(ann, bob)
		playFor(15*time.Second, ann) // bob watches
		w.nodes[0].Obituary(w.nodes[1].Cluster.Self())
		playFor(2*time.Second, ann)
		forget(bob)
		playFor(20*time.Second, ann)
		w.nodes[1].players.mu.Lock()
		defer w.nodes[1].players.mu.Unlock()
		if silent := time.Since(bob.shown); silent > 2*time.Second {
			t.Errorf("bob was shown nothing for %s, and nobody has told him anything", silent)
		}
	})
}

// full is a link that takes nothing.
type full struct {
	Link
	is atomic.Bool
}

func (l *full) Send(to cluster.Boot, message func([]byte) []byte) error {
	if l.is.Load() {
		return errDark
	}
	return l.Link.Send(to, message)
}

// A roster that does not get through is sent again, at one pace, however many reasons there were to send it.
func TestRostersThatDoNotGetThroughDoNotMultiply(t *testing.T) {
	inTown(t, 1, func(w *town) {
		var hub *countingHub
		n := w.startOdd(odd{hub: func(h Hub) Hub { hub = &countingHub{Hub: h}; return hub }})
		time.Sleep(2 * time.Second)
		ann := w.nodes[0].enter("ann", lobby)
		bob := n.enter("bob", lobby)
		playFor(time.Second, ann, bob)
		link := &full{Link: n.Rooms.Link}
		n.Rooms.Link = link
		link.is.Store(true)
		way := n.known(bob.room.ID)
		for range 50 {
			way.sync()
			time.Sleep(100 * time.Millisecond)
		}
		before := hub.musters.Load()
		time.Sleep(time.Second)
		if got := hub.musters.Load() - before; got > 10 {
			t.Errorf("%d rosters of one room in a second", got)
		}
		link.is.Store(false)
		time.Sleep(time.Second)
	})
}
