package memjournal

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
	Format  int
	Streams []fileStream
	Shelf   []fileStream // entries of rooms in quarantine, oldest first
}

type fileStream struct {
	Room    string
	Entries []fileEntry
	Tomb    []byte
	Ended   bool
	UntilMs int64
	Before  uint64
}

type fileEntry struct {
	Epoch, Tick         uint64
	PrevEpoch, PrevTick uint64
	Nonce, Horizon      uint64
	Kind                uint8
	Body                []byte
}

// Save writes everything to a file, as a whole or not at all.
func (j *Journal) Save(path string) error {
	if err := statefile.Write(path, j.snapshot()); err != nil {
		return fmt.Errorf("save journals: %w", err)
	}
	return nil
}

func (j *Journal) snapshot() *fileState {
	j.mu.Lock()
	defer j.mu.Unlock()
	f := &fileState{Format: fileFormat}
	for id := range j.streams {
		s := j.stream(id)
		if s == nil {
			continue
		}
		fs := fileStream{Room: string(id), Tomb: s.tomb, Ended: s.tomb != nil}
		if fs.Ended {
			fs.UntilMs, fs.Before = s.until.UnixMilli(), uint64(s.before)
		}
		fs.Entries = toFile(s.entries)
		f.Streams = append(f.Streams, fs)
	}
	for _, s := range j.shelf {
		f.Shelf = append(f.Shelf, fileStream{Room: string(s.room), Entries: toFile(s.entries)})
	}
	slices.SortFunc(f.Streams, func(a, b fileStream) int { return strings.Compare(a.Room, b.Room) })
	return f
}

func toFile(entries []rooms.Entry) (list []fileEntry) {
	for _, e := range entries {
		list = append(list, fileEntry{
			uint64(e.ID.Epoch), e.ID.Tick, uint64(e.Prev.Epoch), e.Prev.Tick, e.Nonce, e.Horizon, uint8(e.Kind), e.Body,
		})
	}
	return list
}

// entries is what toFile made the list of.
func (f *fileStream) entries() (entries []rooms.Entry) {
	for _, e := range f.Entries {
		entries = append(entries, rooms.Entry{
			Room:  rooms.ID(f.Room),
			ID:    rooms.EntryID{Epoch: rooms.Epoch(e.Epoch), Tick: e.Tick},
			Prev:  rooms.EntryID{Epoch: rooms.Epoch(e.PrevEpoch), Tick: e.PrevTick},
			Nonce: e.Nonce, Horizon: e.Horizon, Kind: rooms.EntryKind(e.Kind), Body: e.Body,
		})
	}
	return entries
}

// Restore reads what Save wrote. A file that does not exist is an empty journal.
func (j *Journal) Restore(path string) error {
	var f fileState
	found, err := statefile.Read(path, &f)
	if err != nil {
		return fmt.Errorf("load journals: %w", err)
	}
	if !found {
		return nil
	}
	if f.Format != fileFormat {
		return fmt.Errorf("load journals from %s: format %d, this version knows %d", path, f.Format, fileFormat)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, fs := range f.Streams {
		s := &stream{entries: fs.entries()}
		if fs.Ended {
			s.tomb, s.until, s.before = append([]byte{}, fs.Tomb...), time.UnixMilli(fs.UntilMs), rooms.Epoch(fs.Before)
		}
		if s.tomb == nil && len(s.entries) == 0 {
			return fmt.Errorf("load journals from %s: room %s has no entries", path, fs.Room)
		}
		j.streams[rooms.ID(fs.Room)] = s
		if fs.Ended {
			j.buried = append(j.buried, rooms.ID(fs.Room))
		}
	}
	for _, fs := range f.Shelf {
		j.shelf = append(j.shelf, shelved{rooms.ID(fs.Room), fs.entries()})
	}
	return nil
}
