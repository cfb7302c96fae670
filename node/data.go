package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
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

	// takenSuffix is what the files are renamed to once a node goes on with what is in them. If it is then killed, its rooms have
	// got further than the files: going on from those a second time would take back what players have seen.
	takenSuffix = ".taken"
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
	if n.disorderly, err = n.discardTaken(); err != nil || n.disorderly {
		return err
	}
	return errors.Join(
		n.journal.Restore(n.dataFile(journalsFile)),
		n.registry.Restore(n.dataFile(sessionsFile), time.Now()),
	)
}

func (n *Node) dataFile(name string) string { return filepath.Join(n.config.Data, name) }

// discardTaken removes what an earlier node had taken and never saved again, and reports whether there was such a thing.
func (n *Node) discardTaken() (bool, error) {
	if exists(n.dataFile(journalsFile)) || !exists(n.dataFile(journalsFile+takenSuffix)) {
		return false, nil
	}
	n.log.Warn("the last stop was not orderly: its rooms are gone", "data", n.config.Data)
	// The taken journals go last: as long as they are there, the next start does this again.
	for _, name := range []string{sessionsFile, sessionsFile + takenSuffix, journalsFile + takenSuffix} {
		if err := os.Remove(n.dataFile(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return true, fmt.Errorf("discard rooms of a stop that was not orderly: %w", err)
		}
	}
	return true, syncFolder(n.config.Data)
}

// take renames the files that were read. It comes before anybody is served.
func (n *Node) take() error {
	if n.config.Data == "" {
		return nil
	}
	for _, name := range []string{journalsFile, sessionsFile} {
		err := os.Rename(n.dataFile(name), n.dataFile(name+takenSuffix))
		if err == nil {
			n.taken = append(n.taken, name)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("take rooms from the data folder: %w", err)
		}
	}
	return syncFolder(n.config.Data)
}

// giveBack undoes take, for a node that has served nobody.
func (n *Node) giveBack() error {
	var errs []error
	for _, name := range n.taken {
		errs = append(errs, os.Rename(n.dataFile(name+takenSuffix), n.dataFile(name)))
	}
	if len(n.taken) > 0 {
		errs = append(errs, syncFolder(n.config.Data))
	}
	n.taken = nil
	return errors.Join(errs...)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// syncFolder makes renames in a folder last.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
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

// save writes the data folder. What was taken from it goes only when everything is written anew.
func (n *Node) save() error {
	if n.config.Data == "" {
		return nil
	}
	err := errors.Join(
		n.journal.Save(n.dataFile(journalsFile)),
		n.registry.Save(n.dataFile(sessionsFile)),
	)
	if err != nil {
		return err
	}
	n.keptRooms, n.keptSessions = len(n.journal.Rooms()), n.registry.Len()
	for _, name := range n.taken {
		if err := os.Remove(n.dataFile(name + takenSuffix)); err != nil {
			return err
		}
	}
	return syncFolder(n.config.Data)
}

// remembered is the rooms of a host, and those that ended before it was started.
type remembered struct {
	sessions.Rooms
	journal *memjournal.Journal
}

// Enter implements sessions.Rooms.
func (r remembered) Enter(e sessions.Entry, done func(sessions.Room, error)) {
	r.Rooms.Enter(e, func(room sessions.Room, err error) { done(room, r.recall(rooms.ID(e.Target), err)) })
}

// Room implements sessions.Rooms.
func (r remembered) Room(id rooms.ID, done func(sessions.Room, error)) {
	r.Rooms.Room(id, func(room sessions.Room, err error) { done(room, r.recall(id, err)) })
}

// recall looks whether a room that the host does not know has ended before.
func (r remembered) recall(id rooms.ID, err error) error {
	if !errors.Is(err, sessions.ErrUnknownRoom) {
		return err
	}
	end, tombErr := r.journal.Tomb(context.Background(), id) // in memory: it does not wait
	if tombErr != nil {
		return err
	}
	t, tombErr := host.ReadTomb(end)
	if tombErr != nil {
		return err
	}
	return &sessions.EndedError{Tomb: t}
}
