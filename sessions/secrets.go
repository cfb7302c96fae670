package sessions

import "crypto/subtle"

// secrets is what a session is resumed with (docs/failover/RULES.md, R20). The zero value of the last two is that of a new session.
type secrets struct {
	current  Hash   // of the newest
	previous Hash   // of the one before it, which is good until the newest was used once
	attempt  uint64 // of the newest hello that was granted by the previous one; 0: it had no number
}

// rotate has next take the place of a secret that hello number attempt shows, 0 if it has none. It gives ErrBadSecret, or ErrStale.
func (s *secrets) rotate(secret, next Hash, attempt uint64) error {
	switch {
	case s.current.is(secret):
		s.previous, s.attempt = secret, attempt
	case s.previous == Hash{} || !s.previous.is(secret):
		return ErrBadSecret
	case attempt != 0 && attempt <= s.attempt:
		return ErrStale
	default: // the welcome with the newer secret was lost
		s.attempt = max(s.attempt, attempt)
	}
	s.current = next
	return nil
}

// is compares in a time that tells nothing.
func (h *Hash) is(other Hash) bool { return subtle.ConstantTimeCompare(h[:], other[:]) == 1 }
