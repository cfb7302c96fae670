package sessions

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"tickover.dev/codec/statefile"
	"tickover.dev/rooms"
)

// fileFormat is the version of the file that Save writes.
const fileFormat = 1

type fileState struct {
	Format   int
	Sessions []fileSession
}

type fileSession struct {
	ID                string
	Player            rooms.Player
	Gen               uint64
	Current, Previous Hash
	Attempt           uint64 // missing in files of older versions: 0
	Seats             []Place
	Requests          []Request
}

// Save writes all sessions to a file that only its owner can read, as a whole or not at all. Secrets are in it as hashes.
func (g *Registry) Save(path string) error {
	if err := statefile.Write(path, g.snapshot()); err != nil {
		return fmt.Errorf("save sessions: %w", err)
	}
	return nil
}

func (g *Registry) snapshot() *fileState {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := &fileState{Format: fileFormat}
	for _, s := range g.sessions {
		f.Sessions = append(f.Sessions, fileSession{s.id, s.player, s.gen, s.current, s.previous, s.attempt, slices.Clone(s.seats), slices.Clone(s.requests)})
	}
	slices.SortFunc(f.Sessions, func(a, b fileSession) int { return strings.Compare(a.ID, b.ID) })
	return f
}

// Restore reads what Save wrote; the sessions wait for their connections from now on. A file that does not exist is no error.
func (g *Registry) Restore(path string, now time.Time) error {
	var f fileState
	found, err := statefile.Read(path, &f)
	if err != nil {
		return fmt.Errorf("load sessions: %w", err)
	}
	if !found {
		return nil
	}
	if f.Format != fileFormat {
		return fmt.Errorf("load sessions from %s: format %d, this version knows %d", path, f.Format, fileFormat)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, fs := range f.Sessions {
		s := &session{
			id: fs.ID, player: fs.Player, gen: fs.Gen, secrets: secrets{fs.Current, fs.Previous, fs.Attempt},
			seats: fs.Seats, requests: fs.Requests, since: now,
		}
		g.sessions[s.id] = s
		g.enter(s)
		g.enlist(s)
	}
	return nil
}
