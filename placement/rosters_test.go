package placement

// Time is virtual here: see inTown, which uses testing/synctest.

import (
	"sync"
	"testing"
	"time"

	"tickover.dev/netcode"
	"tickover.dev/rooms"
	"tickover.dev/sessions"
)

// slowHub takes its time to count who is here, and remembers for how many rooms at once it was asked to.
type slowHub struct {
	Hub

	mu sync.Mutex
	// Guarded by mu.
	underWay, most, all int
}

func (h *slowHub) Muster(room rooms.ID, take func([]rooms.RosterEntry)) {
	h.mu.Lock()
	h.underWay++
	h.all++
	h.most = max(h.most, h.underWay)
	h.mu.Unlock()
	time.AfterFunc(5*time.Millisecond, func() {
		h.mu.Lock()
		h.underWay--
		h.mu.Unlock()
		h.Hub.Muster(room, take)
	})
}

func (h *slowHub) counts() (most, all int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.most, h.all
}

// A node that has players in a thousand rooms of another, and has missed something of it, must not fill its loops and the bus at once:
// what is lost then has everything begin anew.
func TestAThousandRostersAreSentAtOnePace(t *testing.T) {
	inTown(t, 1, func(w *town) {
		var hub *slowHub
		n := w.startOdd(odd{hub: func(h Hub) Hub { hub = &slowHub{Hub: h}; return hub }})
		time.Sleep(2 * time.Second)
		const all = 1000
		for range all {
			w.nodes[0].Enter(sessions.Entry{Mode: netcode.JoinCreate, Kind: "ledger"}, func(room sessions.Room, err error) {
				n.Room(room.ID, func(_ sessions.Room, err error) {
					if err != nil {
						t.Error(err)
					}
				})
			})
			time.Sleep(2 * time.Millisecond)
		}
		time.Sleep(time.Second)
		_, before := hub.counts()
		n.Lost(w.nodes[0].Cluster.Self())
		n.Lost(w.nodes[0].Cluster.Self()) // again: whoever waits need not wait twice
		time.Sleep(time.Second)
		most, counted := hub.counts()
		if most > maxMusters {
			t.Errorf("%d musters at once", most)
		}
		if counted -= before; counted < all || counted > 2*all {
			t.Errorf("%d musters of %d rooms", counted, all)
		}
		for _, way := range n.allWays() {
			if way.at.Load().state != stateOpen {
				t.Fatal("a way never opened")
			}
		}
	})
}

// An owner that has no room for a roster says so; else those who are in it watch a still picture.
func TestARosterThatIsRefusedIsSentAgain(t *testing.T) {
	inTown(t, 1, func(w *town) {
		var hub *slowHub
		n := w.startOdd(odd{hub: func(h Hub) Hub { hub = &slowHub{Hub: h}; return hub }})
		time.Sleep(2 * time.Second)
		owner := w.nodes[0]
		w.nodes[0].enter("ann", lobby)
		bob := n.enter("bob", lobby)
		time.Sleep(time.Second)
		_, before := hub.counts()
		m := rooms.Mail{Type: rooms.MailRoster, Room: bob.room.ID, Node: n.node()}
		owner.answer(n.Cluster.Self(), &m, rooms.ErrMailboxFull)
		time.Sleep(time.Second)
		if _, all := hub.counts(); all != before+1 {
			t.Errorf("%d more musters", all-before)
		}
	})
}

// What happens behind the end would use what is closed by then.
func TestNoRosterFollowsTheEnd(t *testing.T) {
	inTown(t, 1, func(w *town) {
		var hub *slowHub
		n := w.startOdd(odd{hub: func(h Hub) Hub { hub = &slowHub{Hub: h}; return hub }})
		time.Sleep(2 * time.Second)
		w.nodes[0].enter("ann", lobby)
		bob := n.enter("bob", lobby)
		way := n.known(bob.room.ID)
		time.Sleep(time.Second)
		way.syncSoon()
		way.sync()
		n.Close()
		_, before := hub.counts()
		time.Sleep(time.Second)
		way.sync()
		time.Sleep(time.Second)
		if _, all := hub.counts(); all != before {
			t.Errorf("%d musters behind the end", all-before)
		}
	})
}
