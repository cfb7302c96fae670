package rooms

import (
	"fmt"
	"slices"
	"time"

	"tickover.dev/codec"
)

// This file is mail and frames on their way between nodes: msgpack values back to back, in the order of the code below. Both ends run
// the same version of it; whoever carries them says which. Bodies and values stay as they are.

// AppendMail appends mail to dst. Kind, Epoch and Nonce stay behind: rooms are made where they are.
func AppendMail(dst []byte, m *Mail) []byte {
	dst = codec.AppendUint(dst, uint64(m.Type))
	dst = codec.AppendString(dst, string(m.Room))
	for _, n := range [...]uint64{uint64(m.Seat), uint64(m.Node), m.Gen, uint64(m.Run), m.Number, m.Ticket} {
		dst = codec.AppendUint(dst, n)
	}
	dst = codec.AppendString(dst, m.Session)
	dst = codec.AppendBytes(dst, m.Body)
	rare := m.Player != Player{} || m.ID != "" || m.Name != "" || m.Why != ""
	if !rare {
		return codec.AppendUint(dst, 0)
	}
	dst = codec.AppendUint(dst, 1)
	for _, s := range [...]string{m.Player.ID, m.Player.Name, m.ID, m.Name, m.Why} {
		dst = codec.AppendString(dst, s)
	}
	return dst
}

// DecodeMail reads what AppendMail wrote. Body is part of src.
func DecodeMail(src []byte) (Mail, error) {
	c := carried{r: codec.NewReader(src)}
	m := Mail{
		Type: MailType(c.uint()), Room: ID(c.str()), Seat: Seat(c.uint()), Node: Node(c.uint()), Gen: c.uint(), Run: uint32(c.uint()),
		Number: c.uint(), Ticket: c.uint(), Session: c.str(), Body: c.bin(),
	}
	if c.uint() == 1 {
		m.Player.ID, m.Player.Name, m.ID, m.Name, m.Why = c.str(), c.str(), c.str(), c.str(), c.str()
	}
	return m, c.end("mail")
}

// AppendFrame appends what a frame holds for one node.
func AppendFrame(dst []byte, f *Frame, node Node) []byte {
	return AppendFramePart(dst, f, node, 0, len(f.Seats))
}

// AppendFramePart appends what a frame holds for one node of its seats from ≤ i < to; what is for all seats goes with the first part.
func AppendFramePart(dst []byte, f *Frame, node Node, from, to int) []byte {
	public, answers, status := f.Public, f.Answers, f.Status
	if from > 0 {
		public, answers, status = nil, nil, StatusNone
	}
	seats := f.Seats[from:to]
	dst = codec.AppendString(dst, string(f.Room))
	for _, n := range [...]uint64{uint64(f.Epoch), f.Tick, uint64(f.Due), uint64(status)} {
		dst = codec.AppendUint(dst, n)
	}
	dst = codec.AppendBytes(dst, public)
	dst = appendNotes(dst, answers, node)
	parts := 0
	for i := range seats {
		if seats[i].concerns(node) {
			parts++
		}
	}
	dst = codec.AppendUint(dst, uint64(parts))
	for i := range seats {
		if p := &seats[i]; p.concerns(node) {
			dst = p.append(dst, node)
		}
	}
	return dst
}

// concerns reports whether a part holds anything for a node.
func (p *SeatPart) concerns(node Node) bool {
	if p.Node == node {
		return true
	}
	for i := range p.Notes {
		if p.Notes[i].Node == node {
			return true
		}
	}
	return false
}

func (p *SeatPart) append(dst []byte, node Node) []byte {
	var q SeatPart // what is another node's stays away
	if p.Node == node {
		q = *p
	}
	dst = codec.AppendUint(dst, uint64(p.Seat))
	dst = codec.AppendString(dst, q.Session)
	for _, n := range [...]uint64{q.Applied, uint64(q.Run), q.First, q.Last, q.Resend} {
		dst = codec.AppendUint(dst, n)
	}
	dst = codec.AppendBytes(dst, q.Private)
	dst = codec.AppendBytes(dst, q.Reliable)
	return appendNotes(dst, p.Notes, node)
}

func appendNotes(dst []byte, notes []Note, node Node) []byte {
	n := 0
	for i := range notes {
		if notes[i].Node == node {
			n++
		}
	}
	dst = codec.AppendUint(dst, uint64(n))
	for i := range notes {
		if note := &notes[i]; note.Node == node {
			dst = note.append(dst)
		}
	}
	return dst
}

func (n *Note) append(dst []byte) []byte {
	resumed := uint64(0)
	if n.Resumed {
		resumed = 1
	}
	for _, u := range [...]uint64{uint64(n.Type), uint64(n.Node), n.Gen, n.Request, uint64(n.Seat), resumed, n.Reliable, n.Applied} {
		dst = codec.AppendUint(dst, u)
	}
	for _, s := range [...]string{n.Session, n.Code, n.Why} {
		dst = codec.AppendString(dst, s)
	}
	return codec.AppendBytes(dst, n.Result)
}

// AppendEnded appends what other nodes are to know of a room's end.
func AppendEnded(dst []byte, e *Ended) []byte {
	dst = codec.AppendString(dst, string(e.Room))
	dst = codec.AppendUint(dst, uint64(e.Epoch))
	dst = codec.AppendString(dst, e.Why)
	dst = codec.AppendString(dst, e.Code)
	return codec.AppendBytes(dst, e.Result)
}

// DecodeEnded reads what AppendEnded wrote.
func DecodeEnded(src []byte) (Ended, error) {
	c := carried{r: codec.NewReader(src)}
	e := Ended{Room: ID(c.str()), Epoch: Epoch(c.uint()), Why: c.str(), Code: c.str(), Result: slices.Clone(c.bin())}
	return e, c.end("end of a room")
}

// DecodeFrame reads what AppendFrame wrote for a node. The frame is the caller's: to be released once. src may be used again.
func DecodeFrame(src []byte, node Node) (*Frame, error) {
	f := newFrame()
	f.buf = append(f.buf[:0], src...)
	c := carried{r: codec.NewReader(f.buf)}
	f.Room, f.Epoch, f.Tick, f.Due, f.Status = ID(c.str()), Epoch(c.uint()), c.uint(), time.Duration(c.uint()), Status(c.uint())
	f.Public = c.bin()
	f.Answers = c.notes(f.Answers)
	for n := c.uint(); n > 0 && c.err == nil; n-- {
		p := SeatPart{Seat: Seat(c.uint()), Node: node, Session: c.str()}
		p.Applied, p.Run, p.First, p.Last, p.Resend = c.uint(), uint32(c.uint()), c.uint(), c.uint(), c.uint()
		p.Private, p.Reliable = c.bin(), c.bin()
		p.Notes = c.notes(nil)
		f.Seats = append(f.Seats, p)
	}
	if err := c.end("frame"); err != nil {
		f.Release()
		return nil, err
	}
	return f, nil
}

// carried reads one value after the other, and remembers the first error.
type carried struct {
	r   *codec.Reader
	err error
}

func (c *carried) uint() uint64 {
	if c.err != nil {
		return 0
	}
	var n uint64
	n, c.err = c.r.Uint()
	return n
}

func (c *carried) str() string {
	if c.err != nil {
		return ""
	}
	var b []byte
	b, c.err = c.r.Str()
	return string(b)
}

// bin gives a part of what is read; nil stays nil.
func (c *carried) bin() []byte {
	if c.err != nil || c.r.Nil() {
		return nil
	}
	var b []byte
	b, c.err = c.r.Bin()
	return b
}

func (c *carried) notes(list []Note) []Note {
	for n := c.uint(); n > 0 && c.err == nil; n-- {
		var note Note
		note.Type, note.Node, note.Gen, note.Request = NoteType(c.uint()), Node(c.uint()), c.uint(), c.uint()
		note.Seat, note.Resumed, note.Reliable, note.Applied = Seat(c.uint()), c.uint() == 1, c.uint(), c.uint()
		note.Session, note.Code, note.Why = c.str(), c.str(), c.str()
		if b := c.bin(); b != nil {
			note.Result = append([]byte(nil), b...) // it may outlive the frame
		}
		list = append(list, note)
	}
	return list
}

func (c *carried) end(what string) error {
	if c.err == nil && len(c.r.Rest()) > 0 {
		c.err = fmt.Errorf("%d bytes too many", len(c.r.Rest()))
	}
	if c.err != nil {
		return fmt.Errorf("rooms: carried %s: %w", what, c.err)
	}
	return nil
}
