package simtest

import (
	"slices"
	"testing"
	"time"
)

// If the order of events at one time were the heap's, seeds would not repeat.
func TestEventsHappenInOrder(t *testing.T) {
	var q Queue
	var got []int
	for i, at := range []time.Duration{3, 1, 2, 1, 9} {
		q.Put(at, func() { got = append(got, i) })
	}
	for {
		_, do, ok := q.Next(5)
		if !ok {
			break
		}
		do()
	}
	if want := []int{1, 3, 2, 0}; !slices.Equal(got, want) || q.Puts() != 5 {
		t.Errorf("happened %v, want %v; %d puts", got, want, q.Puts())
	}
}
