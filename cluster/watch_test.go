package cluster

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"tickover.dev/rooms"
)

const (
	testLease = 800 * time.Millisecond
	testBeat  = 200 * time.Millisecond
)

// sky is what node 1 reads: members and how often each has beaten.
type sky struct {
	*testing.T
	w     *Watch
	now   time.Duration
	beats map[Boot]uint64
	still map[Boot]bool // beats no more
}

func newSky(t *testing.T, boots ...Boot) *sky {
	s := &sky{T: t, w: NewWatch(1, testLease), beats: map[Boot]uint64{1: 1}, still: map[Boot]bool{}}
	for _, b := range boots {
		s.beats[b] = 1
	}
	return s
}

// pass lets so many heartbeats pass, each read answered after d.
func (s *sky) pass(n int, d time.Duration) {
	for range n {
		s.now += testBeat
		var members []Member
		for b := range s.beats {
			if !s.still[b] {
				s.beats[b]++
			}
			members = append(members, Member{Boot: b, Beat: s.beats[b]})
		}
		s.w.Take(members, s.now, s.now+d)
	}
}

func (s *sky) dead(want ...Boot) {
	s.Helper()
	if got := s.w.Dead(); !slices.Equal(got, want) {
		s.Fatalf("at %s dead are %v, want %v", s.now, got, want)
	}
}

// Rooms of a dead node would wait for ever.
func TestAStillCounterIsDeadAfterOneLease(t *testing.T) {
	s := newSky(t, 2, 3)
	s.pass(10, time.Millisecond)
	s.still[2] = true
	s.pass(3, time.Millisecond)
	s.dead()
	s.pass(1, time.Millisecond)
	s.dead(2)
	s.still[2] = false
	s.pass(1, time.Millisecond)
	s.dead()
}

// A node that comes back after a pause would declare everybody dead and bounce all rooms of the cluster.
func TestAThawedObserverDeclaresNobodyDead(t *testing.T) {
	s := newSky(t, 2)
	s.pass(10, time.Millisecond)
	s.now += 10 * testLease
	s.still[2] = true
	s.pass(1, time.Millisecond)
	s.dead()
	s.pass(4, time.Millisecond)
	s.dead(2)
}

// The same, if the store was away: then nobody could beat, and living owners get one lease to seal their rooms.
func TestAnOutageIsNobodysDeath(t *testing.T) {
	s := newSky(t, 2)
	s.pass(10, time.Millisecond)
	for range 10 {
		s.now += testBeat
		s.w.Failed()
	}
	if s.w.Sighted() {
		t.Fatal("it sees")
	}
	s.still[2] = true
	s.pass(4, time.Millisecond)
	s.dead()
	s.pass(1, time.Millisecond)
	s.dead(2)
}

// Answers that take half a lease say nothing about now.
func TestSlowAnswersProveNoDeath(t *testing.T) {
	s := newSky(t, 2)
	s.pass(10, time.Millisecond)
	s.still[2] = true
	s.pass(20, testLease)
	s.dead()
}

// The directory may name a boot that left the members long ago; but a store that came back empty has lost those who live.
func TestAnAbsentBootIsDeadAfterOneLeaseOfSight(t *testing.T) {
	s := newSky(t, 2)
	s.pass(3, time.Millisecond)
	if s.w.IsDead(9) {
		t.Fatal("declared dead before a lease of sight")
	}
	s.pass(3, time.Millisecond)
	if !s.w.IsDead(9) {
		t.Fatal("not declared dead")
	}
}

func TestAnObituaryIsRefutedByABeat(t *testing.T) {
	s := newSky(t, 2)
	s.pass(10, time.Millisecond)
	s.w.Bury(2, s.now+time.Millisecond)
	s.dead(2)
	s.pass(1, time.Millisecond) // its last beat, perhaps
	s.dead(2)
	s.pass(1, time.Millisecond)
	s.dead()
	s.still[2] = true
	s.w.Bury(2, s.now+time.Millisecond)
	s.pass(20, time.Millisecond)
	s.dead(2)
}

// If the heirs of a room depended on more than the room and who lives, two nodes would claim it at once.
func TestADeathMovesOnlyTheRoomsOfTheDead(t *testing.T) {
	members := []Member{{Boot: 11, Kinds: []string{"k"}}, {Boot: 22, Kinds: []string{"k"}}, {Boot: 33, Kinds: []string{"k"}}, {Boot: 44}}
	first := map[Boot]int{}
	for i := range 3000 {
		room := roomID(i)
		heirs := Heirs(members, "k", room)
		if len(heirs) != 3 {
			t.Fatalf("heirs %v", heirs)
		}
		first[heirs[0]]++
		without := slices.DeleteFunc(slices.Clone(members), func(m Member) bool { return m.Boot == heirs[1] })
		if again := Heirs(without, "k", room); again[0] != heirs[0] || again[1] != heirs[2] {
			t.Fatalf("heirs %v became %v", heirs, again)
		}
	}
	for b, n := range first {
		if n < 800 || n > 1200 {
			t.Errorf("%s is first heir of %d of 3000 rooms", b, n)
		}
	}
}

func TestBootsAndNonces(t *testing.T) {
	for range 100 {
		b := NewBoot()
		if got, err := ParseBoot(b.String()); err != nil || got != b {
			t.Fatalf("%s: %v, %v", b, got, err)
		}
		if n := b.Nonce(7); BootOf(n) != b || n>>63 != 0 {
			t.Fatalf("nonce %x", n)
		}
	}
	for _, bad := range []string{"", "00000000", "zz", "ffffffff", "1", "0000000001"} {
		if b, err := ParseBoot(bad); err == nil {
			t.Errorf("%q is taken for %s", bad, b)
		}
	}
}

func roomID(i int) rooms.ID { return rooms.ID(fmt.Sprint("room-", i)) }

// A store that comes back empty has lost the members, too. Whoever has not beaten again by the first look would be taken for dead at once:
// its players would be dropped, and its rooms' new records taken away.
func TestMembersThatTheStoreHasLostHaveALease(t *testing.T) {
	s := newSky(t, 2, 3, 4)
	s.pass(10, time.Millisecond)
	s.still[3] = true
	s.pass(5, time.Millisecond)
	s.dead(3)
	delete(s.beats, 2)
	delete(s.beats, 3) // was forgotten in order
	s.pass(1, time.Millisecond)
	if _, known := s.w.Member(2); !known || s.w.IsDead(2) {
		t.Error("2 is missing from one read, and taken for dead")
	}
	if _, known := s.w.Member(3); known || !s.w.IsDead(3) {
		t.Error("3 was dead, and is a member again")
	}
	s.beats[2] = 20
	s.pass(5, time.Millisecond)
	s.dead()
	delete(s.beats, 2)
	s.pass(6, time.Millisecond)
	if _, known := s.w.Member(2); known || !s.w.IsDead(2) {
		t.Error("2 has stayed away for a lease, and is a member still")
	}
}
