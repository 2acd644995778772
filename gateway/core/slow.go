package core

import (
	"context"
	"slices"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/advising"
	"github.com/sluice-mq/sluice/gateway/advisory"
	"github.com/sluice-mq/sluice/gateway/feed"
	"github.com/sluice-mq/sluice/gateway/ring"
)

const (
	// slowAfter is for how long a consumer of a queue may have all that it may have, and settle none of it, until it is slow: as long as ActiveMQ's
	// strategies for slow consumers give one.
	slowAfter = 30 * time.Second
	// judgeAgain is when it is asked again whether more waits for it, if nothing did.
	judgeAgain = 5 * time.Second
)

// slowness is what was seen of a consumer last. It is watched only while somebody listens.
type slowness struct {
	settled uint64
	since   int64 // since then it has all that it may have and has settled none of it; 0: it is not so
	told    bool
}

// watchConsumers tells of consumers of queues that are slow: they have all that they may have and settle none of it, although more waits. It is the
// sweep's; what waits is asked of the owners meanwhile, and nobody is judged until they have said so.
func (b *Broker) watchConsumers(now int64) {
	if !b.advisor.Heeds(advisory.Slow) || b.judging.Load() {
		return
	}
	var all []*enrolled
	for _, s := range b.openSessions() {
		s.mu.Lock()
		for _, e := range s.subscriptions {
			all = append(all, e)
		}
		s.mu.Unlock()
	}
	suspects := slices.DeleteFunc(all, func(e *enrolled) bool { return !e.stands(now) })
	if len(suspects) == 0 {
		return
	}
	b.judging.Store(true)
	judge := func() {
		defer b.judging.Store(false)
		ctx, cancel := context.WithTimeout(b.watching, judgeAgain)
		defer cancel()
		for _, e := range suspects {
			e.judge(ctx, now)
		}
	}
	if !b.spawn(judge) {
		b.judging.Store(false)
	}
}

// stands reports whether the consumer stands still for long enough to be asked after.
func (e *enrolled) stands(now int64) bool {
	if settled := e.settled.Load(); settled != e.slow.settled || !e.full() {
		e.slow = slowness{settled: settled}
		return false
	}
	if e.slow.since == 0 {
		e.slow.since = now
	}
	return !e.slow.told && now-e.slow.since >= slowAfter.Milliseconds() && e.session.broker.policies.Load().Find(e.options.Destination).Advisories.Slow
}

// full reports whether a consumer of one queue, or a durable subscription, has all that it may have.
func (e *enrolled) full() bool {
	source, ok := e.source.(interface{ Pending() (n, bytes int) })
	if d := e.options.Destination; !ok || d.IsPattern() || d.Kind != gateway.KindQueue && e.place == "" {
		return false
	}
	n, bytes := source.Pending()
	n += e.inFlight()
	return n > 0 && (bytes >= ring.MostBytes || n >= e.allowed())
}

// judge tells that the consumer is slow, if more waits for it.
func (e *enrolled) judge(ctx context.Context, now int64) {
	b, d := e.session.broker, e.options.Destination
	from := d
	if e.place != "" {
		from = feed.Durable(e.session.login.ClientID, e.options.Durable)
	}
	if kept, err := b.Kept(ctx, from); err != nil || kept.Waiting == 0 {
		e.slow.since = now - (slowAfter - judgeAgain).Milliseconds()
		return
	}
	if e.slow.told = e.settled.Load() == e.slow.settled; !e.slow.told {
		return
	}
	b.advisor.Tell(advising.Advice{Topic: advisory.Topic(advisory.Slow, d), Make: func(int) *gateway.Message {
		return b.advisor.Origin.SlowConsumer(e.session.subscriber(&e.options, e.number, d), d)
	}})
}
