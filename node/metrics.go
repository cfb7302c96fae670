package node

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"tickover.dev/netcode"
	"tickover.dev/rooms"
)

// collector reads the counters of all parts when it is asked to.
type collector struct {
	node *Node

	conns, maxConns, open, accepted, refused, messages, bytes, closed, flushes, longestTurn, mailbox, panics, acceptErrors, rests, taskRefused, http *prometheus.Desc
	sessions, views, states, inputs, errors, limited, violations, overruns, reliableFull, events, known, auths, strangeProxy                         *prometheus.Desc
	rooms, stuck, taken, late, gamePanics, maxRooms, quarantined, paused, mailRefused, overdue, appends, rollbacks, shadows                          *prometheus.Desc
}

func newCollector(n *Node) *collector {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("tickover_"+name, help, labels, nil)
	}
	return &collector{
		node:         n,
		conns:        d("connections", "Sockets open, handshakes included."),
		open:         d("connections_open", "WebSocket connections open."),
		accepted:     d("connections_accepted_total", "Sockets accepted."),
		maxConns:     d("connections_limit", "Sockets that this node takes at most."),
		refused:      d("connections_refused_total", "Sockets refused: full (503, too many or stopping), address (429, too many of one) or for their handshake (any other answer).", "reason"),
		strangeProxy: d("connections_strange_proxy_total", "Of the handshakes refused, those with a PROXY header from an address that is not trusted: see --trust-proxy."),
		messages:     d("messages_total", "WebSocket messages.", "direction"),
		bytes:        d("bytes_total", "Bytes on game sockets.", "direction"),
		closed:       d("connections_closed_total", "WebSocket connections closed, by close code.", "code"),
		flushes:      d("flushes_total", "Writes to game sockets."),
		longestTurn:  d("loop_longest_turn_seconds", "The longest that an event loop was busy without a pause."),
		mailbox:      d("loop_mailbox", "Tasks that wait for an event loop."),
		panics:       d("loop_panics_total", "Panics survived on event loops."),
		acceptErrors: d("accept_errors_total", "Accepts that failed for want of descriptors or memory."),
		taskRefused:  d("loop_mail_refused_total", "Tasks that an event loop had no room for."),
		http:         d("http_connections", "Connections of an HTTP server; beyond 256 they wait.", "server"),
		rests:        d("loop_rests_total", "Rests that busy event loops took to do more at once."),
		gamePanics:   d("game_panics_total", "Panics of games' code survived."),
		maxRooms:     d("rooms_limit", "Rooms that this node takes at most."),
		quarantined:  d("rooms_quarantined_total", "Rooms closed because of a fault."),
		paused:       d("rooms_paused", "Rooms that wait for their journal."),
		mailRefused:  d("room_mail_refused_total", "Pieces of mail that a room or a shard had no room for."),
		appends:      d("journal_appends_total", "Answers of the journal, one per append: refused and unknown ones are tried again or looked up, fenced and gone ones end the room here.", "outcome"),
		rollbacks:    d("replay_rollbacks_total", "Rooms of durability replay resumed from their newest snapshot: stepped again they came out otherwise (diverged), or another build or kind of processor had stepped them (other_rules).", "reason"),
		shadows:      d("shadows_total", "Stretches of the histories of rooms of durability replay stepped again aside: same, differs (the game is not deterministic, the log has the field) or skipped (others waited).", "outcome"),
		overdue:      d("game_calls_overdue_total", "Calls of games' Admit and Do that went on after their time."),
		sessions:     d("sessions", "Connections with a session."),
		known:        d("sessions_known", "Sessions, those that wait for their connection included."),
		auths:        d("authentications", "Calls of Authenticate under way; beyond 64 they wait."),
		views:        d("views", "Seats with a connection."),
		states:       d("states_total", "States sent to views, or skipped as the client did not keep up.", "outcome"),
		inputs:       d("inputs_total", "Inputs passed to rooms."),
		errors:       d("errors_total", "Messages answered with an error, by its code.", "code"),
		limited:      d("rate_limited_total", "Messages dropped by the rate limit."),
		violations:   d("violations_total", "Connections closed for bytes that break the protocol."),
		overruns:     d("loop_overruns_total", "Times a loop fell so far behind that its connections were closed."),
		reliableFull: d("reliable_overflows_total", "Connections closed as they did not acknowledge reliable messages."),
		events:       d("session_events_total", "What happened to sessions.", "event"),
		rooms:        d("rooms", "Rooms on this node.", "kind"),
		stuck:        d("steps_stuck", "Steps that do not return; each may cost a processor."),
		taken:        d("steps_taken_total", "Steps whose shard the watchdog took away."),
		late:         d("step_lateness_seconds", "How long after its due time a step started."),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	put := func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, t, v, labels...)
	}
	const count, gauge = prometheus.CounterValue, prometheus.GaugeValue
	e := c.node.engine.Stats()
	put(c.conns, gauge, float64(e.Conns))
	put(c.maxConns, gauge, float64(e.MaxConns))
	put(c.open, gauge, float64(e.Open))
	put(c.accepted, count, float64(e.Accepted))
	put(c.refused, count, float64(e.Refused), "full")
	put(c.refused, count, float64(e.RefusedAddr), "address")
	put(c.refused, count, float64(e.Rejected), "handshake")
	put(c.strangeProxy, count, float64(e.StrangeProxy))
	put(c.messages, count, float64(e.MessagesIn), "in")
	put(c.messages, count, float64(e.MessagesOut), "out")
	put(c.bytes, count, float64(e.BytesIn), "in")
	put(c.bytes, count, float64(e.BytesOut), "out")
	for code, n := range byLabel(e.Closed) {
		put(c.closed, count, float64(n), code)
	}
	put(c.flushes, count, float64(e.Flushes))
	put(c.longestTurn, gauge, e.LongestTurn.Seconds())
	put(c.mailbox, gauge, float64(e.Mailbox))
	put(c.panics, count, float64(e.Panics))
	put(c.acceptErrors, count, float64(e.AcceptErrors))
	put(c.rests, count, float64(e.Rests))
	put(c.taskRefused, count, float64(e.MailboxRefusals))
	put(c.http, gauge, float64(c.node.page.conns()), "page")
	put(c.http, gauge, float64(c.node.admin.conns()), "admin")
	c.collectSessions(put)
	c.collectRooms(ch, put)
}

// putter gives one value to whoever collects.
type putter = func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string)

func (c *collector) collectSessions(put putter) {
	const count, gauge = prometheus.CounterValue, prometheus.GaugeValue
	s := c.node.hub.Stats()
	put(c.sessions, gauge, float64(s.Connections.Load()))
	put(c.views, gauge, float64(s.Views.Load()))
	put(c.states, count, float64(s.StatesSent.Load()), "sent")
	put(c.states, count, float64(s.StatesSkip.Load()), "skipped")
	put(c.inputs, count, float64(s.Inputs.Load()))
	for code, n := range s.Errors() {
		put(c.errors, count, float64(n), code)
	}
	put(c.limited, count, float64(s.RateLimited.Load()))
	put(c.violations, count, float64(s.Violations.Load()))
	put(c.overruns, count, float64(s.Overruns.Load()))
	put(c.reliableFull, count, float64(s.ReliableFull.Load()))
	for event, n := range c.node.registry.Counts() {
		put(c.events, count, float64(n), event)
	}
	put(c.known, gauge, float64(c.node.registry.Len()))
	put(c.auths, gauge, float64(c.node.hub.Authenticating()))
}

// byLabel sums up closed connections by code. Clients may send any of 4,000 codes: only those of docs/PROTOCOL.md and RFC 6455 have
// a label of their own.
func byLabel(closed map[uint16]uint64) map[string]uint64 {
	labels := map[string]uint64{}
	for code, n := range closed {
		label := "other"
		switch {
		case code >= 1000 && code <= 1014,
			code == netcode.CloseStopping, code == netcode.CloseNoHello, code >= netcode.CloseBacklog && code <= netcode.CloseStale,
			code >= netcode.CloseUnauthorized && code <= netcode.CloseBadSecret:
			label = strconv.Itoa(int(code))
		}
		labels[label] += n
	}
	return labels
}

func (c *collector) collectRooms(ch chan<- prometheus.Metric, put putter) {
	h := c.node.rooms.Stats()
	for _, k := range c.node.kinds() {
		put(c.rooms, prometheus.GaugeValue, float64(h.Rooms[k.Name]), k.Name)
	}
	put(c.stuck, prometheus.GaugeValue, float64(h.StuckSteps))
	put(c.taken, prometheus.CounterValue, float64(h.TakenAway))
	put(c.gamePanics, prometheus.CounterValue, float64(h.Panics))
	put(c.maxRooms, prometheus.GaugeValue, float64(h.MaxRooms))
	put(c.quarantined, prometheus.CounterValue, float64(h.Quarantined))
	put(c.paused, prometheus.GaugeValue, float64(h.Paused))
	put(c.mailRefused, prometheus.CounterValue, float64(h.MailboxRefusals))
	put(c.overdue, prometheus.CounterValue, float64(h.OverdueCalls))
	for outcome, n := range map[rooms.Outcome]int64{
		rooms.Confirmed: h.Journal.Confirmed, rooms.Refused: h.Journal.Refused, rooms.Unknown: h.Journal.Unknown,
		rooms.Fenced: h.Journal.Fenced, rooms.Gone: h.Journal.Gone,
	} {
		put(c.appends, prometheus.CounterValue, float64(n), outcome.String())
	}
	put(c.rollbacks, prometheus.CounterValue, float64(h.Replays.Diverged), "diverged")
	put(c.rollbacks, prometheus.CounterValue, float64(h.Replays.OtherRules), "other_rules")
	put(c.shadows, prometheus.CounterValue, float64(h.Replays.Shadows-h.Replays.ShadowsDiffer), "same")
	put(c.shadows, prometheus.CounterValue, float64(h.Replays.ShadowsDiffer), "differs")
	put(c.shadows, prometheus.CounterValue, float64(h.Replays.ShadowsSkipped), "skipped")
	buckets, total, sum := map[float64]uint64{}, uint64(0), 0.0
	for i, n := range h.Late.Counts {
		bound := h.Late.Bound(i).Seconds()
		total += n
		sum += float64(n) * bound * 0.9 // about the middle of the bucket
		if i%4 == 3 && bound < 10 {     // what doubles is fine enough for a graph
			buckets[bound] = total
		}
	}
	ch <- prometheus.MustNewConstHistogram(c.late, total, sum, buckets)
}
