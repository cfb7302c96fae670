package node

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// sharedCollector reads the counters of what a node with --redis has beside: cluster, bus, journal, and sessions that move.
type sharedCollector struct {
	node *Node

	members, sighted, beats, deaths, claims, repairs, proofs, ordersFailed             *prometheus.Desc
	lookups, waits, unavailable, lost, unreadable, moves, signals                      *prometheus.Desc
	busBatches, busMessages, busBytes, busMissed, busResent, busPulses, busEvicted     *prometheus.Desc
	busDoubles, busGaps, busVanished, busBad, busFailures, busQueue, busPeers, busTook *prometheus.Desc
	pipelines, entries, bytes, outcomes, latency, queued, running                      *prometheus.Desc
	storeErrors, saves, moved, unsaved                                                 *prometheus.Desc
}

func newSharedCollector(n *Node) *sharedCollector {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("tickover_"+name, help, labels, nil)
	}
	return &sharedCollector{
		node:         n,
		members:      d("cluster_members", "Nodes as this one sees them; those that stopped in order are none.", "state"),
		sighted:      d("cluster_sighted", "1 if the newest heartbeat was answered, else 0: then nobody is judged dead."),
		beats:        d("cluster_heartbeats_total", "Heartbeats by whether the store answered in time.", "outcome"),
		deaths:       d("cluster_deaths_total", "Nodes that this one judged dead."),
		claims:       d("cluster_claims_total", "Rooms of others claimed: taken_over, lost to another claim, newer (this node is older than the room), or failed (it cannot run the room for another reason); the last two are tried again.", "outcome"),
		repairs:      d("cluster_repairs_total", "Records of the directory raised to what a room's journal says."),
		proofs:       d("cluster_proofs_total", "Rooms asked to write to their journals, as the directory names another owner."),
		ordersFailed: d("cluster_orders_failed_total", "Calls of directory and journals by the sweep that were not answered; they are made again."),

		lookups:     d("cluster_lookups_total", "Requests of players that asked the directory."),
		waits:       d("cluster_lookup_waits_total", "Requests that waited for a room to be taken over."),
		unavailable: d("cluster_unavailable_total", "Requests answered that their room cannot be reached."),
		lost:        d("cluster_losses_total", "Times that messages of another node were missing, and everything was told again."),
		unreadable:  d("cluster_unreadable_total", "Messages of other nodes that could not be read."),
		moves:       d("cluster_moves_total", "Times that a room with players here had another owner."),
		signals:     d("cluster_signals_waiting", "Signals that wait for their room's answer, at most 256."),

		busBatches:  d("bus_batches_total", "Batches between nodes, by direction.", "direction"),
		busMessages: d("bus_messages_total", "Messages between nodes, by direction.", "direction"),
		busBytes:    d("bus_bytes_total", "Bytes of batches between nodes, by direction.", "direction"),
		busMissed:   d("bus_messages_missed_total", "Messages that were not sent: dropped (given up, or their node is dead), refused (a full queue) or no_inbox.", "reason"),
		busResent:   d("bus_resent_total", "Batches sent again as their outcome was unknown."),
		busPulses:   d("bus_pulses_total", "Packets that only told the newest number."),
		busEvicted:  d("bus_evicted_total", "Destinations forgotten as there were too many."),
		busDoubles:  d("bus_doubles_total", "Packets that had come before."),
		busGaps:     d("bus_gaps_total", "Times that messages of a node turned out to be missing."),
		busVanished: d("bus_inbox_vanished_total", "Times that this node's inbox, or a part of it, was gone."),
		busBad:      d("bus_malformed_total", "Packets that cannot be read."),
		busFailures: d("bus_read_failures_total", "Reads of the inbox that failed."),
		busQueue:    d("bus_queue_bytes", "Bytes that wait or are on their way to other nodes."),
		busPeers:    d("bus_peers", "Nodes that this one sends to, and hears of.", "direction"),
		busTook:     d("bus_crossing_seconds", "From sending to receiving, of each batch's first message; clocks of two nodes may differ by more."),

		pipelines: d("journal_pipelines_total", "Pipelines of appends sent."),
		entries:   d("journal_entries_sent_total", "Entries in them."),
		bytes:     d("journal_bytes_total", "Bytes of packed entries in them."),
		outcomes:  d("journal_entries_total", "Entries by what became of them.", "outcome"),
		latency:   d("journal_pipeline_seconds", "Until all of a pipeline was answered, or given up."),
		queued:    d("journal_queued_entries", "Entries that wait for a pipeline."),
		running:   d("journal_pipelines", "Pipelines on their way."),

		storeErrors: d("sessions_store_errors_total", "Calls of the sessions' store that were not answered, or with an error."),
		saves:       d("sessions_saves_total", "Sessions saved."),
		moved:       d("sessions_moved_total", "Sessions resumed here that were elsewhere before (arrived), or found to be elsewhere (departed).", "direction"),
		unsaved:     d("sessions_unsaved", "Sessions that wait to be saved."),
	}
}

// Describe implements prometheus.Collector.
func (c *sharedCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c *sharedCollector) Collect(ch chan<- prometheus.Metric) {
	put := func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, t, v, labels...)
	}
	c.collectCluster(put)
	c.collectBus(ch, put)
	c.collectJournal(ch, put)
	const count, gauge = prometheus.CounterValue, prometheus.GaugeValue
	s := c.node.hub.Stats()
	put(c.storeErrors, count, float64(s.StoreErrors.Load()))
	put(c.saves, count, float64(s.Saves.Load()))
	put(c.moved, count, float64(s.Arrivals.Load()), "arrived")
	put(c.moved, count, float64(s.Departures.Load()), "departed")
	put(c.unsaved, gauge, float64(c.node.registry.Unsaved()))
}

func (c *sharedCollector) collectCluster(put putter) {
	const count, gauge = prometheus.CounterValue, prometheus.GaugeValue
	sight, s := c.node.shared.cluster.Sight(), c.node.shared.cluster.Stats()
	put(c.members, gauge, float64(len(sight.Living)), "living")
	put(c.members, gauge, float64(len(sight.Dead)), "dead")
	sighted := 0.0
	if sight.Sighted {
		sighted = 1
	}
	put(c.sighted, gauge, sighted)
	failed := s.BeatsFailed.Load() // before the sum, which may grow meanwhile
	put(c.beats, count, float64(failed), "failed")
	put(c.beats, count, float64(s.Beats.Load()-failed), "answered")
	put(c.deaths, count, float64(s.Deaths.Load()))
	put(c.claims, count, float64(s.Claims.Load()), "taken_over")
	put(c.claims, count, float64(s.ClaimsLost.Load()), "lost")
	newer := s.ClaimsNewer.Load() // before the sum, likewise
	put(c.claims, count, float64(newer), "newer")
	put(c.claims, count, float64(s.ClaimsFailed.Load()-newer), "failed")
	put(c.repairs, count, float64(s.Repairs.Load()))
	put(c.proofs, count, float64(s.Proofs.Load()))
	put(c.ordersFailed, count, float64(s.OrdersFailed.Load()))
	p := c.node.shared.rooms.Stats()
	put(c.lookups, count, float64(p.Lookups.Load()))
	put(c.waits, count, float64(p.Waits.Load()))
	put(c.unavailable, count, float64(p.Unavailable.Load()))
	put(c.lost, count, float64(p.Lost.Load()))
	put(c.unreadable, count, float64(p.Unreadable.Load()))
	put(c.moves, count, float64(p.Moves.Load()))
	put(c.signals, gauge, float64(c.node.shared.rooms.Signals.Waiting()))
}

func (c *sharedCollector) collectBus(ch chan<- prometheus.Metric, put putter) {
	const count, gauge = prometheus.CounterValue, prometheus.GaugeValue
	s := c.node.shared.link.Stats()
	put(c.busBatches, count, float64(s.SentBatches), "out")
	put(c.busBatches, count, float64(s.ReceivedBatches), "in")
	put(c.busMessages, count, float64(s.SentMessages), "out")
	put(c.busMessages, count, float64(s.ReceivedMessages), "in")
	put(c.busBytes, count, float64(s.SentBytes), "out")
	put(c.busBytes, count, float64(s.ReceivedBytes), "in")
	put(c.busMissed, count, float64(s.Dropped), "dropped")
	put(c.busMissed, count, float64(s.Refused), "refused")
	put(c.busMissed, count, float64(s.NoInbox), "no_inbox")
	put(c.busResent, count, float64(s.Resent))
	put(c.busPulses, count, float64(s.Pulses))
	put(c.busEvicted, count, float64(s.Evicted))
	put(c.busDoubles, count, float64(s.Doubles))
	put(c.busGaps, count, float64(s.Lost))
	put(c.busVanished, count, float64(s.Vanished))
	put(c.busBad, count, float64(s.Malformed))
	put(c.busFailures, count, float64(s.ReadFailures))
	put(c.busQueue, gauge, float64(s.QueuedBytes))
	put(c.busPeers, gauge, float64(s.Destinations), "out")
	put(c.busPeers, gauge, float64(s.Senders), "in")
	histogram(ch, c.busTook, s.Crossing.Counts[:], s.Crossing.Bound, s.Crossing.Sum)
}

func (c *sharedCollector) collectJournal(ch chan<- prometheus.Metric, put putter) {
	const count, gauge = prometheus.CounterValue, prometheus.GaugeValue
	s := c.node.shared.journal.Stats()
	put(c.pipelines, count, float64(s.Pipelines))
	put(c.entries, count, float64(s.Entries))
	put(c.bytes, count, float64(s.Bytes))
	put(c.outcomes, count, float64(s.Outcomes.Confirmed), "confirmed")
	put(c.outcomes, count, float64(s.Outcomes.Fenced), "fenced")
	put(c.outcomes, count, float64(s.Outcomes.Gone), "gone")
	put(c.outcomes, count, float64(s.Outcomes.Refused), "refused")
	put(c.outcomes, count, float64(s.Outcomes.Unknown), "unknown")
	put(c.queued, gauge, float64(s.Queued))
	put(c.running, gauge, float64(s.Running))
	histogram(ch, c.latency, s.Latency.Counts[:], s.Latency.Bound, s.Latency.Sum)
}

// histogram passes on counts per bucket, the last of which has no bound.
func histogram(ch chan<- prometheus.Metric, d *prometheus.Desc, counts []uint64, bound func(int) time.Duration, sum time.Duration) {
	buckets, total := map[float64]uint64{}, uint64(0)
	for i, n := range counts {
		total += n
		if i < len(counts)-1 {
			buckets[bound(i).Seconds()] = total
		}
	}
	ch <- prometheus.MustNewConstHistogram(d, total, sum.Seconds(), buckets)
}
