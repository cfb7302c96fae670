//go:build !race

package simtest

// Race reports whether the race detector is on: what it slows down, and what it makes allocate, is tested less, or not.
const Race = false
