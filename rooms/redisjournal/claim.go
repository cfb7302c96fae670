package redisjournal

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"tickover.dev/rooms"
)

// Claim implements rooms.Journal.
func (j *Journal) Claim(ctx context.Context, room rooms.ID, seen rooms.Epoch, nonce uint64) (rooms.Epoch, error) {
	field := appendPacked(nil, &rooms.Entry{Kind: rooms.EntryClaim, Nonce: nonce})
	answer, err := claimScript.Run(ctx, j.client, []string{j.journalKey(room)},
		strconv.FormatUint(uint64(seen), 10), binary.BigEndian.AppendUint64(nil, nonce), field).Text()
	if err == nil {
		switch answer {
		case answerGone:
			return 0, rooms.ErrGone
		case answerLost:
			return 0, rooms.ErrClaimLost
		}
		var epoch uint64
		if epoch, err = strconv.ParseUint(answer, 10, 64); err == nil {
			return rooms.Epoch(epoch), nil
		}
	}
	j.learn(err)
	return 0, fmt.Errorf("claim room %s: %w", room, err)
}

// Load implements rooms.Journal. The claim entry is the last one read: where it still stands, nothing before it was trimmed, as
// whatever trims takes all that is older than itself. Beside rooms.ErrGone and rooms.ErrClaimLost it may return rooms.ErrCorrupt,
// which will be no better the next time: the claim stands, and the room is for Quarantine; and rooms.ErrNewer: it is for a newer node.
func (j *Journal) Load(ctx context.Context, room rooms.ID, claim rooms.Epoch) ([]rooms.Entry, error) {
	const chunk = 64 // entries; of 1 MiB at most, which is how far a room may be ahead of its journal
	own := rooms.EntryID{Epoch: claim}
	from, end := "-", formatID(own)
	var entries []rooms.Entry
	var unreadable error // the first; the claim decides whether it is ours to complain of
	for size := 0; ; {
		found, err := j.client.XRangeN(ctx, j.journalKey(room), from, end, chunk).Result()
		if err != nil {
			j.learn(err)
			return nil, fmt.Errorf("load room %s: %w", room, err)
		}
		for _, m := range found {
			e, err := entryOf(room, m)
			if unreadable == nil {
				unreadable = err
			}
			if e.Kind == rooms.EntryClaim && len(entries) > 0 { // claims are made where their predecessor is not known yet
				e.Prev = entries[len(entries)-1].ID
			}
			entries = append(entries, e)
			if size += headerSize + len(e.Body); size > j.config.MaxJournalBytes {
				return nil, fmt.Errorf("load room %s: %w: more than %d bytes", room, rooms.ErrCorrupt, j.config.MaxJournalBytes)
			}
		}
		if n := len(entries); n > 0 && entries[n-1].ID == own {
			break
		}
		if len(found) < chunk {
			return nil, j.whyUnclaimed(ctx, room)
		}
		from = "(" + found[len(found)-1].ID
	}
	if unreadable != nil {
		return nil, fmt.Errorf("load room %s: %w", room, unreadable)
	}
	return entries, nil
}

// whyUnclaimed tells a journal without our claim from none.
func (j *Journal) whyUnclaimed(ctx context.Context, room rooms.ID) error {
	if _, err := j.Top(ctx, room); err != nil {
		return err
	}
	return rooms.ErrClaimLost
}

// entryOf reads a stream's element. With an error, the id is right as far as it could be read.
func entryOf(room rooms.ID, m redis.XMessage) (rooms.Entry, error) {
	e := rooms.Entry{Room: room}
	var err error
	if e.ID, err = parseID(m.ID); err != nil {
		return e, err
	}
	field, _ := m.Values[fieldName].(string)
	if err := unpack(&e, field); err != nil {
		return e, fmt.Errorf("entry %s: %w", e.ID, err)
	}
	return e, nil
}

// Top implements rooms.Journal. An entry that this version cannot read has an id, but neither nonce nor kind: it is nobody's.
func (j *Journal) Top(ctx context.Context, room rooms.ID) (rooms.Top, error) {
	e, err := j.top(ctx, room)
	if err != nil {
		return rooms.Top{}, err
	}
	if e.ID.Epoch == tombEpoch {
		return rooms.Top{}, rooms.ErrGone
	}
	return rooms.Top{ID: e.ID, Nonce: e.Nonce, Kind: e.Kind}, nil
}

// Tomb gives what Bury or Forestall left of a room, while it is kept; then, and before, it is rooms.ErrGone.
func (j *Journal) Tomb(ctx context.Context, room rooms.ID) (end []byte, err error) {
	e, err := j.top(ctx, room)
	switch {
	case err != nil:
		return nil, err
	case e.ID.Epoch != tombEpoch:
		return nil, rooms.ErrGone
	}
	return e.Body, nil
}

// top reads the newest entry, which may be a tombstone.
func (j *Journal) top(ctx context.Context, room rooms.ID) (rooms.Entry, error) {
	found, err := j.client.XRevRangeN(ctx, j.journalKey(room), "+", "-", 1).Result()
	if err != nil {
		j.learn(err)
		return rooms.Entry{}, fmt.Errorf("read top of room %s: %w", room, err)
	}
	if len(found) == 0 {
		return rooms.Entry{}, rooms.ErrGone
	}
	e, err := entryOf(room, found[0])
	if err != nil {
		j.log.Warn("journal's newest entry cannot be read", "room", room, "error", err)
	}
	return e, nil
}

// Bury implements rooms.Journal. Sent again after its answer was lost, it succeeds again.
func (j *Journal) Bury(ctx context.Context, room rooms.ID, epoch rooms.Epoch, end []byte, ttl time.Duration) error {
	return j.bury(ctx, room, epoch, end, ttl, []string{j.journalKey(room)})
}

// Quarantine implements host.Shelf: it is Bury, and the room's stream is kept at tk:q:{room} for Config.ShelfTTL. Nothing is ever
// resumed from there. It is not bounded otherwise: a Cluster could not count it in one place.
func (j *Journal) Quarantine(ctx context.Context, room rooms.ID, epoch rooms.Epoch, end []byte, ttl time.Duration) error {
	return j.bury(ctx, room, epoch, end, ttl, []string{j.journalKey(room), j.shelfKey(room)})
}

func (j *Journal) bury(ctx context.Context, room rooms.ID, epoch rooms.Epoch, end []byte, ttl time.Duration, keys []string) error {
	field := appendPacked(nil, &rooms.Entry{Kind: tombKind, Prev: rooms.EntryID{Epoch: epoch}, Body: end})
	answer, err := buryScript.Run(ctx, j.client, keys,
		strconv.FormatUint(uint64(epoch), 10), binary.BigEndian.AppendUint64(nil, uint64(epoch)), field,
		max(ttl.Milliseconds(), 1), max(j.config.ShelfTTL.Milliseconds(), 1)).Text()
	switch {
	case err != nil:
		j.learn(err)
		return fmt.Errorf("bury room %s: %w", room, err)
	case answer == answerGone:
		return rooms.ErrGone
	case answer == answerLost:
		return rooms.ErrClaimLost
	case answer != answerDone:
		return fmt.Errorf("bury room %s: unexpected answer %q", room, answer)
	}
	return nil
}

// Forestall implements rooms.Forestaller.
func (j *Journal) Forestall(ctx context.Context, room rooms.ID, epoch rooms.Epoch, end []byte, ttl time.Duration) error {
	field := appendPacked(nil, &rooms.Entry{Kind: stoneKind, Prev: rooms.EntryID{Epoch: epoch}, Body: end})
	answer, err := forestallScript.Run(ctx, j.client, []string{j.journalKey(room)},
		strconv.FormatUint(uint64(epoch), 10), field, max(ttl.Milliseconds(), 1)).Text()
	switch {
	case err != nil:
		j.learn(err)
		return fmt.Errorf("forestall room %s: %w", room, err)
	case answer == answerExists:
		return rooms.ErrBorn
	case answer != answerDone:
		return fmt.Errorf("forestall room %s: unexpected answer %q", room, answer)
	}
	return nil
}

// learn has a Cluster's client look where things are, if an error says that it does not know.
func (j *Journal) learn(err error) {
	if cluster, ok := j.client.(*redis.ClusterClient); ok && isStray(err) {
		cluster.ReloadState(context.Background()) // in the background
	}
}
