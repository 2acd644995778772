package core

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/jmsmap"
	"github.com/sluice-mq/sluice/gateway/statistics"
)

// statisticsMost is how many destinations, or subscriptions, one answer tells of, and a node names.
const statisticsMost = 1024

// What a FrameInspect may be about beside queues, in its Group, and what Queue is then: nothing that a node could have that knows of no Group.
const (
	inspectTopics        = "topics"
	inspectSubscriptions = "subscriptions"
	inspectNothing       = "\x05"
)

// answerStatistics sends the numbers that a message asks for.
func (s *session) answerStatistics(m *gateway.Message, what question, reply gateway.Destination) error {
	g, err := s.granted(reply)
	if err != nil {
		return err
	}
	st := s.standing.Load()
	tell := func(numbers jmsmap.Map) { s.reply(m, reply, g, numbers) }
	switch what {
	case ofBroker:
		if err := st.rights.Operate("status"); err != nil {
			return err
		}
		tell(s.broker.brokerNumbers())
	case ofDestinations:
		return s.tellDestinations(m, st, tell)
	case ofSubscriptions:
		for _, n := range s.subscriptionNumbers(st) {
			tell(n.Map())
		}
	default:
		return gateway.Errorf(gateway.NotFound, "there are no such statistics: %s", m.Destination.Name)
	}
	return nil
}

// tellDestinations tells of the queues, or topics, that a question is about and its sender may read.
func (s *session) tellDestinations(m *gateway.Message, st *standing, tell func(jmsmap.Map)) error {
	d := gateway.Destination{Kind: m.Destination.Kind, Name: strings.TrimPrefix(strings.TrimPrefix(m.Destination.Name, statistics.Prefix+statistics.Destination), ".")}
	if err := d.Validate(); err != nil {
		return err
	}
	if err := st.rights.May(gateway.Read, d); err != nil {
		return s.denied(gateway.Read, d, err)
	}
	for _, n := range s.broker.destinationNumbers(d) {
		if st.rights.May(gateway.Read, gateway.Destination{Kind: d.Kind, Name: strings.TrimPrefix(n.Name, d.Kind.String()+"://")}) == nil {
			tell(n.Map())
		}
	}
	if _, end := m.Header.Get(statistics.EndHeader); end {
		tell(nil)
	}
	return nil
}

// reply sends an answer, as ActiveMQ's: a map in JSON, which doors may show in another form.
func (s *session) reply(to *gateway.Message, d gateway.Destination, g *grant, numbers jmsmap.Map) {
	h := gateway.Header{{Name: jmsmap.Header, Value: jmsmap.JSON}, {Name: "type", Value: "Advisory"}}
	if id, has := to.Header.Get("correlation-id"); has {
		h = append(h, gateway.Field{Name: "correlation-id", Value: id})
	}
	s.route(&gateway.Message{
		ID: s.ids + strconv.FormatUint(s.sent.Add(1), 10), Destination: d, Header: h, Body: numbers.JSON(), Text: true,
		Priority: gateway.DefaultPriority, Timestamp: s.broker.nowMillis(),
	}, g, nil, 0)
}

// from is whose numbers they are.
func (b *Broker) from() statistics.From {
	return statistics.From{Broker: b.cfg.Node, BrokerID: strings.TrimSuffix(b.ids, ":")}
}

// brokerNumbers are this node's.
func (b *Broker) brokerNumbers() jmsmap.Map {
	st := b.Stats()
	n := statistics.OfBroker{OfDestination: statistics.OfDestination{
		From: b.from(), Size: st.Waiting + st.InFlight, InFlight: st.InFlight, Consumers: st.Subscriptions,
		MemoryUsage: st.MemoryBytes, MemoryLimit: b.cfg.QueueMemory, MemoryPercent: st.MemoryBytes * 100 / max(b.cfg.QueueMemory, 1),
	}}
	for _, s := range b.owned() {
		state := s.journal.State()
		n.StoreUsage += int64(state.Bytes)
		s.mu.Lock()
		for _, q := range s.queues {
			n.Bytes += q.tally.Bytes
			n.Waits.Add(q.tally.Waits)
			n.Cached += q.Stats().Loaded
		}
		s.mu.Unlock()
	}
	n.StoreLimit = n.StoreUsage + b.cfg.Store.Space().Free
	n.Enqueued, n.Dequeued, n.Dispatched, n.Expired = st.QueueIn+st.TopicIn, st.QueueOut+st.TopicOut, st.QueueOut+st.TopicOut, st.Expired
	return n.Map()
}

// Numbers are those of the queues or topics that match a pattern, by name, at most 1,024: of all nodes that answer within two seconds.
func (b *Broker) Numbers(d gateway.Destination) []statistics.OfDestination {
	return b.destinationNumbers(d)
}

// destinationNumbers are those of the queues or topics that match a pattern, by name: of a queue its owner's, of a topic those of all linked nodes together.
func (b *Broker) destinationNumbers(d gateway.Destination) []statistics.OfDestination {
	f := gateway.Frame{Queue: d.Name}
	all := make(map[string]*statistics.OfDestination)
	add := func(some []statistics.OfDestination) {
		for i := range some {
			x := &some[i]
			switch before := all[x.Name]; {
			case !strings.HasPrefix(x.Name, d.Kind.String()+"://"):
			case before == nil:
				all[x.Name] = x
			case d.Kind == gateway.KindTopic:
				before.Add(x)
			}
		}
	}
	if d.Kind == gateway.KindTopic {
		f.Queue, f.Group, f.Transaction = inspectNothing, inspectTopics, d.Name
		add(b.topicsHere(d.Name))
	} else {
		add(b.queuesHere(d.Name))
	}
	for _, body := range b.inspectAll(&f) {
		var there []statistics.OfDestination
		if json.Unmarshal(body, &there) == nil { // else of another version
			add(there)
		}
	}
	names := slices.Sorted(maps.Keys(all))
	numbers := make([]statistics.OfDestination, 0, min(len(names), statisticsMost))
	for _, name := range names[:min(len(names), statisticsMost)] {
		numbers = append(numbers, *all[name])
	}
	return numbers
}

// inspectAll asks all linked nodes, and returns what they say in time.
func (b *Broker) inspectAll(f *gateway.Frame) (bodies [][]byte) {
	if b.guests == nil {
		return nil
	}
	nodes := b.guests.nodes()
	answers := make(chan []byte, len(nodes))
	for _, node := range nodes {
		asked := *f
		b.inspections.ask(b, node, &asked, func(f *gateway.Frame) {
			if f == nil || f.Message == nil {
				answers <- nil
				return
			}
			answers <- f.Message.Body
		})
	}
	ctx, cancel := context.WithTimeout(b.watching, askWithin)
	defer cancel()
	for range nodes {
		select {
		case body := <-answers:
			if body != nil {
				bodies = append(bodies, body)
			}
		case <-ctx.Done():
			return bodies
		}
	}
	return bodies
}

// queuesHere are those of the queues that this node owns.
func (b *Broker) queuesHere(pattern string) (all []statistics.OfDestination) {
	for _, s := range b.owned() {
		s.mu.Lock()
		for name, q := range s.queues {
			if !seekable(name) || !gateway.Matches(pattern, name) || len(all) >= statisticsMost {
				continue
			}
			all = append(all, b.numbersOf(q, "queue://"+name))
		}
		s.mu.Unlock()
	}
	return all
}

// numbersOf are a queue's. The shard's lock is held.
func (b *Broker) numbersOf(q *queue, name string) statistics.OfDestination {
	st := q.Stats()
	_, memory := q.Weight()
	return statistics.OfDestination{
		From: b.from(), Name: name, Size: st.Waiting + st.InFlight + st.Later + st.Dying, InFlight: st.InFlight,
		Consumers: len(q.subscriptions), Cached: st.Loaded, MemoryUsage: memory + st.LoadedBytes, MemoryLimit: b.cfg.QueueMemory,
		MemoryPercent: (memory + st.LoadedBytes) * 100 / max(b.cfg.QueueMemory, 1), Counts: q.counted(),
	}
}

// subscriptionNumbers are those of the subscriptions of all linked nodes for who may list their connections; others see those of their own user.
func (s *session) subscriptionNumbers(st *standing) []statistics.OfSubscription {
	b := s.broker
	user, everybody := st.principal.Name, st.rights.Operate("connections") == nil
	if !everybody && user == "" {
		return s.subscriptionsOf(nil)
	}
	all := b.subscriptionsHere(user, everybody)
	f := gateway.Frame{Queue: inspectNothing, Group: inspectSubscriptions, Transaction: user}
	if everybody {
		f.Count = 1
	}
	for _, body := range b.inspectAll(&f) {
		var there []statistics.OfSubscription
		if json.Unmarshal(body, &there) == nil {
			all = append(all, there...)
		}
	}
	return all[:min(len(all), statisticsMost)]
}

// subscriptionsHere are those of a user's sessions, or of all.
func (b *Broker) subscriptionsHere(user string, everybody bool) (all []statistics.OfSubscription) {
	for _, s := range b.openSessions() {
		if len(all) >= statisticsMost {
			break
		}
		if everybody || user != "" && s.who().Name == user {
			all = s.subscriptionsOf(all)
		}
	}
	return all[:min(len(all), statisticsMost)]
}

// subscriptionsOf appends the session's own.
func (s *session) subscriptionsOf(all []statistics.OfSubscription) []statistics.OfSubscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := s.broker.from()
	for _, e := range s.subscriptions {
		o := &e.options
		n := statistics.OfSubscription{
			From: from, Session: s.id, Client: s.login.ClientID, Destination: o.Destination.Name, Selector: o.Selector, Prefetch: o.Prefetch, Pending: o.Pending,
			Exclusive: o.Exclusive, Retroactive: o.Retroactive, Out: e.taken.Load(), InFlight: e.inFlight(),
		}
		if sub, ok := e.source.(*topicSubscription); ok {
			sub.ring.Lock()
			n.Slow = sub.slow
			sub.ring.Unlock()
		}
		all = append(all, n)
	}
	return all
}
