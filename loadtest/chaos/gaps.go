package chaos

import (
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"tickover.dev/client"
)

// The window in which the silences of a fault are looked for, around its beginning.
const (
	gapBefore = time.Second
	gapAfter  = 5 * time.Second
)

// Silence is the longest part of a window without a moment in it. Moments are in order, and may lie outside. The window's ends are
// not moments: before the first one and behind the last one it was silent, too.
func Silence(moments []time.Time, from, to time.Time) time.Duration {
	longest, last := time.Duration(0), from
	for _, m := range moments {
		if m.Before(from) {
			continue
		}
		if m.After(to) {
			break
		}
		longest = max(longest, m.Sub(last))
		last = m
	}
	return max(longest, to.Sub(last))
}

// Quantile is the value that a part q of all does not exceed; 0 of nothing. It sorts them.
func Quantile(all []time.Duration, q float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	at := int(math.Ceil(q*float64(len(all)))) - 1
	return all[min(max(at, 0), len(all)-1)]
}

// memory is how many signs of life of a bot are kept: 12 s at 40 a second.
const memory = 512

// Witness remembers what bots have seen lately. It is a loadtest.Observer.
type Witness struct {
	mu sync.Mutex
	// Guarded by mu.
	bots  []diary
	owned map[string]Ownership // newest, by room
	moves int                  // of rooms to a new epoch
}

// diary is one bot's.
type diary struct {
	room  string
	heard []time.Time // a ring
	next  int
}

// Ownership is an epoch of a room, and when the first frame of it was seen by anybody.
type Ownership struct {
	Epoch uint64
	Since time.Time
}

// NewWitness makes one for so many bots.
func NewWitness(bots int) *Witness {
	return &Witness{bots: make([]diary, bots), owned: map[string]Ownership{}}
}

// Entered implements loadtest.Observer.
func (w *Witness) Entered(bot int, room string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bots[bot].room = room
}

// Frame implements loadtest.Observer.
func (w *Witness) Frame(bot int, f client.Frame, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := &w.bots[bot]
	if len(d.heard) < memory {
		d.heard = append(d.heard, at)
	} else {
		d.heard[d.next] = at
		d.next = (d.next + 1) % memory
	}
	if d.room == "" {
		return // the join has not returned yet
	}
	if newest, known := w.owned[d.room]; f.Epoch > newest.Epoch {
		w.owned[d.room] = Ownership{f.Epoch, at}
		if known {
			w.moves++
		}
	}
}

// moments gives when a bot was shown something, oldest first. The caller holds mu.
func (d *diary) moments() []time.Time {
	return append(slices.Clone(d.heard[d.next:]), d.heard[:d.next]...)
}

// Moments gives when a bot was shown something lately, oldest first.
func (w *Witness) Moments(bot int) []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bots[bot].moments()
}

// Silent lists the bots that have been shown nothing since a time.
func (w *Witness) Silent(since time.Time) (silent []int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.bots {
		d := &w.bots[i]
		if last := d.moments(); len(last) == 0 || last[len(last)-1].Before(since) {
			silent = append(silent, i)
		}
	}
	return silent
}

// Owned gives the newest ownership that was seen of each room.
func (w *Witness) Owned() map[string]Ownership {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.owned)
}

// Room gives the room in which a bot is.
func (w *Witness) Room(bot int) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bots[bot].room
}

// Moves counts how often a room was seen to have got a new owner.
func (w *Witness) Moves() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.moves
}
