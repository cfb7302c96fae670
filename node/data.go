package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"tickover.dev/rooms"
	"tickover.dev/rooms/host"
	"tickover.dev/rooms/memjournal"
	"tickover.dev/sessions"
)

// This file is what a node keeps over an orderly stop and start. With no folder it keeps nothing.

const (
	lockFile     = "lock"
	journalsFile = "journals.msgpack"
	sessionsFile = "sessions.msgpack"
)

// lock keeps other nodes out of a data folder: each would overwrite what the other saved. It ends with the process, if not before.
func lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("data folder %s is used by another node: %w", dir, err)
	}
	return f, nil
}

// restore reads the data folder. After an error nothing is ever written to it.
func (n *Node) restore() (err error) {
	if n.config.Data == "" {
		return nil
	}
	if n.lock, err = lock(n.config.Data); err != nil {
		return err
	}
	return errors.Join(
		n.journal.Restore(filepath.Join(n.config.Data, journalsFile)),
		n.registry.Restore(filepath.Join(n.config.Data, sessionsFile), time.Now()),
	)
}

// resume goes on with the rooms of the data folder. A room that cannot be resumed is reported and left where it is.
func (n *Node) resume(ctx context.Context) error {
	for _, id := range n.journal.Rooms() {
		if err := n.rooms.Resume(ctx, id, true); err != nil {
			if ctx.Err() != nil {
				return err
			}
			n.log.Error("room not resumed", "error", err)
			continue
		}
		n.resumed++
	}
	return nil
}

func (n *Node) save() error {
	if n.config.Data == "" {
		return nil
	}
	return errors.Join(
		n.journal.Save(filepath.Join(n.config.Data, journalsFile)),
		n.registry.Save(filepath.Join(n.config.Data, sessionsFile)),
	)
}

// remembered is the rooms of a host, and those that ended before it was started.
type remembered struct {
	sessions.Rooms
	journal *memjournal.Journal
}

// Tomb implements sessions.Rooms.
func (r remembered) Tomb(id rooms.ID) (host.Tomb, bool) {
	if t, ok := r.Rooms.Tomb(id); ok {
		return t, true
	}
	end, err := r.journal.Tomb(context.Background(), id) // in memory: it does not wait
	return host.Tomb{Why: "ended", Result: end}, err == nil
}
