package cluster

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"

	"tickover.dev/rooms"
)

// Boot is one run of a node's process. A node that is restarted is another one, whatever its name: it owns nothing of what the one
// before it owned (FAILOVER.md R13). 31 random bits, never 0.
type Boot uint32

// NewBoot draws a boot.
func NewBoot() Boot {
	for {
		var b [4]byte
		rand.Read(b[:])
		if boot := Boot(binary.LittleEndian.Uint32(b[:]) >> 1); boot != 0 {
			return boot
		}
	}
}

func (b Boot) String() string { return fmt.Sprintf("%08x", uint32(b)) }

// ParseBoot reads what String wrote.
func ParseBoot(s string) (Boot, error) {
	n, err := strconv.ParseUint(s, 16, 31)
	if err != nil || n == 0 || len(s) != 8 {
		return 0, fmt.Errorf("cluster: %q is no boot id", s)
	}
	return Boot(n), nil
}

// Nonce gives the n-th nonce of a boot: the claims and creations of one boot differ from each other and from every other boot's, and
// a journal's entries tell who wrote them.
func (b Boot) Nonce(n uint32) uint64 { return uint64(b)<<32 | uint64(n) }

// BootOf gives the boot that made a nonce.
func BootOf(nonce uint64) Boot { return Boot(nonce >> 32) }

// Member is what a node tells the others of itself with every heartbeat.
type Member struct {
	Boot  Boot
	Name  string   // --name; for people
	Beat  uint64   // grows with every heartbeat
	Kinds []string // of rooms it runs
	Peer  string   // host:port of its peer listener; "" if it has none
	HTTP  string   // host:port of its HTTP listener, as seen from elsewhere
	Game  string   // host:port of its game listener

	Rooms       int  // it owns
	Connections int  // of players
	Leaving     bool // it is being stopped: it takes nothing new
	Left        bool // it has stopped in order: whatever it owned is free
	Version     string
}

// Runs reports whether the member can own rooms of a kind.
func (m *Member) Runs(kind string) bool { return slices.Contains(m.Kinds, kind) }

// Heirs orders the members that may take over a room of a kind by how much it is theirs: every node computes the same order, and
// when one dies only its own rooms change hands. (Rendezvous hashing: Thaler and Ravishankar, 1998.)
func Heirs(members []Member, kind string, room rooms.ID) []Boot {
	type bid struct {
		boot   Boot
		weight uint64
	}
	bids := make([]bid, 0, len(members))
	for i := range members {
		if m := &members[i]; m.Runs(kind) && !m.Leaving {
			bids = append(bids, bid{m.Boot, weigh(m.Boot, room)})
		}
	}
	slices.SortFunc(bids, func(a, b bid) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.boot, b.boot))
	})
	heirs := make([]Boot, len(bids))
	for i, b := range bids {
		heirs[i] = b.boot
	}
	return heirs
}

func weigh(b Boot, room rooms.ID) uint64 {
	h := fnv.New64a()
	h.Write(binary.LittleEndian.AppendUint32(nil, uint32(b)))
	h.Write([]byte(room))
	return mix(h.Sum64())
}

// mix spreads what FNV leaves in the low bits over all of them (the finisher of SplitMix64).
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
