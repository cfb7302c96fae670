package placement

// Time is virtual here: see inTown, which uses testing/synctest.

import (
	"sync/atomic"
	"testing"
	"time"

	"tickover.dev/rooms"
	"tickover.dev/sessions"
)

// stalled is a journal whose appends wait.
type stalled struct {
	rooms.Journal
	release atomic.Pointer[chan struct{}] // nil: they do not
}

func (j *stalled) Append(batch []rooms.Entry, done func([]rooms.Result)) {
	release := j.release.Load()
	if release == nil {
		j.Journal.Append(batch, done)
		return
	}
	go func() {
		<-*release
		j.Journal.Append(batch, done)
	}()
}

// A join or a return that waits at an owner which then finds itself fenced is answered by nobody: the next owner has never heard of its
// node. Players would wait for ever.
func TestWhoWaitsAtAnOwnerThatIsFencedAsksTheNext(t *testing.T) {
	inTown(t, 2, func(w *town) {
		slow := &stalled{}
		owner := w.startOdd(odd{journal: func(j rooms.Journal) rooms.Journal { slow.Journal = j; return slow }})
		time.Sleep(2 * time.Second)
		heir, far := w.nodes[0], w.nodes[1]
		ann := owner.enter("ann", lobby)
		playFor(time.Second, ann)

		release := make(chan struct{})
		slow.release.Store(&release)
		bob := &player{hub: far.players, session: "bob", gen: 1, joining: true}
		found := make(chan error, 1)
		far.Enter(lobby, func(r sessions.Room, err error) { bob.room = r; found <- err })
		if err := <-found; err != nil {
			t.Fatal(err)
		}
		far.players.mu.Lock()
		far.players.list = append(far.players.list, bob)
		far.players.mu.Unlock()
		bob.join()
		time.Sleep(200 * time.Millisecond) // his join is with the owner, who cannot journal it

		at, err := w.store.Look(w.Context(), bob.room.ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := heir.Local.Claim(w.Context(), at); err != nil {
			t.Fatal(err)
		}
		close(release)
		for range 100 {
			time.Sleep(100 * time.Millisecond)
			far.players.mu.Lock()
			seat := bob.seat
			far.players.mu.Unlock()
			if seat != 0 {
				return
			}
		}
		t.Errorf("bob waits for his seat; his way: %s", far.WayState(bob.room.ID))
	})
}
