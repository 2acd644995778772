package app

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/jetstream"
)

// brokerCollector shows the broker's and the store's snapshots, once they are
// there. No label grows with the number of destinations or clients.
type brokerCollector struct {
	live atomic.Pointer[snapshots]
	// nats stays nil without a listener for native clients.
	nats atomic.Pointer[nativeFigures]
}

// snapshots is where the figures come from.
type snapshots struct {
	node   string
	broker *core.Broker
	store  *jetstream.Store
}

var (
	messagesIn    = prometheus.NewDesc("sluice_messages_received_total", "Messages accepted from clients.", []string{"kind"}, nil)
	messagesOut   = prometheus.NewDesc("sluice_messages_delivered_total", "Deliveries handed to clients.", []string{"kind"}, nil)
	spilled       = prometheus.NewDesc("sluice_messages_spilled_total", "Non-persistent messages that went to disk for lack of memory.", nil, nil)
	deadLettered  = prometheus.NewDesc("sluice_messages_dead_lettered_total", "Messages moved to the dead-letter queue.", nil, nil)
	dead          = prometheus.NewDesc("sluice_messages_dead_total", "Messages that nobody took, moved to a dead-letter queue or dropped, by why.", []string{"cause"}, nil)
	limitRefused  = prometheus.NewDesc("sluice_queue_limit_refused_total", "Messages refused because their queue was full.", nil, nil)
	limitBlocked  = prometheus.NewDesc("sluice_queue_limit_blocked_total", "Messages that had to wait until there was room in their queue.", nil, nil)
	blockedNow    = prometheus.NewDesc("sluice_queue_blocked_messages", "Messages that wait, with their senders, for room in their queues.", nil, nil)
	discarded     = prometheus.NewDesc("sluice_messages_discarded_total", "Messages that were dead and went to no dead-letter queue.", nil, nil)
	slowDropped   = prometheus.NewDesc("sluice_topic_messages_dropped_total", "Messages dropped for slow topic subscribers.", nil, nil)
	slowEnded     = prometheus.NewDesc("sluice_topic_subscriptions_ended_total", "Subscriptions ended because they were too slow.", nil, nil)
	loginsRefused = prometheus.NewDesc("sluice_logins_refused_total", "Logins refused.", nil, nil)
	moved         = prometheus.NewDesc("sluice_messages_moved_total", "Messages appended again to free the space before them.", nil, nil)
	advised       = prometheus.NewDesc("sluice_advisories_total", "Advisories told to whoever listened.", nil, nil)
	unadvised     = prometheus.NewDesc("sluice_advisories_dropped_total", "Advisories that nobody heard because too many were to be told at once.", nil, nil)
	sessions      = prometheus.NewDesc("sluice_sessions", "Open sessions.", nil, nil)
	subscriptions = prometheus.NewDesc("sluice_subscriptions", "Open subscriptions.", nil, nil)
	queues        = prometheus.NewDesc("sluice_queues", "Queues known.", nil, nil)
	waiting       = prometheus.NewDesc("sluice_queue_messages", "Messages in queues.", []string{"state"}, nil)
	kept          = prometheus.NewDesc("sluice_kept_messages", "Messages that are not in ordinary queues.", []string{"kind"}, nil)
	memoryBytes   = prometheus.NewDesc("sluice_queue_memory_bytes", "Bytes of messages that are only in memory.", nil, nil)
	storeFree     = prometheus.NewDesc("sluice_store_free_bytes", "Free space of the store's file system.", nil, nil)
	topicRelayed  = prometheus.NewDesc("sluice_topic_messages_relayed_total", "Topic messages sent on to other nodes.", nil, nil)
	topicLost     = prometheus.NewDesc("sluice_topic_messages_unrelayed_total", "Topic messages dropped because another node did not keep up.", nil, nil)
	linked        = prometheus.NewDesc("sluice_cluster_links", "Links to other nodes that are up.", nil, nil)
	inTouch       = prometheus.NewDesc("sluice_cluster_majority", "1 while the node is in touch with a majority of the nodes.", nil, nil)
	owned         = prometheus.NewDesc("sluice_cluster_shards_owned", "Shards that this node owns.", nil, nil)
	storeBytes    = prometheus.NewDesc("sluice_store_bytes", "Bytes in the store's journals.", nil, nil)
)

// Describe implements prometheus.Collector.
func (b *brokerCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range append(natsFigures(),
		messagesIn, messagesOut, spilled, deadLettered, discarded, slowDropped, slowEnded, loginsRefused, moved,
		sessions, subscriptions, queues, waiting, memoryBytes, storeFree, storeBytes,
		advised, unadvised, kept, dead, limitRefused, limitBlocked, blockedNow,
		topicRelayed, topicLost, linked, inTouch, owned,
	) {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (b *brokerCollector) Collect(ch chan<- prometheus.Metric) {
	if d := b.nats.Load(); d != nil {
		collectNats(d, ch)
	}
	c := b.live.Load()
	if c == nil {
		return
	}
	s := c.broker.Stats()
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	count(messagesIn, s.QueueIn, "queue")
	count(messagesIn, s.TopicIn, "topic")
	count(messagesOut, s.QueueOut, "queue")
	count(messagesOut, s.TopicOut, "topic")
	count(spilled, s.Spilled)
	count(deadLettered, s.DeadLettered)
	count(discarded, s.Dropped)
	count(dead, s.Refused, "refused")
	count(dead, s.Expired, "expired")
	count(dead, s.Exhausted, "redelivered")
	count(dead, s.Crowded, "crowded")
	count(limitRefused, s.LimitRefused)
	count(limitBlocked, s.LimitBlocked)
	gauge(blockedNow, int64(s.Blocked))
	count(slowDropped, s.SlowDropped)
	count(slowEnded, s.SlowEnded)
	count(loginsRefused, s.LoginsRefused)
	count(moved, s.Moved)
	count(advised, s.AdvisoriesTold)
	count(unadvised, s.AdvisoriesLost)
	gauge(sessions, int64(s.Sessions))
	gauge(subscriptions, int64(s.Subscriptions))
	gauge(queues, int64(s.Queues))
	gauge(waiting, int64(s.Waiting), "waiting")
	gauge(waiting, int64(s.InFlight), "in_flight")
	gauge(waiting, int64(s.Delayed), "delayed")
	gaugeKept(&s.Of, gauge)
	gauge(memoryBytes, s.MemoryBytes)
	gauge(storeFree, c.store.Space().Free)
	gauge(storeBytes, int64(c.store.Bytes()))
	count(topicRelayed, s.TopicRelayed)
	count(topicLost, s.TopicDroppedLinks)
	c.cluster(gauge)
}

// cluster shows how the node stands in its cluster, if it is in one.
func (c *snapshots) cluster(gauge func(d *prometheus.Desc, v int64, labels ...string)) {
	nodes := c.store.Nodes()
	if nodes == nil {
		return
	}
	var links, shards, majority int64
	for _, n := range nodes {
		switch {
		case n.Name == c.node:
			shards = int64(len(n.Owns))
		case n.Linked:
			links++
		}
	}
	if c.store.Current() {
		majority = 1
	}
	gauge(linked, links)
	gauge(inTouch, majority)
	gauge(owned, shards)
}

func gaugeKept(of *core.ByKind, gauge func(d *prometheus.Desc, v int64, labels ...string)) {
	gauge(kept, int64(of.Durable), "durable")
	gauge(kept, int64(of.Temporary), "temporary")
	gauge(kept, int64(of.Scheduled), "scheduled")
	gauge(kept, int64(of.Retained), "retained")
}
