package rooms

import (
	"slices"
	"testing"
)

func joinFrom(r *rig, session string, node Node) Seat {
	r.Helper()
	r.mail(Mail{Type: MailJoin, Node: node, Session: session, Gen: 1, Run: 1, Number: 1, Player: Player{ID: session}})
	r.step()
	n, ok := r.noted(NoteJoined, session)
	if !ok || n.Node != node {
		r.Fatalf("%s was not seated at node %d: %+v", session, node, r.notes)
	}
	return n.Seat
}

func (r *rig) roster(node Node, entries ...RosterEntry) {
	r.Helper()
	if err := r.mail(Mail{Type: MailRoster, Node: node, Body: AppendRoster(nil, entries)}); err != nil {
		r.Fatal(err)
	}
	r.step()
}

func connected(c *core) (list []string) {
	for _, s := range c.h.Seats.All() {
		if s.Connected {
			list = append(list, s.Who.Session)
		}
	}
	return list
}

// A drop that was lost between nodes is a player who stands still for ever; a drop that was wrong is one who plays to nobody.
func TestARosterSettlesWhoIsConnected(t *testing.T) {
	r := newRig(t)
	c := r.create(Config{RateHz: 20, Grace: 1 << 40})
	ann, bob := joinFrom(r, "ann", 7), joinFrom(r, "bob", 7)
	joinFrom(r, "cyd", 8)
	r.roster(7, RosterEntry{Seat: bob, Session: "bob", Gen: 1, Run: 1})
	if got := connected(c); !slices.Equal(got, []string{"bob", "cyd"}) {
		t.Fatalf("connected: %v", got)
	}
	r.roster(7, RosterEntry{Seat: ann, Session: "ann", Gen: 1, Run: 1}, RosterEntry{Seat: bob, Session: "bob", Gen: 1, Run: 1})
	if got := connected(c); !slices.Equal(got, []string{"ann", "bob", "cyd"}) {
		t.Fatalf("connected: %v", got)
	}
	if r.parts[ann].Private == nil {
		t.Error("ann is not shown what she may have missed")
	}
}

// The seat may have been given to a newer connection, or be gone: the roster of the older one must not take it back.
func TestARosterIsNoNewerThanItsConnections(t *testing.T) {
	r := newRig(t)
	c := r.create(Config{RateHz: 20, Grace: 1 << 40})
	ann := joinFrom(r, "ann", 7)
	r.mail(Mail{Type: MailReturn, Node: 8, Seat: ann, Session: "ann", Gen: 2, Run: 1})
	r.step()
	r.roster(7, RosterEntry{Seat: ann, Session: "ann", Gen: 1, Run: 1}, RosterEntry{Seat: 99, Session: "eve", Gen: 1})
	if s := c.h.Seats.Get(ann); s.Node != 8 || s.Gen != 2 {
		t.Errorf("the older connection has the seat: %+v", s)
	}
	if n, ok := r.noted(NoteLeft, "eve"); !ok || n.Node != 7 || n.Why != "unknown" {
		t.Errorf("eve, who has no seat, was told %+v", r.notes)
	}
}

// A session whose join was answered, and does not know it yet, is no view of its node. It must not be dropped: its join, asked for again,
// would be taken for a late copy, and it would watch for ever.
func TestARosterKeepsThoseWhoAreBeingSeated(t *testing.T) {
	for _, dropped := range []bool{false, true} {
		r := newRig(t)
		c := r.create(Config{RateHz: 20, Grace: 1 << 40})
		joinFrom(r, "ann", 7)
		if dropped { // the node was taken for dead meanwhile
			r.mail(Mail{Type: MailNodeGone, Node: 7})
			r.step()
		}
		r.roster(7, RosterEntry{Session: "ann", Gen: 1, Run: 1}, RosterEntry{Session: "eve", Gen: 1, Run: 1})
		r.notes = nil
		r.mail(Mail{Type: MailJoin, Node: 7, Session: "ann", Gen: 1, Run: 1, Number: 1})
		r.step()
		if n, ok := r.noted(NoteJoined, "ann"); !ok || n.Seat != 1 || !slices.Equal(connected(c), []string{"ann"}) {
			t.Errorf("dropped %v: told %+v, connected %v", dropped, r.notes, connected(c))
		}
	}
}

// What was lost on the way is sent again from where the client is.
func TestARosterBringsReliableMessagesAgain(t *testing.T) {
	hook(t, func(p *puppet, t *Tick[order]) {
		each(t, Signal, func(Event[order]) { t.Broadcast("news", 1) })
	})
	r := newRig(t)
	r.create(Config{RateHz: 20})
	ann := joinFrom(r, "ann", 7)
	for range 3 {
		r.mail(Mail{Type: MailSignal, Name: "go"})
		r.step()
	}
	r.events = map[Seat][]string{}
	r.roster(7, RosterEntry{Seat: ann, Session: "ann", Gen: 1, Run: 1, Reliable: 1})
	if got := r.events[ann]; len(got) != 2 || r.parts[ann].First != 2 {
		t.Errorf("sent again: %v from %d", got, r.parts[ann].First)
	}
	r.roster(7, RosterEntry{Seat: ann, Session: "ann", Gen: 1, Run: 1, Reliable: 9}) // of a history that never was
	if _, ok := r.noted(NoteOverflow, "ann"); !ok {
		t.Errorf("told %+v", r.notes)
	}
}

// A frame that goes to nodes without players costs them for nothing; one that does not go to a node with players leaves them in the dark.
func TestFramesGoToTheNodesOfConnectedPlayers(t *testing.T) {
	r := newRig(t)
	c := r.create(Config{RateHz: 20, Grace: 1 << 40})
	joinFrom(r, "ann", 7)
	bob := joinFrom(r, "bob", 8)
	joinFrom(r, "cyd", 8)
	want := func(nodes ...Node) {
		t.Helper()
		if got := c.audience(); !slices.Equal(got, nodes) {
			t.Fatalf("frames go to %v, want %v", got, nodes)
		}
	}
	want(7, 8)
	r.mail(Mail{Type: MailNodeGone, Node: 8})
	r.step()
	want(7)
	if got := connected(c); !slices.Equal(got, []string{"ann"}) {
		t.Fatalf("connected: %v", got)
	}
	r.mail(Mail{Type: MailReturn, Node: 9, Seat: bob, Session: "bob", Gen: 2, Run: 1})
	r.step()
	want(7, 9)
	f := newFrame()
	f.To = c.audience()
	f.sendTo(5)
	want(7, 9) // it is shared
	f.Release()
}

// Its owner may have died together with players' nodes: those must not sit there for ever.
func TestANewOwnerDropsThePlayersOfDeadNodes(t *testing.T) {
	r := newRig(t)
	c := r.create(Config{RateHz: 20, Grace: 1 << 40})
	joinFrom(r, "ann", 7)
	joinFrom(r, "bob", 8)
	next := newRig(t)
	next.now = r.now
	claim := Entry{Room: "r", ID: EntryID{Epoch: 2}, Nonce: 6, Kind: EntryClaim}
	next.stored = append(slices.Clone(r.stored), claim)
	if err := next.s.Adopt("r", c.kind, 2, 6, next.stored, func(n Node) bool { return n == 8 }, next.now); err != nil {
		t.Fatal(err)
	}
	next.carryOut()
	next.step()
	if got := connected(next.s.rooms["r"]); !slices.Equal(got, []string{"ann"}) {
		t.Errorf("connected: %v", got)
	}
}

// A session may have gone through a node that never learned of it, and so told nobody. The room is the only one who knows that the node
// it was at before still has a connection: players would look at a picture that stands still.
func TestANodeIsToldThatASeatHasGoneToAnother(t *testing.T) {
	r := newRig(t)
	r.create(Config{RateHz: 20})
	r.mail(Mail{Type: MailJoin, Session: "ann", Gen: 1, Run: 1, Number: 1, Node: 6})
	r.step()
	joined, _ := r.noted(NoteJoined, "ann")
	r.mail(Mail{Type: MailReturn, Seat: joined.Seat, Session: "ann", Gen: 3, Run: 1, Node: 7})
	r.step()
	if n, ok := r.noted(NoteSuperseded, "ann"); !ok || n.Node != 6 || n.Gen != 1 || n.Request != 3 {
		t.Errorf("on the return: told %+v", n)
	}
	r.notes = nil
	r.mail(Mail{Type: MailRoster, Node: 6, Body: AppendRoster(nil, []RosterEntry{{Seat: joined.Seat, Session: "ann", Gen: 1, Run: 1}})})
	r.step()
	if n, ok := r.noted(NoteSuperseded, "ann"); !ok || n.Node != 6 || n.Request != 3 {
		t.Errorf("on the roster: told %+v", n)
	}
}
