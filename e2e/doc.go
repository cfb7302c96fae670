// Package e2e holds the tests that play the whole thing as people do: the real binary, a real browser, real lost connections.
// It has no code of its own.
package e2e
