package rooms

// window is a list of pending events that keeps their bodies in memory of its own, used again after reset.
type window struct {
	list  []pend
	arena []byte
}

// add copies p and its body.
func (w *window) add(p pend) {
	if len(p.Body) > 0 {
		from := len(w.arena)
		w.arena = append(w.arena, p.Body...)
		p.Body = w.arena[from:len(w.arena):len(w.arena)]
	}
	w.list = append(w.list, p)
}

// addAll copies all of from.
func (w *window) addAll(from *window) {
	for i := range from.list {
		w.add(from.list[i])
	}
}

func (w *window) each(f func(pend)) {
	for i := range w.list {
		f(w.list[i])
	}
}

// bytes is roughly what the window holds.
func (w *window) bytes() int { return len(w.arena) + len(w.list)*64 }

// reset empties the window and keeps its memory, if that is not much.
func (w *window) reset() {
	const keepBytes = 16 << 10
	clear(w.list)
	w.list, w.arena = w.list[:0], w.arena[:0]
	if cap(w.arena) > keepBytes {
		w.arena = nil
	}
}
