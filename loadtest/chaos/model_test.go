package chaos

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/anishathalye/porcupine"

	"tickover.dev/rooms"
)

// This file says what one room's journal does when one thing happens after the other. Whatever many claimants and owners are
// answered at once must be explained by some order of such steps that each of them could have seen.

// act is what somebody asks of the journal.
type act struct {
	op    string // create, append, claim, load, top, bury
	id    rooms.EntryID
	seen  rooms.Epoch
	nonce uint64
	kind  rooms.EntryKind
}

// answer is what came of it.
type answer struct {
	what  string // confirmed, fenced, gone, lost, done, top, entries; unknown: perhaps it was done, perhaps not
	epoch rooms.Epoch
	top   rooms.Top
	log   string // of load
}

// stream is the journal's state. It is comparable.
type stream struct {
	log  string // entries since the newest that holds state, as written by note
	top  rooms.Top
	gone bool
}

func note(id rooms.EntryID, nonce uint64, kind rooms.EntryKind) string {
	return fmt.Sprintf("%s/%d/%d ", id, nonce, kind)
}

// put gives the stream with one entry more.
func (s stream) put(id rooms.EntryID, nonce uint64, kind rooms.EntryKind) stream {
	if kind.HoldsState() {
		s.log = ""
	}
	s.log += note(id, nonce, kind)
	s.top = rooms.Top{ID: id, Nonce: nonce, Kind: kind}
	return s
}

// step gives the stream after an act, and the answer to it.
func (s stream) step(a act, e rooms.Epoch) (stream, answer) {
	none := s.log == ""
	switch {
	case s.gone && a.op == "bury" && a.id.Epoch == s.top.ID.Epoch:
		return s, answer{what: "done"}
	case s.gone, none && a.op != "create":
		return s, answer{what: "gone"}
	}
	switch a.op {
	case "create":
		if !none {
			return s, answer{what: "fenced"}
		}
		return s.put(a.id, a.nonce, a.kind), answer{what: "confirmed"}
	case "append":
		if a.id.Compare(s.top.ID) <= 0 {
			return s, answer{what: "fenced"}
		}
		return s.put(a.id, a.nonce, a.kind), answer{what: "confirmed"}
	case "claim":
		if s.top.ID.Epoch != a.seen {
			return s, answer{what: "lost"}
		}
		return s.put(rooms.EntryID{Epoch: e}, a.nonce, rooms.EntryClaim), answer{what: "done", epoch: e}
	case "load":
		own := note(a.id, a.nonce, rooms.EntryClaim)
		at := strings.Index(s.log, own)
		if at < 0 {
			return s, answer{what: "lost"}
		}
		return s, answer{what: "entries", log: s.log[:at+len(own)]}
	case "top":
		return s, answer{what: "top", top: s.top}
	case "bury":
		if s.top.ID.Epoch != a.id.Epoch {
			return s, answer{what: "lost"}
		}
		s.gone, s.log = true, "†"
		return s, answer{what: "done"}
	}
	panic(a.op)
}

// journalModel is that for porcupine.
func journalModel() porcupine.Model {
	m := porcupine.NondeterministicModel{
		Init: func() []any { return []any{stream{}} },
		Step: func(state, input, output any) []any {
			s, a, got := state.(stream), input.(act), output.(answer)
			if a.op == "claim" && got.what != "unknown" && got.epoch <= s.top.ID.Epoch && got.what == "done" {
				return nil // epochs grow
			}
			next, want := s.step(a, got.epoch)
			switch {
			case got.what == "unknown" && next != s:
				return []any{s, next}
			case got.what == "unknown" || got == want:
				return []any{next}
			}
			return nil
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
		DescribeState:     func(state any) string { return fmt.Sprintf("%+v", state) },
	}
	return m.ToModel()
}

// settle makes a history of open ends ready for the checker. An append whose answer was lost is unknown for ever; but once anybody
// has seen a later id in the journal, it cannot happen any more, so that is its end. A claim whose answer was lost, and that later was
// told that it lost, may have won before: then its epoch is what others saw under its nonce, or nobody saw it.
func settle(history []porcupine.Operation) []porcupine.Operation {
	epochs, last := map[uint64]rooms.Epoch{}, int64(0)
	for _, o := range history {
		got := o.Output.(answer)
		if got.what == "top" && got.top.ID.Tick == 0 {
			epochs[got.top.Nonce] = got.top.ID.Epoch
		}
		for entry := range strings.FieldsSeq(got.log) {
			var epoch, tick, nonce, kind uint64
			if _, err := fmt.Sscanf(entry, "%d-%d/%d/%d", &epoch, &tick, &nonce, &kind); err == nil && tick == 0 {
				epochs[nonce] = rooms.Epoch(epoch)
			}
		}
		last = max(last, o.Return, o.Call)
	}
	byReturn := slices.Clone(history)
	slices.SortFunc(byReturn, func(a, b porcupine.Operation) int { return cmp.Compare(a.Return, b.Return) })
	settled := slices.Clone(history)
	for i := range settled {
		o := &settled[i]
		a, got := o.Input.(act), o.Output.(answer)
		if got.what != "unknown" {
			continue
		}
		switch a.op {
		case "claim":
			got.epoch = cmp.Or(epochs[a.nonce], a.seen+1)
			o.Output = got
		case "append", "create":
			o.Return = last + 1
			for _, later := range byReturn {
				if later.Return > o.Call && seenBy(later).Compare(a.id) > 0 {
					o.Return = max(later.Return, o.Call+1)
					break
				}
			}
		}
	}
	return settled
}

// seenBy is an id that must have stood in the journal for an answer to be given.
func seenBy(o porcupine.Operation) rooms.EntryID {
	a, got := o.Input.(act), o.Output.(answer)
	switch {
	case got.what == "top":
		return got.top.ID
	case got.what == "confirmed":
		return a.id
	case got.what == "done" && a.op == "claim":
		return rooms.EntryID{Epoch: got.epoch}
	}
	return rooms.EntryID{}
}

// The checker is worth nothing if it takes every history: each of these breaks one promise.
func TestModelRefusesBrokenHistories(t *testing.T) {
	id := func(epoch rooms.Epoch, tick uint64) rooms.EntryID { return rooms.EntryID{Epoch: epoch, Tick: tick} }
	now := int64(0)
	did := func(a act, got answer) porcupine.Operation {
		now += 2
		return porcupine.Operation{Input: a, Call: now, Output: got, Return: now + 1}
	}
	create := func() porcupine.Operation {
		return did(act{op: "create", id: id(5, 1), nonce: 1, kind: rooms.EntryCreate}, answer{what: "confirmed"})
	}
	delta := func(epoch rooms.Epoch, tick uint64, what string) porcupine.Operation {
		return did(act{op: "append", id: id(epoch, tick), nonce: 1, kind: rooms.EntryDelta}, answer{what: what})
	}
	claim := func(seen rooms.Epoch, nonce uint64, got rooms.Epoch) porcupine.Operation {
		return did(act{op: "claim", seen: seen, nonce: nonce}, answer{what: "done", epoch: got})
	}
	top := func(at rooms.EntryID, nonce uint64, k rooms.EntryKind) porcupine.Operation {
		return did(act{op: "top"}, answer{what: "top", top: rooms.Top{ID: at, Nonce: nonce, Kind: k}})
	}
	load := func(epoch rooms.Epoch, nonce uint64, log string) porcupine.Operation {
		return did(act{op: "load", id: id(epoch, 0), nonce: nonce}, answer{what: "entries", log: log})
	}
	const first = "5-1/1/1 "
	for name, c := range map[string]struct {
		history []porcupine.Operation
		fine    bool
	}{
		"a life":                        {[]porcupine.Operation{create(), delta(5, 2, "confirmed"), claim(5, 2, 9), load(9, 2, first+"5-2/1/4 9-0/2/2 "), delta(5, 3, "fenced")}, true},
		"unknown, and it was stored":    {[]porcupine.Operation{create(), delta(5, 2, "unknown"), top(id(5, 2), 1, rooms.EntryDelta)}, true},
		"unknown, and it was not":       {[]porcupine.Operation{create(), delta(5, 2, "unknown"), top(id(5, 1), 1, rooms.EntryCreate), delta(5, 2, "confirmed")}, true},
		"unknown, and stored late":      {[]porcupine.Operation{create(), delta(5, 2, "unknown"), top(id(5, 1), 1, rooms.EntryCreate), top(id(5, 2), 1, rooms.EntryDelta)}, true},
		"two claims win":                {[]porcupine.Operation{create(), claim(5, 2, 9), claim(5, 3, 10)}, false},
		"an epoch that does not grow":   {[]porcupine.Operation{create(), claim(5, 2, 5)}, false},
		"append behind a claim":         {[]porcupine.Operation{create(), claim(5, 2, 9), delta(5, 2, "confirmed")}, false},
		"a confirmed entry is lost":     {[]porcupine.Operation{create(), delta(5, 2, "confirmed"), claim(5, 2, 9), load(9, 2, first+"9-0/2/2 ")}, false},
		"an entry from nowhere":         {[]porcupine.Operation{create(), claim(5, 2, 9), load(9, 2, first+"5-2/1/4 9-0/2/2 ")}, false},
		"stored twice":                  {[]porcupine.Operation{create(), delta(5, 2, "confirmed"), delta(5, 2, "confirmed")}, false},
		"fenced by nobody":              {[]porcupine.Operation{create(), delta(5, 2, "fenced")}, false},
		"stored after another was seen": {[]porcupine.Operation{create(), delta(5, 2, "unknown"), claim(5, 2, 9), top(id(9, 0), 2, rooms.EntryClaim), load(9, 2, first+"9-0/2/2 "), top(id(5, 2), 1, rooms.EntryDelta)}, false},
	} {
		if got := porcupine.CheckOperations(journalModel(), settle(c.history)); got != c.fine {
			t.Errorf("%s: linearizable is %v", name, got)
		}
	}
}
