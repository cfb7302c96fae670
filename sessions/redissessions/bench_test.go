package redissessions_test

import (
	"encoding/binary"
	"fmt"
	"testing"

	"tickover.dev/redisconn/redistest"
	"tickover.dev/rooms"
	"tickover.dev/sessions"
)

// One operation is one call of Save.
func BenchmarkSave(b *testing.B) {
	for _, size := range []int{1, 100, 500} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := open(b, redistest.Start(b).URL())
			rs := make([]sessions.Record, size)
			for i := range rs {
				rs[i] = sessions.Record{
					ID: fmt.Sprintf("session-of-24-letters-%02d", i), Player: rooms.Player{ID: fmt.Sprint("player ", i), Name: "ann"}, Gen: 1, Node: "a",
					Connected: true, Seats: []sessions.Place{{Room: "room-of-16-bytes", Seat: 7}},
				}
				if err := s.Open(b.Context(), rs[i], sessions.Hash{1}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				for _, err := range s.Save(b.Context(), rs) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*size), "us/session")
		})
	}
}

// One operation is one reconnect.
func BenchmarkResume(b *testing.B) {
	s := open(b, redistest.Start(b).URL())
	if err := s.Open(b.Context(), ann, sessions.Hash{}); err != nil {
		b.Fatal(err)
	}
	secret := func(n uint64) (h sessions.Hash) {
		binary.BigEndian.PutUint64(h[:], n)
		return h
	}
	n := uint64(0)
	for b.Loop() {
		if _, _, err := s.Resume(b.Context(), ann.ID, secret(n), secret(n+1), 0, "b"); err != nil {
			b.Fatal(err)
		}
		n++
	}
}
