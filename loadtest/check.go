package loadtest

import (
	"fmt"
	"sync"

	"github.com/cespare/xxhash/v2"

	"tickover.dev/codec"
)

// entry is a seat in the ledger's state.
type entry struct{ applied, last uint64 }

// parseLedger reads the public state of a ledger room; unknown fields are skipped.
//
//	{"step": uint, "seats": {seat: {"applied": uint, "last": uint, …}}, "hash": uint}
func parseLedger(state []byte) (map[uint64]entry, error) {
	r := codec.NewReader(state)
	seats := make(map[uint64]entry)
	err := eachField(r, func(name string) (known bool, err error) {
		if name != "seats" {
			return false, nil
		}
		n, err := r.MapLen()
		for ; n > 0 && err == nil; n-- {
			var seat uint64
			if seat, err = r.Uint(); err == nil {
				seats[seat], err = parseEntry(r)
			}
		}
		return true, err
	})
	if err != nil {
		return nil, fmt.Errorf("state of a ledger: %w", err)
	}
	return seats, nil
}

func parseEntry(r *codec.Reader) (e entry, err error) {
	err = eachField(r, func(name string) (known bool, err error) {
		switch name {
		case "applied":
			e.applied, err = r.Uint()
		case "last":
			e.last, err = r.Uint()
		default:
			return false, nil
		}
		return true, err
	})
	return e, err
}

// eachField walks a map whose keys are strings; take reads the value or says that it does not know the name.
func eachField(r *codec.Reader, take func(name string) (known bool, err error)) error {
	n, err := r.MapLen()
	for ; n > 0 && err == nil; n-- {
		var name []byte
		if name, err = r.Str(); err != nil {
			break
		}
		var known bool
		if known, err = take(string(name)); err == nil && !known {
			err = r.Skip()
		}
	}
	return err
}

// checkLedger compares what the room counted with what the bots know. Numbers up to last were consumed, all but the refused ones
// counted; one less is an input that vanished, one more was counted twice. settled means that the state contains everything that
// was acknowledged.
func checkLedger(seats map[uint64]entry, stays []Stay) (v Verdict, settled bool) {
	settled = true
	for _, s := range stays {
		e, there := seats[s.Seat]
		if s.Again || !there && s.Gone {
			continue // another stay tells; or the ledger has forgotten a seat that was given up
		}
		if e.last < s.Acked {
			settled = false
			v.Lost += s.Acked - e.last
		}
		counted := e.last - min(e.last, s.Refused)
		v.Lost += counted - min(counted, e.applied)
		v.Duplicated += e.applied - min(counted, e.applied)
		if e.last > s.Sent { // numbers that the bot never gave out
			v.Duplicated += e.last - s.Sent
		}
	}
	return v, settled
}

// historyWindow is how many ticks of a room are compared: 51 s at 40 Hz, far more than frames are apart.
const historyWindow = 2048

// tracker watches one room through the eyes of all its bots.
type tracker struct {
	mu sync.Mutex
	// Guarded by mu.
	seen   []sight // by tick modulo historyWindow
	forked uint64  // ticks at which different states were seen
	newest uint64  // tick of state
	state  []byte
}

// msgpackNil is what a room sends as private that has nothing private.
const msgpackNil = 0xc0

// sight is what was seen first at a tick.
type sight struct {
	tick, hash uint64
	forked     bool
}

// note takes a state that a bot was shown, and what it was shown in private: neither kind of room that bots play in has anything to
// hide, so that may not differ either. Ticks are compared whatever their epochs: a new owner continues the same history.
func (t *tracker) note(tick uint64, state, private []byte) {
	hash := xxhash.Sum64(state)
	if len(private) > 0 && private[0] != msgpackNil {
		hash ^= xxhash.Sum64(private)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seen == nil {
		t.seen = make([]sight, historyWindow)
	}
	if tick >= t.newest && (tick > t.newest || t.state == nil) {
		t.newest, t.state = tick, append(t.state[:0], state...)
	}
	s := &t.seen[tick%historyWindow]
	switch {
	case tick < s.tick:
		// Its place was taken: too old to compare.
	case tick > s.tick || s.hash == 0:
		*s = sight{tick: tick, hash: max(hash, 1)}
	case s.hash != max(hash, 1) && !s.forked:
		s.forked = true
		t.forked++
	}
}

// last gives the newest state, and how many ticks had more than one.
func (t *tracker) last() (state []byte, forked uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]byte(nil), t.state...), t.forked
}
