package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"tickover.dev/cluster"
	"tickover.dev/codec"
	"tickover.dev/rooms"
)

// simGame counts inputs.
type simGame struct{ Seats rooms.Seats[simSeat] }

type simSeat struct{ Count, Sum, Last uint64 }

type simInput struct{ N uint64 }

func (g *simGame) Public() any { return g }
func (g *simGame) Step(t *rooms.Tick[simInput]) {
	for e := range t.Events() {
		switch e.Type {
		case rooms.Joined:
			g.Seats.Put(e.Seat, simSeat{})
		case rooms.Left:
			g.Seats.Delete(e.Seat)
		case rooms.Input:
			s := g.Seats.Get(e.Seat)
			*s = simSeat{s.Count + 1, s.Sum + e.Input.N*e.Input.N, e.Input.N}
		}
	}
}

// create opens a room on a node, as the directory and the journal want it.
func (n *node) create(id rooms.ID) {
	n.nonces++
	r := cluster.Record{Room: id, Kind: "sim", Key: string(id), Owner: n.boot, Epoch: 1}
	if _, err := n.w.store.Register(context.Background(), r); err != nil {
		n.w.fail("register: %v", err)
	}
	n.own[id] = r
	n.post(rooms.Mail{Type: rooms.MailCreate, Room: id, Kind: &n.w.kind, Name: string(id), Epoch: 1, Nonce: n.boot.Nonce(n.nonces)})
}

// post brings mail to a node's rooms, now.
func (n *node) post(m rooms.Mail) {
	if n.shard.Take(&m, n.w.now) == nil {
		n.step()
	}
}

// step advances the shard and carries out what it asks for.
func (n *node) step() {
	w := n.w
	wake := n.shard.Advance(w.now)
	out := &n.shard.Out
	for _, f := range out.Frames {
		w.show(n, f)
		f.Release()
	}
	if len(out.Appends) > 0 {
		n.append(append([]rooms.Entry(nil), out.Appends...))
	}
	for _, a := range out.Asks {
		n.ask(a)
	}
	for _, e := range out.Ended {
		w.note("ended", n.boot, e.Room, e.Why)
		w.counts["ended: "+e.Why]++
		if e.Why == "released" {
			n.offer(n.own[e.Room])
		}
		delete(n.own, e.Room)
		if !e.Kept {
			w.fail("room %s ended: %s, %v", e.Room, e.Why, e.Err)
		}
	}
	out.Reset()
	if wake > 0 {
		// One wake per step is enough; a late one finds nothing to do.
		n.in(max(wake-w.now, time.Millisecond), n.stepDue(wake))
	}
}

// stepDue steps at a time, unless it was done meanwhile.
func (n *node) stepDue(at time.Duration) func() {
	n.due = at
	return func() {
		if n.due == at {
			n.step()
		}
	}
}

func (n *node) append(batch []rooms.Entry) {
	w := n.w
	var results []rooms.Result
	n.call(func() func() {
		w.journal.Append(batch, func(r []rooms.Result) { results = r })
		for i, e := range batch {
			w.appended(n, e, results[i].Outcome)
		}
		return func() { n.results(batch, results) }
	}, func() {
		w.counts["append unanswered"]++
		unknown := make([]rooms.Result, len(batch))
		for i := range unknown {
			unknown[i] = rooms.Result{Outcome: rooms.Unknown, Err: errAway}
		}
		n.results(batch, unknown)
	})
}

func (n *node) results(batch []rooms.Entry, results []rooms.Result) {
	n.shard.TakeResults(batch, results, n.w.now)
	n.step()
}

func (n *node) ask(a rooms.Ask) {
	w := n.w
	switch a.Type {
	case rooms.AskRestore:
		w.fail("nothing panics here")
		return
	case rooms.AskRenew:
		n.renew(a)
		return
	}
	n.call(func() func() {
		top, err := w.journal.Top(context.Background(), a.Room)
		return func() {
			n.shard.TakeTop(a.Room, top, err, w.now)
			n.step()
		}
	}, func() {
		n.shard.TakeTop(a.Room, rooms.Top{}, errAway, w.now)
		n.step()
	})
}

// drain ends a node in order: it releases its rooms, and says farewell when they are gone, or when it is out of patience.
func (n *node) drain(slot int) {
	n.leaving = true
	for id := range maps.Keys(n.own) {
		n.draining = append(n.draining, id)
	}
	slices.Sort(n.draining)
	for _, id := range n.draining {
		n.post(rooms.Mail{Type: rooms.MailRelease, Room: id})
	}
	n.in(n.w.between(50*time.Millisecond, time.Second), func() {
		m := cluster.Member{Boot: n.boot, Beat: 1 << 62, Leaving: true, Left: true}
		n.call(func() func() {
			n.w.store.Beat(context.Background(), m)
			return func() {}
		}, func() {})
		n.alive = false
		n.w.note("left", n.boot)
		n.w.in(n.w.between(0, 2*time.Second), func() {
			if n.w.nodes[slot] == n {
				n.w.boot(slot)
			}
		})
	})
}

// offer tells the heir of a released room, sometimes.
func (n *node) offer(r cluster.Record) {
	heirs := cluster.Heirs(n.watch.Living(), r.Kind, r.Room)
	heirs = slices.DeleteFunc(heirs, func(b cluster.Boot) bool { return b == n.boot })
	if len(heirs) == 0 || n.w.chance(20) {
		n.w.counts["release with the peer gone"]++
		return
	}
	for _, heir := range n.w.nodes {
		if heir.boot == heirs[0] {
			heir.in(n.w.between(0, n.w.delay), func() {
				heir.sweep.Offer(r, n.w.now)
				heir.turn()
			})
		}
	}
}

// appended checks what the journal took (I1).
func (w *world) appended(n *node, e rooms.Entry, o rooms.Outcome) {
	w.note("append", n.boot, e.Room, e.ID, o)
	if o == rooms.Fenced {
		w.counts["fenced"]++
	}
	if o != rooms.Confirmed {
		return
	}
	k := ownership{e.Room, e.ID.Epoch}
	if old, ok := w.owners[k]; ok && old != n.boot {
		w.fail("I1: %s and %s wrote in epoch %d of %s", old, n.boot, e.ID.Epoch, e.Room)
	}
	w.owners[k] = n.boot
}

type ownership struct {
	room  rooms.ID
	epoch rooms.Epoch
}

// show checks a frame and brings it to the players.
func (w *world) show(n *node, f *rooms.Frame) {
	if w.over[f.Room] {
		return
	}
	if f.Public != nil {
		h := xxhash.Sum64(f.Public)
		k := moment{f.Room, f.Tick}
		if old, ok := w.shown[k]; ok && old != h {
			w.fail("I4: two histories of tick %d of %s", f.Tick, f.Room)
		}
		w.shown[k] = h
	}
	for _, p := range w.players {
		if p.room == f.Room {
			p.take(n, f)
		}
	}
}

type moment struct {
	room rooms.ID
	tick uint64
}

// player sends inputs to whoever has its room, again and again until they are acknowledged.
type player struct {
	w        *world
	room     rooms.ID
	session  string
	gen      uint64
	seat     rooms.Seat // 0: not joined yet
	at       *node      // the node it is connected to; nil: none
	returned bool       // the node has answered
	next     uint64
	applied  uint64
	heard    time.Duration // when it was last shown anything, or connected
}

// act does what a player does ten times a second.
func (p *player) act() {
	w := p.w
	if w.over[p.room] {
		return
	}
	w.in(w.between(50*time.Millisecond, 150*time.Millisecond), p.act)
	if p.at != nil && !p.at.alive {
		p.at = nil
	}
	owner := w.ownerOf(p.room)
	if owner != nil && owner != p.at && (p.at == nil || w.now-p.heard > 2*time.Second) {
		p.at, p.returned, p.heard = owner, false, w.now
		p.gen++
	}
	if p.at == nil {
		return
	}
	if !p.returned {
		m := rooms.Mail{Type: rooms.MailJoin, Number: 1, Player: rooms.Player{ID: p.session}}
		if p.seat != 0 {
			m = rooms.Mail{Type: rooms.MailReturn, Seat: p.seat}
		}
		p.send(m)
		return
	}
	if !w.calm && p.next < p.applied+100 {
		p.next++
	}
	for n := p.applied + 1; n <= min(p.next, p.applied+20); n++ {
		body, err := codec.Append(nil, &simInput{n})
		if err != nil {
			w.fail("encode: %v", err)
		}
		p.send(rooms.Mail{Type: rooms.MailInput, Seat: p.seat, Number: n, Body: body})
	}
}

func (p *player) send(m rooms.Mail) {
	m.Room, m.Session, m.Gen, m.Run = p.room, p.session, p.gen, 1
	n := p.at
	n.in(p.w.between(0, 10*time.Millisecond), func() { n.post(m) })
}

// ownerOf asks the directory where a room is.
func (w *world) ownerOf(id rooms.ID) *node {
	r, err := w.store.Look(context.Background(), id)
	if err != nil && !errors.Is(err, cluster.ErrNoRecord) {
		w.fail("look: %v", err)
	}
	for _, n := range w.nodes {
		if n.boot == r.Owner && n.alive {
			return n
		}
	}
	return nil
}

func (p *player) take(n *node, f *rooms.Frame) {
	for i := range f.Seats {
		part := &f.Seats[i]
		for _, note := range part.Notes {
			if note.Session != p.session || note.Gen != p.gen {
				continue
			}
			switch note.Type {
			case rooms.NoteJoined, rooms.NoteReturned:
				if p.seat != 0 && p.seat != note.Seat {
					p.w.fail("%s sat on %d and is given %d", p.session, p.seat, note.Seat)
				}
				p.seat, p.returned = note.Seat, true
				p.know(note.Applied)
			case rooms.NoteGone, rooms.NoteLeft:
				p.w.fail("I2: seat %d of %s is gone: %s", note.Seat, p.session, note.Why)
			}
		}
		if part.Session == p.session && n == p.at {
			p.heard = p.w.now
			p.know(part.Applied)
		}
	}
}

// know takes an acknowledgement (I2: it never goes back).
func (p *player) know(applied uint64) {
	if applied > p.next {
		p.w.fail("%s: input %d is acknowledged, %d is the newest", p.session, applied, p.next)
	}
	p.applied = max(p.applied, applied)
}

// final checks that everything came right after the faults had stopped.
func (w *world) final() {
	for _, id := range w.roomIDs() {
		if w.over[id] {
			continue
		}
		var owners []*node
		for _, n := range w.nodes {
			if _, ok := n.own[id]; ok && n.alive {
				owners = append(owners, n)
			}
		}
		r, err := w.store.Look(context.Background(), id)
		top, errTop := w.journal.Top(context.Background(), id)
		switch {
		case len(owners) != 1:
			w.fail("room %s has %d owners; directory %+v %v, top %+v %v", id, len(owners), r, err, top, errTop)
		case err != nil || r.Owner != owners[0].boot:
			w.fail("room %s is at %s, the directory says %+v, %v", id, owners[0].boot, r, err)
		case errTop != nil || cluster.BootOf(top.Nonce) != owners[0].boot || top.ID.Epoch != owners[0].own[id].Epoch:
			w.fail("room %s is at %s, its journal says %+v, %v", id, owners[0].boot, top, errTop)
		}
	}
	for _, p := range w.players {
		if p.applied != p.next && !w.over[p.room] {
			w.fail("liveness: %s has sent %d inputs, %d are acknowledged", p.session, p.next, p.applied)
		}
	}
}

func (w *world) roomIDs() []rooms.ID {
	ids := make([]rooms.ID, 6)
	for i := range ids {
		ids[i] = rooms.ID(fmt.Sprint("room-", i))
	}
	return ids
}
