package core

import (
	"sync/atomic"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/dispatch"
	"github.com/sluice-mq/sluice/gateway/quota"
)

// counters count since the start of the process.
type counters struct {
	queueIn, queueOut, topicIn, topicOut atomic.Uint64
	spilled, deadLettered, dropped       atomic.Uint64
	slowDropped, slowEnded, refused      atomic.Uint64
	moved                                atomic.Uint64
	topicRelayed, topicDroppedLinks      atomic.Uint64
	subscriptions                        atomic.Int64
	denied                               atomic.Uint64
	// dead messages by why, for each dispatch.Cause.
	dead [dispatch.Taken]atomic.Uint64
	// limited messages found no room in their queue; blockings waited for it, and blocked do now.
	limited, blockings atomic.Uint64
	blocked            atomic.Int64
}

// ByKind counts messages that are not in ordinary queues: Durable and Temporary are among those that wait, Scheduled among the delayed ones, Retained among none.
type ByKind struct {
	// Durable subscriptions keep them, Temporary queues hold them, Scheduled ones are to be sent later.
	Durable, Temporary, Scheduled int
	// Retained of topics, for those who come later.
	Retained int
}

// add counts what a queue holds.
func (k *ByKind) add(place string, waiting, later int) {
	if place == gateway.SchedulePlace {
		k.Scheduled += waiting + later
		return
	}
	switch d, _ := gateway.Placed(place); d.Kind {
	case gateway.KindSubscription:
		k.Durable += waiting
	case gateway.KindTempQueue:
		k.Temporary += waiting
	}
}

// Stats is a snapshot of the broker for metrics.
type Stats struct {
	// Messages since the start, by destination kind; Out counts deliveries.
	QueueIn, QueueOut, TopicIn, TopicOut uint64
	// Spilled non-persistent messages went to the store for lack of memory.
	Spilled uint64
	// DeadLettered messages moved to the dead-letter queue; Dropped were refused or expired and not persistent.
	DeadLettered, Dropped uint64
	// Dead messages, wherever they went, by why: refused, expired, redelivered too often, crowded out by newer ones.
	Refused, Expired, Exhausted, Crowded uint64
	// LimitRefused messages found no room in their queue; LimitBlocked had to wait for it, and Blocked do now.
	LimitRefused, LimitBlocked uint64
	Blocked                    int
	// SlowDropped messages were taken from slow topic subscribers; SlowEnded subscriptions were ended for it.
	SlowDropped, SlowEnded uint64
	// TopicRelayed messages of topics went to another node, counted for each; TopicDroppedLinks did not, because
	// it did not keep up or its link broke.
	TopicRelayed, TopicDroppedLinks uint64
	// LoginsRefused by the authenticator, a limit or another client with the same id; ActionsDenied for lack of rights.
	LoginsRefused, ActionsDenied uint64
	// Limits has an entry for each limit that there is, always in the same order.
	Limits []quota.Count
	// AdvisoriesTold are those that somebody listened to; AdvisoriesLost found no room, and nobody heard them.
	AdvisoriesTold, AdvisoriesLost uint64
	// Moved messages were appended again to free space before them.
	Moved uint64
	// Now, without what is kept of topics for those who come later: open sessions and subscriptions, queues known, messages waiting and in
	// flight in queues, bytes of them that are only in memory.
	Sessions, Subscriptions, Queues, Waiting, InFlight int
	// Delayed messages of queues are to be handed out later.
	Delayed     int
	MemoryBytes int64
	Of          ByKind
}

// Stats takes a snapshot. It visits every queue; call it about once a second at most.
func (b *Broker) Stats() Stats {
	c := &b.counts
	st := Stats{
		QueueIn: c.queueIn.Load(), QueueOut: c.queueOut.Load(), TopicIn: c.topicIn.Load(), TopicOut: c.topicOut.Load(),
		Spilled: c.spilled.Load(), DeadLettered: c.deadLettered.Load(), Dropped: c.dropped.Load(),
		ActionsDenied: c.denied.Load(), Limits: b.ledger.Counts(),
		SlowDropped: c.slowDropped.Load(), SlowEnded: c.slowEnded.Load(), LoginsRefused: c.refused.Load(),
		TopicRelayed: c.topicRelayed.Load(), TopicDroppedLinks: c.topicDroppedLinks.Load(),
		Moved: c.moved.Load(), Subscriptions: int(c.subscriptions.Load()), MemoryBytes: b.memory.Load(),
	}
	st.AdvisoriesTold, st.AdvisoriesLost = b.advisor.Counts()
	st.Refused, st.Expired = c.dead[dispatch.Refused].Load(), c.dead[dispatch.Expired].Load()
	st.Exhausted, st.Crowded = c.dead[dispatch.Exhausted].Load(), c.dead[dispatch.Crowded].Load()
	st.LimitRefused, st.LimitBlocked, st.Blocked = c.limited.Load(), c.blockings.Load(), int(c.blocked.Load())
	b.mu.Lock()
	st.Sessions = len(b.sessions)
	b.mu.Unlock()
	for _, s := range b.owned() {
		s.mu.Lock()
		for _, q := range s.queues {
			qs := q.Stats()
			if q.retain != nil {
				st.Of.Retained += qs.Waiting
				continue // it waits for nobody
			}
			st.Of.add(q.name, qs.Waiting, qs.Later)
			st.Queues++
			st.Waiting += qs.Waiting
			st.InFlight += qs.InFlight
			st.Delayed += qs.Later
		}
		s.mu.Unlock()
	}
	return st
}

// QueueState is a snapshot of one queue.
type QueueState struct {
	// Waiting messages are with nobody, InFlight ones with consumers that have not acknowledged them.
	Waiting, InFlight int
}

// Queue takes a snapshot of a queue that this node owns. It is cheap. known is false for one that is
// empty and has not been used lately.
func (b *Broker) Queue(name string) (state QueueState, known bool) {
	s := b.seatOf(name).here.Load()
	if s == nil {
		return QueueState{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[name]
	if q == nil {
		return QueueState{}, false
	}
	st := q.Stats()
	return QueueState{Waiting: st.Waiting, InFlight: st.InFlight}, true
}

// Depth is how many messages a queue that this node owns holds, waiting, now or for later, in flight or on their way to
// the dead-letter queue.
func (b *Broker) Depth(name string) int {
	s := b.seatOf(name).here.Load()
	if s == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[name]
	if q == nil {
		return 0
	}
	st := q.Stats()
	return st.Waiting + st.InFlight + st.Dying + st.Later
}
