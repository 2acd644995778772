package core

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/advising"
	"github.com/sluice-mq/sluice/gateway/advisory"
)

// What FrameInspect asks of another node's advisor: what there is that advisories on some topic, or pattern of some, tell of; and a question about some destinations.
const (
	asksKnown = "\x05known\x00"
	asksTold  = "\x05told\x00"
)

// audience is who listens to this node's advisories.
type audience struct{ broker *Broker }

// Heard implements advising.Audience.
func (a audience) Heard(topic string) bool {
	r := a.broker.topics.route(topic)
	return len(r.here)+len(r.away)+len(r.feeds) > 0
}

// Publish implements advising.Audience.
func (a audience) Publish(m *gateway.Message) {
	h := &a.broker.topics
	r := h.route(m.Destination.Name)
	if len(r.feeds) > 0 {
		if _, ok := h.keep(r, m, nil, waiter{}); !ok {
			return
		}
	}
	h.show(r, m, nil, waiter{})
}

// Elsewhere implements advising.Audience.
func (a audience) Elsewhere(ctx context.Context, ask *advising.Roll) (e advising.Elsewhere) {
	b := a.broker
	if b.guests == nil || len(ask.Consumers)+len(ask.Topics) == 0 {
		return e
	}
	e = advising.Elsewhere{Consumers: make(map[gateway.Destination]int), Known: make(map[gateway.Destination]bool)}
	ask.Node = b.cfg.Node
	body, err := json.Marshal(ask)
	if err != nil {
		return e
	}
	nodes := b.guests.nodes()
	replies := make(chan advising.Headcount, len(nodes))
	for _, node := range nodes {
		f := &gateway.Frame{Queue: asksTold, Message: asking(body)}
		b.inspections.ask(b, node, f, func(f *gateway.Frame) {
			var r advising.Headcount
			if !understand(f, &r) || len(r.Consumers) != len(ask.Consumers) || len(r.Topics) != len(ask.Topics) {
				r = advising.Headcount{} // of another version
			}
			replies <- r
		})
	}
	for range nodes {
		select {
		case r := <-replies:
			for i, n := range r.Consumers {
				e.Consumers[ask.Consumers[i]] += n
			}
			for i, known := range r.Topics {
				e.Known[ask.Topics[i]] = e.Known[ask.Topics[i]] || known
			}
		case <-ctx.Done():
			return e
		}
	}
	return e
}

// asking is a message for what frames carry.
func asking(body []byte) *gateway.Message {
	return &gateway.Message{Destination: gateway.Destination{Kind: gateway.KindTopic, Name: advisory.Prefix}, Body: body}
}

// understand reads what a frame carries.
func understand(f *gateway.Frame, to any) bool {
	return f != nil && f.Message != nil && json.Unmarshal(f.Message.Body, to) == nil
}

// inspectedByAdvisor answers another node's advisor, and reports false if the frame asks something else.
func (b *Broker) inspectedByAdvisor(node string, f *gateway.Frame) bool {
	a := b.advisor
	answer := &gateway.Frame{Kind: gateway.FrameInspected, Number: f.Number}
	send := func(content any) {
		if body, err := json.Marshal(content); err == nil {
			answer.Message = asking(body)
		}
		b.cfg.Cluster.Send(node, answer)
	}
	if pattern, ok := strings.CutPrefix(f.Queue, asksKnown); ok {
		// In its turn, so that what comes to be told later comes later to that node as well.
		a.Tell(advising.Advice{Instead: func() { send(b.counted(b.watching, b.known(pattern))) }})
		return true
	}
	if f.Queue != asksTold {
		return false
	}
	var q advising.Roll
	understand(f, &q)
	r := advising.Headcount{Consumers: make([]int, len(q.Consumers)), Topics: make([]bool, len(q.Topics))}
	for i, d := range q.Consumers {
		r.Consumers[i] = a.Count(d)
	}
	for i, d := range q.Topics {
		// Of two that are about to tell the same one does.
		r.Topics[i] = b.topics.hasNews(d.Name) && (!a.IsUntold(d) || b.cfg.Node < q.Node)
	}
	send(r)
	return true
}

// hasNews reports whether this node knows a topic by its own clients.
func (h *hub) hasNews(name string) bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	_, sent := h.sent.names[name]
	return sent || len(h.exact[name]) > 0
}

// known is what there is here for a topic of advisories, or a pattern of some, but for what is still to be told.
func (b *Broker) known(pattern string) (all advising.Roster) {
	a := b.advisor
	all.Origin = a.Origin
	kinds := advisory.Kinds(pattern)
	matches := func(k advisory.Kind, d gateway.Destination) bool {
		return kinds.Has(k) && advisory.Matches(pattern, advisory.Topic(k, d))
	}
	if kinds.Has(advisory.Connection, advisory.Consumer, advisory.Destination) {
		for _, s := range b.openSessions() {
			s.enlist(&all, matches)
		}
	}
	if kinds.Has(advisory.Destination) {
		for _, d := range b.destinations() {
			if matches(advisory.Destination, d) && !a.IsUntold(d) && len(all.Destinations) < advising.RosterMost {
				all.Destinations = append(all.Destinations, advising.KnownDestination{Destination: d})
			}
		}
	}
	for i := range all.Consumers {
		all.Consumers[i].Count = a.Count(all.Consumers[i].Destination)
	}
	return all
}

// counted adds the consumers on other nodes. It belongs to who tells.
func (b *Broker) counted(ctx context.Context, all advising.Roster) advising.Roster {
	var ask advising.Roll
	for i := range all.Consumers {
		ask.Add(&ask.Consumers, all.Consumers[i].Destination)
	}
	there := audience{b}.Elsewhere(ctx, &ask)
	for i := range all.Consumers {
		c := &all.Consumers[i]
		c.Count += there.Consumers[c.Destination]
	}
	return all
}

// enlist adds a session and what it has.
func (s *session) enlist(all *advising.Roster, matches func(advisory.Kind, gateway.Destination) bool) {
	if s.id == "" {
		return
	}
	s.mu.Lock()
	closed := s.closed
	var mine []*enrolled
	for _, e := range s.subscriptions {
		if !e.unsaid.Load() {
			mine = append(mine, e)
		}
	}
	var temps []gateway.Destination
	for d := range s.temps {
		temps = append(temps, d)
	}
	s.mu.Unlock()
	if closed {
		return
	}
	if matches(advisory.Connection, gateway.Destination{}) && !s.untold.Load() && len(all.Clients) < advising.RosterMost {
		all.Clients = append(all.Clients, *s.client())
	}
	slices.SortFunc(mine, func(a, b *enrolled) int { return int(a.number) - int(b.number) })
	for _, e := range mine {
		for _, d := range e.advised() {
			if matches(advisory.Consumer, d) && len(all.Consumers) < advising.RosterMost {
				all.Consumers = append(all.Consumers, advising.KnownConsumer{Subscriber: *s.subscriber(&e.options, e.number, d)})
			}
		}
	}
	for _, d := range temps {
		if matches(advisory.Destination, d) && !s.broker.advisor.IsUntold(d) && len(all.Destinations) < advising.RosterMost {
			all.Destinations = append(all.Destinations, advising.KnownDestination{Destination: d, Connection: s.id})
		}
	}
}

// destinations are the queues that this node owns and the topics that it knows.
func (b *Broker) destinations() (all []gateway.Destination) {
	for _, s := range b.owned() {
		for _, name := range s.matching(">") {
			all = append(all, gateway.Destination{Kind: gateway.KindQueue, Name: name})
		}
	}
	h := &b.topics
	h.mu.RLock()
	defer h.mu.RUnlock()
	add := func(name string) {
		if !isTempPlace(name) && !advisory.Is(name) {
			all = append(all, gateway.Destination{Kind: gateway.KindTopic, Name: name})
		}
	}
	for name := range h.exact {
		add(name)
	}
	for name := range h.sent.names {
		if len(h.exact[name]) == 0 {
			add(name)
		}
	}
	return all
}
