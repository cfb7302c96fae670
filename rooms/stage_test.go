package rooms_test

import (
	"fmt"
	"testing"

	"tickover.dev/rooms"
	"tickover.dev/rooms/roomtest"
)

// play lets an Example play a room, which has no testing.T to give: in a test it is r := roomtest.New(t, kind, nil).
func play(kind rooms.Kind, scene func(r *roomtest.Room)) {
	s := &stage{}
	scene(roomtest.New(s, kind, nil))
	for _, f := range s.cleanups {
		f()
	}
}

// stage is a testing.TB on which every failure panics, and with it the Example fails.
type stage struct {
	testing.TB
	cleanups []func()
}

func (s *stage) Helper()                           {}
func (s *stage) Failed() bool                      { return false }
func (s *stage) Skipped() bool                     { return false }
func (s *stage) Logf(string, ...any)               {}
func (s *stage) Cleanup(f func())                  { s.cleanups = append(s.cleanups, f) }
func (s *stage) Error(args ...any)                 { panic(fmt.Sprint(args...)) }
func (s *stage) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (s *stage) Fatal(args ...any)                 { panic(fmt.Sprint(args...)) }
func (s *stage) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
