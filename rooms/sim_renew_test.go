package rooms

import "time"

// loseAll has the store come back empty, as a server does that is started again without its disk. What was on its way to it comes to
// nothing.
func (w *world) loseAll(c *core) {
	if c.phase != phasePlaying && c.phase != phaseSent || c.fault != nil {
		return
	}
	w.count("store came back empty")
	w.note("empty")
	w.store.forget()
	w.healing = true
	clear(simPoison) // a panic now would find nothing to restore
	if w.chance(50) {
		w.owner.shard.Reseal()
		w.owner.turn()
	}
}

// sleep has the owner freeze, and another node take over. When the first one is back, the store may have lost all that would tell it so.
func (w *world) sleep(c *core) {
	if c.phase != phasePlaying {
		return
	}
	w.count("owner slept")
	n := w.owner
	n.alive = false
	w.takeOver(c.epoch, false)
	w.in(w.between(200*time.Millisecond, time.Second), func() {
		if c, ready := w.ready(); ready && w.chance(50) {
			w.loseAll(c)
		}
	})
	w.in(w.between(500*time.Millisecond, 2*time.Second), func() {
		n.alive = true
		n.shard.Reseal()
		n.turn()
	})
}

// renew answers a room that asks for a new journal, as the directory does: it is the newest owner's.
func (n *simNode) renew(a Ask) {
	w := n.w
	w.in(w.between(time.Millisecond, 1500*time.Millisecond), func() {
		if n != w.owner && !w.renewAny {
			w.count("renewal refused")
			n.tell(func() { n.shard.TakeRenewed(a.Room, Renewal{}, ErrClaimLost, w.now) })
			return
		}
		w.count("renewed")
		w.nonces++
		r := Renewal{Epoch: a.Seen + 1, Nonce: w.nonces, Key: "key"}
		n.tell(func() { n.shard.TakeRenewed(a.Room, r, nil, w.now) })
	})
}
