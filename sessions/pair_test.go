package sessions

import (
	"context"
	"errors"
	"testing"

	"tickover.dev/netcode"
)

// flakyStore is a store that may be away.
type flakyStore struct {
	*Memory
	away bool // nothing is done
	lost bool // it is done, and not answered
}

var errAway = errors.New("away")

func (f *flakyStore) Open(ctx context.Context, r Record, secret Hash) error {
	if f.away {
		return errAway
	}
	return errors.Join(f.Memory.Open(ctx, r, secret), f.lose())
}

func (f *flakyStore) Resume(ctx context.Context, id string, secret, next Hash, attempt uint64, node string) (Record, string, error) {
	if f.away {
		return Record{}, "", errAway
	}
	r, before, err := f.Memory.Resume(ctx, id, secret, next, attempt, node)
	if f.lost {
		return Record{}, "", errAway
	}
	return r, before, err
}

func (f *flakyStore) Save(ctx context.Context, rs []Record) []error {
	var errs []error
	if !f.away {
		errs = f.Memory.Save(ctx, rs)
	}
	if f.away || f.lost {
		errs = make([]error, len(rs))
		for i := range errs {
			errs[i] = errAway
		}
	}
	return errs
}

func (f *flakyStore) lose() error {
	if f.lost {
		return errAway
	}
	return nil
}

// record is what the store has of a session.
func (f *flakyStore) record(id string) Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.find(id); s != nil {
		return s.copy()
	}
	return Record{}
}

// pair is two nodes, a with loop 0 and b with loop 1, over one store.
type pair struct {
	*rig
	store    *flakyStore
	a, b     *Hub
	deaf     bool // the nodes do not tell each other
	arrivals []string
}

func newPair(tb testing.TB) *pair {
	p := &pair{store: &flakyStore{Memory: NewMemory()}}
	p.rig = newRig(tb, 1, p.config("a"))
	p.a, p.b = p.hub, p.addNode(1, p.config("b"))
	return p
}

func (p *pair) config(node string) func(*Config) {
	return func(c *Config) {
		c.Store, c.Node = p.store, node
		c.OnResume = func(session string, gen uint64, before string) {
			p.arrivals = append(p.arrivals, before+" to "+node)
			for _, h := range p.hubs {
				if h.config.Node == before && !p.deaf {
					h.Superseded(session, gen)
				}
			}
		}
	}
}

// save has both nodes save what they have to.
func (p *pair) save() (err error) {
	for _, h := range p.hubs {
		err = errors.Join(err, h.saveAll())
	}
	p.settle()
	return err
}

// crash ends the first node without a word.
func (p *pair) crash() {
	p.hubs, p.loops = p.hubs[1:], p.loops[1:]
}

// again opens another connection of q's session, at a node.
func (p *pair) again(q *peer, node int, held ...netcode.Held) *peer {
	p.tb.Helper()
	again := &peer{rig: p.rig, loop: p.loops[node], sock: &fakeSocket{}, run: q.run}
	again.conn = again.loop.open(again.sock)
	again.say(&netcode.Hello{Version: 1, Run: q.run, Session: q.secret.Session, Secret: q.secret.Secret, Rooms: held})
	p.settle()
	return again
}

func held(j *netcode.Joined) netcode.Held { return netcode.Held{Room: j.ID, Seat: j.Seat} }
