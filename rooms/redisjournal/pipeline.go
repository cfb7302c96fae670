package redisjournal

import (
	"context"
	"errors"
	"net"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"tickover.dev/rooms"
)

// A batch beyond these bounds goes out in parts, one after the other: no more than this is packed at once, and one client timeout
// is enough for each.
const (
	maxPartEntries = 2048
	maxPartBytes   = 8 << 20
)

// pipeline sends parts of batches. One goroutine uses it at a time. What it needs for that is kept for the next part.
type pipeline struct {
	journal *Journal

	packed   []byte // the fields of all entries
	elements []element
	args     []any // of all commands
	commands []redis.Cmder
	replies  []*redis.StringCmd
	refused  []int // entries whose ids were too small: is it a tombstone that they met?
}

// element is what of an entry goes into a command. Commands point to it: that saves allocating an interface for each argument.
type element struct {
	key, id string
	field   []byte
}

// MarshalBinary has go-redis write the field.
func (e *element) MarshalBinary() ([]byte, error) { return e.field, nil }

// Arguments that all commands share.
var (
	argXAdd, argNoMkStream, argMinID, argEquals, argField any = "xadd", "nomkstream", "minid", "=", fieldName
	argEval, argCreate, argOne                            any = "eval", createScript, "1"
)

// send sends a batch, and gives the results of its entries.
func (p *pipeline) send(batch []rooms.Entry, results []rooms.Result) {
	for from := 0; from < len(batch); {
		to := part(batch, from)
		answered := p.sendPart(batch[from:to], results[from:to])
		from = to
		if !answered {
			for i := from; i < len(batch); i++ {
				results[i] = rooms.Result{Outcome: rooms.Refused, Err: errUnsent}
			}
			return
		}
	}
}

// part is where the part that starts at from ends.
func part(batch []rooms.Entry, from int) int {
	size := 0
	for i := from; i < len(batch); i++ {
		size += headerSize + len(batch[i].Body)
		if i > from && (size > maxPartBytes || i-from >= maxPartEntries) {
			return i
		}
	}
	return len(batch)
}

// sendPart sends one pipeline, and reports whether Redis answered all of it.
func (p *pipeline) sendPart(batch []rooms.Entry, results []rooms.Result) (answered bool) {
	defer p.clear()
	j := p.journal
	p.pack(batch)
	start := time.Now()
	pipe := j.client.Pipeline()
	pipe.BatchProcess(context.Background(), p.commands...) // bounded by the client's timeouts
	_, err := pipe.Exec(context.Background())
	j.counters.sent(len(batch), len(p.packed), time.Since(start))

	answered = true
	var worst error
	stray := false
	for i, reply := range p.replies {
		v := judge(reply, p.elements[i].id, err)
		results[i] = v.Result
		if v.tooSmall {
			p.refused = append(p.refused, i)
		}
		if v.Err != nil {
			worst = v.Err
			answered = answered && isReply(v.Err)
			stray = stray || isStray(v.Err)
		}
	}
	if len(p.refused) > 0 {
		p.explainRefused(results)
	}
	if cluster, ok := j.client.(*redis.ClusterClient); ok && stray {
		cluster.ReloadState(context.Background()) // in the background
	}
	j.trouble.note(j.log, worst)
	return answered
}

// pack makes a command of every entry.
func (p *pipeline) pack(batch []rooms.Entry) {
	size := 0
	for i := range batch {
		size += headerSize + len(batch[i].Body)
	}
	p.packed = slices.Grow(p.packed, size) // at once: commands point into it
	p.elements = slices.Grow(p.elements, len(batch))
	p.args = slices.Grow(p.args, 9*len(batch))
	for i := range batch {
		e := &batch[i]
		from := len(p.packed)
		p.packed = appendPacked(p.packed, e)
		p.elements = append(p.elements, element{p.journal.journalKey(e.Room), formatID(e.ID), p.packed[from:]})
		el := &p.elements[i]
		first := len(p.args)
		switch {
		case e.Kind == rooms.EntryCreate:
			p.args = append(p.args, argEval, argCreate, argOne, &el.key, &el.id, el)
		case e.Kind.HoldsState():
			p.args = append(p.args, argXAdd, &el.key, argNoMkStream, argMinID, argEquals, &el.id, &el.id, argField, el)
		default:
			p.args = append(p.args, argXAdd, &el.key, argNoMkStream, &el.id, argField, el)
		}
		reply := redis.NewStringCmd(context.Background(), p.args[first:len(p.args):len(p.args)]...)
		p.replies = append(p.replies, reply)
		p.commands = append(p.commands, reply)
	}
}

// clear lets go of the part, and of buffers that were needed for once.
func (p *pipeline) clear() {
	const keepBytes = 1 << 20
	if cap(p.packed) > keepBytes {
		p.packed = nil
	}
	clear(p.elements)
	clear(p.args)
	clear(p.commands)
	clear(p.replies)
	p.packed, p.elements, p.args = p.packed[:0], p.elements[:0], p.args[:0]
	p.commands, p.replies, p.refused = p.commands[:0], p.replies[:0], p.refused[:0]
}

// verdict on one command. tooSmall means that the id was not above the newest one: the outcome is Fenced, or Gone.
type verdict struct {
	rooms.Result
	tooSmall bool
}

// judge says what became of an append. exec is the error of the whole pipeline.
func judge(reply *redis.StringCmd, id string, exec error) verdict {
	value, err := reply.Result()
	if err == nil && value == "" {
		err = exec // there was no connection: go-redis can leave such commands without an error of their own
	}
	switch {
	case err == nil && value == id:
		return verdict{Result: rooms.Result{Outcome: rooms.Confirmed}}
	case err == nil && value == answerExists:
		return verdict{Result: rooms.Result{Outcome: rooms.Fenced}}
	case err == nil && value == answerGone, errors.Is(err, redis.Nil):
		return verdict{Result: rooms.Result{Outcome: rooms.Gone}}
	case err == nil:
		return verdict{Result: rooms.Result{Outcome: rooms.Unknown, Err: errors.New("redisjournal: answer to another append")}}
	case redis.HasErrorPrefix(err, "The ID specified in XADD is equal or smaller"):
		return verdict{tooSmall: true}
	case isReply(err), wasUnsent(err):
		return verdict{Result: rooms.Result{Outcome: rooms.Refused, Err: err}}
	default:
		return verdict{Result: rooms.Result{Outcome: rooms.Unknown, Err: err}}
	}
}

// isReply reports whether an error is Redis's own answer: then nothing was stored.
func isReply(err error) bool {
	_, ok := errors.AsType[redis.Error](err)
	return ok
}

// wasUnsent reports whether an error came before anything could be sent.
func wasUnsent(err error) bool {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return true
	}
	return errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrPoolExhausted) || errors.Is(err, redis.ErrClosed)
}

// isStray reports whether an error means that the client no longer knows which server is responsible.
func isStray(err error) bool {
	_, moved := redis.IsMovedError(err)
	_, ask := redis.IsAskError(err)
	return moved || ask || !isReply(err) || redis.IsReadOnlyError(err) || redis.IsClusterDownError(err)
}

// explainRefused asks what stands above the entries whose ids were too small.
func (p *pipeline) explainRefused(results []rooms.Result) {
	j := p.journal
	pipe := j.client.Pipeline()
	tops := make([]*redis.XMessageSliceCmd, len(p.refused))
	for i, at := range p.refused {
		tops[i] = pipe.XRevRangeN(context.Background(), p.elements[at].key, "+", "-", 1)
	}
	_, exec := pipe.Exec(context.Background())
	for i, at := range p.refused {
		found, err := tops[i].Result()
		if err == nil && len(found) == 0 {
			err = exec // see judge
		}
		switch {
		case err != nil: // it is not stored, but why is for the room to find out
			results[at] = rooms.Result{Outcome: rooms.Unknown, Err: err}
		case len(found) == 0, found[0].ID == tombID:
			results[at] = rooms.Result{Outcome: rooms.Gone}
		default:
			results[at] = rooms.Result{Outcome: rooms.Fenced}
		}
	}
}
