package redissessions

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"tickover.dev/sessions"
)

// Store keeps sessions in Redis. It implements sessions.Store.
type Store struct {
	client redis.UniversalClient
	prefix string
}

var _ sessions.Store = (*Store)(nil)

const (
	// indexTTL is longer than any session is kept without being saved.
	indexTTL = time.Hour
	// maxOf bounds how many sessions of one player are read.
	maxOf = 100
)

// New makes a store on a client, which stays its owner's to close. prefix comes before the names of keys; "": "tk:".
func New(client redis.UniversalClient, prefix string) *Store {
	return &Store{client, cmp.Or(prefix, "tk:")}
}

// key is where a session is. The braces are a hash tag, as everywhere.
func (s *Store) key(session string) string { return s.prefix + "s:{" + session + "}" }

// indexKey is where a player's sessions are listed.
func (s *Store) indexKey(player string) string { return s.prefix + "p:{" + player + "}" }

// Open implements sessions.Store.
func (s *Store) Open(ctx context.Context, r sessions.Record, secret sessions.Hash) error {
	rest, err := pack(&r)
	if err != nil {
		return fmt.Errorf("open session: %w", err)
	}
	answer, err := openScript.Run(ctx, s.client, []string{s.key(r.ID)},
		decimal(r.Gen), r.Node, flag(r.Connected), secret[:], rest, r.TTL().Milliseconds()).Text()
	if err == nil && answer != answerDone {
		err = fmt.Errorf("answer %q", answer) // taken: ids are random, so it is this one, opened before
	}
	if err != nil {
		s.learn(err)
		return fmt.Errorf("open session: %w", err)
	}
	pipe := s.client.Pipeline()
	s.index(ctx, pipe, &r)
	if _, err := pipe.Exec(ctx); err != nil {
		s.learn(err) // the session stands; the next save enters it
	}
	return nil
}

// Resume implements sessions.Store.
func (s *Store) Resume(
	ctx context.Context, id string, secret, next sessions.Hash, attempt uint64, node string,
) (r sessions.Record, before string, err error) {
	r = sessions.Record{ID: id, Node: node, Connected: true}
	answer, err := resumeScript.Run(ctx, s.client, []string{s.key(id)},
		secret[:], next[:], decimal(attempt), node, r.TTL().Milliseconds()).Result()
	if err != nil {
		s.learn(err)
		return r, "", fmt.Errorf("resume session: %w", err)
	}
	switch answer {
	case answerNone:
		return r, "", sessions.ErrNoSession
	case answerBad:
		return r, "", sessions.ErrBadSecret
	case answerStale:
		return r, "", sessions.ErrStale
	}
	parts, _ := answer.([]any)
	if len(parts) != 3 {
		return r, "", fmt.Errorf("resume session: answer %v", answer)
	}
	gen, _ := parts[0].(int64)
	before, _ = parts[1].(string)
	rest, _ := parts[2].(string)
	r.Gen = uint64(gen)
	if err := unpack(&r, rest); err != nil {
		return r, "", fmt.Errorf("resume session: %w", err)
	}
	return r, before, nil
}

// Save implements sessions.Store: one pipeline.
func (s *Store) Save(ctx context.Context, rs []sessions.Record) []error {
	errs := make([]error, len(rs))
	cmds := make([]*redis.Cmd, len(rs))
	pipe := s.client.Pipeline()
	for i := range rs {
		r := &rs[i]
		rest, err := pack(r)
		if err != nil {
			errs[i] = fmt.Errorf("save session: %w", err)
			continue
		}
		cmds[i] = pipe.Eval(ctx, saveScript, []string{s.key(r.ID)}, decimal(r.Gen), r.Node, flag(r.Connected), rest, r.TTL().Milliseconds())
		s.index(ctx, pipe, r)
	}
	_, exec := pipe.Exec(ctx)
	for i, cmd := range cmds {
		if cmd != nil {
			errs[i] = judge(cmd, exec)
		}
	}
	s.learn(exec)
	return errs
}

// judge says what became of a save. exec is the error of the whole pipeline: a command that was never sent may have none of its own.
func judge(cmd *redis.Cmd, exec error) error {
	answer, err := cmd.Text()
	switch {
	case err == nil && answer == answerDone:
		return nil
	case err == nil && answer == answerNone:
		return sessions.ErrNoSession
	case err == nil && answer == answerMoved:
		return sessions.ErrMoved
	}
	return fmt.Errorf("save session: %w", cmp.Or(err, exec, errors.New("unexpected answer "+strconv.Quote(answer))))
}

// index adds to a pipeline what enters a session into its player's list.
func (s *Store) index(ctx context.Context, pipe redis.Pipeliner, r *sessions.Record) {
	pipe.Eval(ctx, indexScript, []string{s.indexKey(r.Player.ID)}, r.ID, r.TTL().Milliseconds(), indexTTL.Milliseconds())
}

// Of gives the sessions of a player, those that are kept longest first, 100 at most. A session may be missing, or be as it was, for
// as long as the last save of its node has not come in.
func (s *Store) Of(ctx context.Context, player string) ([]sessions.Record, error) {
	ids, err := s.client.ZRevRange(ctx, s.indexKey(player), 0, maxOf-1).Result()
	if err != nil {
		s.learn(err)
		return nil, fmt.Errorf("sessions of player: %w", err)
	}
	if len(ids) == 0 {
		return nil, nil
	}
	pipe := s.client.Pipeline()
	cmds := make([]*redis.SliceCmd, len(ids))
	for i, id := range ids {
		cmds[i] = pipe.HMGet(ctx, s.key(id), "g", "n", "o", "r")
	}
	if _, err := pipe.Exec(ctx); err != nil {
		s.learn(err)
		return nil, fmt.Errorf("sessions of player: %w", err)
	}
	var rs []sessions.Record
	for i, cmd := range cmds {
		if r, ok := read(ids[i], cmd.Val()); ok && r.Player.ID == player {
			rs = append(rs, r)
		}
	}
	return rs, nil
}

// read makes a record of a session's fields, unless it is no more, or of another version.
func read(id string, fields []any) (r sessions.Record, ok bool) {
	text := func(i int) string {
		if i >= len(fields) {
			return ""
		}
		s, _ := fields[i].(string)
		return s
	}
	gen, err := strconv.ParseUint(text(0), 10, 64)
	if err != nil {
		return r, false
	}
	r = sessions.Record{ID: id, Gen: gen, Node: text(1), Connected: text(2) == "1"}
	return r, unpack(&r, text(3)) == nil
}

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }

// learn has a Cluster's client look where things are, if an error says that it does not know.
func (s *Store) learn(err error) {
	cluster, ok := s.client.(*redis.ClusterClient)
	if err == nil || !ok {
		return
	}
	_, moved := redis.IsMovedError(err)
	_, ask := redis.IsAskError(err)
	_, reply := errors.AsType[redis.Error](err)
	if moved || ask || !reply || redis.IsReadOnlyError(err) || redis.IsClusterDownError(err) {
		cluster.ReloadState(context.Background()) // in the background
	}
}
