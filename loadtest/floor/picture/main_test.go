package main

import (
	"testing"

	"tickover.dev/rooms/roomtest"
)

// Without it, a node would have nothing to send in some ticks, and its messages would look cheap.
func TestEveryTickAndInputChangesThePicture(t *testing.T) {
	r := roomtest.New(t, kind, nil)
	ann := r.Join("ann")
	before := roomtest.Public[[256]byte](r)
	r.Wait(kindPeriod)
	after := roomtest.Public[[256]byte](r)
	if before == after {
		t.Error("a tick shows nothing new")
	}
	ann.Send(dab{1, 2, 3})
	r.Wait(kindPeriod)
	if got := roomtest.Public[[256]byte](r); [248]byte(got[countBytes:]) == [248]byte(after[countBytes:]) {
		t.Error("an input shows nothing new")
	}
}
