package placement

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"time"

	"tickover.dev/cluster"
	"tickover.dev/cluster/bus"
	"tickover.dev/netcode"
	"tickover.dev/rooms"
	"tickover.dev/rooms/host"
)

// This file is what nodes say to each other of rooms. A message is a type, one byte, and what belongs to it:
//
//	1 mail      to a room's owner: rooms.AppendMail
//	2 join      to a room's owner: uvarint length of the mail, the mail, options
//	3 frame     to a node with players: rooms.AppendFrame
//	4 ended     to a node with players: the room is no more: rooms.AppendEnded
//	5 elsewhere to whoever sent mail: this node has not got the room: its id
//	6 lost      some of your messages were lost: say again who is here
//	7 replaced  a session of yours was resumed here: generation 8 bytes, id
//	8 offer     a room was released for you: epoch 8 bytes, kind, 0, key, 0, id
//	9 obituary  a node's process has ended: its boot, 4 bytes

const (
	carryMail byte = 1 + iota
	carryJoin
	carryFrame
	carryEnded
	carryElsewhere
	carryLost
	carryReplaced
	carryOffer
	carryObituary
)

// Link carries messages to other nodes: in order, none twice, and whoever misses one is told so. *bus.Link is one.
type Link interface {
	// Send never blocks. An error means that the message was dropped, and that its receiver will be told.
	Send(to cluster.Boot, message func([]byte) []byte) error
	// Forget drops what waits for a boot that is dead.
	Forget(b cluster.Boot)
}

func (r *Rooms) node() rooms.Node { return rooms.Node(r.Cluster.Self()) }

// sendMail sends mail to a room's owner.
func (r *Rooms) sendMail(to cluster.Boot, m *rooms.Mail) error {
	err := r.Link.Send(to, func(dst []byte) []byte { return rooms.AppendMail(append(dst, carryMail), m) })
	if err != nil {
		return rooms.ErrMailboxFull
	}
	return nil
}

func (r *Rooms) sendJoin(to cluster.Boot, m *rooms.Mail, options []byte) error {
	return r.Link.Send(to, func(dst []byte) []byte {
		mail := rooms.AppendMail(nil, m)
		dst = binary.AppendUvarint(append(dst, carryJoin), uint64(len(mail)))
		return append(append(dst, mail...), options...)
	})
}

// Deliver implements host.Sink: frames go to this node's players, and to the nodes of all others.
func (r *Rooms) Deliver(frames []*rooms.Frame) {
	self := r.node()
	for _, f := range frames {
		for _, n := range f.To {
			if n != self && n != 0 {
				r.sendFrame(n, f, 0, len(f.Seats))
			}
		}
		r.noteAudience(f)
		r.Signals.Take(f, self)
		r.takeRefused(f)
	}
	r.Hub.Deliver(frames)
}

// sendFrame sends a node what a frame holds of some seats, in as many messages as that takes.
func (r *Rooms) sendFrame(n rooms.Node, f *rooms.Frame, from, to int) {
	err := r.Link.Send(cluster.Boot(n), func(dst []byte) []byte { return rooms.AppendFramePart(append(dst, carryFrame), f, n, from, to) })
	if !errors.Is(err, bus.ErrTooLarge) {
		return // what was dropped otherwise is noticed
	}
	if to-from < 2 {
		r.Log.Error("frame of one seat beyond the bound of a message", "room", f.Room, "tick", f.Tick)
		return
	}
	half := from + (to-from)/2
	r.sendFrame(n, f, from, half)
	r.sendFrame(n, f, half, to)
}

// noteAudience remembers which nodes have players of a room, for its end.
func (r *Rooms) noteAudience(f *rooms.Frame) {
	r.audienceMu.Lock()
	defer r.audienceMu.Unlock()
	if old, ok := r.audience[f.Room]; f.Tick > 0 && (!ok || !slices.Equal(old, f.To)) {
		r.audience[f.Room] = f.To
	}
}

// noteAsker remembers that a node has asked a room of this node for something. A room that moves before it has answered says nothing, and
// its next owner knows only of nodes with players in it: this node must tell those who wait that it is elsewhere.
func (r *Rooms) noteAsker(room rooms.ID, from cluster.Boot) {
	r.audienceMu.Lock()
	defer r.audienceMu.Unlock()
	if n := rooms.Node(from); !slices.Contains(r.askers[room], n) {
		r.askers[room] = append(r.askers[room], n)
	}
}

// movedBehind tells a node that has just asked a room of this node for something if the room is gone by now: noteAsker may have come too
// late for its end.
func (r *Rooms) movedBehind(room rooms.ID, from cluster.Boot) {
	if _, ok := r.Host.Room(room); ok {
		return
	}
	r.audienceMu.Lock()
	left := slices.DeleteFunc(r.askers[room], func(n rooms.Node) bool { return n == rooms.Node(from) })
	if r.askers[room] = left; len(left) == 0 {
		delete(r.askers, room)
	}
	r.audienceMu.Unlock()
	r.elsewhere(from, room)
}

// RoomEnded implements host.Sink. A room that is another's now is looked for; one that is no more is closed here and elsewhere.
func (r *Rooms) RoomEnded(e rooms.Ended) {
	r.audienceMu.Lock()
	nodes, askers := r.audience[e.Room], r.askers[e.Room]
	delete(r.audience, e.Room)
	delete(r.askers, e.Room)
	r.audienceMu.Unlock()
	if moved := e.Why == "lost" || e.Why == "released"; moved {
		for _, n := range askers {
			r.elsewhere(cluster.Boot(n), e.Room)
		}
		if w := r.known(e.Room); w != nil {
			if at := w.at.Load(); at.local != nil {
				w.lost(at)
			}
		}
		return
	}
	for _, n := range nodes {
		if n != r.node() && n != 0 {
			r.Link.Send(cluster.Boot(n), func(dst []byte) []byte { return rooms.AppendEnded(append(dst, carryEnded), &e) })
		}
	}
	if w := r.known(e.Room); w != nil {
		r.over(w, e)
		return
	}
	r.Hub.RoomEnded(e)
}

// offer tells the node that is to have a released room next. It is a hint: who misses it finds the room by sweeping.
func (r *Rooms) offer(h *host.Handle, e rooms.Ended) {
	if heir, ok := r.Cluster.Heir(h.Kind.Name, h.ID); ok {
		r.Link.Send(heir, func(dst []byte) []byte {
			dst = binary.BigEndian.AppendUint64(append(dst, carryOffer), uint64(e.Epoch))
			dst = append(append(dst, h.Kind.Name...), 0)
			dst = append(append(dst, h.Key()...), 0)
			return append(dst, h.ID...)
		})
	}
}

// Obituary takes note that a node's process has ended, and tells all others: the heir of its rooms may not have watched it.
func (r *Rooms) Obituary(dead cluster.Boot) {
	r.Cluster.Bury(dead)
	for _, m := range r.Cluster.Sight().Living {
		if m.Boot != dead && m.Boot != r.Cluster.Self() {
			r.Link.Send(m.Boot, func(dst []byte) []byte {
				return binary.BigEndian.AppendUint32(append(dst, carryObituary), uint32(dead))
			})
		}
	}
}

// Replaced tells a node that one of its sessions was resumed at this one.
func (r *Rooms) Replaced(session string, gen uint64, before string) {
	b, err := cluster.ParseBoot(before)
	if err != nil || b == r.Cluster.Self() {
		return
	}
	r.Link.Send(b, func(dst []byte) []byte {
		return append(binary.BigEndian.AppendUint64(append(dst, carryReplaced), gen), session...)
	})
}

// Lost is told by the link that messages from a node are missing. What they were about is said again by both.
func (r *Rooms) Lost(from cluster.Boot) {
	r.stats.Lost.Add(1)
	r.Link.Send(from, func(dst []byte) []byte { return append(dst, carryLost) })
	r.syncWith(from)
}

// syncWith has a node that owns rooms told who is here.
func (r *Rooms) syncWith(owner cluster.Boot) {
	for _, w := range r.allWays() {
		if e := w.at.Load(); e.state != stateSeeking && e.local == nil && e.owner == owner {
			w.sync()
		}
	}
}

// Receive takes a message of another node, from the link's goroutine.
func (r *Rooms) Receive(from cluster.Boot, message []byte) {
	if err := r.receive(from, message); err != nil {
		r.stats.Unreadable.Add(1)
		r.Log.Error("message of another node cannot be read", "from", from, "error", err)
	}
}

var errMessage = errors.New("placement: unknown or cut message")

func (r *Rooms) receive(from cluster.Boot, message []byte) error {
	if len(message) == 0 {
		return errMessage
	}
	switch body := message[1:]; message[0] {
	case carryMail:
		m, err := rooms.DecodeMail(body)
		if err != nil {
			return err
		}
		r.takeMail(from, &m)
	case carryJoin:
		n, used := binary.Uvarint(body)
		if used <= 0 || n > uint64(len(body)-used) {
			return errMessage
		}
		m, err := rooms.DecodeMail(body[used:][:n])
		if err != nil {
			return err
		}
		r.takeJoin(from, m, slices.Clone(body[used:][n:]))
	case carryFrame:
		f, err := rooms.DecodeFrame(body, r.node())
		if err != nil {
			return err
		}
		r.takeFrame(from, f)
	case carryEnded:
		e, err := rooms.DecodeEnded(body)
		if err != nil {
			return err
		}
		r.takeEnded(from, e)
	case carryElsewhere:
		if w := r.known(rooms.ID(body)); w != nil {
			if e := w.at.Load(); e.local == nil && e.owner == from {
				w.lost(e)
			}
		}
	case carryLost:
		r.syncWith(from)
	case carryReplaced:
		if len(body) < 8 {
			return errMessage
		}
		r.Hub.Superseded(string(body[8:]), binary.BigEndian.Uint64(body))
	case carryOffer:
		return r.takeOffer(from, body)
	case carryObituary:
		if len(body) < 4 {
			return errMessage
		}
		r.Cluster.Bury(cluster.Boot(binary.BigEndian.Uint32(body)))
	default:
		return errMessage
	}
	return nil
}

func (r *Rooms) takeOffer(from cluster.Boot, body []byte) error {
	if len(body) < 8 {
		return errMessage
	}
	kind, rest, ok := strings.Cut(string(body[8:]), "\x00")
	key, room, ok2 := strings.Cut(rest, "\x00")
	if !ok || !ok2 {
		return errMessage
	}
	epoch := rooms.Epoch(binary.BigEndian.Uint64(body))
	r.Cluster.Offer(cluster.Record{Room: rooms.ID(room), Kind: kind, Key: key, Owner: from, Epoch: epoch})
	return nil
}

// takeMail hands mail of another node to its room.
func (r *Rooms) takeMail(from cluster.Boot, m *rooms.Mail) {
	m.Node = rooms.Node(from) // whatever it says
	h, ok := r.Host.Room(m.Room)
	if !ok {
		r.elsewhere(from, m.Room)
		return
	}
	asks := m.Type == rooms.MailReturn || m.Type == rooms.MailLeave
	if asks {
		r.noteAsker(m.Room, from)
	}
	err := h.Post(m)
	switch {
	case errors.Is(err, rooms.ErrGone):
		r.elsewhere(from, m.Room)
	case err != nil:
		r.answer(from, m, err)
	case asks:
		r.movedBehind(m.Room, from)
	}
}

// answer tells a node that its mail was not taken, if that needs an answer.
func (r *Rooms) answer(to cluster.Boot, m *rooms.Mail, err error) {
	f := rooms.Refusal(m, err)
	if f == nil {
		return
	}
	defer f.Release()
	r.Link.Send(to, func(dst []byte) []byte { return rooms.AppendFrame(append(dst, carryFrame), f, m.Node) })
}

func (r *Rooms) elsewhere(to cluster.Boot, room rooms.ID) {
	r.Link.Send(to, func(dst []byte) []byte { return append(append(dst, carryElsewhere), room...) })
}

// openingPause is between two looks whether a room that is being made is there.
const openingPause = 5 * time.Millisecond

// takeJoin asks a room of this node for a seat for another node's player.
func (r *Rooms) takeJoin(from cluster.Boot, m rooms.Mail, options []byte) {
	m.Node = rooms.Node(from)
	h, ok := r.Host.Room(m.Room)
	if _, opening := r.Local.Epoch(m.Room); !ok && opening { // it is in the directory, and here in a moment
		time.AfterFunc(openingPause, func() { r.takeJoin(from, m, options) })
		return
	}
	if !ok {
		r.elsewhere(from, m.Room)
		return
	}
	r.noteAsker(m.Room, from)
	defer r.movedBehind(m.Room, from)
	h.Join(m, options, func(code, why string) {
		if code == netcode.CodeShuttingDown {
			r.elsewhere(from, m.Room)
			return
		}
		f := rooms.RefusedJoin(&m, code, why)
		defer f.Release()
		r.Link.Send(from, func(dst []byte) []byte { return rooms.AppendFrame(append(dst, carryFrame), f, m.Node) })
	})
}

// takeFrame shows a frame of another node's room. One of a newer epoch tells who the owner is; one of an older epoch is of an owner that
// does not know yet that it is one no more.
func (r *Rooms) takeFrame(from cluster.Boot, f *rooms.Frame) {
	r.Signals.Take(f, r.node()) // whoever is the owner now: it was confirmed
	r.takeRefused(f)
	w := r.known(f.Room)
	if w == nil {
		if f.Epoch != 0 && len(f.Answers) == 0 && f.Tick > 0 { // the room takes somebody for present who is not
			r.sendMail(from, &rooms.Mail{Type: rooms.MailRoster, Room: f.Room, Node: r.node(), Body: rooms.AppendRoster(nil, nil)})
		}
		f.Release()
		return
	}
	e := w.at.Load()
	switch {
	case f.Epoch == 0 && from == e.owner || f.Epoch == e.epoch && from == e.owner: // the first: an answer of the node itself
	case f.Epoch > e.epoch:
		w.lead(from, f.Epoch, nil)
	default:
		f.Release()
		return
	}
	r.Hub.Deliver([]*rooms.Frame{f})
}

func (r *Rooms) takeEnded(from cluster.Boot, e rooms.Ended) {
	w := r.known(e.Room)
	if w == nil {
		return
	}
	if at := w.at.Load(); at.owner != from || e.Epoch < at.epoch {
		return
	}
	r.over(w, e)
}
