package chaos

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// Kind is a way to break something.
type Kind uint8

// The kinds of faults.
const (
	Kill        Kind = iota // kill -9 of a node, started again
	FreezeShort             // SIGSTOP of a node for just under a lease
	FreezeLease             // for a lease and a little: it is declared dead as it wakes
	FreezeLong              // for three leases: its rooms are elsewhere when it wakes
	Drain                   // SIGTERM of a node, started again
	DrainKill               // SIGTERM, and kill -9 before it has ended
	Cut                     // a node's connections to Redis break, and new ones too
	Stall                   // a node's connections to Redis pass nothing on
	Delay                   // a node's connections to Redis take long
	Pause                   // Redis answers nobody (CLIENT PAUSE)
	RedisKill               // kill -9 of Redis, started again
	kinds
)

func (k Kind) String() string {
	return [...]string{"kill", "freeze-short", "freeze-lease", "freeze-long", "drain", "drain-kill", "cut", "stall", "delay", "pause", "redis-kill"}[k]
}

// onNode reports whether the fault hits one node, and not Redis for all.
func (k Kind) onNode() bool { return k < Pause }

// Lease is how long a silent node counts as living. It is the nodes' default.
const Lease = 800 * time.Millisecond

// slot is how much of a run's time one fault gets: that long its gaps are measured.
const slot = gapAfter

// Fault is one thing to be broken.
type Fault struct {
	Kind Kind
	Node int           // of the candidates, counted from 0 and round; -1: none
	Any  bool          // the candidates are all nodes; else those that have rooms, as it hurts there
	For  time.Duration // until it is mended, thawed or started again
	Lag  time.Duration // DrainKill: between the two signals; Delay: how much, each way
}

func (f Fault) String() string {
	s := f.Kind.String()
	if f.Node >= 0 {
		who := "with rooms"
		if f.Any {
			who = "of all"
		}
		s += fmt.Sprintf(" node %d %s", f.Node+1, who)
	}
	s += fmt.Sprintf(" for %s", f.For)
	if f.Lag > 0 {
		s += fmt.Sprintf(", lag %s", f.Lag)
	}
	return s
}

// Schedule gives the faults of a run. Every kind comes once before any comes again; only limits it to some of them (none: all).
func Schedule(seed uint64, faults, nodes int, only ...Kind) []Fault {
	random := rand.New(rand.NewPCG(seed, 0x63_68_61_6f_73))
	if len(only) == 0 {
		for k := range kinds {
			only = append(only, k)
		}
	}
	var plan []Fault
	for len(plan) < faults {
		for _, i := range random.Perm(len(only)) {
			plan = append(plan, draw(random, only[i], nodes))
		}
	}
	return plan[:faults]
}

// draw gives a fault of a kind. It takes as many numbers whatever the kind is.
func draw(random *rand.Rand, k Kind, nodes int) Fault {
	node, part := random.IntN(nodes), time.Duration(random.IntN(1000))
	between := func(least, most time.Duration) time.Duration { return least + (most-least)*part/1000 }
	f := Fault{Kind: k, Node: -1}
	if any := random.IntN(4) == 0; k.onNode() {
		f.Node, f.Any = node, any
	}
	switch k {
	case Kill, Drain:
		f.For = between(100*time.Millisecond, 2*Lease)
	case DrainKill:
		f.For, f.Lag = between(100*time.Millisecond, 2*Lease), between(time.Millisecond, 60*time.Millisecond)
	case FreezeShort:
		f.For = between(Lease-200*time.Millisecond, Lease-50*time.Millisecond)
	case FreezeLease:
		f.For = between(Lease, Lease+200*time.Millisecond)
	case FreezeLong:
		f.For = between(3*Lease, 3*Lease+200*time.Millisecond)
	case Cut, Stall:
		f.For = between(Lease/4, 3*Lease)
	case Delay:
		f.For, f.Lag = between(Lease, 3*Lease), between(20*time.Millisecond, 250*time.Millisecond)
	case Pause, RedisKill:
		f.For = between(Lease/2, 3*Lease)
	}
	f.For, f.Lag = f.For.Round(time.Millisecond), f.Lag.Round(time.Millisecond)
	return f
}

// ParseKinds reads names of kinds, with commas between; "" are none.
func ParseKinds(text string) ([]Kind, error) {
	var list []Kind
	for name := range strings.SplitSeq(text, ",") {
		if name == "" {
			continue
		}
		k := Kind(0)
		for ; k < kinds && k.String() != name; k++ {
		}
		if k == kinds {
			return nil, fmt.Errorf("there is no kind of fault %q", name)
		}
		list = append(list, k)
	}
	return list, nil
}
