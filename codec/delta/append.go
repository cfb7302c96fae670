package delta

import (
	"encoding/binary"
	"math"
	"math/bits"
)

const (
	// window is how many bytes must agree before a copy is worth its two or more bytes; it is what one load compares.
	window = 8

	// A place is doubted when the debt of its copies exceeds patience: every byte inserted adds price, every byte copied
	// takes one away. A state whose objects move but stay in their places inserts some 15 of 100 bytes and remains
	// below; one whose rows have moved up by one inserts 30 and more. Up to then old is never indexed. When a search
	// finds nothing better, patience doubles, up to mostPatience, so that hopeless searches stay few.
	price        = 4
	patience     = 64 * price
	mostPatience = 16 * patience

	// A search tries the places of that many windows, and judges each by how many of the next span bytes agree there:
	// long enough to tell a row of a table from its neighbours with the same keys. A place must win by margin.
	reach  = 128
	span   = 128
	margin = 16

	// nearest is how many bytes two or three integers on the way may have grown by.
	nearest = 8

	// A fixed table of 16 KiB: enough for every window at stride 8 of a state of 32 KiB. Larger states are indexed more
	// thinly, and so find only longer runs.
	tableBits = 12
	stride    = 8
)

// Scratch is what [Append] remembers old by while it runs: 16 KiB. The zero value is ready. It may be used for one pair
// of byte strings after another, by one goroutine at a time.
type Scratch struct {
	table [1 << tableBits]uint32 // hash of a window -> base + 1 + a place in old where it is

	// base is added to every place of the present old; next will be for the one after it. It grows past all entries
	// with each old, so that those of an earlier one are too small to count and the table need not be cleared.
	base, next uint32
}

// Append appends to dst a program that turns old into new, and returns the extended buffer. The program is at most 16
// bytes longer than new, and about as long as what has changed if little has. It allocates only to grow dst, whose
// memory must be apart from old and new. States larger than [MaxBytes] get a program that Apply refuses.
func Append(dst, old, new []byte, s *Scratch) []byte {
	start := len(dst)
	dst = binary.AppendUvarint(dst, uint64(len(new)))
	body := len(dst)
	m := matcher{old: old, new: new, scratch: s, patience: patience}
	for done, from := 0, 0; done < len(new); {
		r := m.next(done, from)
		if r.at > done {
			dst = appendInsert(dst, new[done:r.at])
		}
		if r.n > 0 {
			dst = binary.AppendUvarint(dst, uint64(r.n)<<1|1)
			dst = binary.AppendVarint(dst, int64(r.from-(from+r.at-done)))
		}
		done, from = r.at+r.n, r.from+r.n
	}
	if len(dst)-start > len(new)+16 {
		return appendInsert(dst[:body], new)
	}
	return dst
}

func appendInsert(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))<<1), b...)
}

// run says that the n bytes of new from at on are those of old from from on. Of length 0 it lies at the end of new.
type run struct{ at, from, n int }

// matcher looks for what new shares with old.
type matcher struct {
	old, new []byte
	scratch  *Scratch
	indexed  bool // scratch knows old
	debt     int
	patience int
}

// next gives the first run worth copying in new from done on, where old from from on would follow if nothing moved.
func (m *matcher) next(done, from int) run {
	old, new := m.old, m.new
	for at, still := done, from; at+window <= len(new); at, still = at+1, still+1 {
		if still+window <= len(old) && load(old, still) == load(new, at) {
			n := window + common(old[still+window:], new[at+window:])
			m.debt = max(0, m.debt+price*(at-done)-n)
			return run{at, still, n}
		}
		if m.debt+price*(at-done) > m.patience {
			if r, ok := m.search(done, at, still-at); ok {
				m.debt, m.patience = 0, patience
				return r
			}
			// What was inserted so far is forgiven: else every further byte would be searched for, in a state that is simply new.
			m.patience, m.debt = min(2*m.patience, mostPatience), -price*(at-done)
		}
	}
	return run{at: len(new)}
}

// search looks for bytes from at on that moved by another distance than the present one, and gives the run of the
// distance at which most agrees, from done on.
func (m *matcher) search(done, at, present int) (best run, found bool) {
	distance, ok := m.nearby(at, present)
	if !ok {
		distance, ok = m.anywhere(at, present)
	}
	if !ok {
		return run{}, false
	}
	for here := max(at, -distance); here+window <= len(m.new) && here+distance+window <= len(m.old); here++ {
		if load(m.new, here) == load(m.old, here+distance) {
			return m.widen(run{here, here + distance, window}, done), true
		}
	}
	return run{}, false
}

// nearby tries the distances that a growing or shrinking integer or a word more in a text make, without an index.
func (m *matcher) nearby(at, present int) (distance int, ok bool) {
	for by := 1; by <= nearest; by++ {
		for _, distance := range [...]int{present - by, present + by} {
			if m.agreeing(at, distance) > span-margin {
				return distance, true
			}
		}
	}
	return 0, false
}

// anywhere tries the distances of all places of old that windows after at are found in.
func (m *matcher) anywhere(at, present int) (distance int, ok bool) {
	most := m.agreeing(at, present) + margin
	tried := present
	for here := at; here < at+reach && here+window <= len(m.new); here++ {
		place, known := m.find(load(m.new, here))
		if !known || place-here == present || place-here == tried {
			continue
		}
		tried = place - here
		if n := m.agreeing(at, tried); n > most {
			most, distance, ok = n, tried, true
		}
	}
	return distance, ok
}

// widen takes in what agrees before, from done on, and after the one window of r.
func (m *matcher) widen(r run, done int) run {
	r.n += common(m.old[r.from+window:], m.new[r.at+window:])
	for r.at > done && r.from > 0 && m.old[r.from-1] == m.new[r.at-1] {
		r = run{r.at - 1, r.from - 1, r.n + 1}
	}
	return r
}

// agreeing counts the bytes among the span from at on that are in old at that distance.
func (m *matcher) agreeing(at, distance int) int {
	if at = max(at, -distance); at >= len(m.new) || at+distance >= len(m.old) {
		return 0
	}
	a, b := m.new[at:], m.old[at+distance:]
	n := min(len(a), len(b), span)
	count := 0
	for i := 0; i+8 <= n; i += 8 {
		const low = 0x7f7f7f7f7f7f7f7f
		x := load(a, i) ^ load(b, i)
		count += bits.OnesCount64(^(x&low + low | x | low)) // the top bit of every byte that is zero
	}
	return count
}

// find gives a place in old with that window. It indexes old when first asked.
func (m *matcher) find(w uint64) (int, bool) {
	s := m.scratch
	if !m.indexed {
		m.indexed = true
		s.index(m.old)
	}
	entry := s.table[hash(w)]
	if entry <= s.base {
		return 0, false
	}
	place := int(entry - s.base - 1)
	return place, load(m.old, place) == w
}

// index fills the table with windows of old. Of equal ones the first stays: it is filled from the end.
func (s *Scratch) index(old []byte) {
	old = old[:min(len(old), MaxBytes)]
	if s.next > math.MaxUint32-uint32(len(old)) {
		clear(s.table[:])
		s.next = 0
	}
	s.base = s.next
	s.next += uint32(len(old))
	step := max(stride, len(old)>>tableBits)
	for place := (len(old) - window) / step * step; place >= 0; place -= step {
		s.table[hash(load(old, place))] = s.base + 1 + uint32(place)
	}
}

func hash(w uint64) uint64 {
	// Knuth's multiplicative hash, by 2^64 divided by the golden ratio.
	return w * 0x9e3779b97f4a7c15 >> (64 - tableBits)
}

func load(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[i : i+window]) }

// common counts the bytes that a and b begin with alike.
func common(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for ; i+8 <= n; i += 8 {
		if x := load(a, i) ^ load(b, i); x != 0 {
			return i + bits.TrailingZeros64(x)/8
		}
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}
