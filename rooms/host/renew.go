package host

import "tickover.dev/rooms"

// renew asks whether a room whose journal is gone may have a new one.
func (h *Host) renew(a rooms.Ask) (n rooms.Renewal, err error) {
	r, ok := h.Room(a.Room)
	if !ok || h.config.Renew == nil {
		return n, rooms.ErrGone
	}
	n.Nonce = h.config.Nonce()
	if n.Epoch, n.Key, err = h.config.Renew(h.ctx, r, a.Seen); err != nil {
		return n, err
	}
	r.epoch.Store(uint64(n.Epoch))
	h.mu.Lock()
	defer h.mu.Unlock()
	if n.Key != r.key { // another room's by now
		h.freeKey(r)
		r.key = n.Key
	}
	return n, nil
}

// Key is the room's human name, or "". A room may lose it, but never get another one.
func (r *Handle) Key() string {
	r.host.mu.RLock()
	defer r.host.mu.RUnlock()
	return r.key
}

// freeKey lets others have a room's key. h.mu is held.
func (h *Host) freeKey(r *Handle) {
	if at := (address{r.Kind.Name, r.key}); h.keys[at] == r.ID {
		delete(h.keys, at)
	}
}
