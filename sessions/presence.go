package sessions

// This file is which sessions a player has, for a registry that is all there is. Beside a Store nobody is listed here: the store
// knows what other nodes do.

// maxOf bounds how many sessions of one player are told of. Tokens can be used any number of times.
const maxOf = 100

// Of gives the sessions of a player, the newest first, 100 at most. With a Store it gives none: ask that.
func (g *Registry) Of(player string) (rs []Record) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for s := g.players[player]; s != nil && len(rs) < maxOf; s = s.older {
		rs = append(rs, s.record(""))
	}
	return rs
}

// enter puts a new session before the others of its player. g.mu is held.
func (g *Registry) enter(s *session) {
	if s.older = g.players[s.player.ID]; s.older != nil {
		s.older.newer = s
	}
	g.players[s.player.ID] = s
}

// strike takes a session out of its player's list, if it is in one. g.mu is held.
func (g *Registry) strike(s *session) {
	if s.older != nil {
		s.older.newer = s.newer
	}
	switch {
	case s.newer != nil:
		s.newer.older = s.older
	case g.players[s.player.ID] != s: // never listed
	case s.older != nil:
		g.players[s.player.ID] = s.older
	default:
		delete(g.players, s.player.ID)
	}
	s.newer, s.older = nil, nil
}
